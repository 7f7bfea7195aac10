package engine

import (
	"errors"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
)

// standing is what a pool keeps initialised whether anybody asks or not: provisioned concurrency. The fields belong to the pools' mutex.
type standing struct {
	// wanted is how many environments are to be there.
	wanted int
	// failure is why the last one could not be made, failures how often in a row, and retry when the next may be tried.
	failure  string
	failures int
	retry    time.Time
}

const (
	// firstRetry and lastRetry are the pauses after a provisioned environment could not be made.
	firstRetry = time.Second
	lastRetry  = time.Minute
	// tendEvery is how often what is missing is looked for.
	tendEvery = time.Second
)

// outcome notes how the start of a provisioned environment went. The pool's mutex is held.
func (s *standing) outcome(env *environment, err error) {
	if err == nil && env.initFailure != nil {
		err = env.initFailure
	}
	if err == nil {
		*s = standing{wanted: s.wanted}
		return
	}
	s.failures++
	if s.failure = cause(err); env != nil {
		s.failure = initFailed // as Lambda calls it
	}
	s.retry = time.Time{}
}

// initFailed is the reason that Lambda's API gives for a function whose initialisation failed.
const initFailed = "FUNCTION_ERROR_INIT_FAILURE"

// cause is what a person should read of an error.
func cause(err error) string {
	var e *cloud.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// provision says how many environments of fn are to stand ready.
func (p *pools) provision(fn Function, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	own := p.poolOf(fn)
	if own.wanted != n {
		own.standing = standing{wanted: n}
	}
	for excess := own.provisioned() - n; excess > 0; excess-- {
		i := len(own.idle) - 1
		for i >= 0 && own.idle[i].purpose != provisioned {
			i--
		}
		if i < 0 {
			break // those in use become ordinary ones when they come back
		}
		own.idle[i].purpose = onDemand
	}
	p.fill(own, p.clock.Now())
	if own.live == 0 && own.wanted == 0 && len(own.waiting) == 0 {
		delete(p.byKey, own.key)
	}
}

// provisioned counts the pool's environments that stand ready or are on their way.
func (own *pool) provisioned() int {
	n := own.rising
	for _, env := range own.idle {
		if env.purpose == provisioned {
			n++
		}
	}
	return n + own.working
}

// fill starts what is missing.
func (p *pools) fill(own *pool, now time.Time) {
	if own.failures > 0 {
		if own.retry.IsZero() {
			own.retry = now.Add(min(firstRetry<<min(own.failures-1, 10), lastRetry))
		}
		if now.Before(own.retry) {
			return
		}
	}
	for own.provisioned() < own.wanted && p.claim(own, provisioned) {
		own.rising++
		if own.failures > 0 {
			return // one at a time until one succeeds
		}
	}
}

// tend starts what is missing of all that shall stand ready.
func (p *pools) tend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	for _, own := range p.byKey {
		if own.wanted > 0 {
			p.fill(own, now)
		}
	}
}

// provisionOf says how provisioned concurrency stands.
func (p *pools) provisionOf(arn, version string) Provision {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, own := range p.byKey {
		if k.arn == arn && k.version == version {
			out := Provision{Requested: own.wanted, Allocated: own.provisioned(), Failure: own.failure}
			out.Available = max(out.Allocated-own.rising, 0)
			return out
		}
	}
	return Provision{}
}

// Provision keeps n environments of fn initialised, from now on; zero ends that. It does not wait. Nothing of it outlives the engine.
func (e *Engine) Provision(fn Function, n int) {
	if e.enter() {
		defer e.work.Done()
		e.pools.provision(withDefaults(fn), n)
	}
}

// Provisioned says how Provision stands.
func (e *Engine) Provisioned(functionARN, version string) Provision {
	return e.pools.provisionOf(functionARN, version)
}

func (e *Engine) tendOften() {
	for clock.Sleep(e.ctx, e.cfg.Clock, tendEvery) == nil {
		e.pools.tend()
	}
}
