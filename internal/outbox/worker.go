package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
)

// worker takes up the messages of one shard. It reads on from where it was: the log promises that nothing appears behind it.
type worker struct {
	o     *Outbox
	log   kv.Key
	after uint64
	// held ends when the shard must be given up, delivering when what is being delivered must stop.
	held, delivering context.Context
	running          sync.WaitGroup
	// queue holds what waits for a Deliver, and slots a token for each goroutine that works it off.
	queue chan pending
	slots chan struct{}
}

type pending struct {
	key []byte
	seq uint64
	m   Message
	// damaged rows are passed over; they stay where they are.
	damaged bool
}

func (w *worker) run(ctx context.Context, watch kv.Watch) {
	for failures := 0; ctx.Err() == nil; {
		batch, err := w.read(ctx)
		if err != nil && ctx.Err() == nil {
			failures++
			w.trouble(failures, "the outbox cannot be read; trying again every second", err)
			if clock.Sleep(ctx, w.o.clock, time.Second) != nil {
				return
			}
			continue
		}
		failures = 0
		for _, p := range batch {
			if ctx.Err() != nil {
				return
			}
			w.take(ctx, p)
			w.after = p.seq
		}
		if len(batch) > 0 {
			// The removals just made have poked the watch; what came meanwhile is seen by the next read all the same.
			select {
			case <-watch.C():
			default:
			}
			continue
		}
		select {
		case <-watch.C():
		case <-ctx.Done():
		}
	}
}

func (w *worker) read(ctx context.Context) (out []pending, err error) {
	err = w.o.space.View(ctx, func(_ context.Context, r kv.Reader) error {
		for e, err := range r.Scan(kv.LogRange(w.log, w.after), kv.ScanOptions{Limit: batch}) {
			if err != nil {
				return err
			}
			seq, err := kv.LogSeq(w.log, e.Key)
			if err != nil {
				return err
			}
			p := pending{key: append([]byte(nil), e.Key...), seq: seq}
			if p.m, err = decode(e.Value); err != nil {
				w.o.log.Error("a message's row cannot be read and is passed over", "row", seq, "err", err)
				p.damaged = true
			}
			out = append(out, p)
		}
		return nil
	})
	return out, err
}

// take handles one message. Deliver goes on in other goroutines, so that slow endpoints hold up neither each other nor, until very many
// wait, the rest of the shard.
func (w *worker) take(ctx context.Context, p pending) {
	h, ok := w.o.handlers[p.m.Handler]
	switch {
	case p.damaged:
	case !ok:
		// An older or newer build may know the handler: the message is kept for it.
		w.fail(ctx, p, Handler{Attempts: math.MaxInt}, fmt.Errorf("no handler named %q", p.m.Handler))
	case h.Apply != nil:
		if err := w.remove(ctx, p, h.Apply); err != nil {
			w.fail(ctx, p, h, err)
		}
	default:
		select {
		case w.queue <- p:
		case <-ctx.Done():
			return
		}
		select {
		case w.slots <- struct{}{}:
			w.running.Go(w.drain)
		default:
		}
	}
}

// drain delivers what is queued, and gives its slot back once nothing is.
func (w *worker) drain() {
	for {
		select {
		case p := <-w.queue:
			w.deliver(w.delivering, p)
			continue
		default:
			<-w.slots
		}
		// What was queued between the look at the queue and the return of the slot found no free slot.
		if len(w.queue) == 0 {
			return
		}
		select {
		case w.slots <- struct{}{}:
		default:
			return
		}
	}
}

func (w *worker) deliver(ctx context.Context, p pending) {
	if ctx.Err() != nil || w.held.Err() != nil {
		return // the next holder takes it up
	}
	h := w.o.handlers[p.m.Handler]
	finish, err := h.run(w.o.call(ctx, p.m), p.m)
	if err != nil {
		w.fail(ctx, p, h, err)
		return
	}
	// The effect has happened: only the removal is tried again.
	if finish == nil {
		w.persist(ctx, p, nil)
		return
	}
	w.persist(ctx, p, func(ctx context.Context, _ Message) error { return finish(ctx) })
}

