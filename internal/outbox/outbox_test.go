package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/kv/pebblekv"
	"croft/internal/lease"
	"croft/internal/outbox"
	"croft/internal/service"
	"croft/internal/service/servicetest"
	"croft/internal/timer"
	"croft/internal/wire"
)

// start runs a cloud whose only service has the given handlers.
func start(t *testing.T, handlers map[string]outbox.Handler) *servicetest.Env {
	t.Helper()
	return servicetest.New(t, func(service.Deps) service.Descriptor {
		return service.Descriptor{API: &wire.Service{Name: "test"}, Outbox: handlers}
	})
}

func put(t *testing.T, env *servicetest.Env, messages ...outbox.Message) {
	t.Helper()
	must(t, env.Update(func(ctx context.Context) error {
		for _, m := range messages {
			if err := env.Deps.Outbox.Put(ctx, m); err != nil {
				return err
			}
		}
		return nil
	}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// effect is a counter in the store: what handlers do.
func effect(ctx context.Context, store kv.Store, name string) error {
	return kv.NewSpace(store, "effect").Update(ctx, func(_ context.Context, tx kv.Tx) error { return tx.Add([]byte(name), 1) })
}

func effects(t *testing.T, env *servicetest.Env, name string) (n int64) {
	t.Helper()
	must(t, kv.NewSpace(env.Deps.Store, "effect").View(env.Context(), func(_ context.Context, r kv.Reader) error {
		v, err := r.Get([]byte(name))
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		n = kv.Int64(v)
		return err
	}))
	return n
}

func TestPutNeedsATransaction(t *testing.T) {
	env := start(t, nil)
	if err := env.Deps.Outbox.Put(env.Context(), outbox.Message{Handler: "test.x"}); !errors.Is(err, outbox.ErrNoTransaction) {
		t.Error(err)
	}
}

func TestApply(t *testing.T) {
	var store kv.Store
	var got []outbox.Message
	var call cloud.Call
	env := start(t, map[string]outbox.Handler{"test.apply": {Apply: func(ctx context.Context, m outbox.Message) error {
		got, call = append(got, m), *cloud.CallOf(ctx)
		return effect(ctx, store, "applied")
	}}})
	store = env.Deps.Store
	put(t, env, outbox.Message{Handler: "test.apply", Key: "k", Body: []byte("one")}, outbox.Message{Handler: "test.apply", Key: "k", Body: []byte("two")})
	env.Settle()
	if len(got) != 2 || string(got[0].Body) != "one" || string(got[1].Body) != "two" || got[0].ID == "" || got[0].ID == got[1].ID {
		t.Errorf("handled %+v", got)
	}
	if call.Account != cloud.DefaultAccount || call.Region != cloud.DefaultRegion || call.Principal.Service != cloud.InternalService {
		t.Errorf("called by %+v", call)
	}
	if n := effects(t, env, "applied"); n != 2 {
		t.Errorf("%d effects", n)
	}
}

func TestNothingOfAFailedTransaction(t *testing.T) {
	var store kv.Store
	env := start(t, map[string]outbox.Handler{"test.apply": {Apply: func(ctx context.Context, _ outbox.Message) error {
		return effect(ctx, store, "applied")
	}}})
	store = env.Deps.Store
	failed := errors.New("no")
	err := env.Update(func(ctx context.Context) error {
		return errors.Join(env.Deps.Outbox.Put(ctx, outbox.Message{Handler: "test.apply"}), failed)
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	env.Settle()
	if n := effects(t, env, "applied"); n != 0 {
		t.Errorf("%d effects", n)
	}
}

// A message that fails leaves nothing behind, is tried again after growing pauses, and goes to Dead in the end.
func TestFailures(t *testing.T) {
	for _, kind := range []string{"apply", "deliver"} {
		t.Run(kind, func(t *testing.T) {
			var store kv.Store
			var attempts []int
			var given outbox.Message
			burials := 0
			try := func(ctx context.Context, m outbox.Message) error {
				attempts = append(attempts, m.Attempt)
				if kind == "apply" {
					if err := effect(ctx, store, "applied"); err != nil {
						return err
					}
				}
				return errors.New("broken")
			}
			h := outbox.Handler{Attempts: 3, Dead: func(ctx context.Context, m outbox.Message, cause error) error {
				if err := effect(ctx, store, "buried"); err != nil {
					return err
				}
				if burials++; burials == 1 {
					return errors.New("the graveyard is closed")
				}
				given = m
				return nil
			}}
			if kind == "apply" {
				h.Apply = try
			} else {
				h.Deliver = try
			}
			env := start(t, map[string]outbox.Handler{"test.h": h})
			store = env.Deps.Store
			put(t, env, outbox.Message{Handler: "test.h", ID: "id"})
			env.Settle()
			for range 8 {
				env.Advance(100 * time.Millisecond)
			}
			if !slices.Equal(attempts, []int{0, 1, 2}) || effects(t, env, "buried") != 0 {
				t.Fatalf("after 600 ms: attempts %v, %d buried", attempts, effects(t, env, "buried"))
			}
			env.Advance(time.Second)
			if !slices.Equal(attempts, []int{0, 1, 2, 2}) || given.ID != "id" || effects(t, env, "buried") != 1 || effects(t, env, "applied") != 0 {
				t.Errorf("attempts %v, given %+v, %d buried, %d applied", attempts, given, effects(t, env, "buried"), effects(t, env, "applied"))
			}
			env.Advance(time.Hour)
			if len(attempts) != 4 {
				t.Errorf("a dead message was tried again: %v", attempts)
			}
		})
	}
}

// A transaction that lost against others too often is put off and does not count as a failure.
func TestConflictIsNoFailure(t *testing.T) {
	var attempts []int
	env := start(t, map[string]outbox.Handler{"test.apply": {Attempts: 1, Apply: func(_ context.Context, m outbox.Message) error {
		if attempts = append(attempts, m.Attempt); len(attempts) < 4 {
			return fmt.Errorf("somewhere: %w", kv.ErrConflict)
		}
		return nil
	}}})
	put(t, env, outbox.Message{Handler: "test.apply"})
	env.Settle()
	for range 4 {
		env.Advance(time.Second)
	}
	if !slices.Equal(attempts, []int{0, 0, 0, 0}) {
		t.Errorf("attempts %v", attempts)
	}
}

// What no handler knows is kept until one does.
func TestUnknownHandlerKeepsTheMessage(t *testing.T) {
	store, timers, c, log := parts(t)
	first := outbox.New(store, timers, c, log)
	first.Start(lease.Local(), nil)
	timers.Start(lease.Local(), first.Timers())
	ctx := cloud.WithCall(t.Context(), cloud.InternalCall("000000000000", "us-east-1", c.Now()))
	must(t, store.Update(ctx, func(ctx context.Context, _ kv.Tx) error {
		return first.Put(ctx, outbox.Message{Handler: "test.later", Body: []byte("kept")})
	}))
	settle(t, store, first, timers)
	for range 30 {
		c.Advance(time.Minute)
		settle(t, store, first, timers)
	}
	first.Close()
	timers.Close()

	got := make(chan string, 1)
	again := timer.New(store, c, log)
	second := outbox.New(store, again, c, log)
	second.Start(lease.Local(), map[string]outbox.Handler{"test.later": {Apply: func(_ context.Context, m outbox.Message) error {
		got <- string(m.Body)
		return nil
	}}})
	again.Start(lease.Local(), second.Timers())
	t.Cleanup(func() { second.Close(); again.Close() })
	c.Advance(time.Minute)
	if body := <-got; body != "kept" {
		t.Error(body)
	}
}

// What was not delivered before Close is delivered after the next start.
func TestRestart(t *testing.T) {
	store, timers, c, log := parts(t)
	first := outbox.New(store, timers, c, log)
	began := make(chan struct{})
	first.Start(lease.Local(), map[string]outbox.Handler{"test.slow": {Deliver: func(ctx context.Context, _ outbox.Message) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}}})
	ctx := cloud.WithCall(t.Context(), cloud.InternalCall("000000000000", "us-east-1", c.Now()))
	must(t, store.Update(ctx, func(ctx context.Context, _ kv.Tx) error { return first.Put(ctx, outbox.Message{Handler: "test.slow"}) }))
	<-began
	first.Close()
	second := outbox.New(store, timers, c, log)
	done := make(chan int, 1)
	second.Start(lease.Local(), map[string]outbox.Handler{"test.slow": {Deliver: func(_ context.Context, m outbox.Message) error {
		done <- m.Attempt
		return nil
	}}})
	t.Cleanup(second.Close)
	if attempt := <-done; attempt != 0 {
		t.Errorf("the interrupted attempt counted: %d", attempt)
	}
}

// Endpoints that hang hold up neither their own kind nor the effects on other services.
func TestSlowDeliveries(t *testing.T) {
	const slow = 300
	release := make(chan struct{})
	var mu sync.Mutex
	delivered, applied := 0, make(chan struct{}, slow)
	env := start(t, map[string]outbox.Handler{
		"test.slow": {Deliver: func(ctx context.Context, _ outbox.Message) error {
			select {
			case <-release:
			case <-ctx.Done():
				return ctx.Err()
			}
			mu.Lock()
			defer mu.Unlock()
			delivered++
			return nil
		}},
		"test.fast": {Apply: func(context.Context, outbox.Message) error {
			applied <- struct{}{}
			return nil
		}},
	})
	for i := range slow {
		put(t, env, outbox.Message{Handler: "test.slow", Key: fmt.Sprint(i)})
	}
	for i := range slow {
		put(t, env, outbox.Message{Handler: "test.fast", Key: fmt.Sprint(i)})
	}
	for range slow {
		<-applied
	}
	close(release)
	env.Settle()
	if delivered != slow {
		t.Errorf("%d delivered", delivered)
	}
}

// A row that cannot be read is passed over, and the messages behind it are not.
func TestDamagedRow(t *testing.T) {
	got := make(chan string, 1)
	env := start(t, map[string]outbox.Handler{"test.apply": {Apply: func(_ context.Context, m outbox.Message) error {
		got <- string(m.Body)
		return nil
	}}})
	space := kv.NewSpace(env.Deps.Store, "!outbox")
	must(t, space.Update(env.Context(), func(_ context.Context, tx kv.Tx) error {
		for shard := range uint64(8) {
			if err := tx.Append(kv.Key(nil).Uint(shard), []byte("rubbish")); err != nil {
				return err
			}
		}
		return nil
	}))
	put(t, env, outbox.Message{Handler: "test.apply", Body: []byte("behind")})
	if body := <-got; body != "behind" {
		t.Error(body)
	}
}

func parts(t *testing.T) (kv.Store, *timer.Timers, *clock.Manual, *slog.Logger) {
	t.Helper()
	store, err := pebblekv.Open(pebblekv.Options{Ephemeral: true})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	c, log := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), slog.New(slog.DiscardHandler)
	return store, timer.New(store, c, log), c, log
}

// settle waits until nothing is left to do.
func settle(t *testing.T, store kv.Store, o *outbox.Outbox, timers *timer.Timers) {
	t.Helper()
	watch := store.Watch(nil)
	defer watch.Close()
	for {
		var rest, due bool
		must(t, store.View(t.Context(), func(ctx context.Context, _ kv.Reader) (err error) {
			if rest, err = o.Idle(ctx); err != nil {
				return err
			}
			due, err = timers.Idle(ctx)
			return err
		}))
		if rest && due {
			return
		}
		<-watch.C()
	}
}

// What a Run returns commits with the removal of the message, and only then.
func TestRun(t *testing.T) {
	var store kv.Store
	runs := 0
	env := start(t, map[string]outbox.Handler{"test.run": {Run: func(_ context.Context, m outbox.Message) (func(context.Context) error, error) {
		runs++
		switch {
		case runs == 1:
			return nil, errors.New("no")
		case string(m.Body) == "nothing":
			return nil, nil
		}
		return func(ctx context.Context) error {
			if !kv.InTx(ctx, store) {
				t.Error("a finish outside the transaction")
			}
			return effect(ctx, store, "finished")
		}, nil
	}}})
	store = env.Deps.Store
	put(t, env, outbox.Message{Handler: "test.run", Body: []byte("one")})
	env.Settle()
	if n := effects(t, env, "finished"); n != 0 || runs != 1 {
		t.Errorf("%d effects of %d runs", n, runs)
	}
	env.Advance(time.Second)
	if n := effects(t, env, "finished"); n != 1 || runs != 2 {
		t.Errorf("%d effects of %d runs", n, runs)
	}
	put(t, env, outbox.Message{Handler: "test.run", Body: []byte("nothing")})
	env.Settle()
	if n := effects(t, env, "finished"); n != 1 || runs != 3 {
		t.Errorf("%d effects of %d runs", n, runs)
	}
}
