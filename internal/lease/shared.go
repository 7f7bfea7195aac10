package lease

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/kv"
)

const (
	// beat is how often a node shows that it lives.
	beat = 2 * time.Second
	// expiry is how long a node goes on with its work after it last showed that it lives. What lies between it and takeover is left for work
	// to return in.
	expiry = 6 * time.Second
	// takeover is how long a node's counter must stand still before others take it for dead.
	takeover = 8 * time.Second
	// patience is how long a name that prefers another node is left to it: it may not want the name.
	patience = 3 * time.Second
	// retry is the pause after the store could not be used.
	retry = 500 * time.Millisecond
	// leaveWithin bounds how long Close tries to give everything back.
	leaveWithin = 2 * time.Second
	// most bounds how many names one transaction changes.
	most = 128
)

// Shared is Leases that lie in a store which several nodes use. All methods are safe for concurrent use.
type Shared struct {
	space kv.Space
	clock clock.Clock
	log   *slog.Logger
	self  Node
	nudge chan struct{}
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu      sync.Mutex
	entries map[string]*entry

	// What follows belongs to the loop.

	// joined: this node's row is in the store, as far as it knows.
	joined  bool
	counter int64
	// renewed is when the last successful renewal began, looked when the rows were last read.
	renewed, looked time.Time
	// seen is what was last seen of the other nodes' counters.
	seen map[string]sighting
	// failing: the last use of the store failed.
	failing bool
}

type sighting struct {
	counter int64
	since   time.Time
}

// entry is a name that this process wants or holds. The fields belong to the mutex of Shared.
type entry struct {
	// users counts the calls of Run.
	users int
	// held: the row in the store is this node's.
	held bool
	// giving: no work begins any more, and the row is given up once none is under way.
	giving bool
	// end ends the context of the work under way; nil when there is none.
	end context.CancelCauseFunc
	// changed is closed, and replaced, when one who waits should look again.
	changed chan struct{}
	// free is since when the name has been seen free while it prefers another node.
	free time.Time
}

// New returns the leases in store for the node self, whose ID no other process has or had. The clock is the machine's: never one
// that is moved by hand, whatever the cloud's own time is. It joins the other nodes in the background; Close ends it.
func New(store kv.Store, c clock.Clock, self Node, log *slog.Logger) *Shared {
	s := newShared(store, c, self, log)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.done.Go(func() { s.loop(ctx) })
	return s
}

func newShared(store kv.Store, c clock.Clock, self Node, log *slog.Logger) *Shared {
	return &Shared{
		space: kv.NewSpace(store, space), clock: c, log: log.With("node", self.ID), self: self,
		nudge: make(chan struct{}, 1), entries: map[string]*entry{}, seen: map[string]sighting{},
	}
}

// ID returns this node's id.
func (s *Shared) ID() string { return s.self.ID }

// Close gives all leases back and leaves. Work that still runs is ended as if its lease were lost; callers end it first.
func (s *Shared) Close() {
	s.stop()
	s.done.Wait()
	s.drop()
	ctx, cancel := clock.WithTimeout(context.Background(), s.clock, leaveWithin)
	defer cancel()
	if err := s.leave(ctx); err != nil && !errors.Is(err, kv.ErrClosed) {
		s.log.Warn("this node could not sign off; the others take its work over in a few seconds", "err", err)
	}
}

// Run implements Leases.
func (s *Shared) Run(ctx context.Context, name string, work func(ctx context.Context)) {
	e := s.want(name)
	defer s.unwant(e)
	for {
		working, ok := s.await(ctx, e)
		if !ok {
			return
		}
		work(working)
		over := working.Err() == nil
		s.worked(e)
		if over || ctx.Err() != nil {
			return
		}
	}
}

func (s *Shared) want(name string) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[name]
	if e == nil {
		e = &entry{changed: make(chan struct{})}
		s.entries[name] = e
	}
	e.users++
	s.poke()
	return e
}

func (s *Shared) unwant(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.users--
	if e.users == 0 {
		s.poke()
	}
}

// await returns a context to work in once the lease is held and nobody else of this process works under it.
func (s *Shared) await(ctx context.Context, e *entry) (context.Context, bool) {
	for {
		s.mu.Lock()
		if ctx.Err() == nil && e.held && !e.giving && e.end == nil {
			working, end := context.WithCancelCause(ctx)
			e.end = end
			s.mu.Unlock()
			return working, true
		}
		changed := e.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// worked says that the work under way has returned.
func (s *Shared) worked(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.end(context.Canceled)
	e.end = nil
	e.wake()
	if e.giving {
		s.poke()
	}
}

// wake is called with the mutex held.
func (e *entry) wake() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// poke makes the loop look again.
func (s *Shared) poke() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

// drop gives all leases up without a word to the store.
func (s *Shared) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		e.held, e.giving, e.free = false, false, time.Time{}
		if e.end != nil {
			e.end(ErrLost)
		}
	}
}

// loop keeps this node alive and its leases in order until ctx ends.
func (s *Shared) loop(ctx context.Context) {
	watch := s.space.Watch(watched())
	defer watch.Close()
	for ctx.Err() == nil {
		t := clock.At(s.clock, s.round(ctx))
		select {
		case <-t.C():
		case <-watch.C():
		case <-s.nudge:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// round does what there is to do, and returns when to look again at the latest.
func (s *Shared) round(ctx context.Context) time.Time {
	now := s.clock.Now()
	if s.joined && now.Sub(s.renewed) >= expiry {
		s.lose("this node could not renew its leases and stops its background work")
	}
	limit := expiry
	if s.joined {
		limit -= now.Sub(s.renewed)
	}
	bounded, cancel := clock.WithTimeout(ctx, s.clock, limit)
	defer cancel()
	// A store that stands still need not come back when its context ends. The work ends in time all the same.
	stop := context.AfterFunc(bounded, func() {
		if ctx.Err() == nil {
			s.drop()
		}
	})
	defer stop()
	err := s.step(bounded)
	if err == nil {
		if s.failing {
			s.log.Warn("this node can renew its leases again and takes up its background work")
		}
		s.failing = false
		return s.renewed.Add(beat)
	}
	if ctx.Err() == nil && !s.failing {
		s.failing = true
		s.log.Warn("leases cannot be renewed; trying again", "err", err)
	}
	again := s.clock.Now().Add(retry)
	if end := s.renewed.Add(expiry); s.joined && end.Before(again) {
		return end
	}
	return again
}

func (s *Shared) lose(what string) {
	s.log.Warn(what)
	s.joined = false
	s.drop()
}

// step renews when it is time, looks at the rows, and changes what is to be changed.
func (s *Shared) step(ctx context.Context) error {
	if !s.joined || s.clock.Now().Sub(s.renewed) >= beat {
		if err := s.renew(ctx); err != nil {
			return err
		}
	}
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	if _, there := v.nodes[s.self.ID]; !there {
		s.lose("another node took this one for dead; it joins again")
		s.poke()
		return nil
	}
	p := s.plan(v, s.clock.Now())
	if p.empty() {
		return nil
	}
	got, err := s.carryOut(ctx, v, p)
	if err != nil {
		return err
	}
	s.settle(p, got)
	return nil
}
