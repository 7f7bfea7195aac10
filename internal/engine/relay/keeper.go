package relay

import (
	"context"
	"sync"
	"time"

	"croft/internal/clock"
)

// keeper closes devices late, and asks regularly for what is idle to be forgotten. Closing a device takes the kernel 20 to 30 ms, under a lock that
// every start of a sandbox wants too; a second after the last process of its namespace the device is gone by itself, and closing costs nothing.
type keeper struct {
	clock clock.Clock
	wake  chan struct{}

	mu    sync.Mutex
	queue []queued
	done  bool
}

type queued struct {
	device *device
	due    time.Time
}

const (
	closeAfter = time.Second
	// maxQueued bounds the devices that wait; with more, the oldest is closed early.
	maxQueued = 1024
)

func newKeeper(c clock.Clock) *keeper { return &keeper{clock: c, wake: make(chan struct{}, 1)} }

// later closes d after a while.
func (k *keeper) later(d *device) {
	k.mu.Lock()
	if k.done {
		k.mu.Unlock()
		d.close()
		return
	}
	k.queue = append(k.queue, queued{device: d, due: k.clock.Now().Add(closeAfter)})
	k.mu.Unlock()
	k.watch()
}

// watch says that there is something to look after.
func (k *keeper) watch() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run looks after things once a second, while there are any, until ctx ends. expire reports whether there are.
func (k *keeper) run(ctx context.Context, expire func(time.Time) bool) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		}
		for busy := true; busy; {
			if clock.Sleep(ctx, k.clock, closeAfter) != nil {
				return
			}
			now := k.clock.Now()
			waiting := k.closeDue(now)
			busy = expire(now) || waiting
		}
	}
}

// closeDue closes what is due, and reports whether there is more.
func (k *keeper) closeDue(now time.Time) bool {
	for {
		k.mu.Lock()
		if len(k.queue) == 0 || len(k.queue) <= maxQueued && k.queue[0].due.After(now) {
			defer k.mu.Unlock()
			return len(k.queue) > 0
		}
		d := k.queue[0].device
		k.queue = k.queue[1:]
		k.mu.Unlock()
		d.close()
	}
}

// closeAll closes what is left; what comes afterwards is closed at once.
func (k *keeper) closeAll() {
	k.mu.Lock()
	k.done = true
	queue := k.queue
	k.queue = nil
	k.mu.Unlock()
	for _, q := range queue {
		q.device.close()
	}
}
