package sqs

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

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
	// again is set when the attempt only removed what had expired, and there may be more behind it.
	again bool
	// next is when the next message becomes visible, if there is one.
	next time.Time
	// freed is closed when another receiver gives up rows that this one passed over; nil when it passed over none.
	freed <-chan struct{}

	claimed []string
}

// candidate is a row at the head of one of the two orders.
type candidate struct {
	key     []byte
	visible time.Time
	flying  bool
}

// expiredBatch bounds how many expired messages one attempt removes.
const expiredBatch = 100

func (rc *receiver) attempt(ctx context.Context, now time.Time) (*attempt, error) {
	a := &attempt{}
	defer func() { rc.s.claims.release(a.claimed) }()
	err := rc.s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		rc.s.claims.release(a.claimed)
		*a = attempt{}
		q, err := rc.s.queue(tx, rc.name)
		if err != nil {
			return err
		}
		a.queue = q
		candidates, err := rc.candidates(tx, a, now)
		if err != nil {
			return err
		}
		for _, c := range candidates {
			take := rc.takeWaiting
			if c.flying {
				take = rc.takeFlying
			}
			if err := take(tx, a, c, now); err != nil {
				return err
			}
		}
		a.again = a.again || len(candidates) > 0 && len(a.taken) == 0
		return nil
	})
	return a, err
}

// candidates claims the rows that have been visible longest, and removes what has expired on the way.
func (rc *receiver) candidates(tx kv.Tx, a *attempt, now time.Time) ([]candidate, error) {
	out, err := rc.head(tx, a, waitingPrefix(a.queue.ID), false, now)
	if err != nil {
		return nil, err
	}
	flying, err := rc.head(tx, a, orderPrefix(a.queue.ID), true, now)
	if err != nil {
		return nil, err
	}
	if len(flying) == 0 {
		return out, nil
	}
	out = append(out, flying...)
	slices.SortStableFunc(out, func(x, y candidate) int { return x.visible.Compare(y.visible) })
	return out[:min(len(out), rc.most)], nil
}

// head claims up to as many rows as are wanted, from the start of one order. Rows that others have claimed are passed over.
func (rc *receiver) head(tx kv.Tx, a *attempt, prefix kv.Key, flying bool, now time.Time) (out []candidate, err error) {
	expired := 0
	oldest := now.Add(-a.queue.Settings.retention())
	for e, err := range tx.Loose().Scan(kv.PrefixRange(prefix), kv.ScanOptions{}) {
		if err != nil {
			return nil, err
		}
		c := candidate{key: bytes.Clone(e.Key), flying: flying}
		if c.visible, err = visibleAt(e.Key); err != nil {
			return nil, err
		}
		sent, err := sentOf(e.Value, flying)
		switch {
		case err != nil:
			return nil, err
		case c.visible.After(now):
			if a.next.IsZero() || c.visible.Before(a.next) {
				a.next = c.visible
			}
			return out, nil
		case sent.Before(oldest):
			if err := rc.drop(tx, a.queue, c); err != nil {
				return nil, err
			}
			if expired++; expired == expiredBatch {
				a.again = true
				return out, nil
			}
			continue
		}
		if ok, freed := rc.s.claims.take(string(c.key)); !ok {
			a.freed = freed
			continue
		}
		a.claimed = append(a.claimed, string(c.key))
		if out = append(out, c); len(out) == rc.most {
			return out, nil
		}
	}
	return out, nil
}

func sentOf(value []byte, flying bool) (time.Time, error) {
	if flying {
		return orderSent(value)
	}
	return sentTime(value)
}

// orderSent reads the value of an order row.
func orderSent(value []byte) (time.Time, error) {
	k := kv.ReadKey(value, nil)
	t := k.Time()
	return t, k.Err()
}

func (rc *receiver) drop(tx kv.Tx, q *queue, c candidate) error {
	if c.flying {
		return dropFlight(tx, q, c.key)
	}
	return tx.Delete(c.key)
}

// takeWaiting moves a message that is received for the first time into flight.
func (rc *receiver) takeWaiting(tx kv.Tx, a *attempt, c candidate, now time.Time) error {
	row, err := tx.Get(c.key)
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := sentTime(row); err != nil {
		return err
	}
	if err := tx.Delete(c.key); err != nil {
		return err
	}
	return rc.launch(tx, a, flight{first: now}, row, now)
}

// takeFlying receives a message again whose visibility timeout is over.
func (rc *receiver) takeFlying(tx kv.Tx, a *attempt, c candidate, now time.Time) error {
	id, err := idInOrder(c.key)
	if err != nil {
		return err
	}
	if err := tx.Delete(c.key); err != nil {
		return err
	}
	row, err := tx.Get(flightKey(a.queue.ID, id))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	f, record, err := splitFlight(row)
	if err != nil || !f.visible.Equal(c.visible) {
		return err
	}
	return rc.launch(tx, a, f, record, now)
}

// launch writes the rows of a message that is received now.
func (rc *receiver) launch(tx kv.Tx, a *attempt, f flight, record []byte, now time.Time) error {
	timeout := a.queue.Settings.VisibilityTimeout
	if rc.visibility != nil {
		timeout = int(*rc.visibility)
	}
	f.visible, f.nonce, f.last = now.Add(seconds(timeout)), randomUint64(), now
	f.receives++
	id := idOf(record)
	row := f.with(record)
	if err := putFlight(tx, a.queue, id, &f, row); err != nil {
		return err
	}
	a.taken = append(a.taken, taken{handle{a.queue.ID, id, f.nonce}, f, row[flightHead:]})
	return nil
}

// putFlight writes the row of a message in flight and its place in the order. row must be that of f.
func putFlight(tx kv.Tx, q *queue, id messageID, f *flight, row []byte) error {
	sent, err := sentTime(row[flightHead:])
	if err != nil {
		return err
	}
	if err := tx.Put(flightKey(q.ID, id), row); err != nil {
		return err
	}
	return tx.Put(orderKey(q.ID, f.visible, id), kv.Key(nil).Time(sent))
}
