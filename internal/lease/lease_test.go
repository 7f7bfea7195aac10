package lease

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
	"croft/internal/kv"
	"croft/internal/kv/pebblekv"
)

func open(t *testing.T) kv.Store {
	t.Helper()
	store, err := pebblekv.Open(pebblekv.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// flaky is a store that can be out of reach.
type flaky struct {
	kv.Store
	mu   sync.Mutex
	away bool
}

var errAway = errors.New("away")

func (f *flaky) set(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
}

func (f *flaky) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return errAway
	}
	return nil
}

func (f *flaky) View(ctx context.Context, fn func(context.Context, kv.Reader) error) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Store.View(ctx, fn)
}

func (f *flaky) Update(ctx context.Context, fn func(context.Context, kv.Tx) error) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Store.Update(ctx, fn)
}

// node is a Shared whose rounds the test makes itself, on a clock of its own.
type node struct {
	*Shared
	t     *testing.T
	clock *clock.Manual
}

func newNode(t *testing.T, store kv.Store, id string) *node {
	// No two nodes agree on the time.
	c := clock.NewManual(time.Unix(int64(id[0])*1e7, 0))
	return &node{newShared(store, c, Node{ID: id, Version: "v-" + id}, slog.New(slog.DiscardHandler)), t, c}
}

// pass lets time pass for the nodes, each of which makes a round a second.
func pass(d time.Duration, nodes ...*node) {
	for ; d > 0; d -= time.Second {
		for _, n := range nodes {
			n.clock.Advance(time.Second)
			n.round(n.t.Context())
		}
	}
}

// rounds makes rounds without time passing.
func rounds(nodes ...*node) {
	for range 4 {
		for _, n := range nodes {
			n.round(n.t.Context())
		}
	}
}

// job is a Run under way. It tells of what happens to it.
type job struct {
	began chan struct{}
	// ended receives the cause.
	ended chan error
	// linger, if not nil, keeps the work from returning.
	linger chan struct{}
	over   chan struct{}
	stop   context.CancelFunc
}

func (n *node) job(name string, linger chan struct{}) *job {
	ctx, stop := context.WithCancel(n.t.Context())
	j := &job{make(chan struct{}, 9), make(chan error, 9), linger, make(chan struct{}), stop}
	n.mu.Lock()
	before := n.users()
	n.mu.Unlock()
	go func() {
		defer close(j.over)
		n.Run(ctx, name, func(ctx context.Context) {
			j.began <- struct{}{}
			<-ctx.Done()
			if j.linger != nil {
				<-j.linger
			}
			j.ended <- context.Cause(ctx)
		})
	}()
	for {
		<-n.nudge // Run has been entered
		n.mu.Lock()
		entered := n.users() > before
		n.mu.Unlock()
		if entered {
			break
		}
	}
	n.t.Cleanup(func() { stop(); <-j.over })
	return j
}

func (n *node) users() (all int) {
	for _, e := range n.entries {
		all += e.users
	}
	return all
}

