package kvtest

import (
	"context"
	"errors"
	"slices"

	"croft/internal/kv"
)

// meeting is one transaction that another one overtakes: first reads, other commits, first writes and tries to commit.
type meeting struct {
	first func(tx kv.Tx) error
	other func(tx kv.Tx) error
	// runs is how often first runs: twice if other spoils it, once if not.
	runs int
}

func get(key string) func(kv.Tx) error {
	return func(tx kv.Tx) error {
		_, err := tx.Get([]byte(key))
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		return err
	}
}

func scan(r kv.Range, o kv.ScanOptions) func(kv.Tx) error {
	return func(tx kv.Tx) error {
		_, err := dump(tx, r, o)
		return err
	}
}

// scanUntil leaves the scan at key.
func scanUntil(key string, r kv.Range, o kv.ScanOptions) func(kv.Tx) error {
	return func(tx kv.Tx) error {
		for entry, err := range tx.Scan(r, o) {
			if err != nil || string(entry.Key) == key {
				return err
			}
		}
		return nil
	}
}

func put(key string) func(kv.Tx) error {
	return func(tx kv.Tx) error { return tx.Put([]byte(key), []byte("other")) }
}

func del(key string) func(kv.Tx) error {
	return func(tx kv.Tx) error { return tx.Delete([]byte(key)) }
}

func add(key string) func(kv.Tx) error {
	return func(tx kv.Tx) error { return tx.Add([]byte(key), 1) }
}

func appendTo(log string) func(kv.Tx) error {
	return func(tx kv.Tx) error { return tx.Append([]byte(log), nil) }
}

func deleteRange(r kv.Range) func(kv.Tx) error {
	return func(tx kv.Tx) error { return tx.DeleteRange(r) }
}

func guard(r kv.Range) func(kv.Tx) error {
	return func(tx kv.Tx) error { return tx.Guard(r) }
}

func loosely(fn func(kv.Reader) error) func(kv.Tx) error {
	return func(tx kv.Tx) error { return fn(tx.Loose()) }
}

func both(fns ...func(kv.Tx) error) func(kv.Tx) error {
	return func(tx kv.Tx) error {
		for _, fn := range fns {
			if err := fn(tx); err != nil {
				return err
			}
		}
		return nil
	}
}

// meetings: the store holds b, d, f, h, the counter n and the log "log" with one entry.
func meetings() map[string]meeting {
	rev := kv.ScanOptions{Reverse: true}
	all := kv.ScanOptions{}
	return map[string]meeting{
		"get, put":                             {get("b"), put("b"), 2},
		"get, delete":                          {get("b"), del("b"), 2},
		"get, delete range":                    {get("b"), deleteRange(span("a", "c")), 2},
		"get, delete range beside":             {get("b"), deleteRange(span("b2", "c")), 1},
		"get, delete range of all":             {get("b"), deleteRange(kv.Range{}), 2},
		"get, add":                             {get("n"), add("n"), 2},
		"get and add, add":                     {both(get("n"), add("n")), add("n"), 2},
		"get, other put":                       {get("b"), put("d"), 1},
		"get of nothing, put":                  {get("c"), put("c"), 2},
		"get of nothing, other put":            {get("c"), put("c2"), 1},
		"many gets, one put":                   {both(get("x"), get("b"), get("a"), get("c"), get("b")), put("a"), 2},
		"scan, put in it":                      {scan(span("b", "g"), all), put("c"), 2},
		"scan, put at its start":               {scan(span("c", "g"), all), put("c"), 2},
		"scan, put at its end":                 {scan(span("b", "g"), all), put("g"), 1},
		"scan, put before it":                  {scan(span("b", "g"), all), put("a"), 1},
		"scan, delete in it":                   {scan(span("b", "g"), all), del("d"), 2},
		"scan, change in it":                   {scan(span("b", "g"), all), put("f"), 2},
		"scan, delete range across it":         {scan(span("c", "g"), all), deleteRange(span("a", "e")), 2},
		"scan, delete range inside it":         {scan(span("a", "z"), all), deleteRange(span("c", "e")), 2},
		"scan, delete range up to it":          {scan(span("c", "g"), all), deleteRange(span("a", "c")), 1},
		"scan, delete range behind it":         {scan(span("c", "g"), all), deleteRange(span("g", "")), 1},
		"scan of nothing, put in it":           {scan(span("x", "y"), all), put("x1"), 2},
		"scan of nothing, put behind":          {scan(span("x", "y"), all), put("y"), 1},
		"scan to the end, put far behind":      {scan(span("h", ""), all), put("\xff\xff\xff"), 2},
		"limited scan, put behind":             {scan(span("a", ""), kv.ScanOptions{Limit: 2}), put("e"), 1},
		"limited scan, put before the last":    {scan(span("a", ""), kv.ScanOptions{Limit: 2}), put("c"), 2},
		"limited scan, change of the last":     {scan(span("a", ""), kv.ScanOptions{Limit: 2}), put("d"), 2},
		"left scan, put behind":                {scanUntil("d", kv.Range{}, all), put("e"), 1},
		"left scan, put before":                {scanUntil("d", kv.Range{}, all), put("c"), 2},
		"left scan, right behind its last":     {scanUntil("d", kv.Range{}, all), put("d\x00"), 1},
		"reverse scan, put in it":              {scan(span("b", "g"), rev), put("c"), 2},
		"reverse scan, put at its end":         {scan(span("b", "g"), rev), put("g"), 1},
		"reverse left scan, put before":        {scanUntil("f", span("", "g"), rev), put("e"), 1},
		"reverse left scan, put behind":        {scanUntil("d", span("", "g"), rev), put("e"), 2},
		"reverse left scan, change":            {scanUntil("d", span("", "g"), rev), put("d"), 2},
		"scan, append in it":                   {scan(prefix("log"), all), appendTo("log"), 2},
		"limited scan of a log, append":        {scan(prefix("log"), kv.ScanOptions{Limit: 1}), appendTo("log"), 1},
		"loose get, put":                       {loosely(func(r kv.Reader) error { _, err := r.Get([]byte("b")); return err }), put("b"), 1},
		"loose scan, put":                      {loosely(func(r kv.Reader) error { _, err := dump(r, kv.Range{}, all); return err }), put("c"), 1},
		"guard, put in it":                     {guard(span("b", "d")), put("c"), 2},
		"guard, put beside":                    {guard(span("b", "d")), put("d"), 1},
		"guard, delete range over it":          {guard(span("b", "d")), deleteRange(kv.Range{}), 2},
		"guard of an empty range, put":         {guard(span("b", "b")), put("b"), 1},
		"guard without an end, put":            {guard(span("x", "")), put("z"), 2},
		"put, put":                             {put("b"), put("b"), 1},
		"delete, put":                          {del("b"), put("b"), 1},
		"delete range, put in it":              {deleteRange(span("a", "z")), put("c"), 1},
		"add, add":                             {add("n"), add("n"), 1},
		"append, append":                       {appendTo("log"), appendTo("log"), 1},
		"taken back writes leave their reads":  {both(func(tx kv.Tx) error { rollback := tx.Savepoint(); err := get("b")(tx); rollback(); return err }), put("b"), 2},
		"own put does not hide an earlier get": {both(get("b"), put("b")), put("b"), 2},
	}
}

