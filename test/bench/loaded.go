package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"croft/internal/awsapi/dynamodb"
	"croft/internal/awsapi/sqs"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/kv/all"
	"croft/internal/lease"
	"croft/internal/outbox"
	"croft/internal/service"
	dynamodbservice "croft/internal/service/dynamodb"
	sqsservice "croft/internal/service/sqs"
	"croft/internal/timer"
	"croft/internal/wire"
)

const (
	// fewLoaded is what the loaded store is compared with.
	fewLoaded = 10_000
	// loadStep is how many items or messages are loaded in one transaction: what bounds the memory of the loading.
	loadStep = 2000
	loadedAt = 1.3
)

// loader writes items and messages into the store of a data folder, by way of the services and without a server.
type loader struct {
	store kv.Store
	clock clock.Clock
	ddb   dynamodb.Client
	sqs   sqs.Client
	queue string
}

func openLoader(folder string, c clock.Clock) (*loader, error) {
	store, err := all.Open("pebble:"+filepath.Join(folder, "store"), all.Options{})
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	timers := timer.New(store, c, log)
	d := service.NewDispatcher()
	deps := service.Deps{Clock: c, Store: store, Timers: timers, Outbox: outbox.New(store, timers, c, log), Leases: lease.Local(), Caller: d, Log: log}
	d.Add(sqsservice.New(deps).Descriptor())
	d.Add(dynamodbservice.New(deps).Descriptor())
	return &loader{store: store, clock: c, ddb: dynamodb.NewClient(d), sqs: sqs.NewClient(d), queue: queueURL}, nil
}

func (l *loader) context() context.Context {
	return cloud.WithCall(context.Background(), cloud.InternalCall(cloud.DefaultAccount, cloud.DefaultRegion, l.clock.Now()))
}

// steps calls one for each step of n, in a transaction of its own.
func (l *loader) steps(n int, one func(ctx context.Context, from, to int) error) error {
	for from := 0; from < n; from += loadStep {
		err := l.store.Update(l.context(), func(ctx context.Context, _ kv.Tx) error { return one(ctx, from, min(from+loadStep, n)) })
		if err != nil {
			return err
		}
	}
	return nil
}

func loadedKey(i int) (p, s string) {
	return "p" + strconv.Itoa(i/partition), fmt.Sprintf("%03d", i%partition)
}

func (l *loader) items(n int) error {
	value := wire.Ptr(strings.Repeat("v", 170))
	return l.steps(n, func(ctx context.Context, from, to int) error {
		for ; from < to; from += 25 {
			var writes []dynamodb.WriteRequest
			for i := from; i < min(from+25, to); i++ {
				p, s := loadedKey(i)
				writes = append(writes, dynamodb.WriteRequest{PutRequest: &dynamodb.PutRequest{Item: map[string]dynamodb.AttributeValue{
					"p": {S: &p}, "s": {S: &s}, "v": {S: value},
				}}})
			}
			out, err := l.ddb.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]dynamodb.WriteRequest{table: writes}})
			if err != nil {
				return err
			}
			if len(out.UnprocessedItems) > 0 {
				return errors.New("items were left over")
			}
		}
		return nil
	})
}

func (l *loader) messages(n int) error {
	body := strings.Repeat("m", 200)
	return l.steps(n, func(ctx context.Context, from, to int) error {
		for ; from < to; from += 10 {
			in := &sqs.SendMessageBatchInput{QueueUrl: l.queue}
			for i := range min(10, to-from) {
				in.Entries = append(in.Entries, sqs.SendMessageBatchRequestEntry{Id: strconv.Itoa(i), MessageBody: body})
			}
			out, err := l.sqs.SendMessageBatch(ctx, in)
			if err != nil {
				return err
			}
			if len(out.Failed) > 0 {
				return errors.New("messages were refused")
			}
		}
		return nil
	})
}

// startLoaded starts a croft on a data folder with a table of n items and a queue of n messages.
func (b *bench) startLoaded(ctx context.Context, n int) (_ *server, err error) {
	s, err := b.startCroft(ctx)
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(b.dir, "data"+strconv.Itoa(b.count))
	t := newTarget(s.endpoint, nil)
	defer t.close()
	if err := errors.Join(t.prepareTables(ctx), t.prepareQueue(ctx), s.stop()); err != nil {
		return nil, err
	}
	l, err := openLoader(folder, b.clock)
	if err != nil {
		return nil, err
	}
	begin := b.clock.Now()
	if err := errors.Join(l.items(n), l.messages(n), l.store.Close()); err != nil {
		return nil, err
	}
	fmt.Printf("loaded %d items and %d messages in %v\n", n, n, b.clock.Now().Sub(begin))
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	if s, err = launch(addr, b.croft, "up", "--listen", addr, "--data", folder); err != nil {
		return nil, err
	}
	return s, b.await(ctx, s)
}

