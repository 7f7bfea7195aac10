package pgkv

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"croft/internal/kv"
	"croft/internal/kv/pgkv/pgtest"
)

// drawLong draws keys around the lengths at which they are stored in another way, many with long common prefixes.
func drawLong(t *rapid.T, name string) []byte {
	tail := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 'k', 0xff}), 0, 4).Draw(t, name)
	n := rapid.SampledFrom([]int{0, 1, deepBytes - 9, deepBytes - 8, deepBytes - 2, deepBytes - 1, deepBytes, deepBytes + 1, flatBytes - 9, flatBytes - 8,
		flatBytes - 1, flatBytes, flatBytes + 1, flatBytes + 6, 3000}).Draw(t, name+" length")
	fill := rapid.SampledFrom([]byte{'k', 0xff}).Draw(t, name+" fill")
	return append(bytes.Repeat([]byte{fill}, n), tail...)
}

func drawLongRange(t *rapid.T) kv.Range {
	r := kv.Range{Start: drawLong(t, "start"), End: drawLong(t, "end")}
	switch rapid.IntRange(0, 4).Draw(t, "kind of range") {
	case 0:
		r.End = nil
	case 1:
		r = kv.PrefixRange(r.Start)
	case 2:
		r.End = successor(r.Start)
	}
	return r
}

func TestColumnsAreUniqueAndReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawLong(t, "a"), drawLong(t, "b")
		k, tail := columns(a)
		if len(k) > deepBytes+hashBytes+8 || bytes.Compare(k, lastK()) >= 0 || bytes.Compare(tail, lastT()) >= 0 {
			t.Fatalf("the columns of a key of %d bytes are out of bounds", len(a))
		}
		if !bytes.Equal(keyOf(k, tail), a) {
			t.Fatalf("a key of %d bytes comes back otherwise", len(a))
		}
		if other, _ := columns(b); bytes.Equal(k, other) != bytes.Equal(a, b) {
			t.Fatal("two keys have the same column k, or one has two")
		}
	})
}

// inside reports whether the table sees key in p.
func (p piece) inside(key []byte) bool { return (&span{whole: p}).holds(key) }

func TestPiecesAreTheRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, key := drawLongRange(t), drawLong(t, "key")
		if isEmpty(r) {
			return
		}
		n := 0
		for _, p := range pieces(r) {
			if p.inside(key) {
				n++
				if !bytes.HasPrefix(key, p.prefix()) {
					t.Fatal("a key of a piece does not have its prefix")
				}
			}
		}
		if want := r.Contains(key); n > 1 || (n == 1) != want {
			t.Fatalf("the key lies in %d pieces, and in the range: %v", n, want)
		}
	})
}

// TestLongKeys runs random operations on long keys against a map.
func TestLongKeys(t *testing.T) {
	s := open(t, Options{URL: pgtest.SharedDB(t)})
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		model := map[string]string{}
		update := func(fn func(tx kv.Tx) error) {
			if err := s.Update(ctx, func(_ context.Context, tx kv.Tx) error { return fn(tx) }); err != nil {
				t.Fatal(err)
			}
		}
		update(func(tx kv.Tx) error { return tx.DeleteRange(kv.Range{}) })
		for range rapid.IntRange(1, 3).Draw(t, "transactions") {
			update(func(tx kv.Tx) error { return longStep(t, tx, model) })
		}
		update(func(tx kv.Tx) error {
			for range 3 {
				r := drawLongRange(t)
				o := kv.ScanOptions{Reverse: rapid.Bool().Draw(t, "reverse"), Limit: rapid.IntRange(0, 3).Draw(t, "limit")}
				compareScan(t, tx, model, r, o)
			}
			return tx.Put([]byte("checked"), nil)
		})
	})
}

func longStep(t *rapid.T, tx kv.Tx, model map[string]string) error {
	for i := range rapid.IntRange(1, 12).Draw(t, "writes") {
		key := drawLong(t, "key")
		switch rapid.IntRange(0, 9).Draw(t, "write") {
		case 0:
			r := drawLongRange(t)
			if err := tx.DeleteRange(r); err != nil {
				return err
			}
			for k := range model {
				if r.Contains([]byte(k)) {
					delete(model, k)
				}
			}
		case 1:
			if err := tx.Delete(key); err != nil {
				return err
			}
			delete(model, string(key))
		case 2:
			if err := tx.Add(key, 7); err != nil {
				return err
			}
			model[string(key)] = string(kv.EncodeInt64(kv.Int64([]byte(model[string(key)])) + 7))
		default:
			if err := tx.Put(key, fmt.Append(nil, i)); err != nil {
				return err
			}
			model[string(key)] = fmt.Sprint(i)
		}
		compareScan(t, tx, model, kv.Range{}, kv.ScanOptions{Reverse: i%2 == 1})
	}
	return nil
}

