package pebblekv

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"croft/internal/kv"
)

// The tests here hold the clever structures against the plainest ones, on the keys "a" to "p".

const letters = "abcdefghijklmnop"

func drawLetter(t *rapid.T) []byte {
	var a arena
	return a.copy([]byte{letters[rapid.IntRange(0, len(letters)-1).Draw(t, "letter")]})
}

func drawLetters(t *rapid.T) kv.Range {
	r := kv.Range{Start: drawLetter(t)}
	if rapid.IntRange(0, 9).Draw(t, "open") > 0 {
		r.End = drawLetter(t)
	}
	return r
}

func TestHoles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o overlay
		deleted := map[byte]bool{}
		for range rapid.IntRange(1, 8).Draw(t, "holes") {
			r := drawLetters(t)
			if isEmpty(r) {
				continue
			}
			o.holes = addHole(o.holes, r)
			for _, c := range letters {
				deleted[byte(c)] = deleted[byte(c)] || r.Contains([]byte{byte(c)})
			}
		}
		for i := 1; i < len(o.holes); i++ {
			if !later(o.holes[i].Start, o.holes[i-1].End) {
				t.Fatalf("not disjoint: %q", o.holes)
			}
		}
		for _, c := range letters {
			h, in := o.hole([]byte{byte(c)})
			if in != deleted[byte(c)] || in && !h.Contains([]byte{byte(c)}) {
				t.Fatalf("%c: %v, want %v, in %q", c, in, deleted[byte(c)], o.holes)
			}
		}
	})
}

func TestReadSetMeets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s readSet
		read := map[byte]bool{}
		for range rapid.IntRange(0, 5).Draw(t, "points") {
			k := drawLetter(t)
			s.point(k)
			read[k[0]] = true
		}
		for range rapid.IntRange(0, 4).Draw(t, "ranges") {
			r := drawLetters(t)
			s.guard(r)
			for _, c := range letters {
				read[byte(c)] = read[byte(c)] || r.Contains([]byte{byte(c)})
			}
		}
		s.walk(drawLetters(t), true)
		s.prepare()
		key := drawLetter(t)
		if got := s.meets(&record{keys: [][]byte{key}}); got != read[key[0]] {
			t.Fatalf("write of %q: %v, want %v", key, got, read[key[0]])
		}
		// A range may meet a noted range where no letter lies, so only one direction can be checked on letters.
		r := drawLetters(t)
		want := false
		for _, c := range letters {
			want = want || r.Contains([]byte{byte(c)}) && read[byte(c)]
		}
		if got := s.meets(&record{ranges: []kv.Range{r}}); want && !got {
			t.Fatalf("delete of %q is not seen", r)
		}
	})
}

func TestReadSetOverflow(t *testing.T) {
	for name, note := range map[string]func(*readSet, []byte){
		"points": func(s *readSet, k []byte) { s.point(k) },
		"ranges": func(s *readSet, k []byte) { s.walk(kv.Range{Start: k, End: successor(k)}, false).to(k) },
	} {
		var s readSet
		var a arena
		for i := range maxNotes + 10 {
			note(&s, a.copy(fmt.Appendf(nil, "%06d", i)))
			if len(s.points)+len(s.spans) > maxNotes {
				t.Fatal("too many notes")
			}
		}
		s.prepare()
		if !s.meets(&record{keys: [][]byte{[]byte("elsewhere")}}) {
			t.Errorf("%s: forgot its notes", name)
		}
	}
}

// TestHistoryIsBounded: commits are remembered for who may ask, and never too many.
func TestHistoryIsBounded(t *testing.T) {
	var h history
	seq := uint64(0)
	commit := func(keys int) {
		seq++
		h.publish(seq, func() *record { return &record{keys: make([][]byte, keys)} })
	}
	commit(10)
	if h.size != 0 {
		t.Error("remembers for nobody")
	}
	long := h.begin()
	for range 100 {
		commit(10)
	}
	if records, ok := h.since(long.Value.(uint64)); !ok || len(records) != 100 {
		t.Errorf("%d records, %v", len(records), ok)
	}
	short := h.begin()
	commit(5)
	if records, ok := h.since(short.Value.(uint64)); !ok || len(records) != 1 {
		t.Errorf("%d records, %v", len(records), ok)
	}
	for range 10 {
		commit(maxHistoryKeys / 4)
		if h.size > maxHistoryKeys {
			t.Fatalf("remembers %d keys", h.size)
		}
	}
	if _, ok := h.since(short.Value.(uint64)); ok {
		t.Error("forgot, and does not say so")
	}
	young := h.begin()
	h.end(long)
	h.end(short)
	if h.size != 0 {
		t.Errorf("remembers %d keys for one that needs none", h.size)
	}
	commit(1)
	if records, ok := h.since(young.Value.(uint64)); !ok || len(records) != 1 {
		t.Errorf("%d records, %v", len(records), ok)
	}
	h.end(young)
	if h.size != 0 || len(h.records) != 0 || h.starts.Len() != 0 {
		t.Error("something is left")
	}
}

func TestWriteSetOfMany(t *testing.T) {
	var log []*write
	for i := range maxHistoryKeys {
		log = append(log, &write{op: opPut, key: fmt.Appendf(nil, "k%06d", i)})
	}
	log = append(log, &write{op: opDeleteRange, key: []byte("c"), arg: []byte("d")})
	r := writeSet(log)
	if r.size() != 1 || !r.ranges[0].Contains([]byte("k000000")) || !r.ranges[0].Contains([]byte("k065535")) || !r.ranges[0].Contains([]byte("c")) {
		t.Errorf("%q", r.ranges)
	}
	if r.ranges[0].Contains([]byte("b")) || r.ranges[0].Contains([]byte("l")) {
		t.Errorf("%q", r.ranges)
	}
	log = append(log, &write{op: opDeleteRange, key: []byte("x")})
	if r := writeSet(log); r.ranges[0].End != nil {
		t.Errorf("%q", r.ranges)
	}
}
