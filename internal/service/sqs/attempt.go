package sqs

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"croft/internal/clock"
	"croft/internal/kv"
)

// taken is a message that a receiver has got.
type taken struct {
	handle handle
	flight flight
	record []byte
}

// attempt is one look for messages, in one transaction.
type attempt struct {
	taken []taken
	queue *queue
	// again is set when there may be messages although none was taken: the attempt only tidied up.
	again bool
	// next is when the next flight becomes visible, if there is one. It is looked for when nothing was found.
	next time.Time
	// freed is closed when another receiver gives up rows that this one passed over; nil when it passed over none.
	freed <-chan struct{}
	// skip is how many rows at the head are left to others, unless there are no more behind them.
	skip int

	claimed []string
}

// candidate is a row at the head of the log or of the order.
type candidate struct {
	key     []byte
	visible time.Time
	// order is set for flights.
	order *order
}

// expiredBatch bounds how many expired messages one attempt removes.
const expiredBatch = 100

// spread says how far receivers of different processes, whose claims do not keep them apart, move away from each other after a collision: by up
// to so many receivers' share of the rows.
const spread = 32

func (rc *receiver) attempt(ctx context.Context, now time.Time) (*attempt, error) {
	a := &attempt{}
	defer func() { rc.s.claims.release(a.claimed) }()
	again := false
	err := rc.s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		rc.s.claims.release(a.claimed)
		*a = attempt{}
		if again {
			a.skip = clock.Pick(spread*rc.most) + 1
		}
		again = true
		var err error
		if a.queue, err = rc.s.queue(tx, rc.name); err != nil {
			return err
		}
		if err := rc.fill(ctx, tx, a, now); err != nil {
			return err
		}
		if len(a.taken) > 0 || a.again {
			return nil
		}
		return a.findNext(tx, now)
	})
	return a, err
}

// fill takes what the queue has for this receiver.
func (rc *receiver) fill(ctx context.Context, tx kv.Tx, a *attempt, now time.Time) error {
	if a.queue.Settings.FIFO {
		return rc.fillFIFO(ctx, tx, a, now)
	}
	if rc.retry != nil {
		return notForType(*rc.retry, "ReceiveRequestAttemptId")
	}
	found, err := rc.candidates(tx, a, now)
	if err != nil {
		return err
	}
	for _, c := range found {
		if err := rc.take(ctx, tx, a, c, now); err != nil {
			return err
		}
	}
	a.again = a.again || len(found) > 0 && len(a.taken) == 0
	return nil
}

// findNext looks for the next flight that becomes visible.
func (a *attempt) findNext(tx kv.Tx, now time.Time) error {
	for e, err := range tx.Loose().Scan(visibleAfter(a.queue.ID, now), kv.ScanOptions{Limit: 1}) {
		if err != nil {
			return err
		}
		// Whatever it is that waits there, a flight or a group, it begins with the time.
		r := kv.ReadKey(e.Key, orderPrefix(a.queue.ID))
		a.next = r.Time()
		return r.Err()
	}
	return nil
}

// candidates claims the rows that have been visible longest, and removes what has expired on the way.
func (rc *receiver) candidates(tx kv.Tx, a *attempt, now time.Time) ([]candidate, error) {
	found, err := rc.waiting(tx, a, now)
	if err != nil {
		return nil, err
	}
	flights, err := rc.flights(tx, a, now)
	if err != nil || len(flights) == 0 {
		return found, err
	}
	found = append(found, flights...)
	slices.SortStableFunc(found, func(x, y candidate) int { return x.visible.Compare(y.visible) })
	return found[:min(len(found), rc.most)], nil
}

// waiting claims entries of the log.
func (rc *receiver) waiting(tx kv.Tx, a *attempt, now time.Time) ([]candidate, error) {
	expired, pick := 0, picker{rc: rc, a: a}
	oldest := now.Add(-a.queue.Settings.retention())
	for e, err := range tx.Loose().Scan(kv.PrefixRange(waitingLog(a.queue.ID)), kv.ScanOptions{}) {
		if err != nil {
			return nil, err
		}
		sent, err := sentTime(e.Value)
		if err != nil {
			return nil, err
		}
		if sent.Before(oldest) {
			if err := tx.Delete(bytes.Clone(e.Key)); err != nil {
				return nil, err
			}
			if expired++; expired == expiredBatch {
				a.again = true
				return pick.chosen(), nil
			}
			continue
		}
		if pick.offer(candidate{key: bytes.Clone(e.Key), visible: sent}) {
			break
		}
	}
	return pick.chosen(), nil
}