// loadedCase is an operation on a table and a queue that hold n things.
type loadedCase struct {
	name string
	op   func(ctx context.Context, t *target, n, held int) error
}

func loadedCases() []loadedCase {
	return []loadedCase{
		{"DynamoDB PutItem, new", func(ctx context.Context, t *target, n, _ int) error {
			return t.putLoaded(ctx, "new"+strconv.Itoa(n), "000")
		}},
		{"DynamoDB PutItem, in place", func(ctx context.Context, t *target, _, held int) error {
			p, s := loadedKey(clock.Pick(held))
			return t.putLoaded(ctx, p, s)
		}},
		{"DynamoDB GetItem, anywhere", func(ctx context.Context, t *target, _, held int) error {
			p, s := loadedKey(clock.Pick(held))
			return t.getLoaded(ctx, p, s)
		}},
		{"DynamoDB Query, 100 items", func(ctx context.Context, t *target, _, held int) error {
			p, _ := loadedKey(clock.Pick(held / partition * partition))
			return t.query(ctx, p)
		}},
		{"SQS SendMessage", func(ctx context.Context, t *target, _, _ int) error { return t.send(ctx) }},
		{"SQS send, receive and delete", func(ctx context.Context, t *target, _, _ int) error { return t.roundTrip(ctx) }},
	}
}

// loadedStore compares the cost of operations on a store with -loaded items and messages with that on one with ten thousand.
func (b *bench) loadedStore(ctx context.Context, rounds int) (err error) {
	if b.loaded < fewLoaded {
		return fmt.Errorf("-loaded is %d, less than the %d of the other side", b.loaded, fewLoaded)
	}
	fmt.Println()
	few, err := b.startLoaded(ctx, fewLoaded)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, few.stop()) }()
	many, err := b.startLoaded(ctx, b.loaded)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, many.stop()) }()
	fmt.Printf("Operations with %d items and messages of 200 bytes, against those with %d; medians of %d rounds, %d operations each\n%-30s %10s %10s %7s %6s %8s %10s\n",
		b.loaded, fewLoaded, rounds, dataSequential, "operation", "few p50", "many p50", "ratio", "aim", "CPU", "ops/s x16")
	for _, c := range loadedCases() {
		if err := b.loadedRow(ctx, rounds, c, few, many); err != nil {
			return err
		}
	}
	for _, s := range []struct {
		name string
		of   *server
	}{{"few", few}, {"many", many}} {
		n, err := s.of.resident()
		if err != nil {
			return err
		}
		fmt.Printf("resident memory of the server with %s: %.0f MB\n", s.name, float64(n)/1e6)
	}
	return nil
}

func (b *bench) loadedRow(ctx context.Context, rounds int, c loadedCase, few, many *server) error {
	var next atomic.Int64
	targets := map[*server]*target{few: newTarget(few.endpoint, nil), many: newTarget(many.endpoint, nil)}
	held := map[*server]int{few: fewLoaded, many: b.loaded}
	var r row
	for round := range rounds + 1 {
		sides := []*server{few, many}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		got := map[*server]figures{}
		for _, s := range sides {
			f, err := b.measureOp(s, func() error { return c.op(ctx, targets[s], int(next.Add(1)), held[s]) })
			if err != nil {
				return err
			}
			got[s] = f
		}
		if round > 0 { // the first warms both up
			r.add(got[few], got[many])
		}
	}
	for _, t := range targets {
		t.close()
	}
	verdict := ""
	if median(r.ratio) > loadedAt {
		verdict = "  misses its aim"
	}
	fmt.Printf("%-30s %7.0f µs %7.0f µs %6.2fx %5.2fx %7.2fx %9.0f%%%s\n", c.name, median(r.floorP50)/1e3, median(r.p50)/1e3, median(r.ratio), loadedAt,
		median(r.cpu), 100*median(r.share), verdict)
	return nil
}
