package kvtest

import (
	"context"
	"math"

	"croft/internal/kv"
)

func writeCases() map[string]func(*env) {
	return map[string]func(*env){
		"put copies":                          putCopiesCase,
		"own writes are read":                 ownWritesCase,
		"delete range":                        deleteRangeCase,
		"delete range takes what came since":  deleteRangeSinceCase,
		"delete range over all is quick":      resetCase,
		"counters":                            counterCase,
		"busy counters":                       busyCounterCase,
		"append":                              appendCase,
		"append numbers are never used twice": appendNeverAgainCase,
		"append and delete range":             appendDeleteCase,
		"savepoints":                          savepointCase,
		"savepoints nest":                     nestedSavepointCase,
		"writes during a scan":                writeDuringScanCase,
	}
}

func putCopiesCase(e *env) {
	key, value := []byte("key"), []byte("value")
	log, entry := []byte("log"), []byte("entry")
	start, end := []byte("x"), []byte("y")
	e.put("x1", "")
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Put(key, value))
		e.ok(tx.Append(log, entry))
		e.ok(tx.DeleteRange(kv.Range{Start: start, End: end}))
		for _, b := range [][]byte{key, value, log, entry, start, end} {
			clear(b)
		}
		v, err := tx.Get([]byte("key"))
		e.ok(err)
		e.eq(string(v), "value")
		return nil
	})
	e.update(func(tx kv.Tx) error {
		return tx.Delete([]byte("key"))
	})
	e.view(func(r kv.Reader) error {
		n := 0
		for entry, err := range r.Scan(kv.Range{}, kv.ScanOptions{}) {
			e.ok(err)
			e.eq(string(entry.Value), "entry")
			n++
		}
		e.eq(n, 1)
		return nil
	})
}

func ownWritesCase(e *env) {
	e.put("a", "1", "b", "2", "c", "3", "d", "4")
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Put([]byte("b"), []byte("B")))
		e.ok(tx.Put([]byte("bb"), []byte("new")))
		e.ok(tx.Delete([]byte("c")))
		e.ok(tx.Delete([]byte("absent")))
		e.ok(tx.Put([]byte("0"), []byte("first")))
		e.ok(tx.Put([]byte("z"), []byte("last")))
		for _, c := range []struct {
			r    kv.Range
			o    kv.ScanOptions
			want string
		}{
			{kv.Range{}, kv.ScanOptions{}, "0=first a=1 b=B bb=new d=4 z=last"},
			{kv.Range{}, kv.ScanOptions{Reverse: true}, "z=last d=4 bb=new b=B a=1 0=first"},
			{span("b", "d"), kv.ScanOptions{}, "b=B bb=new"},
			{span("b", "d"), kv.ScanOptions{Reverse: true}, "bb=new b=B"},
			{span("b", ""), kv.ScanOptions{Limit: 3}, "b=B bb=new d=4"},
			{span("", "d"), kv.ScanOptions{Limit: 2, Reverse: true}, "bb=new b=B"},
		} {
			got, err := dump(tx, c.r, c.o)
			e.ok(err)
			e.eq(got, c.want)
		}
		_, err := tx.Get([]byte("c"))
		e.is(err, kv.ErrNotFound)
		e.ok(tx.Put([]byte("c"), []byte("again")))
		v, err := tx.Get([]byte("c"))
		e.ok(err)
		e.eq(string(v), "again")
		return nil
	})
	e.eq(e.all(), "0=first a=1 b=B bb=new c=again d=4 z=last")
}

func deleteRangeCase(e *env) {
	e.put("a", "1", "b", "2", "c", "3", "d", "4", "e", "5")
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Put([]byte("bb"), []byte("own")))
		e.ok(tx.DeleteRange(span("b", "d")))
		got, err := dump(tx, kv.Range{}, kv.ScanOptions{})
		e.ok(err)
		e.eq(got, "a=1 d=4 e=5")
		e.ok(tx.Put([]byte("c"), []byte("C")))
		e.ok(tx.DeleteRange(span("e", "")))
		e.ok(tx.DeleteRange(span("d", "d")))
		e.ok(tx.DeleteRange(span("d", "a")))
		got, err = dump(tx, kv.Range{}, kv.ScanOptions{Reverse: true})
		e.ok(err)
		e.eq(got, "d=4 c=C a=1")
		_, err = tx.Get([]byte("b"))
		e.is(err, kv.ErrNotFound)
		return nil
	})
	e.eq(e.all(), "a=1 c=C d=4")
}

func deleteRangeSinceCase(e *env) {
	e.put("a", "1", "x", "1")
	runs := 0
	e.update(func(tx kv.Tx) error {
		runs++
		_, err := tx.Get([]byte("a"))
		e.ok(err)
		if runs == 1 {
			e.put("x2", "since")
		}
		return tx.DeleteRange(prefix("x"))
	})
	e.eq(runs, 1)
	e.eq(e.all(), "a=1")
}

