package kv

import (
	"bytes"
	"context"
	"iter"
)

// Space is a Store below a prefix: the only thing services see. Nothing outside the prefix can be read or written through it. It
// is a small value, safe for concurrent use.
type Space struct {
	store  Store
	prefix Key
}

// NewSpace returns the space of store below the given parts, for example account, region and service.
func NewSpace(store Store, parts ...string) Space {
	return Space{store: store}.Sub(parts...)
}

// Sub returns the space below further parts.
func (s Space) Sub(parts ...string) Space {
	for _, p := range parts {
		s.prefix = s.prefix.Str(p)
	}
	return s
}

// View is Store.View with keys relative to the space.
func (s Space) View(ctx context.Context, fn func(ctx context.Context, r Reader) error) error {
	return s.store.View(ctx, func(ctx context.Context, r Reader) error {
		return fn(ctx, spaceReader{r, s.prefix})
	})
}

// Update is Store.Update with keys relative to the space. Spaces of one store share a transaction through its context, each
// with its own keys.
func (s Space) Update(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error {
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		return fn(ctx, &spaceTx{spaceReader{tx, s.prefix}, tx})
	})
}

// Watch is Store.Watch with a prefix relative to the space.
func (s Space) Watch(prefix []byte) Watch { return s.store.Watch(s.prefix.Raw(prefix...)) }

// Store returns the store that the space lies in, for InTx and Detach.
func (s Space) Store() Store { return s.store }

// Clear deletes everything in the space, in one transaction.
func (s Space) Clear(ctx context.Context) error {
	return s.store.Update(ctx, func(_ context.Context, tx Tx) error {
		return tx.DeleteRange(PrefixRange(s.prefix))
	})
}

type spaceReader struct {
	r      Reader
	prefix Key
}

func (s spaceReader) key(k []byte) []byte { return s.prefix.Raw(k...) }

// rng moves r below the prefix. An open end becomes the end of the space.
func (s spaceReader) rng(r Range) Range {
	out := Range{Start: s.key(r.Start)}
	if r.End == nil {
		out.End = PrefixRange(s.prefix).End
		return out
	}
	out.End = s.key(r.End)
	return out
}

func (s spaceReader) Get(key []byte) ([]byte, error) { return s.r.Get(s.key(key)) }

func (s spaceReader) Scan(r Range, o ScanOptions) iter.Seq2[Entry, error] {
	inner := s.r.Scan(s.rng(r), o)
	return func(yield func(Entry, error) bool) {
		for e, err := range inner {
			if err == nil {
				e.Key = bytes.TrimPrefix(e.Key, s.prefix)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (s spaceReader) Loose() Reader { return spaceReader{s.r.Loose(), s.prefix} }

type spaceTx struct {
	spaceReader
	tx Tx
}

func (s *spaceTx) Put(key, value []byte) error       { return s.tx.Put(s.key(key), value) }
func (s *spaceTx) Delete(key []byte) error           { return s.tx.Delete(s.key(key)) }
func (s *spaceTx) DeleteRange(r Range) error         { return s.tx.DeleteRange(s.rng(r)) }
func (s *spaceTx) Add(key []byte, delta int64) error { return s.tx.Add(s.key(key), delta) }
func (s *spaceTx) Append(log, value []byte) error    { return s.tx.Append(s.key(log), value) }
func (s *spaceTx) Guard(r Range) error               { return s.tx.Guard(s.rng(r)) }
func (s *spaceTx) Savepoint() func()                 { return s.tx.Savepoint() }