func conflictCases() map[string]func(*env) {
	cases := map[string]func(*env){}
	for name, m := range meetings() {
		cases[name] = func(e *env) { meetingCase(e, m) }
	}
	cases["guard alone"] = guardAloneCase
	cases["many notes"] = manyNotesCase
	return cases
}

func meetingCase(e *env, m meeting) {
	e.put("b", "", "d", "", "f", "", "h", "")
	e.update(both(add("n"), appendTo("log")))
	runs := 0
	e.update(func(tx kv.Tx) error {
		runs++
		// The snapshot is there before the other commits, whatever first does.
		_, err := dump(tx.Loose(), span("b", "c"), kv.ScanOptions{})
		e.ok(err)
		e.ok(m.first(tx))
		if runs == 1 {
			e.update(m.other)
		}
		return tx.Put([]byte("~result"), []byte{byte(runs)})
	})
	e.eq(runs, m.runs)
}

func guardAloneCase(e *env) {
	runs := 0
	e.update(func(tx kv.Tx) error {
		runs++
		e.ok(tx.Guard(prefix("a")))
		if runs == 1 {
			e.put("a", "1")
		}
		return nil
	})
	e.eq(runs, 2)
}

// manyNotesCase: a transaction that reads very much keeps its promise, and comes to an end on a quiet store.
func manyNotesCase(e *env) {
	e.put("b", "")
	runs := 0
	e.update(func(tx kv.Tx) error {
		runs++
		for i := range 100_000 {
			if _, err := tx.Get(kv.Key("x").Uint(uint64(i))); err != nil && !errors.Is(err, kv.ErrNotFound) {
				return err
			}
		}
		if runs == 1 {
			e.update(func(tx kv.Tx) error { return tx.Put(kv.Key("x").Uint(77), nil) })
			return tx.Put([]byte("result"), nil)
		}
		return nil
	})
	e.eq(runs, 2)
}

func retryCases() map[string]func(*env) {
	return map[string]func(*env){
		"tries are bounded":                  boundedCase,
		"an error of stale reads is retried": staleErrorCase,
		"a true error is reported at once":   trueErrorCase,
		"a long transaction among many":      longCase,
		"panic":                              panicCase,
		"context before":                     ctxBeforeCase,
		"context during":                     ctxDuringCase,
		"context during a scan":              ctxScanCase,
	}
}

