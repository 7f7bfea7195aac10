package kvtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"croft/internal/clock"
	"croft/internal/kv"
)

// The hot paths that plain optimistic transactions die on, with this many goroutines each.
const crowd = 16

func hotCases() map[string]func(*env) {
	return map[string]func(*env){
		"counter":               hotCounterCase,
		"queue head":            queueHeadCase,
		"log tail":              logTailCase,
		"queue with priorities": priorityQueueCase,
	}
}

// together runs fn in crowd goroutines and fails the test with the first error.
func together(e *env, fn func(i int) error) {
	e.Helper()
	errs := make([]error, crowd)
	var wg sync.WaitGroup
	for i := range crowd {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	e.ok(errors.Join(errs...))
}

// hotCounterCase: Adds never conflict.
func hotCounterCase(e *env) {
	const each = 100
	var runs atomic.Int64
	together(e, func(int) error {
		for range each {
			err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
				runs.Add(1)
				return tx.Add([]byte("n"), 1)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	e.eq(e.counter("n"), crowd*each)
	e.eq(runs.Load(), crowd*each)
	if n, ok := e.conflicts(); ok {
		e.eq(n, 0)
	}
}

// queueHeadCase: receivers look loosely at the head, pick one of the first messages and confirm it. Each message comes once.
func queueHeadCase(e *env) {
	// Were all receivers at work all the time, each would meet one of the others at one message in eight.
	const messages, window = 1600, 8 * crowd
	for part := range messages / 100 {
		e.update(func(tx kv.Tx) error {
			for i := range 100 {
				e.ok(tx.Put(kv.Key("q").Int(int64(part*100+i)), nil))
			}
			return nil
		})
	}
	received := make([]atomic.Int32, messages)
	var runs, receipts atomic.Int64
	together(e, func(int) error {
		for {
			var got int64
			err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) (err error) {
				runs.Add(1)
				got, err = receive(tx, window)
				return err
			})
			if err != nil || got < 0 {
				return err
			}
			receipts.Add(1)
			received[got].Add(1)
		}
	})
	for i := range received {
		if n := received[i].Load(); n != 1 {
			e.Errorf("message %d was received %d times", i, n)
		}
	}
	e.eq(e.all(), "")
	// At the very end the receivers fight for the last messages; before, they rarely meet.
	if extra := runs.Load() - receipts.Load(); extra > messages/5 {
		e.Errorf("%d runs for %d receipts", runs.Load(), receipts.Load())
	}
	n, _ := e.conflicts()
	e.Logf("%d receipts, %d runs, %d conflicts", receipts.Load(), runs.Load(), n)
}

// receive takes one message, and returns -1 when there is none.
func receive(tx kv.Tx, window int) (int64, error) {
	var head [][]byte
	for entry, err := range tx.Loose().Scan(prefix("q"), kv.ScanOptions{Limit: window}) {
		if err != nil {
			return 0, err
		}
		head = append(head, entry.Key)
	}
	if len(head) == 0 {
		return -1, nil
	}
	key := head[clock.Pick(len(head))]
	if _, err := tx.Get(key); err != nil {
		return 0, err
	}
	r := kv.ReadKey(key, []byte("q"))
	n := r.Int()
	return n, errors.Join(r.Err(), tx.Delete(key))
}

// priorityQueueCase sends into the queue, everywhere, while it is received from: what is put where a receiver has just found nothing
// must be found.
func priorityQueueCase(e *env) {
	const each, senders = 150, crowd / 2
	var sending, receipts atomic.Int64
	sending.Store(senders)
	together(e, func(i int) error {
		if i < senders {
			defer sending.Add(-1)
			for n := range each {
				err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
					return tx.Put(kv.Key("q").Int(int64(clock.Pick(1000))).Int(int64(i*each+n)), nil)
				})
				if err != nil {
					return err
				}
			}
			return nil
		}
		for {
			last := sending.Load() == 0
			var got int64
			err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) (err error) {
				got, err = receive(tx, senders)
				return err
			})
			if err != nil || got < 0 && last {
				return err
			}
			if got >= 0 {
				receipts.Add(1)
			}
		}
	})
	e.eq(receipts.Load(), senders*each)
	e.eq(e.all(), "")
}

// logTailCase: a reader that follows a log with "after N" misses nothing, and appenders do not disturb each other.
func logTailCase(e *env) {
	const each = 60
	log := kv.Key("log")
	followed := make(chan error, 1)
	w := e.s.Watch(log)
	defer w.Close()
	go func() { followed <- follow(e, log, w, crowd*each) }()
	var runs atomic.Int64
	together(e, func(i int) error {
		for n := range each {
			err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
				runs.Add(1)
				return tx.Append(log, fmt.Appendf(nil, "%d/%d", i, n))
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	e.eq(runs.Load(), crowd*each)
	e.ok(await(e, followed, "the follower"))
}

// follow reads a log in small steps until it has n entries, each once, those of one appender in order.
func follow(e *env, log kv.Key, w kv.Watch, n int) error {
	after, seen := uint64(0), 0
	last := map[int]int{}
	for seen < n {
		found := 0
		err := e.s.View(e.ctx, func(_ context.Context, r kv.Reader) error {
			for entry, err := range r.Scan(kv.LogRange(log, after), kv.ScanOptions{Limit: 7}) {
				if err != nil {
					return err
				}
				var who, what int
				if _, err := fmt.Sscanf(string(entry.Value), "%d/%d", &who, &what); err != nil {
					return err
				}
				if what != last[who] {
					return fmt.Errorf("appender %d: entry %d came when %d was due", who, what, last[who])
				}
				last[who]++
				if after, err = kv.LogSeq(log, entry.Key); err != nil {
					return err
				}
				found++
			}
			return nil
		})
		if err != nil {
			return err
		}
		if seen += found; found == 0 && seen < n {
			select {
			case <-w.C():
			case <-e.ctx.Done():
				return e.ctx.Err()
			}
		}
	}
	return nil
}
