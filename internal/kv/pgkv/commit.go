package pgkv

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/kv"
)

// Bounds of commits that share a transaction of the database. leaders is how many of these are under way at once.
const (
	leaders       = 4
	maxBatch      = 64
	maxBatchBytes = 1 << 20
)

// pending is a transaction that is to be committed.
type pending struct {
	t      *tx
	ver    int64
	do     parts
	params [][]byte
	locks  lockSet
	bytes  int
	yes    bool
	// done receives what became of it, or the order to lead.
	done chan verdict
}

type verdict struct {
	err error
	// lead makes the receiver the leader of the next batch.
	lead bool
}

// queue brings commits together. Whoever finds less than leaders others committing commits at once, alone; the rest wait, and when a
// leader is done, the first of those leads all the others that fit into one transaction of the database with it. A quiet store adds
// nothing to a commit; a busy one shares round trips, waits for the disk, and the locks of hot keys.
type queue struct {
	mu      sync.Mutex
	active  int
	waiting []*pending
}

// enter reports whether p's owner is to lead, alone. If not, p waits.
func (q *queue) enter(p *pending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.active < leaders {
		q.active++
		return true
	}
	q.waiting = append(q.waiting, p)
	return false
}

// withdraw takes p out of the queue, if it still waits.
func (q *queue) withdraw(p *pending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, p)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// leave ends a leader's turn and gives it to the first that waits.
func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.active--
		return
	}
	next := q.waiting[0]
	q.waiting = slices.Delete(q.waiting, 0, 1)
	next.done <- verdict{lead: true}
}

// gather returns first together with those of the queue that fit into one transaction with it.
func (q *queue) gather(first *pending, maxLocks int) []*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := []*pending{first}
	locks, size := len(first.locks), first.bytes
	alone := func(p *pending) bool {
		return p.bytes > maxBatchBytes/4 || p.locks[globalLock] || len(p.locks) > maxLocks
	}
	if alone(first) {
		return batch
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(p *pending) bool {
		// All share the global lock.
		if len(batch) == maxBatch || alone(p) || size+p.bytes > maxBatchBytes || locks+len(p.locks)-1 > maxLocks {
			return false
		}
		locks, size = locks+len(p.locks)-1, size+p.bytes
		batch = append(batch, p)
		return true
	})
	return batch
}

// commit makes the writes of t durable and visible, or returns errConflict.
func (s *Store) commit(t *tx) error {
	p := &pending{t: t, done: make(chan verdict, 1)}
	if err := p.build(); err != nil {
		return err
	}
	err := s.settle(p)
	// What the database could not put in a row it may the next time: what was read is checked anew, and fn need not know.
	began := clock.Real().Now()
	for pause := s.newPause(); err == errSerialize; err = s.settle(p) {
		if clock.Real().Now().Sub(began) >= 2*s.lockWait {
			return unavailable(fmt.Errorf("somebody has held locks that this commit needs for longer than %v", 2*s.lockWait))
		}
		s.retries.Add(1)
		if err := pause.next(t.ctx); err != nil {
			return err
		}
	}
	if err == nil {
		s.commits.Add(1)
		changes := changesOf(&t.own)
		wake(&s.watch, changes)
		s.notify.add(changes)
	}
	return err
}

// settle commits p, alone or with others.
func (s *Store) settle(p *pending) error {
	if s.queue.enter(p) {
		return s.lead(p, []*pending{p})
	}
	// Others need the connection more than the snapshot, which has served.
	p.t.close()
	var v verdict
	select {
	case v = <-p.done:
	case <-p.t.ctx.Done():
		if s.queue.withdraw(p) {
			return p.t.ctx.Err()
		}
		v = <-p.done
	}
	if v.lead {
		return s.lead(p, s.queue.gather(p, s.maxLocks))
	}
	return v.err
}

// lead commits batch, tells the others in it, and returns what became of p.
func (s *Store) lead(p *pending, batch []*pending) error {
	defer s.queue.leave()
	errs := s.commitBatch(p.t.take(), batch)
	var own error
	for i, other := range batch {
		if other == p {
			own = errs[i]
		} else {
			other.done <- verdict{err: errs[i]}
		}
	}
	return own
}

