package pgkv

import (
	"bytes"
	"slices"

	"github.com/tidwall/btree"

	"croft/internal/kv"
)

// state is what a key that the transaction has written is.
type state uint8

const (
	// present: the value is the overlay's.
	present state = iota
	// gone: there is no value.
	gone
	// added: delta is to be added to what the store has.
	added
)

// own is a key that the transaction has written. It is not changed once it lies in an overlay.
type own struct {
	key   []byte
	state state
	value []byte
	delta int64
}

// entry is an appended value that has no number yet.
type entry struct {
	log, value []byte
	// cuts are the ranges deleted after the append that may hold its key, depending on the number.
	cuts []kv.Range
}

// overlay is what a transaction has written, as the sum of its writes: first the holes are deleted, then keys are written, then the
// entries appended. It is a value: a copy made by save stays what it was.
type overlay struct {
	keys *btree.BTreeG[own]
	// holes are the deleted ranges, sorted and disjoint. A key in keys is newer than the hole around it.
	holes   []kv.Range
	appends []entry
	// bytes and writes count what was asked for, for the limits.
	bytes, writes int
}

func byKey(a, b own) bool { return bytes.Compare(a.key, b.key) < 0 }

// save returns a copy to go back to.
func (o *overlay) save() overlay {
	out := *o
	if o.keys != nil {
		out.keys = o.keys.Copy()
	}
	out.holes, out.appends = slices.Clone(o.holes), slices.Clone(o.appends)
	return out
}

// empty reports whether there is nothing to commit.
func (o *overlay) empty() bool {
	return (o.keys == nil || o.keys.Len() == 0) && len(o.holes) == 0 && len(o.appends) == 0
}

func (o *overlay) set(w own) {
	if o.keys == nil {
		o.keys = btree.NewBTreeGOptions(byKey, btree.Options{NoLocks: true, Degree: 8})
	}
	o.keys.Set(w)
}

// add adds delta to the counter at key.
func (o *overlay) add(key []byte, delta int64) {
	before, known := o.lookup(key)
	switch {
	case !known && o.hole(key):
		o.set(own{key: key, value: kv.EncodeInt64(delta)})
	case !known:
		o.set(own{key: key, state: added, delta: delta})
	case before.state == added:
		o.set(own{key: key, state: added, delta: before.delta + delta})
	case before.state == gone:
		o.set(own{key: key, value: kv.EncodeInt64(delta)})
	default:
		o.set(own{key: key, value: kv.EncodeInt64(kv.Int64(before.value) + delta)})
	}
}

// deleteRange deletes r, which is not empty.
func (o *overlay) deleteRange(r kv.Range) {
	if o.keys != nil {
		var inside []own
		o.keys.Ascend(own{key: r.Start}, func(w own) bool {
			if r.Contains(w.key) {
				inside = append(inside, w)
				return true
			}
			return false
		})
		for _, w := range inside {
			o.keys.Delete(w)
		}
	}
	o.holes = addHole(o.holes, r)
	o.appends = slices.DeleteFunc(o.appends, func(e entry) bool {
		first, last := kv.LogKey(e.log, 0), kv.LogKey(e.log, ^uint64(0))
		return r.Contains(first) && r.Contains(last)
	})
	for i, e := range o.appends {
		if r.End != nil && bytes.Compare(r.End, e.log) <= 0 || bytes.Compare(r.Start, kv.LogKey(e.log, ^uint64(0))) > 0 {
			continue
		}
		o.appends[i].cuts = append(slices.Clip(e.cuts), r)
	}
}

// lookup returns what the transaction has written to key itself.
func (o *overlay) lookup(key []byte) (own, bool) {
	if o == nil || o.keys == nil {
		return own{}, false
	}
	return o.keys.Get(own{key: key})
}

// hole reports whether key lies in a deleted range.
func (o *overlay) hole(key []byte) bool {
	if o == nil || len(o.holes) == 0 {
		return false
	}
	// The last hole that starts at or before key is the only one that can hold it.
	i, exact := slices.BinarySearchFunc(o.holes, key, func(h kv.Range, k []byte) int { return bytes.Compare(h.Start, k) })
	if !exact {
		i--
	}
	return i >= 0 && o.holes[i].Contains(key)
}

// addHole returns holes with r, sorted and disjoint, in new memory.
func addHole(holes []kv.Range, r kv.Range) []kv.Range {
	out := make([]kv.Range, 0, len(holes)+1)
	var after []kv.Range
	for _, h := range holes {
		switch {
		case h.End != nil && bytes.Compare(h.End, r.Start) < 0:
			out = append(out, h)
		case r.End != nil && bytes.Compare(h.Start, r.End) > 0:
			after = append(after, h)
		default:
			if bytes.Compare(h.Start, r.Start) < 0 {
				r.Start = h.Start
			}
			if h.End == nil || r.End != nil && bytes.Compare(h.End, r.End) > 0 {
				r.End = h.End
			}
		}
	}
	return append(append(out, r), after...)
}

// next returns the next written key of r in the direction of a scan that has come to last, nil at its beginning.
func (o *overlay) next(last []byte, r kv.Range, reverse bool) (found own, ok bool) {
	if o == nil || o.keys == nil || o.keys.Len() == 0 {
		return own{}, false
	}
	visit := func(w own) bool {
		if reverse && r.End != nil && bytes.Compare(w.key, r.End) >= 0 || last != nil && bytes.Equal(w.key, last) {
			return true
		}
		found, ok = w, r.Contains(w.key)
		return false
	}
	switch {
	case !reverse && last != nil:
		o.keys.Ascend(own{key: last}, visit)
	case !reverse:
		o.keys.Ascend(own{key: r.Start}, visit)
	case last != nil:
		o.keys.Descend(own{key: last}, visit)
	case r.End != nil:
		o.keys.Descend(own{key: r.End}, visit)
	default:
		o.keys.Reverse(visit)
	}
	return found, ok
}
