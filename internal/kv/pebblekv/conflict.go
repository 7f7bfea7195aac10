package pebblekv

import (
	"bytes"
	"slices"

	"croft/internal/kv"
)

// maxNotes bounds how many points and how many ranges a transaction notes. One that reads more conflicts with every write.
const maxNotes = 1 << 16

// readSet is what a transaction has read and guarded: its conflict set.
type readSet struct {
	points [][]byte
	spans  []*span
	// everything replaces the notes once there are too many.
	everything bool
	// guarded is set when the transaction asked for a check even if it writes nothing.
	guarded bool
	sorted  bool
}

// span is a range that was read or guarded. While a scan is under way it grows.
type span struct {
	kv.Range
	reverse bool
	empty   bool
}

// point notes a key. The set keeps the slice.
func (s *readSet) point(key []byte) {
	if s.everything {
		return
	}
	if len(s.points) == maxNotes {
		s.overflow()
		return
	}
	s.points = append(s.points, key)
	s.sorted = false
}

// walk notes that a scan of r begins. The set keeps the slices.
func (s *readSet) walk(r kv.Range, reverse bool) *span {
	sp := &span{Range: r, reverse: reverse, empty: true}
	s.note(sp)
	return sp
}

// guard notes all of r.
func (s *readSet) guard(r kv.Range) {
	s.guarded = true
	s.note(&span{Range: r})
}

func (s *readSet) note(sp *span) {
	if s.everything {
		return
	}
	if len(s.spans) == maxNotes {
		s.overflow()
		return
	}
	s.spans = append(s.spans, sp)
	s.sorted = false
}

func (s *readSet) overflow() {
	s.everything, s.points, s.spans = true, nil, nil
}

// to notes that the scan has come to key, which must come from arena.copy.
func (s *span) to(key []byte) {
	if s == nil {
		return
	}
	s.empty = false
	if s.reverse {
		s.Start = key
	} else {
		s.End = successor(key)
	}
}

// all notes that the scan has come to the end of r.
func (s *span) all(r kv.Range) {
	if s != nil {
		s.Range, s.empty = r, false
	}
}

// prepare sorts the notes for meets. Reading must be over.
func (s *readSet) prepare() {
	if s.sorted {
		return
	}
	s.sorted = true
	slices.SortFunc(s.points, bytes.Compare)
	spans := slices.DeleteFunc(s.spans, func(sp *span) bool { return sp.empty || isEmpty(sp.Range) })
	slices.SortFunc(spans, func(a, b *span) int { return bytes.Compare(a.Start, b.Start) })
	s.spans = spans[:0]
	for _, sp := range spans {
		if n := len(s.spans); n > 0 && reaches(s.spans[n-1].End, sp.Start) {
			if later(sp.End, s.spans[n-1].End) {
				s.spans[n-1].End = sp.End
			}
			continue
		}
		s.spans = append(s.spans, sp)
	}
}

// reaches reports whether a range that ends at end touches one that starts at start.
func reaches(end, start []byte) bool { return end == nil || bytes.Compare(end, start) >= 0 }

// later reports whether the end a lies behind the end b.
func later(a, b []byte) bool {
	return b != nil && (a == nil || bytes.Compare(a, b) > 0)
}

// meets reports whether one of the writes of c touches what was read. prepare must have been called.
func (s *readSet) meets(c *record) bool {
	if s.everything {
		return true
	}
	for _, key := range c.keys {
		if s.hasPoint(key) || s.hasSpan(kv.Range{Start: key, End: key}) {
			return true
		}
	}
	for _, r := range c.ranges {
		i, _ := slices.BinarySearchFunc(s.points, r.Start, bytes.Compare)
		if i < len(s.points) && r.Contains(s.points[i]) || s.hasSpan(r) {
			return true
		}
	}
	return false
}

func (s *readSet) hasPoint(key []byte) bool {
	_, found := slices.BinarySearchFunc(s.points, key, bytes.Compare)
	return found
}

// hasSpan reports whether a noted range meets r. A range whose start is its end stands for that key.
func (s *readSet) hasSpan(r kv.Range) bool {
	if len(s.spans) == 0 {
		return false
	}
	// The first span that ends behind r.Start is the first that can meet r.
	i, _ := slices.BinarySearchFunc(s.spans, r.Start, func(sp *span, start []byte) int {
		if sp.End == nil || bytes.Compare(sp.End, start) > 0 {
			return 1
		}
		return -1
	})
	if i == len(s.spans) {
		return false
	}
	c := -1
	if r.End != nil {
		c = bytes.Compare(s.spans[i].Start, r.End)
	}
	return c < 0 || c == 0 && bytes.Equal(r.Start, r.End)
}