// commitBatch commits batch in one transaction of the database. c may be the connection of one of them, with its snapshot.
func (s *Store) commitBatch(c *conn, batch []*pending) []error {
	errs := make([]error, len(batch))
	fail := func(err error) []error {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	if c == nil {
		var err error
		if c, err = s.acquire(context.WithoutCancel(batch[0].t.ctx)); err != nil {
			return fail(err)
		}
	}
	err := c.run(s.batchCalls(c.pg.TxStatus() != 'I', batch)...)
	c.abandon(&s.sql.rollback)
	switch {
	case err == nil:
		for i, p := range batch {
			if !p.yes {
				errs[i] = errConflict
			}
		}
		return errs
	case mayHaveCommitted(err):
		s.pool.Reset()
		cause := classify(err)
		for i, p := range batch {
			errs[i] = s.resolve(p, cause)
		}
		return errs
	}
	cause := classify(err)
	if len(batch) == 1 || cause == errSerialize || errors.Is(cause, kv.ErrUnavailable) {
		return fail(cause)
	}
	// One of them cannot be done, and the others must not suffer for it.
	for i, p := range batch {
		errs[i] = s.commitBatch(nil, []*pending{p})[0]
	}
	return errs
}

// batchCalls returns the statements of a transaction that commits batch, to be sent in one trip.
func (s *Store) batchCalls(snapshot bool, batch []*pending) []call {
	calls := make([]call, 0, len(batch)+4)
	if snapshot {
		calls = append(calls, call{st: &s.sql.commit})
	}
	calls = append(calls, call{st: &s.sql.begin})
	if !s.native {
		all := batch[0].locks
		if len(batch) > 1 {
			all = lockSet{}
			for _, p := range batch {
				for id, exclusive := range p.locks {
					all.take(id, exclusive)
				}
			}
		}
		order := all.sorted(s.maxLocks)
		ids, modes := newArray(oidInt8, len(order), 8*len(order)), newArray(oidBool, len(order), len(order))
		for _, id := range order {
			ids.int(id)
			modes.bool(all[id])
		}
		calls = append(calls, call{st: &s.sql.lock, params: [][]byte{ids.param(), modes.param()}})
	}
	for _, p := range batch {
		calls = append(calls, call{st: &s.sql.of[p.do], params: p.params, row: func(values [][]byte) (err error) {
			p.yes, err = boolAt(values, 0)
			return err
		}})
	}
	return append(calls, call{st: &s.sql.commit})
}

// How long resolve looks for a commit whose outcome is not known, and how long it waits between two looks.
const (
	resolveTime  = 3 * time.Second
	resolvePause = 100 * time.Millisecond
)

// resolve finds out whether p was committed, after the connection was lost: then a row that it wrote has its version. That there is
// none proves nothing, since the database may still be at work on it, or others may have written over it.
func (s *Store) resolve(p *pending, cause error) error {
	unknown := errors.Join(cause, ErrOutcome)
	keys, start, end, ok := p.t.own.traces()
	if !ok {
		return unknown
	}
	params := [][]byte{keys, int8Param(p.ver), start, end}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.t.ctx), s.resolveTime)
	defer cancel()
	for {
		found, err := s.find(ctx, params)
		if found {
			return nil
		}
		if err != nil && !errors.Is(err, kv.ErrUnavailable) && ctx.Err() == nil {
			return errors.Join(unknown, err)
		}
		if clock.Sleep(ctx, clock.Real(), resolvePause) != nil {
			return unknown
		}
	}
}

// find runs sqlFound.
func (s *Store) find(ctx context.Context, params [][]byte) (found bool, err error) {
	c, err := s.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer c.abandon(&s.sql.rollback)
	err = c.run(call{st: &s.sql.found, params: params, row: func(values [][]byte) (err error) {
		found, err = boolAt(values, 0)
		return err
	}})
	if err != nil {
		err = classify(err)
	}
	return found, err
}

// newVersion returns a version: random, so that no two commits have the same, whatever processes they come from.
func newVersion() (int64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b[:]) >> 1), nil
}
