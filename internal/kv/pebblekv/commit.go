package pebblekv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"croft/internal/clock"
	"croft/internal/kv"
)

// How often an Update tries, how many times of these at once, and how long it then waits at first and at most. Together the waits stay below a second.
const (
	maxTries   = 64
	quickTries = 4
	firstPause = 50 * time.Microsecond
	maxPause   = 15 * time.Millisecond
)

// anchorCommits is after how many commits the anchor is renewed.
const anchorCommits = 256

// errConflict says that an attempt has to be made again.
var errConflict = errors.New("pebblekv: conflict")

// Update implements kv.Store.
func (s *Store) Update(ctx context.Context, fn func(context.Context, kv.Tx) error) error {
	if joined, err := kv.JoinUpdate(ctx, s, fn); joined {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.exit()
	pause := firstPause
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := s.attempt(ctx, fn)
		if err != errConflict {
			return err
		}
		s.conflicts.Add(1)
		if try == maxTries {
			return kv.ErrConflict
		}
		if try < quickTries {
			continue
		}
		if err := clock.Sleep(ctx, s.clock, clock.Jitter(pause)); err != nil {
			return err
		}
		pause = min(2*pause, maxPause)
	}
}

// attempt runs fn once and commits what it wrote.
func (s *Store) attempt(ctx context.Context, fn func(context.Context, kv.Tx) error) error {
	t := newTx(ctx, s)
	defer t.close()
	err := fn(kv.WithTx(ctx, s, t), t)
	t.over = true
	if err == nil && len(t.own.log) > 0 {
		return s.commit(t)
	}
	if (err != nil || t.reads.guarded) && s.stale(t) {
		return errConflict
	}
	if failed := s.settled(&t.reader); failed != nil {
		return failed
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// stale reports whether something that t read or guarded has been written since.
func (s *Store) stale(t *tx) bool {
	if t.start == nil {
		return false
	}
	records, ok := s.hist.since(t.start.Value.(uint64))
	if !ok {
		return true
	}
	if len(records) == 0 {
		return false
	}
	t.reads.prepare()
	for _, r := range records {
		if t.reads.meets(r) {
			return true
		}
	}
	return false
}

// commit makes the writes of t durable and visible, or returns errConflict.
func (s *Store) commit(t *tx) error {
	batch, seq, err := s.apply(t)
	if err != nil {
		return err
	}
	err = batch.SyncWait()
	if failed := s.Err(); failed != nil {
		return failed
	}
	if err != nil {
		s.disk.fail(err)
		return s.Err()
	}
	s.marks.advance(seq)
	s.commits.Add(1)
	wake(&s.watch, t.own.log)
	_ = batch.Close()
	return nil
}

// apply orders t among the commits and hands it to Pebble. The batch that it returns is visible, and durable after SyncWait.
func (s *Store) apply(t *tx) (*pebble.Batch, uint64, error) {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	if err := s.Err(); err != nil {
		return nil, 0, err
	}
	if err := t.ctx.Err(); err != nil {
		return nil, 0, err
	}
	if s.stale(t) {
		return nil, 0, errConflict
	}
	t.forget()
	batch, err := s.build(t)
	if err != nil {
		return nil, 0, err
	}
	seq := s.applying.Add(1)
	s.gaps.fill(t.own.log)
	if err := s.hand(batch); err != nil {
		return nil, 0, err
	}
	s.hist.publish(seq, func() *record { return writeSet(t.own.log) })
	s.counters.learn(s.db)
	if seq%anchorCommits == 0 {
		old := s.anchor
		s.anchor = s.db.NewSnapshot()
		_ = old.Close()
	}
	return batch, seq, nil
}

// hand gives batch to Pebble. What Pebble cannot deal with, it panics about, holding its locks; then the store is over.
func (s *Store) hand(batch *pebble.Batch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.wedged.Store(true)
			s.disk.fail(fmt.Errorf("pebble: %v", p))
			err = s.Err()
		}
	}()
	if err := s.db.ApplyNoSyncWait(batch, pebble.Sync); err != nil {
		// The commit has its number already, and others may wait for it.
		s.disk.fail(err)
	}
	return s.Err()
}

// build turns the writes of t into a batch, in their order, and gives the appended ones their keys.
func (s *Store) build(t *tx) (*pebble.Batch, error) {
	const overhead = 16
	batch := s.db.NewBatchWithSize(t.bytes + overhead*(len(t.own.log)+2))
	var key []byte
	var err error
	for i, w := range t.own.log {
		key = append(append(key[:0], userSpace), w.key...)
		switch w.op {
		case opPut:
			s.counters.forget(w.key)
			err = batch.Set(key, w.arg, nil)
		case opDelete:
			s.counters.forget(w.key)
			err = batch.Delete(key, nil)
		case opAdd:
			err = s.counters.add(batch, w.key, key, w.arg)
		case opDeleteRange:
			s.counters.forgetRange(w.rng())
			err = s.deleteRange(batch, t.own.log[:i], w)
		case opAppend:
			var seq uint64
			if seq, err = s.number(batch); err == nil {
				w.key = binary.BigEndian.AppendUint64(w.key, seq)
				s.counters.forget(w.key)
				err = batch.Set(binary.BigEndian.AppendUint64(key, seq), w.arg, nil)
			}
		}
		if err != nil {
			// What the counters have taken in will not happen.
			s.counters = counters{}
			return nil, errors.Join(fmt.Errorf("pebblekv: commit: %w", err), batch.Close())
		}
	}
	return batch, nil
}

// smallRange is up to how many keys DeleteRange deletes one by one. Every range that Pebble is given to delete costs all reads something
// until it has been compacted, and many cost much.
const smallRange = 256

// deleteRange writes the DeleteRange w, which comes after the writes before.
func (s *Store) deleteRange(batch *pebble.Batch, before []*write, w *write) error {
	r := w.rng()
	c, err := newCursor(s.db, r, false, usable(s.gaps.load(), r, s.applying.Load()))
	if err != nil {
		return err
	}
	defer func() { _ = c.it.Close() }()
	var a arena
	var keys [][]byte
	for c.first(); c.valid; c.next() {
		if len(keys) == smallRange {
			start, end := physicalRange(r)
			return batch.DeleteRange(start, end, nil)
		}
		keys = append(keys, a.copy(c.it.Key()))
	}
	if err := c.it.Error(); err != nil {
		return err
	}
	for _, own := range w.removed {
		keys = append(keys, physical(own.key))
	}
	for _, own := range before {
		if own.op == opAppend && r.Contains(own.key) {
			keys = append(keys, physical(own.key))
		}
	}
	for _, key := range keys {
		if err := batch.Delete(key, nil); err != nil {
			return err
		}
	}
	return nil
}

// number returns the next number for Append, reserving more of them in batch when they have run out.
func (s *Store) number(batch *pebble.Batch) (uint64, error) {
	s.nextSeq++
	if s.nextSeq <= s.reserved {
		return s.nextSeq, nil
	}
	s.reserved = s.nextSeq + appendBlock
	return s.nextSeq, batch.Set(reservationKey(), kv.EncodeInt64(int64(s.reserved)), nil)
}
