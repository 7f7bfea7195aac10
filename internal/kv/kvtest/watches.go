package kvtest

import (
	"context"
	"fmt"
	"sync"

	"croft/internal/kv"
)

func watchCases() map[string]func(*env) {
	return map[string]func(*env){
		"every kind of write":      watchKindsCase,
		"several watches":          watchSeveralCase,
		"the change can be read":   watchReadCase,
		"no wake-up is lost":       watchLostCase,
		"closing":                  watchCloseCase,
		"an undone write is quiet": watchUndoneCase,
	}
}

func watchKindsCase(e *env) {
	e.put("a/1", "", "a/2", "")
	for _, c := range []struct {
		name   string
		prefix string
		write  func(kv.Tx) error
	}{
		{"put", "a/", put("a/3")},
		{"put of the prefix", "a/3", put("a/3")},
		{"delete", "a/", del("a/1")},
		{"add", "a/", add("a/n")},
		{"append", "a/log", appendTo("a/log")},
		{"append below a longer prefix", "a/log\x00", appendTo("a/log")},
		{"delete range around", "a/", deleteRange(kv.Range{})},
		{"delete range inside", "a/", deleteRange(span("a/1", "a/2"))},
		{"delete range up into", "a/", deleteRange(span("A", "a/5"))},
		{"delete range out of", "a/", deleteRange(span("a/2", "b"))},
		{"delete range without an end", "a/", deleteRange(span("a/2", ""))},
		{"all", "", put("zzz")},
		{"highest", "\xff\xff", put("\xff\xff\xff")},
	} {
		w := e.s.Watch([]byte(c.prefix))
		e.update(c.write)
		await(e, w.C(), c.name)
		w.Close()
	}
}

func watchSeveralCase(e *env) {
	var ws []kv.Watch
	for _, p := range []string{"", "a", "a", "ab", "abc", "abcd"} {
		w := e.s.Watch([]byte(p))
		defer w.Close()
		ws = append(ws, w)
	}
	elsewhere := e.s.Watch([]byte("b"))
	defer elsewhere.Close()
	e.put("abcd", "", "x", "")
	for i, w := range ws {
		await(e, w.C(), fmt.Sprint("watch ", i))
	}
	// Several commits may be one value: the channel holds no more than it must.
	for range 100 {
		e.put("abc", "")
	}
	await(e, ws[4].C(), "the many")
}

func watchReadCase(e *env) {
	w := e.s.Watch([]byte("n"))
	defer w.Close()
	for i := range 200 {
		done := make(chan error, 1)
		go func() {
			done <- e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error { return tx.Add([]byte("n"), 1) })
		}()
		for e.counter("n") <= int64(i) {
			await(e, w.C(), "the change")
		}
		e.ok(await(e, done, "Update"))
	}
}

func watchLostCase(e *env) {
	const writers, each = 8, 50
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error { return tx.Add([]byte("n"), 1) })
				if err != nil {
					e.Error(err)
				}
			}
		})
	}
	w := e.s.Watch([]byte("n"))
	defer w.Close()
	for e.counter("n") < writers*each {
		await(e, w.C(), "the next change")
	}
	wg.Wait()
}

func watchCloseCase(e *env) {
	w := e.s.Watch([]byte("a"))
	other := e.s.Watch([]byte("a"))
	defer other.Close()
	w.Close()
	w.Close()
	e.put("a", "1")
	await(e, other.C(), "the other watch")
	select {
	case _, open := <-w.C():
		if !open {
			e.Error("C was closed")
		}
	default:
	}
	e.ok(e.s.Close())
	e.s.Watch([]byte("a")).Close()
}

// watchUndoneCase: spurious values are allowed, so all that can be asked is that nothing breaks.
func watchUndoneCase(e *env) {
	w := e.s.Watch([]byte("a"))
	defer w.Close()
	err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
		rollback := tx.Savepoint()
		e.ok(tx.Put([]byte("a"), nil))
		rollback()
		return tx.Put([]byte("b"), nil)
	})
	e.ok(err)
	e.put("a", "1")
	await(e, w.C(), "the true change")
}
