package pgkv

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"croft/internal/clock"
	"croft/internal/kv"
)

// How often an Update tries, how many times of these at once, and how long it then waits at first and at most. Together the waits stay
// below two seconds.
const (
	maxTries   = 64
	quickTries = 3
	firstPause = 200 * time.Microsecond
	maxPause   = 40 * time.Millisecond
)

// Store implements kv.Store on a database. Several processes may have stores on the same database.
type Store struct {
	pool  *pgxpool.Pool
	clock clock.Clock
	log   *slog.Logger
	sql   *statements
	// native says that the database serialises by itself instead of by the locks of this package.
	native bool
	// maxLocks is how many locks a commit may take before it takes the global one alone.
	maxLocks int
	// patience is how long a transaction waits for a connection, resolveTime how long a lost commit is looked for, lockWait how long a commit
	// waits for a lock.
	patience, resolveTime, lockWait time.Duration
	cluster                         string
	where                           string

	queue  queue
	watch  kv.Watchers
	notify *notifier

	commits, conflicts, retries atomic.Uint64

	life   sync.Mutex
	closed bool
	busy   sync.WaitGroup
	// stop ends the background work, which background waits for.
	stop       context.CancelFunc
	background sync.WaitGroup
}

var (
	_ kv.Store   = (*Store)(nil)
	_ kv.Sharing = (*Store)(nil)
)

// Shared implements kv.Sharing: a database may always have other users.
func (s *Store) Shared() bool { return true }

// ClusterID returns the identity of the cloud in the database: the same for every process that uses it, and made when the first did.
func (s *Store) ClusterID() string { return s.cluster }

// Stats returns how many transactions with writes this process has committed, and how many attempts it ran again because of
// conflicts.
func (s *Store) Stats() (commits, conflicts uint64) {
	return s.commits.Load(), s.conflicts.Load()
}

// Retries returns how many commits this process has sent again because the database could not put them in a row. Their functions were not
// run again.
func (s *Store) Retries() uint64 { return s.retries.Load() }

// enter begins a use of the store, which exit ends.
func (s *Store) enter() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return kv.ErrClosed
	}
	s.busy.Add(1)
	return nil
}

func (s *Store) exit() { s.busy.Done() }

// View implements kv.Store. On a database that serialises by itself, it can fail with kv.ErrConflict.
func (s *Store) View(ctx context.Context, fn func(context.Context, kv.Reader) error) error {
	if joined, err := kv.JoinView(ctx, s, fn); joined {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.exit()
	r := &reader{store: s, ctx: ctx}
	defer r.close()
	err := fn(kv.WithReader(ctx, s, r), r)
	if r.failed == errSerialize {
		return kv.ErrConflict
	}
	return err
}

// Update implements kv.Store. Beside the errors of the contract it returns kv.ErrUnavailable while the database cannot be reached, and
// with that ErrOutcome if a commit was under way just then.
func (s *Store) Update(ctx context.Context, fn func(context.Context, kv.Tx) error) error {
	if joined, err := kv.JoinUpdate(ctx, s, fn); joined {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.exit()
	for pause := s.newPause(); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := s.attempt(ctx, fn)
		if err != errConflict && err != errSerialize {
			return err
		}
		s.conflicts.Add(1)
		if err := pause.next(ctx); err != nil {
			return err
		}
	}
}

// pause is the waits of one Update or commit that has lost.
type pause struct {
	clock clock.Clock
	tries int
	long  time.Duration
}

func (s *Store) newPause() *pause { return &pause{clock: s.clock, tries: 1, long: firstPause} }

// next waits before the next try. It returns kv.ErrConflict if there is none, and ctx's error if that has ended.
func (p *pause) next(ctx context.Context) error {
	switch p.tries++; {
	case p.tries > maxTries:
		return kv.ErrConflict
	case p.tries <= quickTries:
		return ctx.Err()
	}
	err := clock.Sleep(ctx, p.clock, clock.Jitter(p.long))
	p.long = min(2*p.long, maxPause)
	return err
}

// attempt runs fn once and commits what it wrote.
func (s *Store) attempt(ctx context.Context, fn func(context.Context, kv.Tx) error) error {
	t := newTx(ctx, s)
	defer t.close()
	err := fn(kv.WithTx(ctx, s, t), t)
	t.over = true
	if t.failed != nil {
		// Whatever fn made of it: it has not seen what it asked for.
		return t.failed
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && !t.own.empty() {
		return s.commit(t)
	}
	if err != nil && ctx.Err() == nil || err == nil && t.reads.guarded {
		if stale := s.stale(t); stale != nil {
			return stale
		}
	}
	return err
}

// stale returns errConflict if something that t has read or guarded has been written since.
func (s *Store) stale(t *tx) error {
	if t.c == nil || t.reads.empty() {
		return nil
	}
	do, params, _ := t.checks(nil)
	yes := false
	err := t.c.run(call{st: &s.sql.commit}, call{st: &s.sql.of[do], params: append([][]byte{int8Param(0)}, params...),
		row: func(values [][]byte) (err error) {
			yes, err = boolAt(values, 0)
			return err
		}})
	if err != nil {
		return classify(err)
	}
	if !yes {
		return errConflict
	}
	return nil
}

// Watch implements kv.Store. Changes by other processes arrive through the database's notifications, within milliseconds; since those can be
// lost, and some databases have none, every watch also gets a value about once a second.
func (s *Store) Watch(prefix []byte) kv.Watch { return s.watch.Open(prefix) }

// Close implements kv.Store.
func (s *Store) Close() error {
	s.life.Lock()
	again := s.closed
	s.closed = true
	s.life.Unlock()
	if again {
		return nil
	}
	s.busy.Wait()
	s.stop()
	s.background.Wait()
	s.pool.Close()
	return nil
}

// Checkpoint implements kv.Store. The copy is a folder that opens as an embedded store.
func (s *Store) Checkpoint(ctx context.Context, dir string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.exit()
	r := &reader{store: s, ctx: ctx}
	defer r.close()
	if err := r.usable(); err != nil {
		return err
	}
	err := r.export(dir)
	if ctx.Err() != nil && err != nil {
		return errors.Join(ctx.Err(), err)
	}
	return err
}