func compareScan(t *rapid.T, tx kv.Tx, model map[string]string, r kv.Range, o kv.ScanOptions) {
	var want, got []string
	for k, v := range model {
		if r.Contains([]byte(k)) {
			want = append(want, k+"="+v)
		}
	}
	slices.SortFunc(want, func(a, b string) int {
		return strings.Compare(a[:strings.LastIndexByte(a, '=')], b[:strings.LastIndexByte(b, '=')])
	})
	if o.Reverse {
		slices.Reverse(want)
	}
	if o.Limit > 0 && len(want) > o.Limit {
		want = want[:o.Limit]
	}
	for e, err := range tx.Scan(r, o) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(e.Key)+"="+string(e.Value))
		if v, err := tx.Get(e.Key); err != nil || !bytes.Equal(v, e.Value) {
			t.Fatalf("Get says %q, %v where Scan says %q", v, err, e.Value)
		}
	}
	if !slices.Equal(got, want) {
		short := func(s string) string { return fmt.Sprintf("%d..%q", len(s), s[max(0, len(s)-12):]) }
		for i := range got {
			t.Log("got ", short(got[i]))
		}
		for i := range want {
			t.Log("want", short(want[i]))
		}
		t.Fatalf("scan %+v of %d..%d bytes", o, len(r.Start), len(r.End))
	}
}

// TestLongLogs appends to logs of such lengths that their entries are stored in every way there is.
func TestLongLogs(t *testing.T) {
	s := open(t, Options{URL: pgtest.SharedDB(t)})
	for n := deepBytes - 10; n <= flatBytes+3; n++ {
		log := bytes.Repeat([]byte{'l'}, n)
		log[0] = byte(n)
		err := s.Update(t.Context(), func(_ context.Context, tx kv.Tx) error {
			for i := range 3 {
				if err := tx.Append(log, fmt.Append(nil, i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Update(t.Context(), func(_ context.Context, tx kv.Tx) error {
			var got []string
			var last uint64
			for e, err := range tx.Scan(kv.LogRange(log, 0), kv.ScanOptions{}) {
				if err != nil {
					return err
				}
				seq, err := kv.LogSeq(log, e.Key)
				if err != nil || seq <= last {
					t.Errorf("%d: number %d after %d, %v", n, seq, last, err)
				}
				if v, err := tx.Get(e.Key); err != nil || !bytes.Equal(v, e.Value) {
					t.Errorf("%d: Get says %q, %v", n, v, err)
				}
				last = seq
				got = append(got, string(e.Value))
			}
			if len(got) != 3 || got[0] != "0" || got[2] != "2" {
				t.Errorf("%d: %q", n, got)
			}
			return tx.Put([]byte("checked"), nil)
		})
		if err != nil {
			t.Fatal(n, err)
		}
	}
}

// TestCutLogs deletes, after an append in the same transaction, ranges that hold some of a log's numbers only.
func TestCutLogs(t *testing.T) {
	s := open(t, Options{URL: pgtest.SharedDB(t)})
	log := kv.Key("log")
	for i, c := range []struct {
		r    kv.Range
		want int
	}{
		{kv.Range{Start: kv.LogKey(log, 1000)}, 2}, {kv.Range{End: kv.LogKey(log, 1000)}, 1},
		{kv.PrefixRange(log), 1}, {kv.Range{Start: log, End: log}, 2}, {kv.Range{Start: kv.LogKey(log, 1), End: kv.LogKey(log, 2)}, 2},
	} {
		err := s.Update(t.Context(), func(_ context.Context, tx kv.Tx) error {
			return joinErrors(tx.DeleteRange(kv.Range{}), tx.Append(log, []byte("a")), tx.DeleteRange(c.r), tx.Append(log, []byte("b")))
		})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = s.View(t.Context(), func(_ context.Context, r kv.Reader) error {
			for _, err := range r.Scan(kv.PrefixRange(log), kv.ScanOptions{}) {
				if n++; err != nil {
					return err
				}
			}
			return nil
		})
		// The first round takes number 1 out and gives it to nobody else.
		if err != nil || n != c.want && i != 4 {
			t.Errorf("case %d: %d entries, want %d, %v", i, n, c.want, err)
		}
	}
}
