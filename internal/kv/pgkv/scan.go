package pgkv

import (
	"bytes"
	"iter"
	"slices"

	"croft/internal/kv"
)

// How many rows a scan fetches first and at most, and up to which size values come along with them: together the bound of what one
// scan keeps in memory. Larger values are fetched one by one.
const (
	firstPage   = 16
	maxPage     = 256
	inlineBytes = 64 << 10
)

// ctxEvery is how many entries a scan goes before it looks at its context again.
const ctxEvery = 64

// row is a row of the table, in the span that the scan found it in.
type row struct {
	key, value []byte
	// big says that the value was left out for its size.
	big  bool
	ver  int64
	t    []byte
	k    []byte
	span *span
}

// cursor reads the rows of a range from the snapshot, page by page.
type cursor struct {
	r       *reader
	reverse bool
	// spans are the pieces of the range; those before at have been fetched, and rest is what is left of the one at it.
	walk   walk
	at     int
	rest   piece
	page   []row
	pos    int
	size   int
	closed bool
}

func (r *reader) cursor(rng kv.Range, o kv.ScanOptions, track *readSet) *cursor {
	c := &cursor{r: r, reverse: o.Reverse, size: firstPage}
	if o.Limit > 0 {
		c.size = min(o.Limit, maxPage)
	}
	c.walk = walk{reads: track, reverse: o.Reverse}
	for _, p := range pieces(rng) {
		c.walk.spans = append(c.walk.spans, &span{whole: p})
	}
	if o.Reverse {
		slices.Reverse(c.walk.spans)
	}
	c.rest = c.walk.spans[0].whole
	return c
}

// peek returns the next row, nil at the end.
func (c *cursor) peek() (*row, error) {
	for c.pos == len(c.page) {
		if c.at == len(c.walk.spans) {
			return nil, nil
		}
		if err := c.fetch(); err != nil {
			return nil, err
		}
	}
	return &c.page[c.pos], nil
}

// fetch reads the next page.
func (c *cursor) fetch() error {
	c.page, c.pos = nil, 0
	page, err := c.r.rows(c.rest, c.reverse, c.size)
	if err != nil {
		return err
	}
	s := c.walk.spans[c.at]
	full := len(page) == c.size
	c.size = min(4*c.size, maxPage)
	if !s.whole.deep {
		if i := slices.IndexFunc(page, func(r row) bool { return r.t != nil }); i >= 0 {
			c.split(page[i].k[:deepBytes])
			page, full = page[:i], false
		}
	}
	for i := range page {
		page[i].span = s
	}
	c.page = page
	if !full {
		c.at++
		if c.at < len(c.walk.spans) {
			c.rest = c.walk.spans[c.at].whole
		}
		return nil
	}
	last := page[len(page)-1]
	switch {
	case s.whole.deep && c.reverse:
		c.rest.to = last.t
	case s.whole.deep:
		c.rest.from = successor(last.t)
	case c.reverse:
		c.rest.end = last.k
	default:
		c.rest.start = successor(last.k)
	}
	return nil
}

// split takes the group of g out of the span at hand, which ends before it; what lies behind the group becomes a span of its own.
func (c *cursor) split(g []byte) {
	s := c.walk.spans[c.at]
	inside := group(g)
	behind := &span{whole: s.whole}
	if c.reverse {
		behind.whole.end = inside.start
		s.whole.start = inside.end
	} else {
		behind.whole.start = inside.end
		s.whole.end = inside.start
	}
	c.walk.spans = slices.Insert(c.walk.spans, c.at+1, &span{whole: inside}, behind)
}

// scan implements Scan; track is nil for a scan that is not to be noted.
func (r *reader) scan(rng kv.Range, o kv.ScanOptions, track *readSet) iter.Seq2[kv.Entry, error] {
	return func(yield func(kv.Entry, error) bool) {
		if err := r.usable(); err != nil {
			yield(kv.Entry{}, err)
			return
		}
		if len(rng.Start) > maxBoundBytes || len(rng.End) > maxBoundBytes {
			yield(kv.Entry{}, kv.ErrTooLarge)
			return
		}
		if isEmpty(rng) {
			return
		}
		m := merge{r: r, rng: copyRange(rng), c: r.cursor(copyRange(rng), o, track)}
		if track != nil {
			m.w = &m.c.walk
		}
		for n := 1; ; n++ {
			e, ok, err := m.next()
			if err != nil {
				yield(kv.Entry{}, err)
				return
			}
			if !ok || !yield(e, nil) || n == o.Limit {
				return
			}
		}
	}
}

// merge walks through the rows of a range and the transaction's own writes together.
type merge struct {
	r     *reader
	rng   kv.Range
	c     *cursor
	w     *walk
	last  []byte
	steps int
}

// next returns the next entry.
func (m *merge) next() (kv.Entry, bool, error) {
	for {
		if m.steps++; m.r.over || m.steps%ctxEvery == 0 {
			if err := m.r.usable(); err != nil {
				return kv.Entry{}, false, err
			}
		}
		base, err := m.c.peek()
		if err != nil {
			return kv.Entry{}, false, err
		}
		w, mine := m.r.own.next(m.last, m.rng, m.c.reverse)
		switch order := m.compare(base, w, mine); {
		case base == nil && !mine:
			return kv.Entry{}, false, m.w.finish()
		case order > 0:
			m.last = w.key
			e, ok := combine(nil, w)
			if !ok {
				continue
			}
			var s *span
			if base != nil {
				s = base.span
			}
			return e, true, m.w.yield(s, w.key)
		default:
			m.c.pos++
			m.last = base.key
			if err := m.w.pass(base.span, base.key, base.ver); err != nil {
				return kv.Entry{}, false, err
			}
			if order < 0 && m.r.own.hole(base.key) {
				continue
			}
			if base.big {
				if base.value, _, err = m.r.base(base.key); err != nil {
					return kv.Entry{}, false, err
				}
			}
			if order < 0 {
				return kv.Entry{Key: base.key, Value: base.value}, true, nil
			}
			if e, ok := combine(base.value, w); ok {
				return e, true, nil
			}
		}
	}
}

// compare tells whether the scan meets base (negative), w (positive) or both at once (zero) next. mine tells whether there is a w.
func (m *merge) compare(base *row, w own, mine bool) int {
	switch {
	case !mine:
		return -1
	case base == nil:
		return 1
	}
	c := bytes.Compare(base.key, w.key)
	if m.c.reverse {
		return -c
	}
	return c
}

// combine puts the transaction's own write over the value of the store, nil for none.
func combine(base []byte, w own) (kv.Entry, bool) {
	switch w.state {
	case gone:
		return kv.Entry{}, false
	case added:
		return kv.Entry{Key: w.key, Value: kv.EncodeInt64(kv.Int64(base) + w.delta)}, true
	default:
		return kv.Entry{Key: w.key, Value: w.value}, true
	}
}
