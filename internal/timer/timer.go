// Package timer is the one durable timer service: every delay that must survive a restart is a row here.
//
// A timer is set in the transaction of the change that needs it, and fires in a transaction of its own: what the handler writes and
// the removal of the row commit together, so a timer has its effect exactly once. Rows are sharded by a hash before they are ordered by
// time, so that setting timers never meets in one place.
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
)

const (
	shards = 16
	// batch bounds how many due timers one round takes up per shard.
	batch = 64
	// firstRetry and maxRetry bound the pause after a handler has failed; it doubles each time.
	firstRetry = time.Second
	maxRetry   = 5 * time.Minute
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
}

// New returns the timers that lie in store. They fire once Start is called.
func New(store kv.Store, c clock.Clock, log *slog.Logger) *Timers {
	return &Timers{clock: c, log: log, space: kv.NewSpace(store, "!timer")}
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

// Start begins to fire timers, until Close. It is called once.
func (s *Timers) Start(handlers map[string]Handler) {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.watch = s.space.Watch(nil)
	s.done.Go(func() { s.run(ctx, handlers) })
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
	for ctx.Err() == nil {
		due, next, err := s.collect(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("timers cannot be read; trying again in a second", "err", err)
			}
			next = s.clock.Now().Add(time.Second)
		}
		for _, t := range due {
			if ctx.Err() != nil {
				return
			}
			s.fire(ctx, handlers, t)
		}
		if len(due) == 0 {
			s.wait(ctx, next)
		}
	}
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
	case <-ctx.Done():
	}
}

// Idle reports whether every timer that the clock has reached has fired. It joins the snapshot that ctx carries.
func (s *Timers) Idle(ctx context.Context) (bool, error) {
	due, _, err := s.collect(ctx)
	return err == nil && len(due) == 0, err
}

// collect returns what is due, and when the next timer will be if nothing is.
func (s *Timers) collect(ctx context.Context) (due []Timer, next time.Time, err error) {
	now := s.clock.Now()
	err = s.space.View(ctx, func(_ context.Context, r kv.Reader) error {
		for shard := range uint64(shards) {
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

func (s *Timers) fire(ctx context.Context, handlers map[string]Handler, t Timer) {
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
	if err == nil || ctx.Err() != nil {
		return
	}
	s.putOff(ctx, t, err)
}

// putOff tries t again later, unless it has been changed meanwhile.
func (s *Timers) putOff(ctx context.Context, t Timer, cause error) {
	pause := maxRetry
	if t.Attempt < 9 {
		pause = min(maxRetry, firstRetry<<t.Attempt)
	}
	s.log.Warn("a timer failed and is tried again", "handler", t.Handler, "id", t.ID, "attempt", t.Attempt+1, "in", pause, "err", cause)
	again := t
	again.Attempt++
	again.Due = s.clock.Now().Add(pause)
	err := s.space.Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		if _, err := tx.Get(rowKey(t)); err != nil {
			if errors.Is(err, kv.ErrNotFound) {
				return nil
			}
			return err
		}
		return s.set(ctx, again)
	})
	if err != nil && ctx.Err() == nil {
		s.log.Error("a failed timer cannot be put off", "handler", t.Handler, "id", t.ID, "err", err)
	}
}
