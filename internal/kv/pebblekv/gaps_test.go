package pebblekv

import (
	"bytes"
	"context"
	"testing"

	"pgregory.net/rapid"

	"croft/internal/kv"
)

// scanAll returns how many keys begin with prefix.
func scanAll(t testing.TB, r kv.Reader, prefix string) (n int) {
	t.Helper()
	for _, err := range r.Scan(kv.PrefixRange([]byte(prefix)), kv.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func deleteAll(t testing.TB, s *Store, prefix string) {
	t.Helper()
	err := s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error {
		for e, err := range tx.Scan(kv.PrefixRange([]byte(prefix)), kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			if err := tx.Delete(e.Key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestGapIsOfItsTime: a snapshot from before a gap still sees what was there.
func TestGapIsOfItsTime(t *testing.T) {
	s := open(t, Options{Ephemeral: true, gapWork: 1})
	for i := range 100 {
		put(t, s, string(kv.Key("q").Int(int64(i))), "")
	}
	put(t, s, "z", "")
	ctx := context.Background()
	err := s.View(ctx, func(_ context.Context, old kv.Reader) error {
		deleteAll(t, s, "q")
		look := func(_ context.Context, r kv.Reader) error {
			if n := scanAll(t, r, "q"); n != 0 {
				t.Errorf("%d keys are left", n)
			}
			return nil
		}
		if err := s.View(ctx, look); err != nil {
			return err
		}
		if len(s.gaps.load()) == 0 {
			t.Error("nothing was remembered")
		}
		if n := scanAll(t, old, "q"); n != 100 {
			t.Errorf("the old snapshot has %d keys", n)
		}
		return s.View(ctx, look)
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, string(kv.Key("q").Int(50)), "")
	_ = s.View(ctx, func(_ context.Context, r kv.Reader) error {
		if n := scanAll(t, r, "q"); n != 1 {
			t.Errorf("%d keys after a put into the gap", n)
		}
		return nil
	})
}

// TestGapIsLeapt: what was walked over once is not walked over again, even when keys come and go inside.
func TestGapIsLeapt(t *testing.T) {
	s := open(t, Options{Ephemeral: true})
	for i := range 5000 {
		put(t, s, string(kv.Key("q").Int(int64(i))), "")
	}
	deleteAll(t, s, "q")
	put(t, s, "r", "")
	work := func() (work int) {
		_ = s.View(context.Background(), func(_ context.Context, r kv.Reader) error {
			in := r.(*reader)
			m, err := in.merge(kv.Range{}, false)
			if err != nil {
				t.Fatal(err)
			}
			for {
				_, ok, err := m.next()
				if err != nil {
					t.Fatal(err)
				}
				if work += m.c.work; !ok {
					return nil
				}
			}
		})
		return work
	}
	if first := work(); first < 5000 {
		t.Errorf("the first scan took %d steps", first)
	}
	if again := work(); again > 100 {
		t.Errorf("the second scan took %d steps", again)
	}
	for i := range 200 {
		key := string(kv.Key("q").Int(int64(i * 20)))
		put(t, s, key, "")
		deleteAll(t, s, key)
		if again := work(); again > 500 {
			t.Errorf("after %d keys in the gap a scan took %d steps", i, again)
		}
	}
	if n := len(s.gaps.load()); n > maxGaps {
		t.Errorf("%d gaps", n)
	}
}

// TestGapList holds the list against a plain set of letters.
func TestGapList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g gaps
		empty := map[byte]bool{}
		for i := range rapid.IntRange(1, 12).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "cut") {
				k := drawLetter(t)
				g.fill([]*write{{op: opPut, key: k}})
				empty[k[0]] = false
			} else if r := drawLetters(t); !isEmpty(r) {
				g.install(gap{r, uint64(i)})
				for _, c := range letters {
					empty[byte(c)] = empty[byte(c)] || r.Contains([]byte{byte(c)})
				}
			}
			list := g.load()
			for _, c := range letters {
				if _, in := findGap(list, []byte{byte(c)}); in && !empty[byte(c)] {
					t.Fatalf("%c is in a gap of %v", c, list)
				} else if !in && empty[byte(c)] {
					t.Fatalf("%c is in no gap of %v", c, list)
				}
			}
			for j := range list {
				if isEmpty(list[j].Range) || j > 0 && bytes.Compare(list[j-1].End, list[j].Start) > 0 {
					t.Fatalf("bad list %v", list)
				}
			}
		}
	})
}
