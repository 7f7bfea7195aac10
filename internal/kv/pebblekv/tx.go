package pebblekv

import (
	"container/list"
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
	bytes int
	saves []*savepoint
	// start is the transaction's place in the history, nil until it has a snapshot.
	start *list.Element
}

var _ kv.Tx = (*tx)(nil)

func newTx(ctx context.Context, s *Store) *tx {
	t := &tx{reader: reader{store: s, ctx: ctx}}
	t.reader.own, t.reader.reads = &t.own, &t.reads
	t.reader.begin = func() { t.start = s.hist.begin() }
	return t
}

// close releases what the attempt holds.
func (t *tx) close() {
	t.reader.close()
	t.forget()
}

// forget leaves the history: from here on nothing is held against the transaction.
func (t *tx) forget() {
	if t.start != nil {
		t.store.hist.end(t.start)
		t.start = nil
	}
}

// write adds one write, copying key and arg. keyExtra is what the key will grow by at commit.
func (t *tx) write(op op, now state, key, arg []byte, keyExtra int) error {
	if t.over {
		return errOver
	}
	size := len(key) + len(arg) + keyExtra
	if len(key)+keyExtra > kv.MaxKeyBytes || t.bytes+size > kv.MaxTxBytes || len(t.own.log) == maxWrites {
		return kv.ErrTooLarge
	}
	t.bytes += size
	w := &write{op: op, now: now, key: t.arena.copy(key)}
	if op != opDelete {
		arg := t.arena.copy(arg)
		w.arg = arg[:len(arg):len(arg)]
		w.value = w.arg
	}
	t.own.add(w)
	return nil
}

// Put implements kv.Writer.
func (t *tx) Put(key, value []byte) error {
	if len(value) > kv.MaxValueBytes {
		return kv.ErrTooLarge
	}
	return t.write(opPut, present, key, value, 0)
}

// Delete implements kv.Writer.
func (t *tx) Delete(key []byte) error { return t.write(opDelete, gone, key, nil, 0) }

// Add implements kv.Writer.
func (t *tx) Add(key []byte, delta int64) error {
	return t.write(opAdd, added, key, kv.EncodeInt64(delta), 0)
}

// Append implements kv.Writer.
func (t *tx) Append(log, value []byte) error {
	if len(value) > kv.MaxValueBytes {
		return kv.ErrTooLarge
	}
	return t.write(opAppend, present, log, value, 8)
}

// DeleteRange implements kv.Writer.
func (t *tx) DeleteRange(r kv.Range) error {
	size := len(r.Start) + len(r.End)
	switch {
	case t.over:
		return errOver
	case len(r.Start) > maxBoundBytes || len(r.End) > maxBoundBytes,
		t.bytes+size > kv.MaxTxBytes, len(t.own.log) == maxWrites:
		return kv.ErrTooLarge
	case isEmpty(r):
		return nil
	}
	t.bytes += size
	r = t.copyRange(r)
	t.own.add(&write{op: opDeleteRange, key: r.Start, arg: r.End})
	return nil
}

// Guard implements kv.Tx.
func (t *tx) Guard(r kv.Range) error {
	if len(r.Start) > maxBoundBytes || len(r.End) > maxBoundBytes {
		return kv.ErrTooLarge
	}
	if err := t.open(); err != nil {
		return err
	}
	t.reads.guard(t.copyRange(r))
	return nil
}

// savepoint is a state of the transaction's writes that can be gone back to.
type savepoint struct{ index, writes, bytes int }

// Savepoint implements kv.Tx.
func (t *tx) Savepoint() (rollback func()) {
	p := &savepoint{index: len(t.saves), writes: len(t.own.log), bytes: t.bytes}
	t.saves = append(t.saves, p)
	return func() {
		// Going back to an outer savepoint has ended the inner ones.
		if t.over || p.index >= len(t.saves) || t.saves[p.index] != p {
			return
		}
		t.saves = t.saves[:p.index+1]
		t.own.rollback(p.writes)
		t.bytes = p.bytes
	}
}
