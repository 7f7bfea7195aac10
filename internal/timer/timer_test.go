package timer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/kv/pebblekv"
	"croft/internal/lease"
	"croft/internal/timer"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// rig is a timer service whose one handler notes what fired when.
type rig struct {
	t      *testing.T
	store  kv.Store
	clock  *clock.Manual
	timers *timer.Timers
	fired  []string
	// then, when set, is run by the handler.
	then func(ctx context.Context, t timer.Timer) error
}

func newRig(t *testing.T) *rig {
	t.Helper()
	store, err := pebblekv.Open(pebblekv.Options{Ephemeral: true})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	r := &rig{t: t, store: store, clock: clock.NewManual(begin)}
	r.timers = timer.New(store, r.clock, slog.New(slog.DiscardHandler))
	return r
}

func (r *rig) start() {
	r.timers.Start(lease.Local(), map[string]timer.Handler{"test.h": func(ctx context.Context, t timer.Timer) error {
		r.fired = append(r.fired, fmt.Sprintf("%s@%v", t.ID, cloud.CallOf(ctx).Now.Sub(begin)))
		if r.then != nil {
			return r.then(ctx, t)
		}
		return nil
	}})
	r.t.Cleanup(r.timers.Close)
}

func (r *rig) set(id string, after time.Duration) {
	r.t.Helper()
	must(r.t, r.timers.Set(r.t.Context(), r.timer(id, after)))
}

func (r *rig) timer(id string, after time.Duration) timer.Timer {
	return timer.Timer{Handler: "test.h", ID: id, Account: "000000000000", Region: "us-east-1", Due: begin.Add(after), Body: []byte(id)}
}

// advance moves the clock and waits until what is due has fired.
func (r *rig) advance(d time.Duration) {
	r.t.Helper()
	watch := r.store.Watch(nil)
	defer watch.Close()
	r.clock.Advance(d)
	for {
		idle, err := r.timers.Idle(r.t.Context())
		must(r.t, err)
		if idle {
			return
		}
		<-watch.C()
	}
}

func (r *rig) want(fired ...string) {
	r.t.Helper()
	if !slices.Equal(r.fired, fired) {
		r.t.Errorf("fired %v, want %v", r.fired, fired)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFiresWhenDue(t *testing.T) {
	r := newRig(t)
	r.start()
	r.set("late", 2*time.Second)
	r.set("early", time.Second)
	r.set("past", -time.Hour)
	r.advance(0)
	r.want("past@0s")
	r.advance(999 * time.Millisecond)
	r.want("past@0s")
	r.advance(time.Millisecond)
	r.want("past@0s", "early@1s")
	r.advance(time.Hour)
	r.want("past@0s", "early@1s", "late@1h0m1s")
}

func TestReplaceAndCancel(t *testing.T) {
	r := newRig(t)
	r.start()
	r.set("a", time.Second)
	r.set("a", 3*time.Second)
	r.set("b", time.Second)
	must(t, r.timers.Cancel(t.Context(), r.timer("b", 0)))
	must(t, r.timers.Cancel(t.Context(), r.timer("never set", 0)))
	r.advance(2 * time.Second)
	r.want()
	r.advance(time.Second)
	r.want("a@3s")
}

func TestSetJoinsTheCallersTransaction(t *testing.T) {
	r := newRig(t)
	r.start()
	failed := errors.New("no")
	err := r.store.Update(t.Context(), func(ctx context.Context, _ kv.Tx) error {
		return errors.Join(r.timers.Set(ctx, r.timer("a", 0)), failed)
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	r.advance(time.Second)
	r.want()
}

// The handler's writes and the removal of the timer commit together; a timer that fails is put off, longer each time, without end.
func TestFailure(t *testing.T) {
	r := newRig(t)
	space := kv.NewSpace(r.store, "effect")
	r.then = func(ctx context.Context, tm timer.Timer) error {
		err := space.Update(ctx, func(_ context.Context, tx kv.Tx) error { return tx.Add([]byte("n"), 1) })
		if err == nil && len(r.fired) < 4 {
			return errors.New("broken")
		}
		return err
	}
	r.start()
	r.set("a", 0)
	r.advance(0)
	for range 10 {
		r.advance(time.Second)
	}
	r.want("a@0s", "a@1s", "a@3s", "a@7s")
	must(t, space.View(t.Context(), func(_ context.Context, rd kv.Reader) error {
		v, err := rd.Get([]byte("n"))
		if kv.Int64(v) != 1 {
			t.Errorf("%d effects", kv.Int64(v))
		}
		return err
	}))
}

func TestHandlerSetsItselfAgain(t *testing.T) {
	r := newRig(t)
	r.then = func(ctx context.Context, tm timer.Timer) error {
		if string(tm.Body) != "tick" || tm.Account != "000000000000" || tm.Region != "us-east-1" {
			return fmt.Errorf("fired as %+v", tm)
		}
		return r.timers.Set(ctx, timer.Timer{Handler: tm.Handler, ID: tm.ID, Account: tm.Account, Region: tm.Region, Due: tm.Due.Add(time.Minute), Body: tm.Body})
	}
	r.start()
	r.set("tick", 0)
	r.advance(0)
	r.advance(time.Minute)
	r.advance(time.Minute)
	r.want("tick@0s", "tick@1m0s", "tick@2m0s")
}

func TestManyAtOnce(t *testing.T) {
	r := newRig(t)
	r.start()
	const n = 2000
	must(t, r.store.Update(t.Context(), func(ctx context.Context, _ kv.Tx) error {
		for i := range n {
			if err := r.timers.Set(ctx, r.timer(fmt.Sprint(i), time.Second)); err != nil {
				return err
			}
		}
		return nil
	}))
	r.advance(time.Second)
	if len(r.fired) != n {
		t.Errorf("%d fired", len(r.fired))
	}
}

// Timers set before the start, and those of a process that is gone, fire once the clock has reached them.
func TestRestart(t *testing.T) {
	r := newRig(t)
	r.set("a", time.Second)
	r.clock.Advance(time.Hour)
	r.start()
	r.advance(0)
	r.want("a@1h0m0s")
}

func TestDamagedRow(t *testing.T) {
	r := newRig(t)
	must(t, kv.NewSpace(r.store, "!timer").Update(t.Context(), func(_ context.Context, tx kv.Tx) error {
		for shard := range uint64(16) {
			if err := tx.Put(kv.Key(nil).Uint(shard).Raw('t').Time(begin), []byte("rubbish")); err != nil {
				return err
			}
		}
		return nil
	}))
	r.start()
	r.set("a", time.Second)
	r.advance(time.Second)
	r.want("a@1s")
}

func TestRefusesTimersWithoutName(t *testing.T) {
	r := newRig(t)
	if r.timers.Set(t.Context(), timer.Timer{ID: "a"}) == nil || r.timers.Set(t.Context(), timer.Timer{Handler: "a"}) == nil {
		t.Error("a timer without handler or id was set")
	}
}
