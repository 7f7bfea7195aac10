package pebblekv

import (
	"bytes"
	"fmt"
	"slices"

	"croft/internal/kv"
)

// merge walks a range of the snapshot and of the transaction's own writes together.
type merge struct {
	r       *reader
	rng     kv.Range
	reverse bool
	c       *cursor
	started bool
	probed  bool
	steps   int
	// last is the last key that was looked at, on either side, and from where the cursor's last move began.
	last, from []byte
}

// ctxEvery is how many steps a scan goes before it looks at its context again.
const ctxEvery = 64

func (r *reader) merge(rng kv.Range, reverse bool) (*merge, error) {
	var ahead []kv.Range
	if !reverse {
		ahead = usable(r.store.gaps.load(), rng, r.oldest)
	}
	c, err := newCursor(r.snap, rng, reverse, ahead)
	if err != nil {
		return nil, err
	}
	r.iters = append(r.iters, c.it)
	return &merge{r: r, rng: rng, reverse: reverse, c: c}, nil
}

// close releases the iterator. The transaction may have done so before, if its function left a scan hanging.
func (m *merge) close() {
	if i := slices.Index(m.r.iters, m.c.it); i >= 0 {
		m.r.iters = slices.Delete(m.r.iters, i, i+1)
		_ = m.c.it.Close()
	}
}

// next returns the next entry, its key copied with room for successor.
func (m *merge) next() (kv.Entry, bool, error) {
	for {
		if m.r.over {
			return kv.Entry{}, false, errOver
		}
		if m.steps++; m.steps%ctxEvery == 0 {
			if err := m.r.ctx.Err(); err != nil {
				return kv.Entry{}, false, err
			}
		}
		base, err := m.peekBase()
		w := m.peekOwn()
		if err != nil || base == nil && w == nil {
			return kv.Entry{}, false, err
		}
		side := m.compare(base, w)
		var e kv.Entry
		found := true
		if side <= 0 {
			e, err = m.take()
		}
		if side >= 0 && err == nil {
			e, found = m.combine(e, w)
		}
		if err != nil {
			return kv.Entry{}, false, err
		}
		if found {
			m.last = e.Key
			return e, true, nil
		}
		m.last = w.key
	}
}

// compare tells whether the scan meets base (negative), w (positive) or both at once (zero) next. One of them may be nil.
func (m *merge) compare(base []byte, w *write) int {
	switch {
	case w == nil:
		return -1
	case base == nil:
		return 1
	}
	c := bytes.Compare(base, w.key)
	if m.reverse {
		return -c
	}
	return c
}

// take copies the entry under the iterator and leaves the iterator there: next time, peekBase moves on.
func (m *merge) take() (kv.Entry, error) {
	value, err := m.c.it.ValueAndErr()
	if err != nil {
		return kv.Entry{}, fmt.Errorf("pebblekv: scan: %w", err)
	}
	v := m.r.arena.copy(value)
	return kv.Entry{Key: m.r.arena.copy(m.c.key()), Value: v[:len(v):len(v)]}, nil
}

// combine puts the transaction's own write over the entry of the snapshot, if there was one.
func (m *merge) combine(base kv.Entry, w *write) (kv.Entry, bool) {
	switch w.now {
	case gone:
		return kv.Entry{}, false
	case added:
		return kv.Entry{Key: w.key, Value: kv.EncodeInt64(kv.Int64(base.Value) + w.delta)}, true
	default:
		return kv.Entry{Key: w.key, Value: w.value}, true
	}
}

// passed reports whether key lies at or before the last key looked at.
func (m *merge) passed(key []byte) bool {
	if m.last == nil {
		return false
	}
	c := bytes.Compare(key, m.last)
	if m.reverse {
		return c >= 0
	}
	return c <= 0
}

// peekBase returns the snapshot's next key, or nil.
func (m *merge) peekBase() ([]byte, error) {
	if !m.started {
		m.started = true
		m.from = append(m.from[:0], m.rng.Start...)
		m.c.first()
		if err := m.probe(); err != nil {
			return nil, err
		}
	}
	for m.c.valid {
		key := m.c.key()
		hole, hidden := m.r.own.hole(key)
		switch {
		case hidden:
			m.c.over(hole)
		case !m.passed(key):
			return key, nil
		default:
			m.from = append(append(m.from[:0], key...), 0)
			m.c.next()
			if err := m.probe(); err != nil {
				return nil, err
			}
		}
	}
	if err := m.c.it.Error(); err != nil {
		return nil, fmt.Errorf("pebblekv: scan: %w", err)
	}
	return nil, nil
}

// probe has the way that the cursor has just gone remembered, if it was long and led through nothing. Once per scan is enough.
func (m *merge) probe() error {
	if m.reverse || m.probed || m.c.work <= m.r.store.gapWork {
		return nil
	}
	m.probed = true
	r := kv.Range{Start: m.from, End: m.rng.End}
	if m.c.valid {
		r.End = bytes.Clone(m.c.key())
	}
	return m.r.store.probe(r)
}

// peekOwn returns the transaction's next own write, or nil.
func (m *merge) peekOwn() *write {
	if m.r.own == nil {
		return nil
	}
	if m.reverse {
		return m.r.own.before(m.last, m.rng)
	}
	return m.r.own.after(m.last, m.rng)
}
