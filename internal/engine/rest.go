package engine

import (
	"sync"
	"time"

	"croft/internal/clock"
)

// freezeAfter is how long an idle environment goes on running. Lambda freezes at once; a pause spares a busy function two signals for each event.
const freezeAfter = 20 * time.Millisecond

// resting is the queue of idle environments that are to be frozen.
type resting struct {
	clock clock.Clock

	mu    sync.Mutex
	queue []rest
	added chan struct{} // has a token when the queue was empty
}

// rest is one stay in the idle list: an environment that was used since is at another turn.
type rest struct {
	env  *environment
	turn uint64
	at   time.Time
}

func newResting(c clock.Clock) *resting {
	return &resting{clock: c, added: make(chan struct{}, 1)}
}

func (r *resting) add(env *environment, turn uint64) {
	r.mu.Lock()
	r.queue = append(r.queue, rest{env, turn, r.clock.Now().Add(freezeAfter)})
	r.mu.Unlock()
	select {
	case r.added <- struct{}{}:
	default:
	}
}

// due takes what is to be frozen by now, and returns how long until the next.
func (r *resting) due() (out []rest, next time.Duration, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	n := 0
	for n < len(r.queue) && !r.queue[n].at.After(now) {
		n++
	}
	out = r.queue[:n:n]
	r.queue = r.queue[n:]
	if len(r.queue) == 0 {
		r.queue = nil
		return out, 0, false
	}
	return out, r.queue[0].at.Sub(now), true
}

// freezeOften freezes what rests long enough.
func (e *Engine) freezeOften() {
	for {
		out, next, more := e.resting.due()
		for _, r := range out {
			r.env.freeze(r.turn)
		}
		if more {
			if clock.Sleep(e.ctx, e.cfg.Clock, next) != nil {
				return
			}
			continue
		}
		select {
		case <-e.resting.added:
		case <-e.ctx.Done():
			return
		}
	}
}

// repose is whether an environment rests, and frozen.
type repose struct {
	mu sync.Mutex
	// turn counts the changes between use and rest; it is even while the environment rests.
	turn   uint64
	frozen bool
}

// rest lets the environment be frozen after a while. It does not wait.
func (env *environment) rest() {
	env.repose.mu.Lock()
	env.repose.turn += 2 - env.repose.turn%2
	turn := env.repose.turn
	env.repose.mu.Unlock()
	env.e.resting.add(env, turn)
}

// freeze stops the environment's processes, if it still has the rest that turn names and has nothing left to do.
func (env *environment) freeze(turn uint64) {
	if !env.resting(turn) {
		return
	}
	env.process.flushTelemetry() // an invocation does not wait for it
	r := &env.repose
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turn != turn || r.frozen {
		return
	}
	if !env.process.settled() {
		env.e.resting.add(env, turn) // something of it is still at work
		return
	}
	if err := env.process.Freeze(); err != nil {
		env.e.cfg.Log.Debug("an idle environment runs on: it cannot be frozen", "function", env.Function.Name, "error", err)
		return
	}
	r.frozen = true
}

// resting reports whether the environment still has the rest that turn names, and runs.
func (env *environment) resting(turn uint64) bool {
	r := &env.repose
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.turn == turn && !r.frozen && env.process != nil
}

// wake keeps the environment's processes from being stopped until the next rest. Those that are stopped go on; that is not waited for, since what they
// are to do waits for them just as well, and if it fails the process is given up.
func (env *environment) wake() {
	r := &env.repose
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn += 1 + r.turn%2
	if !r.frozen {
		return
	}
	r.frozen = false
	p := env.process
	p.serving.Go(func() {
		if err := p.Thaw(); err != nil {
			p.cancel(errExited)
		}
	})
}
