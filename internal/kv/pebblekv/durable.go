package pebblekv

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"croft/internal/clock"
)

// syncInterval is how long the data of an acknowledged commit may wait for its fsync when the store was not opened with Fsync. The
// promise is 100 ms; the rest is for the fsync itself.
const syncInterval = 70 * time.Millisecond

// syncer fsyncs lazy WAL files until stop is closed.
func (s *Store) syncer(ctx context.Context) {
	for {
		select {
		case <-s.disk.wake:
		case <-ctx.Done():
			return
		}
		if clock.Sleep(ctx, s.clock, syncInterval) != nil {
			return
		}
		s.disk.syncWALs()
	}
}

// watermark is the number of the last commit that is as durable as promised. Commits become so in order.
type watermark struct {
	reached atomic.Uint64
	waiters atomic.Int32
	mu      sync.Mutex
	moved   sync.Cond
}

// advance raises the watermark to n.
func (w *watermark) advance(n uint64) {
	for {
		old := w.reached.Load()
		if old >= n {
			return
		}
		if w.reached.CompareAndSwap(old, n) {
			break
		}
	}
	// A waiter announces itself before it looks at reached, so either it is seen here or it sees n there.
	if w.waiters.Load() > 0 {
		w.mu.Lock()
		w.moved.Broadcast()
		w.mu.Unlock()
	}
}

// wait waits until the watermark has come to n, or release has been called with done reporting true.
func (w *watermark) wait(n uint64, done func() bool) {
	if w.reached.Load() >= n {
		return
	}
	w.waiters.Add(1)
	defer w.waiters.Add(-1)
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.reached.Load() < n && !done() {
		w.moved.Wait()
	}
}

// release wakes the waiters so that they look at done again.
func (w *watermark) release() {
	w.mu.Lock()
	w.moved.Broadcast()
	w.mu.Unlock()
}