func (n *node) held() (names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, e := range n.entries {
		if e.held {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (j *job) idle() bool {
	select {
	case <-j.began:
		return false
	default:
		return true
	}
}

// nameFor returns a name that prefers the given one of nodes a and b.
func nameFor(want string) string {
	v := &view{nodes: map[string]bool{"a": true, "b": true}}
	for i := 0; ; i++ {
		if name := fmt.Sprint("work/", i); v.preferred(name) == want {
			return name
		}
	}
}

func TestOneWorksAndTheOtherTakesOverWhenItDies(t *testing.T) {
	store := open(t)
	a, b := newNode(t, store, "a"), newNode(t, store, "b")
	rounds(a, b)
	name := nameFor("a")
	onA, onB := a.job(name, nil), b.job(name, nil)
	rounds(b, a)
	<-onA.began
	pass(20*time.Second, a, b)
	if !onB.idle() {
		t.Fatal("both work")
	}
	// a stands still. Nothing but its counter tells b, in time of b's own.
	pass(7*time.Second, b)
	if len(b.held()) != 0 || !onB.idle() {
		t.Fatal("taken over while a could still be working")
	}
	pass(2*time.Second, b)
	<-onB.began
	// a goes on, finds out, and stops. Joined again, it gets its work back, since the name prefers it.
	a.round(t.Context())
	if cause := <-onA.ended; !errors.Is(cause, ErrLost) {
		t.Errorf("the cause is %v", cause)
	}
	rounds(a, b)
	if cause := <-onB.ended; !errors.Is(cause, ErrHandOver) {
		t.Errorf("the cause is %v", cause)
	}
	awaitFree(b)
	rounds(b, a)
	<-onA.began
}

// awaitFree waits until no work is under way.
func awaitFree(n *node) {
	for {
		n.mu.Lock()
		busy := false
		var changed chan struct{}
		for _, e := range n.entries {
			if e.end != nil {
				busy, changed = true, e.changed
			}
		}
		n.mu.Unlock()
		if !busy {
			return
		}
		<-changed
	}
}

func TestHandOverWaitsForTheWork(t *testing.T) {
	store := open(t)
	a, b := newNode(t, store, "a"), newNode(t, store, "b")
	name, linger := nameFor("b"), make(chan struct{})
	onA := a.job(name, linger)
	rounds(a)
	<-onA.began // nobody else is there
	onB := b.job(name, nil)
	rounds(b, a)
	pass(30*time.Second, a, b)
	if !onB.idle() {
		t.Fatal("b works although a has not finished")
	}
	close(linger)
	if cause := <-onA.ended; !errors.Is(cause, ErrHandOver) {
		t.Errorf("the cause is %v", cause)
	}
	awaitFree(a)
	rounds(a, b)
	<-onB.began
}

func TestStopsWhenItCannotRenew(t *testing.T) {
	store := &flaky{Store: open(t)}
	a, b := newNode(t, store, "a"), newNode(t, store, "b")
	name := nameFor("a")
	rounds(a, b)
	onA, onB := a.job(name, nil), b.job(name, nil)
	rounds(a, b)
	<-onA.began
	store.set(true)
	pass(5*time.Second, a, b)
	if held := a.held(); len(held) != 1 {
		t.Fatal("gave up too early")
	}
	pass(2*time.Second, a, b)
	if cause := <-onA.ended; !errors.Is(cause, ErrLost) {
		t.Errorf("the cause is %v", cause)
	}
	pass(time.Minute, a, b)
	store.set(false)
	// A time in which b could not look does not make a dead: a goes on with what it had.
	pass(2*time.Second, b, a)
	<-onA.began
	if !onB.idle() {
		t.Error("b took a for dead")
	}
}

// still is a store that does not come back, whatever becomes of the caller's context, until it is let go.
type still struct {
	kv.Store
	entered, letGo chan struct{}
}

func (s *still) Update(ctx context.Context, fn func(context.Context, kv.Tx) error) error {
	s.entered <- struct{}{}
	<-s.letGo
	return s.Store.Update(ctx, fn)
}

func TestStopsWhileTheStoreStandsStill(t *testing.T) {
	store := open(t)
	a := newNode(t, store, "a")
	onA := a.job("work", nil)
	rounds(a)
	<-onA.began
	stuck := &still{store, make(chan struct{}), make(chan struct{})}
	a.space = kv.NewSpace(stuck, space)
	a.clock.Advance(beat)
	back := make(chan struct{})
	go func() {
		defer close(back)
		a.round(t.Context())
	}()
	<-stuck.entered
	a.clock.Advance(expiry - beat)
	if cause := <-onA.ended; !errors.Is(cause, ErrLost) {
		t.Errorf("the cause is %v", cause)
	}
	close(stuck.letGo)
	<-back
	a.space = kv.NewSpace(store, space)
	rounds(a)
	<-onA.began
}

func TestSharesAreFairAndFollowTheNodes(t *testing.T) {
	store := open(t)
	a, b := newNode(t, store, "a"), newNode(t, store, "b")
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("work/%02d", i))
	}
	for _, name := range names {
		a.job(name, nil)
	}
	rounds(a)
	if held := a.held(); !slices.Equal(held, names) {
		t.Fatalf("a alone holds %d", len(held))
	}
	for _, name := range names {
		b.job(name, nil)
	}
	rounds(b, a)
	awaitFreeOf(a, b)
	rounds(a, b)
	own, other := a.held(), b.held()
	if len(own) < 10 || len(other) < 10 || len(own)+len(other) != 40 {
		t.Errorf("a holds %d, b %d", len(own), len(other))
	}
	pass(time.Minute, a, b)
	if !slices.Equal(own, a.held()) || !slices.Equal(other, b.held()) {
		t.Error("shares change although nothing has happened")
	}
	if err := b.leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.drop()
	a.round(t.Context())
	if held := a.held(); !slices.Equal(held, names) {
		t.Errorf("a holds %d at once after b has left", len(held))
	}
}

// awaitFreeOf waits until n works for nothing that it is about to give away.
func awaitFreeOf(n, to *node) {
	for {
		n.mu.Lock()
		var changed chan struct{}
		for _, e := range n.entries {
			if e.giving && e.end != nil {
				changed = e.changed
			}
		}
		n.mu.Unlock()
		if changed == nil {
			return
		}
		<-changed
	}
}

// A name goes to whom wants it, even if it prefers a node that does not.
func TestNobodyWaitsForOneWhoDoesNotWant(t *testing.T) {
	store := open(t)
	a, b := newNode(t, store, "a"), newNode(t, store, "b")
	rounds(a, b)
	onA := a.job(nameFor("b"), nil)
	pass(2*time.Second, a, b)
	if len(a.held()) != 0 {
		t.Error("b was not given the chance")
	}
	pass(3*time.Second, a, b)
	<-onA.began
	pass(10*time.Second, a, b)
	if len(a.held()) != 1 {
		t.Error("a does not keep it")
	}
}

func TestWorkThatIsDone(t *testing.T) {
	store := open(t)
	a := newNode(t, store, "a")
	done := make(chan struct{})
	go func() {
		a.Run(t.Context(), "once", func(context.Context) {})
		close(done)
	}()
	<-a.nudge
	rounds(a)
	<-done
	rounds(a)
	if v, err := a.read(t.Context()); err != nil || len(v.holders) != 0 || len(a.entries) != 0 {
		t.Errorf("%v, %v, %d entries", v, err, len(a.entries))
	}
	Local().Run(t.Context(), "once", func(context.Context) {})
}

func TestOneNameTakesTurnsInOneProcess(t *testing.T) {
	a := newNode(t, open(t), "a")
	linger := make(chan struct{})
	first, second := a.job("x", linger), a.job("x", nil)
	rounds(a)
	select {
	case <-first.began:
	case <-second.began:
		first, second = second, first
		close(linger)
		linger = nil
	}
	if !second.idle() {
		t.Fatal("both work")
	}
	first.stop()
	if linger != nil {
		close(linger)
	}
	<-second.began
}

// A reset removes all rows, those of the leases too.
func TestReset(t *testing.T) {
	store := open(t)
	a := newNode(t, store, "a")
	j := a.job("x", nil)
	rounds(a)
	<-j.began
	if err := store.Update(t.Context(), func(_ context.Context, tx kv.Tx) error { return tx.DeleteRange(kv.Range{}) }); err != nil {
		t.Fatal(err)
	}
	a.round(t.Context())
	if cause := <-j.ended; !errors.Is(cause, ErrLost) {
		t.Error(cause)
	}
	rounds(a)
	<-j.began
}

// With their loops running and the machine's clock, nodes hand over within moments.
func TestLoops(t *testing.T) {
	store := open(t)
	log := slog.New(slog.DiscardHandler)
	start := func(id string) (*Shared, chan string, func()) {
		s := New(store, clock.Real(), Node{ID: id, Address: "at-" + id}, log)
		ctx, stop := context.WithCancel(t.Context())
		began := make(chan string, 1)
		var done sync.WaitGroup
		done.Go(func() {
			s.Run(ctx, nameFor("b"), func(ctx context.Context) {
				began <- id
				<-ctx.Done()
			})
		})
		return s, began, func() {
			stop()
			done.Wait()
			s.Close()
		}
	}
	a, onA, closeA := start("a")
	defer closeA()
	<-onA
	_, onB, closeB := start("b")
	<-onB
	nodes, err := a.Nodes(t.Context())
	if err != nil || len(nodes) != 2 || nodes[1].Address != "at-b" {
		t.Errorf("%v, %v", nodes, err)
	}
	closeB()
	<-onA
}
