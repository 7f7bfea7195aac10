package pebblekv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"croft/internal/kv"
)

var errOver = errors.New("pebblekv: transaction used after its function returned")

// maxBoundBytes bounds the ends of ranges: the successor of the longest key is a legal end.
const maxBoundBytes = kv.MaxKeyBytes + 1

// reader reads one snapshot, and in an Update the transaction's own writes above it.
type reader struct {
	store *Store
	ctx   context.Context
	// own and reads are nil in a View.
	own   *overlay
	reads *readSet
	// begin is called before the snapshot is taken; nil in a View.
	begin func()

	snap *pebble.Snapshot
	// snap contains every commit up to oldest, and none after newest.
	oldest, newest uint64
	iters          []*pebble.Iterator
	arena          arena
	key            []byte
	over           bool
}

var _ kv.Reader = (*reader)(nil)

// open takes the snapshot, at the first need.
func (r *reader) open() error {
	if r.over {
		return errOver
	}
	if r.snap == nil {
		if r.begin != nil {
			r.begin()
		}
		r.oldest = r.store.hist.last.Load()
		r.snap = r.store.db.NewSnapshot()
		r.newest = r.store.applying.Load()
	}
	return nil
}

// close ends all reading.
func (r *reader) close() {
	r.over = true
	for _, it := range r.iters {
		_ = it.Close()
	}
	r.iters = nil
	if r.snap != nil {
		_ = r.snap.Close()
	}
}

// Get implements kv.Reader.
func (r *reader) Get(key []byte) ([]byte, error) { return r.get(key, r.reads) }

// Scan implements kv.Reader.
func (r *reader) Scan(rng kv.Range, o kv.ScanOptions) iter.Seq2[kv.Entry, error] {
	return r.scan(rng, o, r.reads)
}

// Loose implements kv.Reader.
func (r *reader) Loose() kv.Reader { return loose{r} }

// loose is a reader that leaves no trace in the conflict set.
type loose struct{ r *reader }

// Get implements kv.Reader.
func (l loose) Get(key []byte) ([]byte, error) { return l.r.get(key, nil) }

// Scan implements kv.Reader.
func (l loose) Scan(rng kv.Range, o kv.ScanOptions) iter.Seq2[kv.Entry, error] {
	return l.r.scan(rng, o, nil)
}

// Loose implements kv.Reader.
func (l loose) Loose() kv.Reader { return l }

func (r *reader) get(key []byte, track *readSet) ([]byte, error) {
	if len(key) > kv.MaxKeyBytes {
		return nil, kv.ErrTooLarge
	}
	if r.over {
		return nil, errOver
	}
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	var w *write
	if r.own != nil {
		var decided bool
		w, decided = r.own.lookup(key)
		switch {
		case decided && (w == nil || w.now == gone):
			return nil, kv.ErrNotFound
		case decided:
			return w.value, nil
		}
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	if track != nil {
		track.point(r.arena.copy(key))
	}
	value, err := r.base(key)
	if w == nil {
		return value, err
	}
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return nil, err
	}
	return kv.EncodeInt64(kv.Int64(value) + w.delta), nil
}

// base reads key from the snapshot.
func (r *reader) base(key []byte) ([]byte, error) {
	r.key = append(append(r.key[:0], userSpace), key...)
	value, closer, err := r.snap.Get(r.key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, kv.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("pebblekv: read: %w", err)
	}
	out := r.arena.copy(value)
	if err := closer.Close(); err != nil {
		return nil, fmt.Errorf("pebblekv: read: %w", err)
	}
	return out[:len(out):len(out)], nil
}

func (r *reader) scan(rng kv.Range, o kv.ScanOptions, track *readSet) iter.Seq2[kv.Entry, error] {
	return func(yield func(kv.Entry, error) bool) {
		if len(rng.Start) > maxBoundBytes || len(rng.End) > maxBoundBytes {
			yield(kv.Entry{}, kv.ErrTooLarge)
			return
		}
		if err := r.open(); err != nil {
			yield(kv.Entry{}, err)
			return
		}
		if isEmpty(rng) {
			return
		}
		m, err := r.merge(r.copyRange(rng), o.Reverse)
		if err != nil {
			yield(kv.Entry{}, err)
			return
		}
		defer m.close()
		var walked *span
		if track != nil {
			walked = track.walk(m.rng, o.Reverse)
		}
		for n := 1; ; n++ {
			e, ok, err := m.next()
			if err != nil {
				yield(kv.Entry{}, err)
				return
			}
			if !ok {
				walked.all(m.rng)
				return
			}
			walked.to(e.Key)
			e.Key = e.Key[:len(e.Key):len(e.Key)]
			if !yield(e, nil) || n == o.Limit {
				return
			}
		}
	}
}

func (r *reader) copyRange(rng kv.Range) kv.Range {
	out := kv.Range{Start: r.arena.copy(rng.Start)}
	if rng.End != nil {
		out.End = r.arena.copy(rng.End)
	}
	return out
}

// isEmpty reports whether no key can lie in r.
func isEmpty(r kv.Range) bool { return r.End != nil && bytes.Compare(r.Start, r.End) >= 0 }

// physical returns key as Pebble has it.
func physical(key []byte) []byte {
	return append(append(make([]byte, 0, len(key)+1), userSpace), key...)
}

// physicalRange returns the ends of r as Pebble has them.
func physicalRange(r kv.Range) (start, end []byte) {
	if r.End == nil {
		return physical(r.Start), []byte{userSpaceEnd}
	}
	return physical(r.Start), physical(r.End)
}
