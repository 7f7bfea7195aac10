package poller

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"croft/internal/clock"
)

// runner polls for one mapping.
type runner struct {
	Mapping
	stop  context.CancelFunc
	clock clock.Clock
	log   *slog.Logger
	// slots holds one element for each batch under way or being gathered.
	slots chan struct{}
	// failures counts the batches in a row for which the function could not be asked.
	failures atomic.Int32
}

// run receives until receiving ends. Batches go on in goroutines of running, under working.
func (r *runner) run(receiving, working context.Context, running *sync.WaitGroup) {
	for refused := 0; ; {
		select {
		case r.slots <- struct{}{}:
		case <-receiving.Done():
			return
		}
		batch, err := r.gather(receiving)
		switch {
		case len(batch) > 0:
			running.Go(func() {
				defer func() { <-r.slots }()
				r.handle(working, batch)
			})
		default:
			<-r.slots
		}
		if receiving.Err() != nil {
			return
		}
		if err == nil {
			refused = 0
		} else {
			refused++
			r.report("an event source cannot be read; it is tried again", refused, err)
		}
		if clock.Sleep(receiving, r.clock, pause(max(refused, int(r.failures.Load())))) != nil {
			return
		}
	}
}

// report logs a failure, loudly when it is the first in a row.
func (r *runner) report(what string, count int, err error) {
	level := slog.LevelDebug
	if count == 1 {
		level = slog.LevelWarn
	}
	r.log.Log(context.Background(), level, what, "attempt", count, "in", pause(count), "err", err)
}

// pause returns how long to wait after a number of failures in a row.
func pause(failures int) time.Duration {
	switch {
	case failures == 0:
		return 0
	case failures > maxPauseAfterFails:
		return maxPause
	}
	return min(maxPause, firstPause<<(failures-1))
}

// gather returns the next batch: what one look at the source yields, or, with a window, what comes until the batch is full or the
// window over. Messages that were received before an error or the end of ctx are returned all the same.
func (r *runner) gather(ctx context.Context) (batch []Message, err error) {
	var until time.Time
	wait, bytes := longPoll, 0
	for len(batch) < r.BatchSize && bytes < r.MaxBytes {
		got, err := r.Source.Receive(ctx, min(receiveMax, r.BatchSize-len(batch)), wait)
		if err != nil {
			return batch, err
		}
		if len(batch) == 0 {
			until = r.clock.Now().Add(r.Window)
		}
		batch = append(batch, got...)
		for _, m := range got {
			bytes += len(m.Record)
		}
		left := until.Sub(r.clock.Now())
		if len(batch) == 0 || left <= 0 {
			return batch, nil
		}
		wait = min(longPoll, (left + time.Second - 1).Truncate(time.Second))
	}
	return batch, nil
}

// handle sends a batch, in parts when it is too large for one event, and removes what was handled.
func (r *runner) handle(ctx context.Context, batch []Message) {
	for len(batch) > 0 {
		n := fit(batch, r.MaxBytes)
		handled, err := r.Send(ctx, batch[:n])
		batch = batch[n:]
		if ctx.Err() != nil && err != nil {
			return
		}
		if err != nil {
			r.report("a function could not be given its messages; they come back in their queue's time", int(r.failures.Add(1)), err)
			return
		}
		r.failures.Store(0)
		if len(handled) == 0 {
			continue
		}
		if err := r.Source.Remove(ctx, handled); err != nil && ctx.Err() == nil {
			r.log.Warn("handled messages cannot be removed from their source; the function will see them again", "messages", len(handled), "err", err)
		}
	}
}

// fit returns how many messages from the start of batch go into limit bytes: at least one.
func fit(batch []Message, limit int) int {
	bytes := 0
	for i, m := range batch {
		bytes += len(m.Record) + 1
		if bytes > limit && i > 0 {
			return i
		}
	}
	return len(batch)
}
