package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
)

// poolWorld is pools without processes: starts are noted, and done when a test says so.
type poolWorld struct {
	*pools
	clock   *clock.Manual
	started []claimed
	ended   []string
	n       int
}

type claimed struct {
	pool *pool
	why  purpose
}

func newPoolWorld(max int) *poolWorld {
	w := &poolWorld{clock: clock.NewManual(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))}
	w.pools = newPools(w.clock, limits{max, 1000},
		func(own *pool, why purpose) { w.started = append(w.started, claimed{own, why}) },
		func(env *environment) {
			w.ended = append(w.ended, env.ID)
			env.process.cancel(errExited)
		})
	return w
}

func fnOf(name, revision string) Function {
	return Function{ARN: name, Name: name, Version: "$LATEST", Revision: revision, Timeout: time.Second}
}

// finish ends the oldest start that is under way, with a made-up environment or with err. It returns the environment.
func (w *poolWorld) finish(t *testing.T, err error) *environment {
	t.Helper()
	if len(w.started) == 0 {
		t.Fatal("nothing starts")
	}
	c := w.started[0]
	w.started = w.started[1:]
	if !w.wanted(c.pool, c.why) {
		return nil
	}
	if err != nil {
		w.pools.started(c.pool, nil, c.why, err)
		return nil
	}
	w.n++
	ctx, cancel := context.WithCancelCause(context.Background())
	env := &environment{
		e: &Engine{resting: newResting(w.clock)}, pool: c.pool, purpose: c.why,
		Environment: Environment{ID: fmt.Sprintf("%s-%s-%d", c.pool.fn.Name, c.pool.fn.Revision, w.n), Function: c.pool.fn},
		process:     &process{ctx: ctx, cancel: cancel},
	}
	w.pools.started(c.pool, env, c.why, nil)
	return env
}

// get takes an environment, and starts one when there is none. It fails the test when it would have to wait.
func (w *poolWorld) get(t *testing.T, fn Function) *environment {
	t.Helper()
	env, _, waiter, err := w.take(fn)
	if err != nil {
		t.Fatal(err)
	}
	if env != nil {
		return env
	}
	w.finish(t, nil)
	return w.granted(t, waiter)
}

func (w *poolWorld) granted(t *testing.T, waiter *waiter) *environment {
	t.Helper()
	select {
	case g := <-waiter.got:
		if g.err != nil {
			t.Fatal(g.err)
		}
		return g.env
	default:
		t.Fatal("still waits")
		return nil
	}
}

// queue takes an environment that is not there yet.
func (w *poolWorld) queue(t *testing.T, fn Function) *waiter {
	t.Helper()
	env, _, waiter, err := w.take(fn)
	if env != nil || err != nil {
		t.Fatalf("got %v, %v", env, err)
	}
	return waiter
}

func (w *poolWorld) expectEnded(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(w.ended, want) {
		t.Errorf("ended %q, want %q", w.ended, want)
	}
	w.ended = nil
}

func (w *poolWorld) expectEmpty(t *testing.T) {
	t.Helper()
	if w.live != 0 || len(w.byKey) != 0 || len(w.running) != 0 {
		t.Errorf("left: %d, %v, %v", w.live, w.byKey, w.running)
	}
}

func TestPoolReusesTheLatest(t *testing.T) {
	w := newPoolWorld(10)
	a, b := w.get(t, fnOf("f", "1")), w.get(t, fnOf("f", "1"))
	w.release(a, true)
	w.release(b, true)
	if w.get(t, fnOf("f", "1")) != b {
		t.Error("not the one that was used last")
	}
	w.release(b, false)
	w.expectEnded(t, "f-1-2")
	if w.live != 1 {
		t.Errorf("%d live", w.live)
	}
}

// TestPoolServesTheFirst: whoever waits longest gets what comes first, be it an environment that started or one that another gave back. The start that
// nobody waits for any more goes on for those who come next, unless there is a new revision.
func TestPoolServesTheFirst(t *testing.T) {
	w := newPoolWorld(10)
	fn := fnOf("f", "1")
	busy := w.get(t, fn)
	first, second := w.queue(t, fn), w.queue(t, fn)
	w.release(busy, true)
	if w.granted(t, first) != busy {
		t.Error("the first in the queue does not get what comes back")
	}
	env := w.finish(t, nil)
	if w.granted(t, second) != env {
		t.Error("the second does not get what started")
	}
	more := w.finish(t, nil)
	if more == nil || w.live != 3 || w.get(t, fn) != more {
		t.Errorf("%v does not wait for the next, %d live", more, w.live)
	}
	third := w.queue(t, fn)
	w.release(more, true)
	if w.granted(t, third) != more {
		t.Error("the third does not get what comes back")
	}
	w.renew(fnOf("f", "2"))
	if w.finish(t, nil) != nil || w.live != 3 {
		t.Errorf("a start for nobody, %d live", w.live)
	}
}