// flights claims flights whose time has come.
func (rc *receiver) flights(tx kv.Tx, a *attempt, now time.Time) ([]candidate, error) {
	expired, pick := 0, picker{rc: rc, a: a}
	oldest := now.Add(-a.queue.Settings.retention())
	for e, err := range tx.Loose().Scan(visibleBy(a.queue.ID, now), kv.ScanOptions{}) {
		if err != nil {
			return nil, err
		}
		o, err := parseOrder(a.queue.ID, e.Key)
		if err != nil {
			return nil, err
		}
		p, err := decodePlace(e.Value)
		if err != nil {
			return nil, err
		}
		if p.sent.Before(oldest) {
			if err := dropFlight(tx, a.queue, o); err != nil {
				return nil, err
			}
			if expired++; expired == expiredBatch {
				a.again = true
				return pick.chosen(), nil
			}
			continue
		}
		if pick.offer(candidate{key: bytes.Clone(e.Key), visible: o.visible, order: &o}) {
			break
		}
	}
	return pick.chosen(), nil
}

// picker chooses among rows that are offered in order: those behind the first few if these are to be left to others, and these only if there are
// not enough behind them.
type picker struct {
	rc     *receiver
	a      *attempt
	passed []candidate
	out    []candidate
}

// offer reports whether there are enough.
func (p *picker) offer(c candidate) (enough bool) {
	if len(p.passed) < p.a.skip {
		p.passed = append(p.passed, c)
		return false
	}
	p.claim(c)
	return len(p.out) == p.rc.most
}

func (p *picker) claim(c candidate) {
	if p.rc.claim(p.a, c.key) {
		p.out = append(p.out, c)
	}
}

func (p *picker) chosen() []candidate {
	for _, c := range p.passed {
		if len(p.out) == p.rc.most {
			break
		}
		p.claim(c)
	}
	return p.out
}

// claim claims a row for the attempt, unless another receiver has it.
func (rc *receiver) claim(a *attempt, key []byte) bool {
	ok, freed := rc.s.claims.take(string(key))
	if !ok {
		a.freed = freed
		return false
	}
	a.claimed = append(a.claimed, string(key))
	return true
}

// take receives a message, if it is still what it was.
func (rc *receiver) take(ctx context.Context, tx kv.Tx, a *attempt, c candidate, now time.Time) error {
	key := c.key
	if c.order != nil {
		key = flightKey(a.queue.ID, c.order.id)
	}
	row, err := tx.Get(key)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	// Delete also takes away a place in the order whose flight has moved on.
	if err := tx.Delete(c.key); err != nil || row == nil {
		return err
	}
	if c.order == nil {
		return rc.launch(tx, a, flight{}, row, now)
	}
	f, record, err := splitFlight(row)
	if err != nil || !f.visible.Equal(c.visible) {
		return err
	}
	if a.queue.Settings.exhausted(&f) {
		if buried, err := rc.s.bury(ctx, tx, rc.name, a.queue, f, record, now); err != nil || buried {
			return err
		}
	}
	return rc.launch(tx, a, f, record, now)
}

// launch writes the rows of a message that is received now.
func (rc *receiver) launch(tx kv.Tx, a *attempt, f flight, record []byte, now time.Time) error {
	if len(record) < recordHead {
		return errMalformed
	}
	rc.depart(a, &f, now)
	id := idOf(record)
	row := f.with(record)
	if err := putFlight(tx, a.queue, id, &f, row); err != nil {
		return err
	}
	a.taken = append(a.taken, taken{handle{a.queue.ID, id, f.nonce}, f, row[flightHead:]})
	return nil
}

// depart counts a receive and begins the visibility timeout.
func (rc *receiver) depart(a *attempt, f *flight, now time.Time) {
	if f.receives == 0 {
		f.first = now
	}
	f.visible, f.nonce, f.last = now.Add(rc.timeout(a)), randomUint64(), now
	f.receives++
}

// timeout is the visibility timeout of what this receiver takes.
func (rc *receiver) timeout(a *attempt) time.Duration {
	timeout := a.queue.Settings.VisibilityTimeout
	if rc.visibility != nil {
		timeout = int(*rc.visibility)
	}
	return seconds(timeout)
}
