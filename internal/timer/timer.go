// Package timer is the one durable timer service: every delay that must survive a restart is a row here.
//
// A timer is set in the transaction of the change that needs it, and fires in a transaction of its own: what the handler writes and
// the removal of the row commit together, so a timer has its effect exactly once. Rows are sharded by a hash before they are ordered by
// time, so that setting timers never meets in one place. Where several processes share the store, each shard is watched by the one
// that holds the lease "timer/N"; that a timer has its effect once does not depend on it.
//
// Key layout, below the space "!timer":
//
//	shard (8 bytes) 't' due (8 bytes) handler id   the timer, ordered by when it falls due
//	shard (8 bytes) 'i' handler id                 when it is due: finds the row to replace or cancel
package timer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/lease"
)

const (
	shards = 16
	// batch bounds how many due timers one round takes up per shard.
	batch = 64
	// firstRetry and maxRetry bound the pause after a handler has failed; it doubles each time.
	firstRetry = time.Second
	maxRetry   = 5 * time.Minute
	// storePause is the pause after the store could not be used.
	storePause = time.Second
)

// Timer is one durable delay.
type Timer struct {
	// Handler names who is called: "service.purpose".
	Handler string
	// ID is unique per handler, account and region. Setting the same one again replaces the timer.
	ID      string
	Account string
	Region  string
	Due     time.Time
	Body    []byte
	// Attempt counts the failures so far; Set resets it.
	Attempt int
}

// Handler is called when a timer falls due, inside the transaction that removes it. It may run several times, as every
// transaction; its context carries a Call of the service principal croft.internal in the timer's account and region. When
// it fails, the timer is put off with a growing pause and tried again without end.
type Handler func(ctx context.Context, t Timer) error

// Timers is the service. All methods are safe for concurrent use.
type Timers struct {
	clock clock.Clock
	log   *slog.Logger
	space kv.Space
	watch kv.Watch
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu sync.Mutex
	// held says which shards this process watches over; changed receives a value when that changes.
	held    [shards]bool
	changed chan struct{}
}

// New returns the timers that lie in store. They fire once Start is called.
func New(store kv.Store, c clock.Clock, log *slog.Logger) *Timers {
	return &Timers{clock: c, log: log, space: kv.NewSpace(store, "!timer"), changed: make(chan struct{}, 1)}
}

type row struct {
	Account string `json:"a"`
	Region  string `json:"r"`
	Attempt int    `json:"n,omitempty"`
	Body    []byte `json:"b,omitempty"`
}

func shardOf(t Timer) uint64 {
	h := fnv.New32a()
	for _, s := range []string{t.Handler, t.Account, t.Region, t.ID} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return uint64(h.Sum32() % shards)
}

func rowKey(t Timer) kv.Key {
	return dueKey(shardOf(t)).Time(t.Due).Str(t.Handler).Str(t.Account).Str(t.Region).Str(t.ID)
}

func dueKey(shard uint64) kv.Key { return kv.Key(nil).Uint(shard).Raw('t') }

func indexKey(t Timer) kv.Key {
	return kv.Key(nil).Uint(shardOf(t)).Raw('i').Str(t.Handler).Str(t.Account).Str(t.Region).Str(t.ID)
}

// Set stores t, replacing a timer of the same identity. It joins the transaction that ctx carries.
func (s *Timers) Set(ctx context.Context, t Timer) error {
	if t.Handler == "" || t.ID == "" {
		return errors.New("timer: a timer needs a handler and an id")
	}
	t.Attempt = 0
	return s.set(ctx, t)
}

func (s *Timers) set(ctx context.Context, t Timer) error {
	value, err := json.Marshal(row{t.Account, t.Region, t.Attempt, t.Body})
	if err != nil {
		return fmt.Errorf("timer: %w", err)
	}
	return s.space.Update(ctx, func(_ context.Context, tx kv.Tx) error {
		if err := s.remove(tx, t); err != nil {
			return err
		}
		if err := tx.Put(rowKey(t), value); err != nil {
			return err
		}
		return tx.Put(indexKey(t), kv.Key(nil).Time(t.Due))
	})
}

// Cancel removes the timer of t's identity; its other fields do not matter. A timer that is not there is no error. It joins the
// transaction that ctx carries.
func (s *Timers) Cancel(ctx context.Context, t Timer) error {
	return s.space.Update(ctx, func(_ context.Context, tx kv.Tx) error { return s.remove(tx, t) })
}

func (s *Timers) remove(tx kv.Tx, t Timer) error {
	due, err := tx.Get(indexKey(t))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	t.Due = kv.ReadKey(due, nil).Time()
	if err := tx.Delete(rowKey(t)); err != nil {
		return err
	}
	return tx.Delete(indexKey(t))
}

// Start begins to fire, until Close, the timers of the shards that leases give this process. It is called once.
func (s *Timers) Start(leases lease.Leases, handlers map[string]Handler) {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.watch = s.space.Watch(nil)
	s.done.Go(func() { s.run(ctx, handlers) })
	for shard := range shards {
		s.done.Go(func() {
			leases.Run(ctx, fmt.Sprintf("timer/%d", shard), func(ctx context.Context) {
				s.hold(shard, true)
				<-ctx.Done()
				// A timer of the shard that fires just now does so in a transaction: there is nothing to wait for.
				s.hold(shard, false)
			})
		})
	}
}