// run delivers a message, whichever way the handler does.
func (h Handler) run(ctx context.Context, m Message) (finish func(context.Context) error, err error) {
	if h.Run != nil {
		return h.Run(ctx, m)
	}
	return nil, h.Deliver(ctx, m)
}

func (o *Outbox) call(ctx context.Context, m Message) context.Context {
	return cloud.WithCall(ctx, cloud.InternalCall(m.Account, m.Region, o.clock.Now()))
}

// remove runs apply and takes the message out of the log, in one transaction.
func (w *worker) remove(ctx context.Context, p pending, apply func(context.Context, Message) error) error {
	return w.o.space.Update(w.o.call(ctx, p.m), func(ctx context.Context, tx kv.Tx) error {
		if _, err := tx.Get(p.key); err != nil {
			if errors.Is(err, kv.ErrNotFound) {
				return nil // the cloud was reset meanwhile
			}
			return err
		}
		if err := tx.Delete(p.key); err != nil {
			return err
		}
		if apply == nil {
			return nil
		}
		return apply(ctx, p.m)
	})
}

// trouble reports what goes wrong again and again, loudly the first time.
func (w *worker) trouble(failures int, what string, err error, args ...any) {
	level := slog.LevelDebug
	if failures == 1 {
		level = slog.LevelError
	}
	w.o.log.Log(context.Background(), level, what, append(args, "err", err)...)
}

// persist runs then in the transaction that removes the message, again and again until the store takes it.
func (w *worker) persist(ctx context.Context, p pending, then func(context.Context, Message) error) {
	for failures := 1; ctx.Err() == nil; failures++ {
		err := w.remove(ctx, p, then)
		if err == nil || ctx.Err() != nil {
			return
		}
		w.trouble(failures, "a message cannot be removed from the outbox; trying again every second", err, "handler", p.m.Handler, "id", p.m.ID)
		if clock.Sleep(ctx, w.o.clock, time.Second) != nil {
			return
		}
	}
}

// fail moves a message to the timers, or gives it up. A transaction that lost against others is no failure of the handler: it is
// put off and does not count.
func (w *worker) fail(ctx context.Context, p pending, h Handler, cause error) {
	if ctx.Err() != nil {
		return
	}
	m := p.m
	limit := h.Attempts
	if limit == 0 {
		limit = defaultAttempts
	}
	if !errors.Is(cause, kv.ErrConflict) && !errors.Is(cause, kv.ErrUnavailable) {
		m.Attempt++
	}
	last := m.Attempt >= limit
	w.persist(ctx, p, func(ctx context.Context, _ Message) error {
		switch {
		case !last:
			return w.o.later(ctx, m, h)
		case h.Dead != nil:
			return w.bury(ctx, m, h, cause)
		default:
			return nil
		}
	})
	if last {
		w.o.log.Error("a message is given up after its last attempt", "handler", m.Handler, "id", m.ID, "attempts", m.Attempt, "err", cause)
	} else {
		w.o.log.Debug("a message failed and is tried again", "handler", m.Handler, "id", m.ID, "attempt", m.Attempt, "err", cause)
	}
}

// bury gives a message to its Dead function. If that fails too, nothing of it remains, and the message is put off once more.
func (w *worker) bury(ctx context.Context, m Message, h Handler, cause error) error {
	err := w.o.space.Update(ctx, func(ctx context.Context, _ kv.Tx) error { return h.Dead(ctx, m, cause) })
	if err == nil {
		return nil
	}
	w.o.log.Error("a message that is given up cannot be handed on; trying again", "handler", m.Handler, "id", m.ID, "err", err)
	m.Attempt--
	return w.o.later(ctx, m, h)
}

func (o *Outbox) later(ctx context.Context, m Message, h Handler) error {
	pause := maxRetry
	if m.Attempt < 10 {
		pause = min(maxRetry, firstRetry<<max(0, m.Attempt-1))
	}
	if h.Pause != nil && m.Attempt > 0 {
		pause = h.Pause(m.Attempt)
	}
	return o.timers.Set(ctx, timer.Timer{
		Handler: retryHandler, ID: m.ID, Account: m.Account, Region: m.Region, Due: o.clock.Now().Add(pause), Body: encode(m),
	})
}
