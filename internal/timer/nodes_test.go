package timer_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"croft/internal/kv"
	"croft/internal/lease"
	"croft/internal/timer"
)

// Two processes that both believe that they hold every shard: each timer has its effect once all the same.
func TestOnceWhateverTheLeasesSay(t *testing.T) {
	const timers = 200
	r := newRig(t)
	effects := kv.NewSpace(r.store, "effects")
	handler := map[string]timer.Handler{"test.h": func(ctx context.Context, t timer.Timer) error {
		return effects.Update(ctx, func(_ context.Context, tx kv.Tx) error { return tx.Add([]byte(t.ID), 1) })
	}}
	other := timer.New(r.store, r.clock, slog.New(slog.DiscardHandler))
	for i := range timers {
		r.set(fmt.Sprint(i), time.Minute)
	}
	r.timers.Start(lease.Local(), handler)
	other.Start(lease.Local(), handler)
	t.Cleanup(func() { r.timers.Close(); other.Close() })
	r.advance(time.Hour)
	must(t, effects.View(t.Context(), func(_ context.Context, rd kv.Reader) error {
		for i := range timers {
			n, err := rd.Get([]byte(fmt.Sprint(i)))
			if err != nil || kv.Int64(n) != 1 {
				t.Errorf("timer %d fired %d times: %v", i, kv.Int64(n), err)
			}
		}
		return nil
	}))
}

// A process fires the timers of the shards that it holds, and those of others as soon as it holds them too.
func TestShardsMove(t *testing.T) {
	r := newRig(t)
	fired := make(chan string, 1)
	l := &late{held: make(chan struct{}), asked: make(chan struct{}, 16)}
	r.timers.Start(l, map[string]timer.Handler{"test.h": func(_ context.Context, t timer.Timer) error {
		fired <- t.ID
		return nil
	}})
	t.Cleanup(r.timers.Close)
	for range 16 {
		<-l.asked
	}
	r.set("a", time.Second)
	r.clock.Advance(time.Minute)
	select {
	case id := <-fired:
		t.Fatalf("%s fired without a lease", id)
	default:
	}
	close(l.held)
	if id := <-fired; id != "a" {
		t.Error(id)
	}
}

// late are leases that are given when held is closed.
type late struct{ held, asked chan struct{} }

func (l *late) Run(ctx context.Context, _ string, work func(context.Context)) {
	l.asked <- struct{}{}
	select {
	case <-l.held:
		work(ctx)
	case <-ctx.Done():
	}
}

// broken is a store whose writes fail while it is away.
type broken struct {
	kv.Store
	away chan struct{}
}

func (b *broken) Update(ctx context.Context, fn func(context.Context, kv.Tx) error) error {
	select {
	case <-b.away:
		return kv.ErrUnavailable
	default:
		return b.Store.Update(ctx, fn)
	}
}

// While the store takes nothing, due timers are tried again at a measured pace, and do not count it as their failure.
func TestStoreAway(t *testing.T) {
	r := newRig(t)
	b := &broken{r.store, make(chan struct{}, 2)}
	timers := timer.New(b, r.clock, slog.New(slog.DiscardHandler))
	fired := make(chan int, 1)
	b.away <- struct{}{}
	b.away <- struct{}{}
	r.set("a", 0)
	timers.Start(lease.Local(), map[string]timer.Handler{"test.h": func(_ context.Context, t timer.Timer) error {
		fired <- t.Attempt
		return nil
	}})
	t.Cleanup(timers.Close)
	for range 2 {
		r.clock.BlockUntil(1) // it waits, and does not spin
		if len(fired) != 0 {
			t.Fatal("fired although the store was away")
		}
		r.clock.Advance(time.Second)
	}
	if attempt := <-fired; attempt != 0 {
		t.Errorf("attempt %d", attempt)
	}
}
