package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// dataSequential and dataParallel are operations per round and side, at one connection and at sixteen.
	dataSequential = 1000
	dataParallel   = 4000
)

// dataCase is one row of the table.
type dataCase struct {
	name string
	// aim is the most that p50 at one connection may be of the floor's.
	aim     float64
	prepare func(context.Context, *target) error
	// op makes one operation. No two operations on a target have the same number.
	op func(ctx context.Context, t *target, n int) error
	// own says that the floor answers this operation's own bytes, and not those of SendMessage.
	own bool
}

// dataCases are the rows, in the order of the table.
func dataCases() []dataCase {
	items := (*target).prepareItems
	prepare := func(do func(*target, context.Context) error) func(context.Context, *target) error {
		return func(ctx context.Context, t *target) error { return do(t, ctx) }
	}
	query := func(ctx context.Context, t *target, _ int) error { return t.query(ctx, "query") }
	queue, objects := prepare((*target).prepareQueue), prepare((*target).prepareObjects)
	return []dataCase{
		{"SQS SendMessage, 200 bytes", 1.25, queue, func(ctx context.Context, t *target, _ int) error { return t.send(ctx) }, false},
		{"DynamoDB PutItem, 1 KB", 1.35, prepare(items), func(ctx context.Context, t *target, n int) error {
			return t.putItem(ctx, fmt.Sprintf("put%d", n), 1000)
		}, false},
		{"DynamoDB GetItem, 1 KB", 1.2, prepare(items), func(ctx context.Context, t *target, _ int) error { return t.getItem(ctx) }, false},
		{"DynamoDB Query, 100 items of 200 bytes", 4, prepare(items), query, false},
		{"… against the same bytes", 1.5, prepare(items), query, true},
		{"DynamoDB TransactWriteItems, 2 puts", 1.5, prepare(items), func(ctx context.Context, t *target, n int) error { return t.transact(ctx, fmt.Sprintf("t%d", n)) }, false},
		{"SQS SendMessageBatch, ten of 200 bytes", 1.6, queue, func(ctx context.Context, t *target, _ int) error { return t.sendTen(ctx) }, false},
		{"SQS send, receive and delete", 3.6, prepare((*target).prepareTrips), func(ctx context.Context, t *target, _ int) error { return t.roundTrip(ctx) }, false},
		{"SNS Publish to 3 queues, acknowledged", 1.35, func(ctx context.Context, t *target) error {
			_, err := t.prepareTopic(ctx, benchTopic)
			return err
		}, func(ctx context.Context, t *target, _ int) error { return t.publish(ctx) }, false},
		{"S3 PutObject, 4 KB", 2, objects, func(ctx context.Context, t *target, n int) error { return t.putObject(ctx, n) }, false},
		{"S3 GetObject, 4 KB", 1.4, objects, func(ctx context.Context, t *target, n int) error { return t.getObject(ctx, n) }, false},
	}
}

// row is what the rounds of one case gave.
type row struct {
	floorP50, p50     []float64
	ratio, cpu, share []float64
	rps               []float64
}

// subject returns the server to measure: croft on a new data folder, or the one that -endpoint names.
func (b *bench) subject(ctx context.Context) (*server, error) {
	if b.endpoint != "" {
		return &server{endpoint: b.endpoint, peer: b.pid}, nil
	}
	return b.startCroft(ctx)
}

// data measures the operations of the four data services against the floor of SendMessage's canned answer.
func (b *bench) data(ctx context.Context, rounds int) (err error) {
	subject, err := b.subject(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, subject.stop()) }()
	canned, err := b.cannedSend(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, canned.stop()) }()
	fmt.Printf("\nThe data services, against the floor of SendMessage's answer; medians of %d rounds, %d operations each\n%-40s %10s %10s %7s %6s %10s %9s %10s %6s\n",
		rounds, dataSequential, "operation", "floor p50", "p50", "ratio", "aim", "CPU", "aim", "ops/s x16", "share")
	for _, c := range dataCases() {
		if err := b.dataRow(ctx, rounds, c, canned, subject); err != nil {
			if b.endpoint == "" {
				return err
			}
			// A peer may lack an operation.
			fmt.Printf("%-40s not measured: %.200v\n", c.name, err)
		}
	}
	err = b.fanOutTime(ctx, subject)
	if err != nil && b.endpoint != "" {
		fmt.Printf("the time until the third queue has a message: not measured: %.200v\n", err)
		return nil
	}
	return err
}