func boundedCase(e *env) {
	runs := 0
	err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
		if runs++; runs > 10_000 {
			return errTest
		}
		_, err := tx.Get([]byte("n"))
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		e.update(add("n"))
		return tx.Put([]byte("mine"), nil)
	})
	e.is(err, kv.ErrConflict)
	if runs < 3 {
		e.Errorf("only %d tries", runs)
	}
	e.eq(e.counter("n"), runs)
	e.update(del("n"))
	e.eq(e.all(), "")
}

func staleErrorCase(e *env) {
	runs := 0
	err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
		runs++
		_, err := tx.Get([]byte("a"))
		if runs == 1 {
			e.put("a", "1")
		}
		if err != nil {
			return errTest
		}
		return nil
	})
	e.ok(err)
	e.eq(runs, 2)
}

func trueErrorCase(e *env) {
	e.put("a", "1", "b", "1")
	runs := 0
	err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
		runs++
		_, err := tx.Get([]byte("a"))
		e.ok(err)
		_, err = tx.Loose().Get([]byte("b"))
		e.ok(err)
		e.put("b", "2", "c", "2")
		e.ok(tx.Put([]byte("mine"), nil))
		return errTest
	})
	e.is(err, errTest)
	e.eq(runs, 1)
	e.eq(e.all(), "a=1 b=2 c=2")
}

// longCase: what a long transaction has read stays checked, however many commits pass.
func longCase(e *env) {
	e.put("read", "1")
	for _, spoil := range []bool{true, false} {
		runs := 0
		e.update(func(tx kv.Tx) error {
			runs++
			_, err := tx.Get([]byte("read"))
			e.ok(err)
			if runs > 1 {
				return tx.Put([]byte("mine"), nil)
			}
			if spoil {
				e.put("read", "2")
			}
			for i := range 300 {
				e.update(func(tx kv.Tx) error {
					for j := range 300 {
						e.ok(tx.Put(kv.Key("x").Int(int64(i)).Int(int64(j)), nil))
					}
					return nil
				})
			}
			return tx.Put([]byte("mine"), nil)
		})
		if spoil && runs != 2 || runs > 2 {
			e.Fatalf("spoiled %v: %d runs", spoil, runs)
		}
	}
}

func panicCase(e *env) {
	e.put("a", "1")
	for _, run := range []func(){
		func() {
			_ = e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
				e.ok(tx.Put([]byte("a"), []byte("2")))
				for range tx.Scan(kv.Range{}, kv.ScanOptions{}) {
					panic(errTest)
				}
				return nil
			})
		},
		func() {
			_ = e.s.View(e.ctx, func(_ context.Context, r kv.Reader) error {
				for range r.Scan(kv.Range{}, kv.ScanOptions{}) {
					panic(errTest)
				}
				return nil
			})
		},
	} {
		func() {
			defer func() {
				if p := recover(); p != errTest {
					e.Fatalf("recovered %v", p)
				}
			}()
			run()
		}()
	}
	e.eq(e.all(), "a=1")
	e.ok(e.s.Close())
}

func ctxBeforeCase(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	err := e.s.Update(ctx, func(context.Context, kv.Tx) error { e.Error("Update ran"); return nil })
	e.is(err, context.Canceled)
	err = e.s.View(ctx, func(context.Context, kv.Reader) error { e.Error("View ran"); return nil })
	e.is(err, context.Canceled)
}

func ctxDuringCase(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	err := e.s.Update(ctx, func(_ context.Context, tx kv.Tx) error {
		e.ok(tx.Put([]byte("a"), nil))
		cancel()
		return nil
	})
	e.is(err, context.Canceled)
	e.eq(e.all(), "")
	// A transaction that keeps losing stops when its context does.
	ctx, cancel = context.WithCancel(e.ctx)
	defer cancel()
	runs := 0
	err = e.s.Update(ctx, func(_ context.Context, tx kv.Tx) error {
		runs++
		e.ok(tx.Guard(prefix("n")))
		e.update(add("n"))
		if runs == 3 {
			cancel()
		}
		return tx.Put([]byte("a"), nil)
	})
	e.is(err, context.Canceled)
	e.eq(runs, 3)
}

func ctxScanCase(e *env) {
	keys := make([]string, 0, 20_000)
	for i := range 10_000 {
		keys = append(keys, string(kv.Key("k").Int(int64(i))), "")
	}
	for part := range slices.Chunk(keys, 2000) {
		e.put(part...)
	}
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	n := 0
	err := e.s.View(ctx, func(_ context.Context, r kv.Reader) error {
		for _, err := range r.Scan(kv.Range{}, kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			if n++; n == 10 {
				cancel()
			}
		}
		return nil
	})
	e.is(err, context.Canceled)
	if n > 5000 {
		e.Errorf("the scan went on for %d entries", n)
	}
}