func resetCase(e *env) {
	value := repeat('v', 100)
	for i := range 20 {
		e.update(func(tx kv.Tx) error {
			for j := range 500 {
				if err := tx.Put(kv.Key("k").Int(int64(i)).Int(int64(j)), value); err != nil {
					return err
				}
			}
			return nil
		})
	}
	e.update(func(tx kv.Tx) error { return tx.DeleteRange(kv.Range{}) })
	e.eq(e.all(), "")
	e.put("a", "1")
	e.eq(e.all(), "a=1")
}

func counterCase(e *env) {
	n := []byte("n")
	e.update(func(tx kv.Tx) error { return tx.Add(n, 5) })
	e.eq(e.counter("n"), 5)
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Add(n, -7))
		v, err := tx.Get(n)
		e.ok(err)
		e.eq(kv.Int64(v), -2)
		e.ok(tx.Add(n, 3))
		for entry, err := range tx.Scan(kv.Range{}, kv.ScanOptions{}) {
			e.ok(err)
			e.eq(kv.Int64(entry.Value), 1)
		}
		return nil
	})
	e.eq(e.counter("n"), 1)
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Delete(n))
		return tx.Add(n, 4)
	})
	e.eq(e.counter("n"), 4)
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Add(n, 1))
		return tx.Delete(n)
	})
	e.eq(e.all(), "")
	e.update(func(tx kv.Tx) error { return tx.Add(n, math.MaxInt64) })
	e.update(func(tx kv.Tx) error { return tx.Add(n, 2) })
	e.eq(e.counter("n"), int64(math.MinInt64+1))
	// A value that is no counter counts from zero, committed or not.
	e.put("text", "some text")
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Add([]byte("text"), 3))
		e.ok(tx.Put([]byte("own"), []byte("x")))
		return tx.Add([]byte("own"), 2)
	})
	e.eq(e.counter("text"), 3)
	e.eq(e.counter("own"), 2)
	e.update(func(tx kv.Tx) error {
		e.ok(tx.DeleteRange(kv.Range{}))
		return tx.Add(n, 9)
	})
	e.eq(e.counter("n"), 9)
}

// busyCounterCase: a counter is what its Adds and other writes say, in order, however many they are.
func busyCounterCase(e *env) {
	for name, between := range map[string]func(kv.Tx) error{
		"put":                 func(tx kv.Tx) error { return tx.Put([]byte("n"), kv.EncodeInt64(1000)) },
		"put of no counter":   func(tx kv.Tx) error { return tx.Put([]byte("n"), []byte("text")) },
		"delete":              del("n"),
		"delete range":        deleteRange(prefix("n")),
		"delete range of all": deleteRange(kv.Range{}),
		"append":              appendTo("m"),
		"failure":             func(kv.Tx) error { return errTest },
	} {
		e.update(deleteRange(kv.Range{}))
		for i := range 20 {
			e.update(func(tx kv.Tx) error { return tx.Add([]byte("n"), int64(i+1)) })
			e.update(both(put("other"), add("n2")))
			if i == 9 {
				e.update(both(add("n"), add("n")))
			}
		}
		err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
			return both(add("n"), between, add("n"), add("n"))(tx)
		})
		if err != nil && err != errTest {
			e.Fatal(err)
		}
		want := wantBusy(name)
		if got := e.counter("n"); got != want {
			e.Errorf("%s: %d, want %d", name, got, want)
		}
		for range 20 {
			e.update(add("n"))
		}
		if got := e.counter("n"); got != want+20 {
			e.Errorf("%s: then %d, want %d", name, got, want+20)
		}
	}
}

// wantBusy is what busyCounterCase has counted up to and with the write between.
func wantBusy(between string) int64 {
	const before = 20*21/2 + 2
	switch between {
	case "put":
		return 1000 + 2
	case "append":
		return before + 3
	case "failure":
		return before
	}
	return 2
}

// numbers returns the numbers in a log, in order.
func (e *env) numbers(log string) []uint64 {
	e.Helper()
	var out []uint64
	e.view(func(r kv.Reader) error {
		for entry, err := range r.Scan(kv.LogRange([]byte(log), 0), kv.ScanOptions{}) {
			e.ok(err)
			n, err := kv.LogSeq([]byte(log), entry.Key)
			e.ok(err)
			out = append(out, n)
		}
		return nil
	})
	return out
}

func appendCase(e *env) {
	log := kv.Key("logs").Str("a")
	other := kv.Key("logs").Str("b")
	for range 3 {
		e.update(func(tx kv.Tx) error {
			e.ok(tx.Append(log, []byte("1")))
			e.ok(tx.Append(other, []byte("other")))
			e.ok(tx.Append(log, []byte("2")))
			// What is appended has no number yet, and cannot be read.
			for range tx.Scan(kv.LogRange(other, 1<<40), kv.ScanOptions{}) {
				e.Error("an appended value was read")
			}
			return nil
		})
	}
	last, values := uint64(0), ""
	e.view(func(r kv.Reader) error {
		for entry, err := range r.Scan(kv.LogRange(log, 0), kv.ScanOptions{}) {
			e.ok(err)
			n, err := kv.LogSeq(log, entry.Key)
			e.ok(err)
			if n <= last {
				e.Fatalf("number %d after %d", n, last)
			}
			last = n
			values += string(entry.Value)
		}
		return nil
	})
	e.eq(values, "121212")
	e.eq(len(e.numbers(string(other))), 3)
}

