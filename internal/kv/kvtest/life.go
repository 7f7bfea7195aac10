package kvtest

import (
	"context"
	"path/filepath"

	"croft/internal/kv"
)

func lifeCases() map[string]func(*env) {
	return map[string]func(*env){
		"reopen":                 reopenCase,
		"close":                  closeCase,
		"close waits":            closeWaitsCase,
		"checkpoint":             checkpointCase,
		"checkpoint of nothing":  emptyCheckpointCase,
		"checkpoint under load":  busyCheckpointCase,
		"many writes and reopen": bulkCase,
	}
}

func reopenCase(e *env) {
	if e.b.Forgets {
		e.Skip("the store forgets")
	}
	e.put("a", "1")
	e.update(both(add("n"), add("n"), appendTo("log")))
	e.reopen()
	e.eq(e.counter("n"), 2)
	e.eq(len(e.numbers("log")), 1)
	e.update(both(add("n"), deleteRange(prefix("log"))))
	e.reopen()
	e.eq(e.counter("n"), 3)
	e.update(del("n"))
	e.eq(e.all(), "a=1")
}

func closeCase(e *env) {
	e.put("a", "1")
	e.ok(e.s.Close())
	_ = e.s.Close()
	e.is(e.s.View(e.ctx, func(context.Context, kv.Reader) error { return nil }), kv.ErrClosed)
	e.is(e.s.Update(e.ctx, func(context.Context, kv.Tx) error { return nil }), kv.ErrClosed)
	e.is(e.s.Checkpoint(e.ctx, filepath.Join(e.TempDir(), "copy")), kv.ErrClosed)
}

func closeWaitsCase(e *env) {
	inside, goOn := make(chan struct{}), make(chan struct{})
	updated, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		updated <- e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
			close(inside)
			<-goOn
			return tx.Put([]byte("a"), []byte("1"))
		})
	}()
	await(e, inside, "the transaction")
	go func() { closed <- e.s.Close() }()
	select {
	case <-closed:
		e.Error("Close did not wait")
	default:
	}
	close(goOn)
	e.ok(await(e, updated, "Update"))
	e.ok(await(e, closed, "Close"))
	if !e.b.Forgets {
		e.s = e.b.Open(e.T)
		e.eq(e.all(), "a=1")
	}
}

func checkpointCase(e *env) {
	e.put("a", "1", "b", "2")
	e.update(appendTo("log"))
	before := e.all()
	dir := filepath.Join(e.TempDir(), "copy")
	e.ok(e.s.Checkpoint(e.ctx, dir))
	e.put("a", "changed", "c", "3")
	if err := e.s.Checkpoint(e.ctx, dir); err == nil {
		e.Error("a checkpoint was written over another")
	}
	here := e.all()
	last := e.numbers("log")[0]
	copied := *e
	copied.s = e.b.OpenCopy(e.T, dir)
	copied.eq(copied.all(), before)
	copied.update(both(put("only there"), appendTo("log")))
	if n := copied.numbers("log"); len(n) != 2 || n[1] <= last {
		e.Errorf("numbers in the copy: %v, the last here was %d", n, last)
	}
	e.eq(e.all(), here)
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	e.is(e.s.Checkpoint(ctx, dir+"2"), context.Canceled)
}

func emptyCheckpointCase(e *env) {
	dir := filepath.Join(e.TempDir(), "deep", "copy")
	e.ok(e.s.Checkpoint(e.ctx, dir))
	copied := *e
	copied.s = e.b.OpenCopy(e.T, dir)
	copied.eq(copied.all(), "")
}

// busyCheckpointCase: pairs of counters that always agree do so in every copy.
func busyCheckpointCase(e *env) {
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
				return both(add("x"), put("filler"), add("y"))(tx)
			})
			if err != nil {
				stopped <- err
				return
			}
		}
	}()
	root := e.TempDir()
	for i := range 3 {
		for e.counter("x") < int64(50*(i+1)) {
			e.update(add("z"))
		}
		dir := filepath.Join(root, string(rune('a'+i)))
		low := e.counter("x")
		e.ok(e.s.Checkpoint(e.ctx, dir))
		copied := *e
		copied.s = e.b.OpenCopy(e.T, dir)
		if x, y := copied.counter("x"), copied.counter("y"); x != y || x < low {
			e.Errorf("copy has %d and %d, at least %d was there", x, y, low)
		}
	}
	close(stop)
	e.ok(await(e, stopped, "the writer"))
}

// bulkCase writes enough for a store to move data between its levels, and looks at it from all sides.
func bulkCase(e *env) {
	const rounds, keys = 12, 300
	value := repeat('v', 4000)
	for round := range rounds {
		e.update(func(tx kv.Tx) error {
			for i := range keys {
				n := int64(i*rounds + round)
				e.ok(tx.Put(kv.Key("k").Int(n), value))
				e.ok(tx.Add(kv.Key("n").Int(n%7), n))
			}
			return nil
		})
		e.update(func(tx kv.Tx) error {
			return tx.DeleteRange(kv.Range{Start: kv.Key("k").Int(int64(round * 10)), End: kv.Key("k").Int(int64(round*10 + 3))})
		})
	}
	if !e.b.Forgets {
		e.reopen()
	}
	e.view(func(r kv.Reader) error {
		count := func(o kv.ScanOptions) (n int) {
			for entry, err := range r.Scan(prefix("k"), o) {
				e.ok(err)
				e.eq(len(entry.Value), len(value))
				n++
			}
			return n
		}
		e.eq(count(kv.ScanOptions{}), count(kv.ScanOptions{Reverse: true}))
		return nil
	})
	sum := int64(0)
	for i := range 7 {
		sum += e.counter(string(kv.Key("n").Int(int64(i))))
	}
	e.eq(sum, rounds*keys*(rounds*keys-1)/2)
}
