package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	slots chan struct{}
}

type pending struct {
	key []byte
	seq uint64
	m   Message
}

func (w *worker) run(ctx context.Context, watch kv.Watch) {
	for ctx.Err() == nil {
		batch, err := w.read(ctx)
		if err != nil && ctx.Err() == nil {
			w.o.log.Error("the outbox cannot be read; trying again in a second", "err", err)
			if clock.Sleep(ctx, w.o.clock, time.Second) != nil {
				return
			}
			continue
		}
		for _, p := range batch {
			w.take(ctx, p)
			w.after = p.seq
		}
		if len(batch) > 0 {
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
			if err := json.Unmarshal(e.Value, &p.m); err != nil {
				return fmt.Errorf("outbox: row %d: %w", seq, err)
			}
			out = append(out, p)
		}
		return nil
	})
	return out, err
}

// take handles one message. A Deliver goes on in its own goroutine, so that a slow endpoint does not hold up the shard.
func (w *worker) take(ctx context.Context, p pending) {
	h, ok := w.o.handlers[p.m.Handler]
	switch {
	case !ok:
		w.fail(ctx, p, Handler{}, fmt.Errorf("no handler named %q", p.m.Handler))
	case h.Apply != nil:
		if err := w.remove(ctx, p, h.Apply); err != nil && ctx.Err() == nil {
			w.fail(ctx, p, h, err)
		}
	default:
		select {
		case w.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		w.o.done.Go(func() {
			defer func() { <-w.slots }()
			w.deliver(ctx, p, h)
		})
	}
}

func (w *worker) deliver(ctx context.Context, p pending, h Handler) {
	err := h.Deliver(w.o.call(ctx, p.m), p.m)
	if err == nil {
		err = w.remove(ctx, p, nil)
	}
	if err != nil && ctx.Err() == nil {
		w.fail(ctx, p, h, err)
	}
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

// fail moves a message to the timers, or gives it up.
func (w *worker) fail(ctx context.Context, p pending, h Handler, cause error) {
	m := p.m
	m.Attempt++
	limit := h.Attempts
	if limit == 0 {
		limit = defaultAttempts
	}
	last := m.Attempt >= limit
	err := w.remove(ctx, p, func(ctx context.Context, _ Message) error {
		if !last {
			return w.o.later(ctx, m, h)
		}
		if h.Dead != nil {
			return h.Dead(ctx, m, cause)
		}
		return nil
	})
	switch {
	case err != nil && ctx.Err() == nil:
		w.o.log.Error("a failed message cannot be put off; it is delivered again after a restart", "handler", m.Handler, "id", m.ID, "err", err)
	case last:
		w.o.log.Error("a message is given up after its last attempt", "handler", m.Handler, "id", m.ID, "attempts", m.Attempt, "err", cause)
	default:
		w.o.log.Debug("a message failed and is tried again", "handler", m.Handler, "id", m.ID, "attempt", m.Attempt, "err", cause)
	}
}

func (o *Outbox) later(ctx context.Context, m Message, h Handler) error {
	pause := maxRetry
	if m.Attempt < 10 {
		pause = min(maxRetry, firstRetry<<(m.Attempt-1))
	}
	if h.Pause != nil {
		pause = h.Pause(m.Attempt)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return o.timers.Set(ctx, timer.Timer{
		Handler: retryHandler, ID: m.ID, Account: m.Account, Region: m.Region, Due: o.clock.Now().Add(pause), Body: body,
	})
}
