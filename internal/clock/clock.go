// Package clock is the only place in croft that asks the machine for the time, waits, or draws pseudo-random numbers.
//
// Every component takes a Clock. Real is the machine's; Manual moves only when told, which is what tests use and what lets a
// whole cloud be driven through hours in microseconds. A Clock is safe for concurrent use.
package clock

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Clock tells the time and waits for it.
type Clock interface {
	// Now returns the current time. Real times carry a monotonic reading, so differences are safe against clock steps.
	Now() time.Time
	// NewTimer returns a timer whose channel receives the time once d has passed. A d of zero or less fires at once.
	// The caller stops it.
	NewTimer(d time.Duration) Timer
}

// Timer is one pending wait on a Clock.
type Timer interface {
	// C receives exactly one value when the timer fires. It has a buffer of one.
	C() <-chan time.Time
	// Stop prevents the timer from firing and reports whether it did so before it fired.
	Stop() bool
}

// Real returns the machine's clock.
func Real() Clock { return realClock{} }

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) NewTimer(d time.Duration) Timer { return realTimer{time.NewTimer(d)} }

type realTimer struct{ t *time.Timer }

func (r realTimer) C() <-chan time.Time { return r.t.C }
func (r realTimer) Stop() bool          { return r.t.Stop() }

// Sleep waits until d has passed on c or ctx ends, and returns ctx's error in the second case.
func Sleep(ctx context.Context, c Clock, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := c.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// At returns a timer on c that fires when c reaches t. Unlike NewTimer with a difference to Now, it cannot be late by what a Manual is
// advanced between the two calls. The caller stops it.
func At(c Clock, t time.Time) Timer {
	if m, ok := c.(*Manual); ok {
		return m.timerAt(t)
	}
	return c.NewTimer(t.Sub(c.Now()))
}

// ErrTimeout is the cause of a context that WithTimeout ended because its time had passed.
var ErrTimeout = errors.New("clock: the time allowed has passed")

// WithTimeout returns a context that ends when d has passed on c, with ErrTimeout as its cause. The caller must call the
// cancel function, which also ends the timer behind it.
func WithTimeout(ctx context.Context, c Clock, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if _, real := c.(realClock); real {
		t := time.AfterFunc(d, func() { cancel(ErrTimeout) })
		return ctx, func() {
			t.Stop()
			cancel(context.Canceled)
		}
	}
	t := c.NewTimer(d)
	go func() {
		defer t.Stop()
		select {
		case <-t.C():
			cancel(ErrTimeout)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// Jitter returns a pseudo-random duration in [d/2, d): what retries wait so that they do not meet again. It must never be used
// for anything that grants access.
func Jitter(d time.Duration) time.Duration {
	if d < 2 {
		return d
	}
	return d/2 + rand.N(d/2)
}

// Pick returns a pseudo-random number in [0, n): for spreading work, never for anything that grants access. n must be positive.
func Pick(n int) int { return rand.IntN(n) }

// Random returns a pseudo-random sequence that depends on seed alone: for tests that have to be repeatable.
func Random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }
