package kvtest

import (
	"context"

	"croft/internal/kv"
)

func spaceCases() map[string]func(*env) {
	return map[string]func(*env){
		"isolation":           spaceCase,
		"one transaction":     spaceTxCase,
		"clear":               spaceClearCase,
		"watch":               spaceWatchCase,
		"conflicts":           spaceConflictCase,
		"limits":              spaceLimitCase,
		"counters and logs":   spaceLogCase,
		"prefixes of a space": spacePrefixCase,
	}
}

func spaceAll(e *env, s kv.Space) string {
	e.Helper()
	var out string
	e.ok(s.View(e.ctx, func(_ context.Context, r kv.Reader) (err error) {
		out, err = dump(r, kv.Range{}, kv.ScanOptions{})
		if err != nil {
			return err
		}
		loose, err := dump(r.Loose(), kv.Range{}, kv.ScanOptions{})
		e.eq(loose, out)
		return err
	}))
	return out
}

func spacePut(e *env, s kv.Space, key, value string) {
	e.Helper()
	e.ok(s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error { return tx.Put([]byte(key), []byte(value)) }))
}

func spaceCase(e *env) {
	a, ab := kv.NewSpace(e.s, "a"), kv.NewSpace(e.s, "ab")
	sub := a.Sub("b")
	spacePut(e, a, "k", "a")
	spacePut(e, ab, "k", "ab")
	spacePut(e, sub, "k", "sub")
	e.eq(spaceAll(e, ab), "k=ab")
	e.eq(spaceAll(e, sub), "k=sub")
	e.ok(a.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
		v, err := tx.Get([]byte("k"))
		e.ok(err)
		e.eq(string(v), "a")
		e.ok(tx.DeleteRange(kv.Range{Start: []byte("k")}))
		return tx.Delete([]byte("ab"))
	}))
	e.eq(spaceAll(e, ab), "k=ab")
	for entry, err := range readAll(e, sub) {
		e.ok(err)
		e.eq(string(entry.Key), "k")
	}
}

func readAll(e *env, s kv.Space) func(func(kv.Entry, error) bool) {
	return func(yield func(kv.Entry, error) bool) {
		e.ok(s.View(e.ctx, func(_ context.Context, r kv.Reader) error {
			r.Scan(kv.Range{}, kv.ScanOptions{Reverse: true, Limit: 1})(yield)
			return nil
		}))
	}
}

func spaceTxCase(e *env) {
	a, b := kv.NewSpace(e.s, "a"), kv.NewSpace(e.s, "b")
	err := a.Update(e.ctx, func(ctx context.Context, tx kv.Tx) error {
		e.ok(tx.Put([]byte("k"), []byte("1")))
		e.ok(b.Update(ctx, put2("k")))
		e.is(b.Update(ctx, func(_ context.Context, tx kv.Tx) error {
			e.ok(tx.Put([]byte("x"), nil))
			return errTest
		}), errTest)
		rollback := tx.Savepoint()
		e.ok(tx.Put([]byte("x"), nil))
		rollback()
		e.eq(kv.InTx(ctx, a.Store()), true)
		return nil
	})
	e.ok(err)
	e.eq(spaceAll(e, a), "k=1")
	e.eq(spaceAll(e, b), "k=2")
}

func spaceClearCase(e *env) {
	a, b, z := kv.NewSpace(e.s, "a"), kv.NewSpace(e.s, "b"), kv.NewSpace(e.s, "a\xff")
	for _, s := range []kv.Space{a, b, z} {
		spacePut(e, s, "k", "v")
		spacePut(e, s, "\xff\xff", "v")
	}
	e.ok(a.Clear(e.ctx))
	e.eq(spaceAll(e, a), "")
	e.eq(spaceAll(e, b), "k=v \xff\xff=v")
	e.eq(spaceAll(e, z), "k=v \xff\xff=v")
}

func spaceWatchCase(e *env) {
	a := kv.NewSpace(e.s, "a")
	w := a.Watch([]byte("q"))
	defer w.Close()
	spacePut(e, a, "q1", "")
	await(e, w.C(), "the put")
	e.ok(a.Clear(e.ctx))
	await(e, w.C(), "the clearing")
}

func spaceConflictCase(e *env) {
	a := kv.NewSpace(e.s, "a")
	for _, c := range []struct {
		read func(kv.Tx) error
		runs int
	}{
		{guard(prefix("k")), 2},
		{guard(prefix("x")), 1},
		{scan(kv.Range{}, kv.ScanOptions{}), 2},
		{loosely(func(r kv.Reader) error { _, err := dump(r, kv.Range{}, kv.ScanOptions{}); return err }), 1},
	} {
		runs := 0
		e.ok(a.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
			runs++
			e.ok(c.read(tx))
			if runs == 1 {
				spacePut(e, a, "k", "")
			}
			return tx.Put([]byte("mine"), nil)
		}))
		e.eq(runs, c.runs)
		e.ok(a.Clear(e.ctx))
	}
}

func spaceLimitCase(e *env) {
	a := kv.NewSpace(e.s, "some prefix")
	err := a.Update(e.ctx, func(_ context.Context, tx kv.Tx) error { return tx.Put(repeat('k', kv.MaxKeyBytes), nil) })
	e.is(err, kv.ErrTooLarge)
}

func spaceLogCase(e *env) {
	a := kv.NewSpace(e.s, "a")
	log := kv.Key("log")
	e.ok(a.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
		e.ok(tx.Add([]byte("n"), 3))
		return tx.Append(log, []byte("entry"))
	}))
	e.ok(a.View(e.ctx, func(_ context.Context, r kv.Reader) error {
		v, err := r.Get([]byte("n"))
		e.ok(err)
		e.eq(kv.Int64(v), 3)
		n := 0
		for entry, err := range r.Scan(kv.LogRange(log, 0), kv.ScanOptions{}) {
			e.ok(err)
			_, err = kv.LogSeq(log, entry.Key)
			e.ok(err)
			n++
		}
		e.eq(n, 1)
		return nil
	}))
}

func spacePrefixCase(e *env) {
	// An empty part is a part, and a part with zero bytes is not two.
	spaces := []kv.Space{
		kv.NewSpace(e.s, ""), kv.NewSpace(e.s, "", ""), kv.NewSpace(e.s, "\x00"), kv.NewSpace(e.s, "\x00\x01"),
		kv.NewSpace(e.s, "\xff"), kv.NewSpace(e.s, "\xff", "\xff"), kv.NewSpace(e.s, "a\x00", "b"), kv.NewSpace(e.s, "a", "\x00b"),
	}
	for i, s := range spaces {
		spacePut(e, s, "k", string(rune('a'+i)))
	}
	for i, s := range spaces {
		e.ok(s.View(e.ctx, func(_ context.Context, r kv.Reader) error {
			v, err := r.Get([]byte("k"))
			e.ok(err)
			e.eq(string(v), string(rune('a'+i)))
			return nil
		}))
	}
}