func (s *Timers) hold(shard int, held bool) {
	s.mu.Lock()
	s.held[shard] = held
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *Timers) holding() [shards]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

func every() (all [shards]bool) {
	for i := range all {
		all[i] = true
	}
	return all
}

// Close stops firing and waits for the handler that runs.
func (s *Timers) Close() {
	if s.stop == nil {
		return
	}
	s.stop()
	s.done.Wait()
	s.watch.Close()
}

func (s *Timers) run(ctx context.Context, handlers map[string]Handler) {
	for failures := 0; ctx.Err() == nil; {
		due, next, err := s.collect(ctx, s.holding())
		for _, t := range due {
			if ctx.Err() != nil {
				return
			}
			if err = s.fire(ctx, handlers, t); err != nil {
				break
			}
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			failures++
			s.trouble(failures, err)
			_ = clock.Sleep(ctx, s.clock, storePause) // ctx is looked at above
		default:
			failures = 0
			if len(due) == 0 {
				s.wait(ctx, next)
			}
		}
	}
}

// trouble reports that the store cannot be used, loudly the first time.
func (s *Timers) trouble(failures int, err error) {
	level := slog.LevelDebug
	if failures == 1 {
		level = slog.LevelError
	}
	s.log.Log(context.Background(), level, "timers cannot be read or put off; trying again every second", "err", err)
}

// wait returns when next has come, something was set, or ctx has ended. A zero next waits for the other two.
func (s *Timers) wait(ctx context.Context, next time.Time) {
	var fired <-chan time.Time
	if !next.IsZero() {
		t := clock.At(s.clock, next)
		defer t.Stop()
		fired = t.C()
	}
	select {
	case <-fired:
	case <-s.watch.C():
	case <-s.changed:
	case <-ctx.Done():
	}
}

// Idle reports whether every timer that the clock has reached has fired. It joins the snapshot that ctx carries.
func (s *Timers) Idle(ctx context.Context) (bool, error) {
	due, _, err := s.collect(ctx, every())
	return err == nil && len(due) == 0, err
}

// collect returns what is due in some shards, and when the next timer will be if nothing is.
func (s *Timers) collect(ctx context.Context, of [shards]bool) (due []Timer, next time.Time, err error) {
	now := s.clock.Now()
	err = s.space.View(ctx, func(_ context.Context, r kv.Reader) error {
		due, next = nil, time.Time{}
		for shard := range uint64(shards) {
			if !of[shard] {
				continue
			}
			prefix := dueKey(shard)
			for e, err := range r.Scan(kv.PrefixRange(prefix), kv.ScanOptions{Limit: batch}) {
				if err != nil {
					return err
				}
				t, err := decode(prefix, e)
				if err != nil {
					s.log.Error("a timer's row cannot be read and is passed over", "shard", shard, "err", err)
					continue
				}
				if t.Due.After(now) {
					if next.IsZero() || t.Due.Before(next) {
						next = t.Due
					}
					break
				}
				due = append(due, t)
			}
		}
		return nil
	})
	return due, next, err
}

func decode(prefix []byte, e kv.Entry) (Timer, error) {
	k := kv.ReadKey(e.Key, prefix)
	t := Timer{Due: k.Time(), Handler: k.Str(), Account: k.Str(), Region: k.Str(), ID: k.Str()}
	if err := k.Err(); err != nil {
		return Timer{}, err
	}
	var v row
	if err := json.Unmarshal(e.Value, &v); err != nil {
		return Timer{}, fmt.Errorf("timer: row of %s: %w", t.Handler, err)
	}
	t.Attempt, t.Body = v.Attempt, v.Body
	return t, nil
}

// fire has a timer take effect, or puts it off. It fails only when the store takes neither.
func (s *Timers) fire(ctx context.Context, handlers map[string]Handler, t Timer) error {
	call := cloud.InternalCall(t.Account, t.Region, s.clock.Now())
	err := s.space.Update(cloud.WithCall(ctx, call), func(ctx context.Context, tx kv.Tx) error {
		if _, err := tx.Get(rowKey(t)); err != nil {
			if errors.Is(err, kv.ErrNotFound) {
				return nil
			}
			return err
		}
		if err := s.remove(tx, t); err != nil {
			return err
		}
		h, ok := handlers[t.Handler]
		if !ok {
			return fmt.Errorf("no handler named %q", t.Handler)
		}
		return h(ctx, t)
	})
	if err == nil || errors.Is(err, kv.ErrUnavailable) {
		return err
	}
	return s.putOff(ctx, t, err)
}

// putOff tries t again later, unless it has been changed meanwhile.
func (s *Timers) putOff(ctx context.Context, t Timer, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	pause := maxRetry
	if t.Attempt < 9 {
		pause = min(maxRetry, firstRetry<<t.Attempt)
	}
	s.log.Warn("a timer failed and is tried again", "handler", t.Handler, "id", t.ID, "attempt", t.Attempt+1, "in", pause, "err", cause)
	again := t
	again.Attempt++
	again.Due = s.clock.Now().Add(pause)
	return s.space.Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		if _, err := tx.Get(rowKey(t)); err != nil {
			if errors.Is(err, kv.ErrNotFound) {
				return nil
			}
			return err
		}
		return s.set(ctx, again)
	})
}
