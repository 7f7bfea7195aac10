package kvtest

import (
	"context"

	"croft/internal/kv"
)

func joinCases() map[string]func(*env) {
	return map[string]func(*env){
		"update joins update":                 joinCase,
		"a failed joined update is undone":    joinFailCase,
		"an outer failure undoes the inner":   joinOuterFailCase,
		"view joins update":                   viewJoinsUpdateCase,
		"view joins view":                     viewJoinsViewCase,
		"update in view":                      updateInViewCase,
		"detached":                            detachCase,
		"depth":                               depthCase,
		"joined reads count for the conflict": joinConflictCase,
	}
}

func joinCase(e *env) {
	err := e.s.Update(e.ctx, func(ctx context.Context, tx kv.Tx) error {
		e.eq(kv.InTx(ctx, e.s), true)
		e.ok(tx.Put([]byte("outer"), []byte("1")))
		e.ok(e.s.Update(ctx, func(ctx context.Context, tx kv.Tx) error {
			v, err := tx.Get([]byte("outer"))
			e.ok(err)
			e.eq(string(v), "1")
			return e.s.Update(ctx, put2("inner"))
		}))
		// Nothing is committed yet.
		e.eq(e.all(), "")
		got, err := dump(tx, kv.Range{}, kv.ScanOptions{})
		e.ok(err)
		e.eq(got, "inner=2 outer=1")
		return nil
	})
	e.ok(err)
	e.eq(e.all(), "inner=2 outer=1")
	e.eq(kv.InTx(e.ctx, e.s), false)
}

func put2(key string) func(context.Context, kv.Tx) error {
	return func(_ context.Context, tx kv.Tx) error { return tx.Put([]byte(key), []byte("2")) }
}

func joinFailCase(e *env) {
	e.put("a", "1")
	err := e.s.Update(e.ctx, func(ctx context.Context, tx kv.Tx) error {
		e.ok(tx.Put([]byte("b"), []byte("outer")))
		err := e.s.Update(ctx, func(ctx context.Context, tx kv.Tx) error {
			e.ok(e.s.Update(ctx, put2("c")))
			e.ok(tx.DeleteRange(kv.Range{}))
			e.ok(tx.Put([]byte("b"), []byte("inner")))
			return errTest
		})
		e.is(err, errTest)
		return nil
	})
	e.ok(err)
	e.eq(e.all(), "a=1 b=outer")
}

func joinOuterFailCase(e *env) {
	err := e.s.Update(e.ctx, func(ctx context.Context, _ kv.Tx) error {
		e.ok(e.s.Update(ctx, put2("a")))
		return errTest
	})
	e.is(err, errTest)
	e.eq(e.all(), "")
}

func viewJoinsUpdateCase(e *env) {
	err := e.s.Update(e.ctx, func(ctx context.Context, tx kv.Tx) error {
		e.ok(tx.Put([]byte("a"), []byte("own")))
		return e.s.View(ctx, func(ctx context.Context, r kv.Reader) error {
			v, err := r.Get([]byte("a"))
			e.ok(err)
			e.eq(string(v), "own")
			// Still the same transaction.
			return e.s.Update(ctx, put2("b"))
		})
	})
	e.ok(err)
	e.eq(e.all(), "a=own b=2")
}

func viewJoinsViewCase(e *env) {
	e.put("a", "1")
	err := e.s.View(e.ctx, func(ctx context.Context, r kv.Reader) error {
		_, err := r.Get([]byte("a"))
		e.ok(err)
		e.put("a", "2")
		return e.s.View(ctx, func(_ context.Context, r kv.Reader) error {
			v, err := r.Get([]byte("a"))
			e.ok(err)
			e.eq(string(v), "1")
			return errTest
		})
	})
	e.is(err, errTest)
}

func updateInViewCase(e *env) {
	err := e.s.View(e.ctx, func(ctx context.Context, _ kv.Reader) error {
		return e.s.Update(ctx, func(context.Context, kv.Tx) error { e.Error("ran"); return nil })
	})
	e.is(err, kv.ErrReadOnly)
}

func detachCase(e *env) {
	err := e.s.Update(e.ctx, func(ctx context.Context, tx kv.Tx) error {
		e.ok(tx.Put([]byte("a"), []byte("1")))
		free := kv.Detach(ctx, e.s)
		e.eq(kv.InTx(free, e.s), false)
		e.ok(e.s.Update(free, put2("b")))
		e.ok(e.s.View(free, func(_ context.Context, r kv.Reader) error {
			got, err := dump(r, kv.Range{}, kv.ScanOptions{})
			e.eq(got, "b=2")
			return err
		}))
		return errTest
	})
	e.is(err, errTest)
	e.eq(e.all(), "b=2")
	err = e.s.View(e.ctx, func(ctx context.Context, _ kv.Reader) error {
		return e.s.Update(kv.Detach(ctx, e.s), put2("c"))
	})
	e.ok(err)
	e.eq(e.all(), "b=2 c=2")
}

func depthCase(e *env) {
	depth := 0
	var deeper func(ctx context.Context, tx kv.Tx) error
	deeper = func(ctx context.Context, _ kv.Tx) error {
		if depth++; depth > 10*kv.MaxJoinDepth {
			return errTest
		}
		return e.s.Update(ctx, deeper)
	}
	e.is(e.s.Update(e.ctx, deeper), kv.ErrTooDeep)
	if depth < kv.MaxJoinDepth {
		e.Errorf("only %d deep", depth)
	}
}

func joinConflictCase(e *env) {
	runs := 0
	err := e.s.Update(e.ctx, func(ctx context.Context, tx kv.Tx) error {
		runs++
		e.ok(e.s.View(ctx, func(_ context.Context, r kv.Reader) error {
			_, err := dump(r, prefix("a"), kv.ScanOptions{})
			return err
		}))
		if runs == 1 {
			e.put("a", "1")
		}
		return e.s.Update(ctx, put2("b"))
	})
	e.ok(err)
	e.eq(runs, 2)
}
