package pgkv

import (
	"context"

	"croft/internal/kv"
)

// maxWrites bounds the writes of one transaction, whatever their size.
const maxWrites = 1 << 20

// tx is one attempt of an Update.
type tx struct {
	reader
	own   overlay
	reads readSet
	saves []*savepoint
}

var _ kv.Tx = (*tx)(nil)

func newTx(ctx context.Context, s *Store) *tx {
	t := &tx{reader: reader{store: s, ctx: ctx}}
	t.reader.own, t.reader.reads = &t.own, &t.reads
	return t
}

// grow counts a write of that size.
func (t *tx) grow(keyBytes, argBytes int) error {
	switch {
	case t.over:
		return errOver
	case keyBytes > kv.MaxKeyBytes, argBytes > kv.MaxValueBytes,
		t.own.bytes+keyBytes+argBytes > kv.MaxTxBytes, t.own.writes == maxWrites:
		return kv.ErrTooLarge
	}
	t.own.bytes += keyBytes + argBytes
	t.own.writes++
	return nil
}

// clone returns a copy of b that is not nil.
func clone(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }

// Put implements kv.Writer.
func (t *tx) Put(key, value []byte) error {
	if err := t.grow(len(key), len(value)); err != nil {
		return err
	}
	t.own.set(own{key: clone(key), value: clone(value)})
	return nil
}

// Delete implements kv.Writer.
func (t *tx) Delete(key []byte) error {
	if err := t.grow(len(key), 0); err != nil {
		return err
	}
	t.own.set(own{key: clone(key), state: gone})
	return nil
}

// Add implements kv.Writer.
func (t *tx) Add(key []byte, delta int64) error {
	if err := t.grow(len(key), 8); err != nil {
		return err
	}
	t.own.add(clone(key), delta)
	return nil
}

// Append implements kv.Writer.
func (t *tx) Append(log, value []byte) error {
	if err := t.grow(len(log)+8, len(value)); err != nil {
		return err
	}
	t.own.appends = append(t.own.appends, entry{log: clone(log), value: clone(value)})
	return nil
}

// DeleteRange implements kv.Writer.
func (t *tx) DeleteRange(r kv.Range) error {
	if t.over {
		return errOver
	}
	if len(r.Start) > maxBoundBytes || len(r.End) > maxBoundBytes {
		return kv.ErrTooLarge
	}
	if isEmpty(r) {
		return nil
	}
	if err := t.grow(0, len(r.Start)+len(r.End)); err != nil {
		return err
	}
	t.own.deleteRange(copyRange(r))
	return nil
}

// Guard implements kv.Tx.
func (t *tx) Guard(r kv.Range) error {
	if err := t.usable(); err != nil {
		return err
	}
	if len(r.Start) > maxBoundBytes || len(r.End) > maxBoundBytes {
		return kv.ErrTooLarge
	}
	t.reads.guarded = true
	if isEmpty(r) {
		return nil
	}
	for _, p := range pieces(copyRange(r)) {
		count, sum, err := t.fingerprint(p)
		if err != nil {
			return err
		}
		t.reads.spans = append(t.reads.spans, &span{whole: p, walked: p, count: count, known: sum})
		if err := t.reads.grow(len(p.start) + len(p.end) + len(p.from)); err != nil {
			return err
		}
	}
	return nil
}

// savepoint is a state of the transaction's writes that can be gone back to.
type savepoint struct {
	index int
	own   overlay
}

// Savepoint implements kv.Tx.
func (t *tx) Savepoint() (rollback func()) {
	p := &savepoint{index: len(t.saves), own: t.own.save()}
	t.saves = append(t.saves, p)
	return func() {
		// Going back to an outer savepoint has ended the inner ones.
		if t.over || p.index >= len(t.saves) || t.saves[p.index] != p {
			return
		}
		t.saves = t.saves[:p.index+1]
		t.own = p.own.save()
	}
}
