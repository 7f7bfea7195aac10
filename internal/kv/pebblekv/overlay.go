package pebblekv

import (
	"bytes"
	"slices"

	"github.com/tidwall/btree"

	"croft/internal/kv"
)

// op is what a write asks for.
type op uint8

const (
	opPut op = iota
	opDelete
	opAdd
	opDeleteRange
	opAppend
)

// state is what a key of the overlay is, as the transaction sees it.
type state uint8

const (
	// present: the value is the overlay's.
	present state = iota
	// gone: there is no value.
	gone
	// added: delta is to be added to what the snapshot has.
	added
)

// write is one write of a transaction, as it was asked for (op, key, arg) and as the key reads after it (now, value, delta).
type write struct {
	op  op
	key []byte
	// arg is the value of Put and Append, the operand of Add, and the end of DeleteRange, nil for none.
	arg []byte

	now   state
	value []byte
	delta int64

	// prev is the write that this one covers, and removed those that a DeleteRange does: what a rollback brings back.
	prev    *write
	removed []*write
}

func (w *write) rng() kv.Range { return kv.Range{Start: w.key, End: w.arg} }

// overlay is what a transaction has written: the log of its writes, in order, and how they read.
type overlay struct {
	log  []*write
	keys *btree.BTreeG[*write]
	// holes are the ranges that the transaction deleted, sorted and disjoint. A key in keys is newer than the hole around it.
	holes []kv.Range
}

func byKey(a, b *write) bool { return bytes.Compare(a.key, b.key) < 0 }

func (o *overlay) add(w *write) {
	o.log = append(o.log, w)
	switch w.op {
	case opAppend:
	case opDeleteRange:
		w.removed = o.within(w.rng())
		for _, r := range w.removed {
			o.keys.Delete(r)
		}
		o.holes = addHole(o.holes, w.rng())
	default:
		if o.keys == nil {
			o.keys = btree.NewBTreeGOptions(byKey, btree.Options{NoLocks: true, Degree: 8})
		}
		if w.op == opAdd {
			o.count(w)
		}
		w.prev, _ = o.keys.Set(w)
	}
}

// count works out how a counter reads after an Add.
func (o *overlay) count(w *write) {
	delta := kv.Int64(w.arg)
	before, decided := o.lookup(w.key)
	switch {
	case !decided && before == nil:
		w.now, w.delta = added, delta
	case !decided:
		w.now, w.delta = added, before.delta+delta
	case before == nil || before.now == gone:
		w.now, w.value = present, kv.EncodeInt64(delta)
	default:
		w.now, w.value = present, kv.EncodeInt64(kv.Int64(before.value)+delta)
	}
}

// lookup returns the write that key reads from. decided reports whether the snapshot does not matter; then no write means no value.
func (o *overlay) lookup(key []byte) (w *write, decided bool) {
	if o.keys != nil {
		probe := write{key: key}
		if w, ok := o.keys.Get(&probe); ok {
			return w, w.now != added
		}
	}
	_, decided = o.hole(key)
	return nil, decided
}

// hole returns the deleted range that key lies in.
func (o *overlay) hole(key []byte) (kv.Range, bool) {
	if o == nil || len(o.holes) == 0 {
		return kv.Range{}, false
	}
	// The last hole that starts at or before key is the only one that can hold it.
	i, exact := slices.BinarySearchFunc(o.holes, key, func(h kv.Range, k []byte) int { return bytes.Compare(h.Start, k) })
	if !exact {
		i--
	}
	if i < 0 || !o.holes[i].Contains(key) {
		return kv.Range{}, false
	}
	return o.holes[i], true
}

// addHole adds r to holes, which stay sorted and disjoint. It may reuse the slice.
func addHole(holes []kv.Range, r kv.Range) []kv.Range {
	first, _ := slices.BinarySearchFunc(holes, r.Start, func(h kv.Range, start []byte) int {
		if h.End == nil || bytes.Compare(h.End, start) >= 0 {
			return 1
		}
		return -1
	})
	last := first
	for ; last < len(holes) && (r.End == nil || bytes.Compare(holes[last].Start, r.End) <= 0); last++ {
		h := holes[last]
		if bytes.Compare(h.Start, r.Start) < 0 {
			r.Start = h.Start
		}
		if r.End != nil && (h.End == nil || bytes.Compare(h.End, r.End) > 0) {
			r.End = h.End
		}
	}
	return slices.Replace(holes, first, last, r)
}

// within returns the writes to keys of r.
func (o *overlay) within(r kv.Range) []*write {
	if o.keys == nil {
		return nil
	}
	var out []*write
	o.keys.Ascend(&write{key: r.Start}, func(w *write) bool {
		if !r.Contains(w.key) {
			return false
		}
		out = append(out, w)
		return true
	})
	return out
}

// after returns the first write in r behind last, or the first at all when last is nil.
func (o *overlay) after(last []byte, r kv.Range) (found *write) {
	if o.keys == nil {
		return nil
	}
	from := r.Start
	if last != nil {
		from = last
	}
	o.keys.Ascend(&write{key: from}, func(w *write) bool {
		if last != nil && bytes.Equal(w.key, last) {
			return true
		}
		if r.Contains(w.key) {
			found = w
		}
		return false
	})
	return found
}

// before returns the last write in r before last, or the last at all when last is nil.
func (o *overlay) before(last []byte, r kv.Range) (found *write) {
	if o.keys == nil {
		return nil
	}
	visit := func(w *write) bool {
		if r.End != nil && bytes.Compare(w.key, r.End) >= 0 || last != nil && bytes.Compare(w.key, last) >= 0 {
			return true
		}
		if r.Contains(w.key) {
			found = w
		}
		return false
	}
	switch {
	case last != nil:
		o.keys.Descend(&write{key: last}, visit)
	case r.End != nil:
		o.keys.Descend(&write{key: r.End}, visit)
	default:
		o.keys.Reverse(visit)
	}
	return found
}

// rollback takes back the writes from the n-th on.
func (o *overlay) rollback(n int) {
	rebuild := false
	for i := len(o.log) - 1; i >= n; i-- {
		w := o.log[i]
		o.log[i] = nil
		switch {
		case w.op == opAppend:
		case w.op == opDeleteRange:
			rebuild = true
			for _, r := range w.removed {
				o.keys.Set(r)
			}
		case w.prev != nil:
			o.keys.Set(w.prev)
		default:
			o.keys.Delete(w)
		}
	}
	o.log = o.log[:n]
	if !rebuild {
		return
	}
	o.holes = o.holes[:0]
	for _, w := range o.log {
		if w.op == opDeleteRange {
			o.holes = addHole(o.holes, w.rng())
		}
	}
}