func appendNeverAgainCase(e *env) {
	last := uint64(0)
	for round := range 6 {
		e.update(func(tx kv.Tx) error { return tx.Append([]byte("log"), nil) })
		ns := e.numbers("log")
		e.eq(len(ns), 1)
		if ns[0] <= last {
			e.Fatalf("round %d: number %d after %d", round, ns[0], last)
		}
		last = ns[0]
		e.update(func(tx kv.Tx) error { return tx.DeleteRange(kv.Range{}) })
		if round%2 == 1 && !e.b.Forgets {
			e.reopen()
		}
	}
}

func appendDeleteCase(e *env) {
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Append([]byte("log"), []byte("before")))
		e.ok(tx.DeleteRange(prefix("log")))
		return tx.Append([]byte("log"), []byte("after"))
	})
	e.view(func(r kv.Reader) error {
		for entry, err := range r.Scan(prefix("log"), kv.ScanOptions{}) {
			e.ok(err)
			e.eq(string(entry.Value), "after")
		}
		return nil
	})
	e.eq(len(e.numbers("log")), 1)
}

func savepointCase(e *env) {
	e.put("a", "1", "b", "2", "c", "3")
	e.update(func(tx kv.Tx) error { return tx.Add([]byte("n"), 1) })
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Put([]byte("a"), []byte("A")))
		e.ok(tx.Put([]byte("own"), []byte("x")))
		e.ok(tx.Add([]byte("n"), 10))
		before, err := dump(tx, kv.Range{}, kv.ScanOptions{})
		e.ok(err)
		rollback := tx.Savepoint()
		e.ok(tx.Put([]byte("a"), []byte("rolled back")))
		e.ok(tx.Put([]byte("new"), []byte("rolled back")))
		e.ok(tx.Delete([]byte("b")))
		e.ok(tx.Add([]byte("n"), 100))
		e.ok(tx.Append([]byte("log"), []byte("rolled back")))
		e.ok(tx.DeleteRange(kv.Range{}))
		e.ok(tx.Put([]byte("own"), []byte("rolled back")))
		rollback()
		after, err := dump(tx, kv.Range{}, kv.ScanOptions{})
		e.ok(err)
		e.eq(after, before)
		rollback()
		return tx.Put([]byte("later"), []byte("kept"))
	})
	e.eq(e.counter("n"), 11)
	e.update(func(tx kv.Tx) error { return tx.Delete([]byte("n")) })
	e.eq(e.all(), "a=A b=2 c=3 later=kept own=x")
}

func nestedSavepointCase(e *env) {
	e.put("a", "1", "b", "1")
	e.update(func(tx kv.Tx) error {
		state := func() string {
			out, err := dump(tx, kv.Range{}, kv.ScanOptions{})
			e.ok(err)
			return out
		}
		outer := tx.Savepoint()
		e.ok(tx.DeleteRange(span("a", "b")))
		e.ok(tx.Put([]byte("c"), []byte("1")))
		mid := state()
		inner := tx.Savepoint()
		e.ok(tx.DeleteRange(span("b", "z")))
		e.ok(tx.Put([]byte("a"), []byte("2")))
		e.eq(state(), "a=2")
		inner()
		e.eq(state(), mid)
		e.ok(tx.Put([]byte("d"), []byte("1")))
		kept := tx.Savepoint()
		e.ok(tx.Put([]byte("e"), []byte("1")))
		outer()
		e.eq(state(), "a=1 b=1")
		// The inner ones are gone, whatever comes in their place.
		for _, k := range []string{"p", "q", "r", "s"} {
			e.ok(tx.Put([]byte(k), nil))
		}
		for range 3 {
			tx.Savepoint()
		}
		kept()
		inner()
		e.eq(state(), "a=1 b=1 p= q= r= s=")
		return nil
	})
	e.eq(e.all(), "a=1 b=1 p= q= r= s=")
}

// writeDuringScanCase: a scan goes on, whatever is written meanwhile, and yields in order what nobody touched.
func writeDuringScanCase(e *env) {
	for i := range 50 {
		e.put(string(kv.Key("k").Int(int64(2*i))), "v")
	}
	for _, reverse := range []bool{false, true} {
		err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
			i, seen := 0, 0
			var last []byte
			for entry, err := range tx.Scan(prefix("k"), kv.ScanOptions{Reverse: reverse}) {
				e.ok(err)
				if last != nil && (string(entry.Key) > string(last)) == reverse {
					e.Fatal("out of order")
				}
				last = entry.Key
				seen++
				e.ok(tx.Delete(entry.Key))
				e.ok(tx.Put(kv.Key("other").Int(int64(i)), nil))
				rollback := tx.Savepoint()
				e.ok(tx.DeleteRange(prefix("other")))
				rollback()
				i++
			}
			e.eq(seen, 50)
			return errTest
		})
		e.is(err, errTest)
	}
}
