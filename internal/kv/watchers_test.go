package kv

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func woken(w Watch) bool {
	select {
	case <-w.C():
		return true
	default:
		return false
	}
}

// TestWatchers: exactly those watches wake whose keys a change may concern, whatever others have come and gone.
func TestWatchers(t *testing.T) {
	text := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'a', 'b', 0xff}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		var ws Watchers
		open := map[Watch][]byte{}
		for _, prefix := range rapid.SliceOfN(text, 0, 12).Draw(t, "prefixes") {
			w := ws.Open(prefix)
			if rapid.Bool().Draw(t, "closed") {
				w.Close()
				w.Close()
				continue
			}
			open[w] = prefix
		}
		if ws.None() != (len(open) == 0) {
			t.Fatalf("None is %v with %d watches", ws.None(), len(open))
		}
		key := text.Draw(t, "key")
		ws.Poke(key)
		for w, prefix := range open {
			if got, want := woken(w), bytes.HasPrefix(key, prefix); got != want {
				t.Fatalf("a change of %q wakes %q: %v", key, prefix, got)
			}
		}
		r := Range{Start: text.Draw(t, "start"), End: text.Draw(t, "end")}
		if rapid.Bool().Draw(t, "open-ended") {
			r.End = nil
		} else if bytes.Compare(r.Start, r.End) >= 0 {
			t.Skip("an empty range")
		}
		ws.PokeRange(r)
		for w, prefix := range open {
			p := PrefixRange(prefix)
			want := (r.End == nil || bytes.Compare(p.Start, r.End) < 0) && (p.End == nil || bytes.Compare(r.Start, p.End) < 0)
			if got := woken(w); got != want {
				t.Fatalf("a change in %q wakes %q: %v, want %v", r, prefix, got, want)
			}
		}
	})
}
