package kv

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// part is one part of a key, of any kind.
type part struct {
	kind int
	s    string
	n    int64
}

func drawPart(kind int) func(t *rapid.T) part {
	return func(t *rapid.T) part {
		p := part{kind: kind}
		if kind == 0 {
			p.s = string(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 'a', 0xfe, 0xff}), 0, 5).Draw(t, "s"))
		} else {
			p.n = rapid.Int64().Draw(t, "n")
		}
		return p
	}
}

func (p part) add(k Key) Key {
	switch p.kind {
	case 0:
		return k.Str(p.s)
	case 1:
		return k.Uint(uint64(p.n))
	case 2:
		return k.Int(p.n)
	default:
		return k.Time(time.Unix(0, p.n))
	}
}

func (p part) compare(q part) int {
	switch p.kind {
	case 0:
		return cmp.Compare(p.s, q.s)
	case 1:
		return cmp.Compare(uint64(p.n), uint64(q.n))
	default:
		return cmp.Compare(p.n, q.n)
	}
}

func (p part) read(t *rapid.T, r *KeyReader) {
	ok := true
	switch p.kind {
	case 0:
		ok = r.Str() == p.s
	case 1:
		ok = r.Uint() == uint64(p.n)
	case 2:
		ok = r.Int() == p.n
	default:
		ok = r.Time().Equal(time.Unix(0, p.n))
	}
	if !ok {
		t.Fatalf("part %+v came back otherwise", p)
	}
}

// TestKeyOrder: keys of the same kinds of parts sort as their parts do, and come apart again.
func TestKeyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := Key("prefix")
		var a, b = prefix, prefix
		want := 0
		var parts []part
		for _, kind := range rapid.SliceOfN(rapid.IntRange(0, 3), 1, 4).Draw(t, "kinds") {
			p, q := rapid.Custom(drawPart(kind)).Draw(t, "p"), rapid.Custom(drawPart(kind)).Draw(t, "q")
			if want == 0 {
				want = p.compare(q)
			}
			a, b = p.add(a), q.add(b)
			parts = append(parts, p)
		}
		if got := bytes.Compare(a, b); got != want {
			t.Fatalf("%x and %x compare as %d, want %d", a, b, got, want)
		}
		r := ReadKey(a, prefix)
		for _, p := range parts {
			p.read(t, r)
		}
		if r.Err() != nil || len(r.Rest()) > 0 {
			t.Fatalf("err %v, rest %x", r.Err(), r.Rest())
		}
	})
}

func TestNoPartIsAPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := rapid.Custom(drawPart(0)).Draw(t, "p"), rapid.Custom(drawPart(0)).Draw(t, "q")
		if p.s != q.s && bytes.HasPrefix(p.add(nil), q.add(nil)) {
			t.Fatalf("%q begins like %q", p.s, q.s)
		}
	})
}

func TestKeysShareNothing(t *testing.T) {
	base := append(make(Key, 0, 100), "base"...)
	a, b := base.Raw('a'), base.Raw('b')
	c, d := base.Uint(1), base.Uint(2)
	e, f := base.Str("e"), base.Bytes([]byte("f"))
	for _, k := range []struct{ got, want Key }{
		{a, Key("basea")}, {b, Key("baseb")}, {c, Key("base\x00\x00\x00\x00\x00\x00\x00\x01")},
		{d, Key("base\x00\x00\x00\x00\x00\x00\x00\x02")}, {e, Key("basee\x00\x01")}, {f, Key("basef\x00\x01")},
	} {
		if !bytes.Equal(k.got, k.want) {
			t.Errorf("got %q, want %q", k.got, k.want)
		}
	}
}

func TestMalformedKeys(t *testing.T) {
	for _, key := range []string{"", "x", "p", "pabc", "pabc\x00", "pabc\x00\x02", "p\x00\xff"} {
		r := ReadKey([]byte(key), []byte("p"))
		if s := r.Str(); s != "" || r.Err() == nil {
			t.Errorf("%q: %q, %v", key, s, r.Err())
		}
		// The first failure sticks.
		r.rest = []byte("good\x00\x01")
		if s := r.Str(); s != "" || r.Uint() != 0 || r.Err() == nil {
			t.Errorf("%q: read on after a failure", key)
		}
	}
	if r := ReadKey([]byte("p1234567"), []byte("p")); r.Uint() != 0 || r.Err() == nil {
		t.Error("a short number was read")
	}
}

func FuzzKeyReader(f *testing.F) {
	f.Add([]byte("a\x00\xffb\x00\x0112345678"))
	f.Fuzz(func(t *testing.T, key []byte) {
		r := ReadKey(key, nil)
		s, u := r.Str(), r.Uint()
		if r.Err() == nil && !bytes.Equal(Key(nil).Str(s).Uint(u).Raw(r.Rest()...), key) {
			t.Fatalf("%x is read as %q and %d", key, s, u)
		}
	})
}

func TestPrefixRange(t *testing.T) {
	for _, c := range []struct {
		prefix, in, out string
		open            bool
	}{
		{"a", "a\xff\xff", "b", false},
		{"a\xff", "a\xff\xff", "b", false},
		{"\xff\xff", "\xff\xff\xff", "\xff\xfe", true},
		{"", "anything", "", true},
	} {
		r := PrefixRange([]byte(c.prefix))
		if (r.End == nil) != c.open || !r.Contains([]byte(c.in)) || !r.Contains([]byte(c.prefix)) {
			t.Errorf("%q: %q", c.prefix, r)
		}
		if c.out != "" && r.Contains([]byte(c.out)) {
			t.Errorf("%q: %q holds %q", c.prefix, r, c.out)
		}
	}
}

func TestCounterValues(t *testing.T) {
	for _, n := range []int64{0, 1, -1, math.MinInt64, math.MaxInt64} {
		if got := Int64(EncodeInt64(n)); got != n {
			t.Errorf("%d came back as %d", n, got)
		}
	}
	for _, b := range [][]byte{nil, {}, []byte("1234567"), []byte("123456789")} {
		if Int64(b) != 0 {
			t.Errorf("%q is no counter", b)
		}
	}
}

func TestLogKeys(t *testing.T) {
	log := []byte("log")
	key := LogKey(log, 300)
	if n, err := LogSeq(log, key); n != 300 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, bad := range [][]byte{nil, log, key[:10], append(slices.Clone(key), 0), []byte("lag12345678")} {
		if _, err := LogSeq(log, bad); err == nil {
			t.Errorf("%q is no entry", bad)
		}
	}
	for _, c := range []struct {
		after uint64
		want  bool
	}{{0, true}, {299, true}, {300, false}, {math.MaxUint64, false}} {
		if LogRange(log, c.after).Contains(key) != c.want {
			t.Errorf("after %d: want %v", c.after, c.want)
		}
	}
}