func TestPoolBounds(t *testing.T) {
	w := newPoolWorld(2)
	a, b := w.get(t, fnOf("f", "1")), w.get(t, fnOf("g", "1"))
	third := w.queue(t, fnOf("h", "1"))
	if len(w.started) != 0 {
		t.Error("a third place")
	}
	// The one that becomes idle makes room.
	w.release(b, true)
	w.expectEnded(t, "g-1-2")
	c := w.finish(t, nil)
	if w.granted(t, third) != c {
		t.Error("who waits does not get the place")
	}
	w.release(a, false)
	w.release(c, false)
	w.expectEmpty(t)
}

func TestPoolEvictsTheOldest(t *testing.T) {
	w := newPoolWorld(2)
	a, b := w.get(t, fnOf("f", "1")), w.get(t, fnOf("g", "1"))
	w.release(b, true)
	w.clock.Advance(time.Second)
	w.release(a, true)
	w.get(t, fnOf("h", "1"))
	w.expectEnded(t, "g-1-2")
}

func TestPoolConcurrency(t *testing.T) {
	w := newPoolWorld(10)
	w.concurrency = 3
	fn, none := fnOf("f", "1"), fnOf("z", "1")
	fn.Reserved, none.Reserved = new(int), new(int)
	*fn.Reserved = 2
	steps := []struct {
		fn     Function
		reason string
	}{
		{fn, ""}, {fn, ""}, {fn, "ReservedFunctionConcurrentInvocationLimitExceeded"},
		{none, "ReservedFunctionConcurrentInvocationLimitExceeded"},
		{fnOf("g", "1"), ""}, {fnOf("g", "1"), "ConcurrentInvocationLimitExceeded"},
	}
	for i, s := range steps {
		err := w.admit(s.fn)
		var e *cloud.Error
		if s.reason == "" && err != nil || s.reason != "" && (!errors.As(err, &e) || e.Fields["Reason"] != s.reason) {
			t.Errorf("%d: %v", i, err)
		}
	}
	w.leave(fn)
	w.leave(fn)
	w.leave(fnOf("g", "1"))
	w.expectEmpty(t)
}

