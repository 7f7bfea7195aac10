package kvtest

import (
	"bytes"
	"context"
	"slices"

	"pgregory.net/rapid"

	"croft/internal/kv"
)

func readCases() map[string]func(*env) {
	return map[string]func(*env){
		"get":                           getCase,
		"scan":                          scanCase,
		"keys sort by bytes":            orderCase,
		"entries stay valid":            validCase,
		"a view is one snapshot":        snapshotCase,
		"an attempt is one snapshot":    attemptSnapshotCase,
		"scans nest and may be left":    nestedScanCase,
		"loose reads see own writes":    looseCase,
		"a scan can be run again":       rerunCase,
		"an early end ends the scan":    earlyEndCase,
		"an ended reader reads no more": endedCase,
	}
}

func getCase(e *env) {
	e.put("a", "1", "empty", "")
	e.view(func(r kv.Reader) error {
		v, err := r.Get([]byte("a"))
		e.ok(err)
		e.eq(string(v), "1")
		v, err = r.Get([]byte("empty"))
		e.ok(err)
		e.eq(len(v), 0)
		_, err = r.Get([]byte("b"))
		e.is(err, kv.ErrNotFound)
		_, err = r.Loose().Get([]byte("a"))
		e.ok(err)
		_, err = r.Loose().Loose().Get([]byte("b"))
		e.is(err, kv.ErrNotFound)
		return nil
	})
}

func scanCase(e *env) {
	e.put("a", "1", "b", "2", "ba", "3", "c", "4", "\xff\xff", "5")
	for _, c := range []struct {
		r    kv.Range
		o    kv.ScanOptions
		want string
	}{
		{kv.Range{}, kv.ScanOptions{}, "a=1 b=2 ba=3 c=4 \xff\xff=5"},
		{kv.Range{}, kv.ScanOptions{Reverse: true}, "\xff\xff=5 c=4 ba=3 b=2 a=1"},
		{span("b", "c"), kv.ScanOptions{}, "b=2 ba=3"},
		{span("b", "c"), kv.ScanOptions{Reverse: true}, "ba=3 b=2"},
		{span("b", ""), kv.ScanOptions{Limit: 2}, "b=2 ba=3"},
		{span("b", ""), kv.ScanOptions{Limit: 2, Reverse: true}, "\xff\xff=5 c=4"},
		{prefix("b"), kv.ScanOptions{}, "b=2 ba=3"},
		{prefix("\xff"), kv.ScanOptions{}, "\xff\xff=5"},
		{span("b", "b"), kv.ScanOptions{}, ""},
		{span("c", "a"), kv.ScanOptions{}, ""},
		{span("c", "a"), kv.ScanOptions{Reverse: true}, ""},
		{kv.Range{End: []byte{}}, kv.ScanOptions{}, ""},
		{span("aa", "ab"), kv.ScanOptions{Limit: 1}, ""},
		{span("", "b"), kv.ScanOptions{Limit: 7}, "a=1"},
	} {
		check := func(r kv.Reader) error {
			got, err := dump(r, c.r, c.o)
			e.ok(err)
			if got != c.want {
				e.Errorf("scan %q %+v: got %q, want %q", c.r, c.o, got, c.want)
			}
			return nil
		}
		e.view(check)
		e.update(func(tx kv.Tx) error { return check(tx) })
		e.view(func(r kv.Reader) error { return check(r.Loose()) })
	}
}

func orderCase(e *env) {
	rapid.Check(e.T, func(t *rapid.T) {
		e.update(func(tx kv.Tx) error { return tx.DeleteRange(kv.Range{}) })
		keys := rapid.SliceOfN(rapid.SliceOfN(rapid.ByteRange(0, 255), 0, 6), 1, 12).Draw(t, "keys")
		half := len(keys) / 2
		write := func(tx kv.Tx, keys [][]byte) error {
			for _, k := range keys {
				if err := tx.Put(k, k); err != nil {
					return err
				}
			}
			return nil
		}
		e.update(func(tx kv.Tx) error { return write(tx, keys[:half]) })
		want := slices.Clone(keys)
		slices.SortFunc(want, bytes.Compare)
		want = slices.CompactFunc(want, bytes.Equal)
		e.update(func(tx kv.Tx) error {
			if err := write(tx, keys[half:]); err != nil {
				return err
			}
			var got [][]byte
			for entry, err := range tx.Scan(kv.Range{}, kv.ScanOptions{}) {
				if err != nil {
					return err
				}
				got = append(got, bytes.Clone(entry.Key))
			}
			if !slices.EqualFunc(got, want, bytes.Equal) {
				t.Fatalf("got %q, want %q", got, want)
			}
			return nil
		})
	})
}

