package engine

import "sync"

// maxWorkers bounds the goroutines that are kept for the next invocation.
const maxWorkers = 64

// workers runs functions on goroutines that are used again: one that has served an invocation has the stack that the next one needs. It is safe for
// concurrent use.
type workers struct {
	mu     sync.Mutex
	idle   []chan func()
	closed bool
}

// do runs f on a goroutine that start starts, or on one that waits for it.
func (w *workers) do(start func(func()), f func()) {
	w.mu.Lock()
	if n := len(w.idle); n > 0 {
		jobs := w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.mu.Unlock()
		jobs <- f
		return
	}
	w.mu.Unlock()
	start(func() { w.work(f) })
}

// work runs f, and what comes after it, until nobody needs the goroutine.
func (w *workers) work(f func()) {
	jobs := make(chan func(), 1) // who hands over does not wait
	for f != nil {
		f()
		w.mu.Lock()
		keep := !w.closed && len(w.idle) < maxWorkers
		if keep {
			w.idle = append(w.idle, jobs)
		}
		w.mu.Unlock()
		if !keep {
			return
		}
		f = <-jobs
	}
}

// close ends the goroutines that wait, and those that work when they are done.
func (w *workers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, jobs := range w.idle {
		jobs <- nil
	}
	w.idle = nil
}