func TestPoolWaits(t *testing.T) {
	w := newPoolWorld(1)
	a := w.get(t, fnOf("f", "1"))
	got := make(chan error, 1)
	acquire := func() {
		_, err := w.acquire(context.Background(), fnOf("f", "1"), time.Minute)
		got <- err
	}
	go acquire()
	w.clock.BlockUntil(1)
	w.release(a, true)
	if err := <-got; err != nil {
		t.Error(err)
	}
	go acquire()
	w.clock.BlockUntil(1)
	w.clock.Advance(time.Minute)
	if err := <-got; cloud.Code(err) != "TooManyRequestsException" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.acquire(ctx, fnOf("f", "1"), time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	go acquire()
	w.clock.BlockUntil(1)
	w.close()
	if err := <-got; cloud.Code(err) != "ServiceException" {
		t.Errorf("got %v", err)
	}
}

// TestPoolFailedStart: the error goes to one who waits, and the next has a start of his own.
func TestPoolFailedStart(t *testing.T) {
	w := newPoolWorld(1)
	first, second := w.queue(t, fnOf("f", "1")), w.queue(t, fnOf("f", "1"))
	w.finish(t, errors.New("broken"))
	if g := <-first.got; g.err == nil || g.env != nil {
		t.Errorf("got %+v", g)
	}
	env := w.finish(t, nil)
	if w.granted(t, second) != env {
		t.Error("the second waits on")
	}
	w.release(env, false)
	w.expectEmpty(t)
}

func TestPoolRevisions(t *testing.T) {
	w := newPoolWorld(10)
	busy, idle := w.get(t, fnOf("f", "1")), w.get(t, fnOf("f", "1"))
	w.release(idle, true)
	waiting := w.get(t, fnOf("f", "1"))
	if waiting != idle {
		t.Error("not the idle one")
	}
	w.release(idle, true)
	former := w.queueBehind(t, fnOf("f", "1"), busy, idle)
	two := w.queue(t, fnOf("f", "2"))
	// The start of the former revision is for the one who asked for it.
	w.finish(t, nil)
	old := w.granted(t, former)
	w.finish(t, nil)
	env := w.granted(t, two)
	for _, e := range []*environment{busy, idle, old} {
		w.release(e, true)
		w.expectEnded(t, e.ID)
	}
	w.release(env, true)
	w.retire("g")
	w.expectEnded(t)
	w.retire("f")
	w.expectEnded(t, env.ID)
	w.expectEmpty(t)
}

// queueBehind waits behind environments that are taken first.
func (w *poolWorld) queueBehind(t *testing.T, fn Function, busy ...*environment) *waiter {
	t.Helper()
	for range len(busy) - 1 {
		if w.get(t, fn) == nil {
			t.Fatal("nothing idle")
		}
	}
	return w.queue(t, fn)
}

func TestPoolSweep(t *testing.T) {
	w := newPoolWorld(10)
	a, b := w.get(t, fnOf("f", "1")), w.get(t, fnOf("f", "1"))
	w.release(a, true)
	w.clock.Advance(3 * time.Minute)
	w.release(b, true)
	w.clock.Advance(2 * time.Minute)
	w.sweep(5 * time.Minute)
	w.expectEnded(t, "f-1-1")
	b.Credentials.Expires = w.clock.Now().Add(time.Minute + time.Second)
	w.sweep(5 * time.Minute)
	w.expectEnded(t, "f-1-2")
}

func TestPoolFindsTheDead(t *testing.T) {
	w := newPoolWorld(10)
	a := w.get(t, fnOf("f", "1"))
	w.release(a, true)
	a.process.cancel(errExited)
	b := w.get(t, fnOf("f", "1"))
	w.expectEnded(t, "f-1-1")
	w.release(b, true)
	if w.get(t, fnOf("f", "1")) != b {
		t.Error("the new one is not found again")
	}
	w.release(b, true)
	w.died(b)
	w.expectEnded(t, "f-1-2")
	w.died(b)
	w.expectEnded(t)
}

func TestPoolClose(t *testing.T) {
	w := newPoolWorld(10)
	busy, idle := w.get(t, fnOf("f", "1")), w.get(t, fnOf("g", "1"))
	w.release(idle, true)
	w.close()
	w.expectEnded(t, "g-1-2")
	w.release(busy, true)
	w.expectEnded(t, "f-1-1")
	if _, _, _, err := w.take(fnOf("f", "1")); cloud.Code(err) != "ServiceException" {
		t.Errorf("got %v", err)
	}
}

// TestProvisioned: environments stand ready, are used first as any other, and are replaced; failures are tried again later and later.
func TestProvisioned(t *testing.T) {
	w := newPoolWorld(10)
	fn := fnOf("f", "1")
	state := func() Provision { return w.provisionOf("f", "$LATEST") }
	w.provision(fn, 2)
	if s := state(); s != (Provision{Requested: 2, Allocated: 2}) || len(w.started) != 2 {
		t.Errorf("%+v, %d start", s, len(w.started))
	}
	w.finish(t, nil)
	w.finish(t, nil)
	if s := state(); s != (Provision{Requested: 2, Allocated: 2, Available: 2}) {
		t.Errorf("%+v", s)
	}
	a := w.get(t, fn)
	if a.purpose != provisioned || state().Available != 2 {
		t.Errorf("%v, %+v", a.purpose, state())
	}
	w.release(a, true)
	w.clock.Advance(time.Hour)
	w.sweep(time.Minute)
	w.expectEnded(t)
	a = w.get(t, fn)
	w.release(a, false)
	w.ended = nil
	w.tend()
	w.finish(t, errors.New("no memory"))
	if s := state(); s.Available != 1 || s.Failure != "no memory" {
		t.Errorf("%+v", s)
	}
	w.tend()
	if len(w.started) != 0 {
		t.Error("tried again at once")
	}
	w.clock.Advance(firstRetry)
	w.tend()
	w.finish(t, nil)
	if s := state(); s != (Provision{Requested: 2, Allocated: 2, Available: 2}) {
		t.Errorf("%+v", s)
	}
	w.provision(fn, 0)
	w.sweep(0)
	if len(w.ended) != 2 {
		t.Errorf("ended %q", w.ended)
	}
	w.expectEmpty(t)
}

func TestAhead(t *testing.T) {
	w := newPoolWorld(100)
	for i := range maxReady + 2 {
		w.startAhead(fnOf(fmt.Sprint(i), "1"))
		if len(w.started) > 0 {
			w.finish(t, nil)
		}
	}
	if w.live != maxReady {
		t.Errorf("%d are ready", w.live)
	}
	w.startAhead(fnOf("0", "1"))
	if len(w.started) != 0 {
		t.Error("another one for a function that has one")
	}
	if env := w.get(t, fnOf("0", "1")); env.purpose != ahead {
		t.Error("the first call does not get what is ready")
	}
}

// TestCallAfterAnswer: who calls again as soon as an invocation has answered gets the same environment, which is not free yet, and no other is started.
func TestCallAfterAnswer(t *testing.T) {
	w := newPoolWorld(10)
	fn := fnOf("f", "1")
	env := w.get(t, fn)
	w.answered(env)
	none, _, waiter, err := w.take(fn)
	if none != nil || err != nil || len(w.started) != 0 {
		t.Fatalf("got %v, %v; %d starts", none, err, len(w.started))
	}
	if _, _, _, err = w.take(fn); err != nil || len(w.started) != 1 {
		t.Fatalf("a second caller: %v; %d starts", err, len(w.started))
	}
	w.release(env, true)
	if g := <-waiter.got; g.env != env {
		t.Errorf("got %v", g)
	}
	// An environment that does not become free leaves its place to a new one.
	w.answered(env)
	if _, _, _, err = w.take(fn); err != nil || len(w.started) != 1 {
		t.Fatalf("with one start and one environment for two: %v; %d starts", err, len(w.started))
	}
	w.finished(env)
	if len(w.started) != 2 {
		t.Errorf("%d starts", len(w.started))
	}
	w.release(env, false)
	if env.pool.finishing != 0 {
		t.Errorf("%d finish", env.pool.finishing)
	}
}