func validCase(e *env) {
	for i := range 300 {
		e.put(string(kv.Key("k").Uint(uint64(i))), string(repeat(byte(i), i)))
	}
	check := func(r kv.Reader) error {
		var entries []kv.Entry
		for entry, err := range r.Scan(kv.Range{}, kv.ScanOptions{}) {
			e.ok(err)
			entries = append(entries, entry)
			// Appending to what was handed out must not reach what is handed out next.
			_ = append(entry.Key, 1)
			_ = append(entry.Value, 1)
		}
		first, err := r.Get(kv.Key("k").Uint(299))
		e.ok(err)
		e.eq(len(entries), 300)
		for i, entry := range entries {
			if !bytes.Equal(entry.Key, kv.Key("k").Uint(uint64(i))) || !bytes.Equal(entry.Value, repeat(byte(i), i)) {
				e.Fatalf("entry %d changed: %q", i, entry.Key)
			}
		}
		e.eq(len(first), 299)
		return nil
	}
	e.view(check)
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Put(kv.Key("k").Uint(7), repeat(7, 7)))
		return check(tx)
	})
}

func snapshotCase(e *env) {
	e.put("a", "1", "b", "1")
	e.view(func(r kv.Reader) error {
		before, err := dump(r, kv.Range{}, kv.ScanOptions{})
		e.ok(err)
		e.put("a", "2", "c", "2")
		e.update(func(tx kv.Tx) error { return tx.Delete([]byte("b")) })
		after, err := dump(r, kv.Range{}, kv.ScanOptions{})
		e.ok(err)
		e.eq(after, before)
		v, err := r.Loose().Get([]byte("a"))
		e.ok(err)
		e.eq(string(v), "1")
		return nil
	})
	e.eq(e.all(), "a=2 c=2")
}

// attemptSnapshotCase: even an attempt that is bound to fail sees one state.
func attemptSnapshotCase(e *env) {
	e.put("x", "0", "y", "0")
	runs := 0
	e.update(func(tx kv.Tx) error {
		runs++
		x, err := tx.Get([]byte("x"))
		e.ok(err)
		if runs == 1 {
			e.put("x", "1", "y", "1")
		}
		y, err := tx.Get([]byte("y"))
		e.ok(err)
		e.eq(string(y), string(x))
		return tx.Put([]byte("sum"), x)
	})
	e.eq(e.all(), "sum=1 x=1 y=1")
}

func nestedScanCase(e *env) {
	e.put("a", "1", "b", "2", "c", "3")
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Put([]byte("d"), []byte("4")))
		pairs := ""
		for x, err := range tx.Scan(kv.Range{}, kv.ScanOptions{}) {
			e.ok(err)
			for y, err := range tx.Scan(kv.Range{Start: x.Key}, kv.ScanOptions{Reverse: true}) {
				e.ok(err)
				pairs += string(x.Key) + string(y.Key) + " "
				if string(y.Key) == "c" {
					break
				}
			}
		}
		e.eq(pairs, "ad ac bd bc cd cc dd ")
		return nil
	})
}

func looseCase(e *env) {
	e.put("a", "1", "b", "2")
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Put([]byte("c"), []byte("3")))
		e.ok(tx.Delete([]byte("a")))
		got, err := dump(tx.Loose(), kv.Range{}, kv.ScanOptions{})
		e.ok(err)
		e.eq(got, "b=2 c=3")
		_, err = tx.Loose().Get([]byte("a"))
		e.is(err, kv.ErrNotFound)
		return nil
	})
}

func rerunCase(e *env) {
	e.put("a", "1", "b", "2")
	e.update(func(tx kv.Tx) error {
		seq := tx.Scan(kv.Range{}, kv.ScanOptions{})
		for range 2 {
			n := 0
			for _, err := range seq {
				e.ok(err)
				n++
			}
			e.eq(n, 2)
		}
		return nil
	})
}

func earlyEndCase(e *env) {
	e.put("a", "1", "b", "2", "c", "3")
	e.view(func(r kv.Reader) error {
		n := 0
		for range r.Scan(kv.Range{}, kv.ScanOptions{}) {
			if n++; n == 2 {
				break
			}
		}
		e.eq(n, 2)
		return nil
	})
}

// endedCase: what outlives its function gets errors, not data and not a crash.
func endedCase(e *env) {
	e.put("a", "1")
	var r kv.Reader
	var tx kv.Tx
	var ctx context.Context
	e.view(func(in kv.Reader) error { r = in; return nil })
	e.ok(e.s.Update(e.ctx, func(c context.Context, in kv.Tx) error { ctx, tx = c, in; return nil }))
	for _, dead := range []kv.Reader{r, tx, r.Loose(), tx.Loose()} {
		if _, err := dead.Get([]byte("a")); err == nil {
			e.Error("Get on an ended reader works")
		}
		for _, err := range dead.Scan(kv.Range{}, kv.ScanOptions{}) {
			if err == nil {
				e.Error("Scan on an ended reader works")
			}
		}
	}
	if tx.Put([]byte("b"), nil) == nil || tx.Delete([]byte("b")) == nil || tx.Add([]byte("b"), 1) == nil ||
		tx.Append([]byte("b"), nil) == nil || tx.DeleteRange(kv.Range{}) == nil || tx.Guard(kv.Range{}) == nil {
		e.Error("an ended transaction takes writes")
	}
	err := e.s.Update(ctx, func(_ context.Context, tx kv.Tx) error { return tx.Put([]byte("b"), nil) })
	if err == nil {
		e.Error("an ended transaction can be joined")
	}
	e.eq(e.all(), "a=1")
}
