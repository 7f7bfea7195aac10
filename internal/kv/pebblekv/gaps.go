package pebblekv

import (
	"bytes"
	"slices"
	"sync/atomic"

	"croft/internal/kv"
)

// In a log-structured store a deleted key stays in the way of scans until compaction drops it. At the head of a queue that is fatal:
// every receiver walks over all that has been received. So the store remembers where such walks led through nothing, and the next
// scan leaps. This is memory only, bounded, and never trusted beyond what was proved.

// maxGaps bounds how many gaps are remembered.
const maxGaps = 128

// gapWork is how many steps in vain a scan takes before the gap is worth remembering, and hopWork how many a leap counts for.
const (
	gapWork = 64
	hopWork = 4
)

// gap is a range that holds no key in any state from commit since on, for as long as it is in the list.
type gap struct {
	kv.Range
	since uint64
}

// gaps is the list, sorted and disjoint. It is replaced, never changed, and commitMu guards that.
type gaps struct{ list atomic.Pointer[[]gap] }

// load returns the list. A reader must have its snapshot before it asks.
func (g *gaps) load() []gap {
	if p := g.list.Load(); p != nil {
		return *p
	}
	return nil
}

// fill takes the keys that log writes out of the list. It comes before they can be seen.
func (g *gaps) fill(log []*write) {
	for _, w := range log {
		list := g.load()
		if len(list) == 0 {
			return
		}
		if w.op != opDelete && w.op != opDeleteRange {
			if _, hit := findGap(list, w.key); hit {
				g.cut(w.key)
			}
		}
	}
}

// findGap returns the index of the first gap that ends behind key, and whether key lies in it.
func findGap(list []gap, key []byte) (int, bool) {
	i, _ := slices.BinarySearchFunc(list, key, func(g gap, k []byte) int {
		if g.End == nil || bytes.Compare(g.End, k) > 0 {
			return 1
		}
		return -1
	})
	return i, i < len(list) && bytes.Compare(list[i].Start, key) <= 0
}

// cut splits the gap around key.
func (g *gaps) cut(key []byte) {
	list := g.load()
	i, hit := findGap(list, key)
	if !hit {
		return
	}
	var a arena
	at := a.copy(key)
	left := gap{kv.Range{Start: list[i].Start, End: at}, list[i].since}
	right := gap{kv.Range{Start: successor(at), End: list[i].End}, list[i].since}
	parts := slices.DeleteFunc([]gap{left, right}, func(p gap) bool { return isEmpty(p.Range) })
	g.store(slices.Concat(list[:i], parts, list[i+1:]))
}

// install adds a gap.
func (g *gaps) install(add gap) {
	list := g.load()
	first, _ := findGap(list, add.Start)
	if first > 0 && bytes.Equal(list[first-1].End, add.Start) {
		first--
	}
	last := first
	for ; last < len(list) && (add.End == nil || bytes.Compare(list[last].Start, add.End) <= 0); last++ {
		if bytes.Compare(list[last].Start, add.Start) < 0 {
			add.Start = list[last].Start
		}
		if later(list[last].End, add.End) {
			add.End = list[last].End
		}
		add.since = max(add.since, list[last].since)
	}
	g.store(slices.Concat(list[:first], []gap{add}, list[last:]))
}

// store replaces the list, without its oldest gaps if they are too many.
func (g *gaps) store(list []gap) {
	for len(list) > maxGaps {
		oldest := 0
		for i := range list {
			if list[i].since < list[oldest].since {
				oldest = i
			}
		}
		list = slices.Delete(list, oldest, oldest+1)
	}
	g.list.Store(&list)
}

// usable returns what of the list a scan of r may leap over on a snapshot that contains every commit up to oldest.
func usable(list []gap, r kv.Range, oldest uint64) []kv.Range {
	var out []kv.Range
	i, _ := findGap(list, r.Start)
	for ; i < len(list) && (r.End == nil || bytes.Compare(list[i].Start, r.End) < 0); i++ {
		if list[i].since <= oldest {
			out = append(out, list[i].Range)
		}
	}
	return out
}

// probe looks how far the nothing at the start of r reaches, and remembers it.
func (s *Store) probe(r kv.Range) error {
	place := s.hist.begin()
	defer s.hist.end(place)
	start := place.Value.(uint64)
	snap := s.db.NewSnapshot()
	defer func() { _ = snap.Close() }()
	since := s.applying.Load()
	c, err := newCursor(snap, r, false, usable(s.gaps.load(), r, start))
	if err != nil {
		return err
	}
	defer func() { _ = c.it.Close() }()
	if c.first(); c.valid {
		r.End = c.key()
	}
	if err := c.it.Error(); err != nil || isEmpty(r) {
		return err
	}
	found := gap{kv.Range{Start: bytes.Clone(r.Start), End: bytes.Clone(r.End)}, since}
	var inside readSet
	inside.guard(found.Range)
	inside.prepare()

	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	// What the snapshot lacks must not have filled the gap again.
	if later, ok := s.hist.since(start); ok && !slices.ContainsFunc(later, inside.meets) {
		s.gaps.install(found)
	}
	return nil
}