// cannedSend starts the floor that answers as croft answers SendMessage: the same one for croft and for its peers, which may have no queues.
func (b *bench) cannedSend(ctx context.Context) (_ *server, err error) {
	s, err := b.startCroft(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	return b.recordFloor(ctx, s, dataCases()[0])
}

// recordFloor asks the subject for one answer of a case and starts a floor that repeats it.
func (b *bench) recordFloor(ctx context.Context, subject *server, c dataCase) (*server, error) {
	var rec *recorder
	t := newTarget(subject.endpoint, func(next http.RoundTripper) http.RoundTripper {
		rec = &recorder{next: next}
		return rec
	})
	defer t.close()
	if err := c.prepare(ctx, t); err != nil {
		return nil, err
	}
	if err := c.op(ctx, t, -1); err != nil {
		return nil, err
	}
	s, err := b.startFloor(rec.last)
	if err != nil {
		return nil, err
	}
	return s, b.await(ctx, s)
}

func (b *bench) dataRow(ctx context.Context, rounds int, c dataCase, canned, subject *server) (err error) {
	floor, baseline := canned, dataCases()[0]
	if c.own {
		if floor, err = b.recordFloor(ctx, subject, c); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, floor.stop()) }()
		baseline = c
	}
	var next atomic.Int64
	ready, bare := newTarget(subject.endpoint, nil), newTarget(floor.endpoint, nil)
	defer ready.close()
	defer bare.close()
	if err := c.prepare(ctx, ready); err != nil {
		return err
	}
	measure := func(s *server, t *target, c dataCase) (figures, error) {
		return b.measureOp(s, func() error { return c.op(ctx, t, int(next.Add(1))) })
	}
	var r row
	for round := range rounds + 1 {
		var f, s figures
		sides := []func() error{
			func() (err error) { f, err = measure(floor, bare, baseline); return err },
			func() (err error) { s, err = measure(subject, ready, c); return err },
		}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			if err := side(); err != nil {
				return err
			}
		}
		if round > 0 { // the first warms both up
			r.add(f, s)
		}
	}
	r.print(c)
	return nil
}

func (r *row) add(f, s figures) {
	r.floorP50, r.p50 = append(r.floorP50, float64(f.p50)), append(r.p50, float64(s.p50))
	r.ratio = append(r.ratio, float64(s.p50)/float64(f.p50))
	r.rps, r.share = append(r.rps, s.rps), append(r.share, s.rps/f.rps)
	if f.cpu > 0 && s.cpu > 0 {
		r.cpu = append(r.cpu, float64(s.cpu)/float64(f.cpu))
	}
}

func (r *row) print(c dataCase) {
	micro := func(v []float64) string { return fmt.Sprintf("%.0f µs", median(v)/1e3) }
	cpu, verdict := "-", ""
	if len(r.cpu) > 0 {
		cpu = fmt.Sprintf("%.2fx", median(r.cpu))
	}
	if median(r.ratio) > c.aim {
		verdict = "  misses its aim"
	}
	fmt.Printf("%-40s %10s %10s %6.2fx %5.2fx %10s %9s %10.0f %5.0f%%%s\n",
		c.name, micro(r.floorP50), micro(r.p50), median(r.ratio), c.aim, cpu, "2.50x", median(r.rps), 100*median(r.share), verdict)
}

// measureOp gives the p50 and the server's processor time of an operation at one connection, and operations a second at sixteen.
func (b *bench) measureOp(s *server, op func() error) (f figures, err error) {
	before, err := s.cpu()
	if err != nil {
		return f, err
	}
	times := make([]time.Duration, dataSequential)
	for i := range times {
		begin := b.clock.Now()
		if err := op(); err != nil {
			return f, err
		}
		times[i] = b.clock.Now().Sub(begin)
	}
	after, err := s.cpu()
	if err != nil {
		return f, err
	}
	slices.Sort(times)
	f.p50, f.cpu = times[len(times)/2], (after-before)/dataSequential
	var wg sync.WaitGroup
	errs := make([]error, connections)
	begin := b.clock.Now()
	for i := range connections {
		wg.Go(func() {
			for range dataParallel / connections {
				if errs[i] = op(); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	f.rps = dataParallel / b.clock.Now().Sub(begin).Seconds()
	return f, errors.Join(errs...)
}
