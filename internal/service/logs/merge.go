package logs

import (
	"container/heap"
	"math"

	"croft/internal/kv"
)

// merge yields the events of several streams in order of time, stream and number. A stream is opened when the merge comes to the
// time of its first event, so that a search over an hour does not touch a year of streams.
type merge struct {
	r      kv.Reader
	search *search
	heap   cursorHeap
	// passed is the last event that the search has dealt with.
	passed place
}

// cursorBatch is how many events are read from a stream at a time.
const cursorBatch = 128

// cursor stands in one stream. Until it is opened, at is a bound that no event lies before.
type cursor struct {
	stream string
	prefix kv.Key
	at     position
	open   bool
	buffer []event
}

func newMerge(r kv.Reader, f *search, streams []namedStream) *merge {
	m := &merge{r: r, search: f}
	if f.after != nil {
		m.passed = *f.after
	}
	for _, st := range streams {
		if st.Events == 0 || st.Last < f.low || st.First > f.high {
			continue
		}
		at := f.after.start(st.name, f.low)
		if first := (position{time: st.First}); at.before(first) {
			at = first
		}
		m.heap = append(m.heap, &cursor{stream: st.name, prefix: eventsKey(f.group, st.name), at: at})
	}
	heap.Init(&m.heap)
	return m
}

// next returns the next event, and an empty stream at the end.
func (m *merge) next() (stream string, e event, err error) {
	for len(m.heap) > 0 {
		c := m.heap[0]
		if c.open && len(c.buffer) > 0 {
			e, c.buffer = c.buffer[0], c.buffer[1:]
			c.at = e.position.next()
			if len(c.buffer) > 0 {
				c.at = c.buffer[0].position
			} else {
				c.open = false
			}
			heap.Fix(&m.heap, 0)
			return c.stream, e, nil
		}
		if err := m.fill(c); err != nil {
			return "", event{}, err
		}
		if len(c.buffer) == 0 {
			heap.Pop(&m.heap)
			continue
		}
		heap.Fix(&m.heap, 0)
	}
	return "", event{}, nil
}

func (m *merge) fill(c *cursor) error {
	end := kv.PrefixRange(c.prefix).End
	if m.search.high < math.MaxInt64 {
		end = position{time: m.search.high + 1}.key(c.prefix)
	}
	within := kv.Range{Start: c.at.key(c.prefix), End: end}
	if string(within.Start) >= string(within.End) {
		return nil
	}
	c.buffer = c.buffer[:0]
	for entry, err := range m.r.Scan(within, kv.ScanOptions{Limit: cursorBatch}) {
		if err != nil {
			return err
		}
		e, err := decodeEvent(c.prefix, entry)
		if err != nil {
			return err
		}
		c.buffer = append(c.buffer, e)
	}
	if len(c.buffer) > 0 {
		c.open, c.at = true, c.buffer[0].position
	}
	return nil
}

type cursorHeap []*cursor

func (h cursorHeap) Len() int { return len(h) }
func (h cursorHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.at.time != b.at.time {
		return a.at.time < b.at.time
	}
	if a.stream != b.stream {
		return a.stream < b.stream
	}
	return a.at.seq < b.at.seq
}
func (h cursorHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *cursorHeap) Push(x any)   { *h = append(*h, x.(*cursor)) }
func (h *cursorHeap) Pop() any {
	old := *h
	c := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return c
}
