package engine

import (
	"context"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
)

// poolKey names the environments that are alike.
type poolKey struct{ arn, version, revision string }

// pool is the environments of one revision of one function version. The fields belong to the pools' mutex.
type pool struct {
	key poolKey
	// idle is ordered by when the environments were last used, the latest at the end.
	idle []*environment
	// live counts the environments in use, idle or starting.
	live int
	// retired: environments end instead of becoming idle.
	retired bool
}

// pools is the account of all environments: who has one, who waits for one. It starts and ends nothing itself.
type pools struct {
	clock clock.Clock
	max   int
	// end ends an environment, without waiting.
	end func(*environment)

	mu     sync.Mutex
	byKey  map[poolKey]*pool
	live   int
	closed bool
	// changed closes, and is replaced, when a waiter may find a place.
	changed chan struct{}
}

func newPools(c clock.Clock, max int, end func(*environment)) *pools {
	return &pools{clock: c, max: max, end: end, byKey: map[poolKey]*pool{}, changed: make(chan struct{})}
}

// lease is the right to one environment: an idle one, or a place to start one in when env is nil.
type lease struct {
	pool *pool
	env  *environment
}

// acquire leases an environment for fn. When all places are taken by environments in use it waits at most wait; then, and at once when wait is
// zero, the error is TooManyRequestsException.
func (p *pools) acquire(ctx context.Context, fn Function, wait time.Duration) (lease, error) {
	var expired <-chan time.Time
	for {
		l, changed, err := p.try(fn)
		if err != nil || changed == nil {
			return l, err
		}
		if expired == nil {
			t := p.clock.NewTimer(wait)
			defer t.Stop()
			expired = t.C()
		}
		select {
		case <-changed:
		case <-expired:
			return lease{}, p.tooMany(fn)
		case <-ctx.Done():
			return lease{}, ctx.Err()
		}
	}
}

// try leases, or returns the channel to wait for.
func (p *pools) try(fn Function) (lease, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return lease{}, nil, errClosed()
	}
	own := p.poolOf(fn)
	for len(own.idle) > 0 {
		last := len(own.idle) - 1
		env := own.idle[last]
		own.idle = own.idle[:last]
		if env.usable(p.clock.Now()) {
			return lease{own, env}, nil, nil
		}
		p.drop(own, env)
	}
	if fn.MaxConcurrency > 0 && own.live >= fn.MaxConcurrency {
		return lease{}, p.changed, nil
	}
	if p.live >= p.max && !p.evict() {
		return lease{}, p.changed, nil
	}
	own.live++
	p.live++
	p.byKey[own.key] = own // again, if the last of its environments was just found dead
	return lease{pool: own}, nil, nil
}

// poolOf returns fn's pool. A new revision retires the pools of the others.
func (p *pools) poolOf(fn Function) *pool {
	key := poolKey{fn.ARN, fn.Version, fn.Revision}
	if own := p.byKey[key]; own != nil {
		return own
	}
	for k, other := range p.byKey {
		if k.arn == fn.ARN && k.version == fn.Version {
			p.retirePool(other)
		}
	}
	own := &pool{key: key}
	p.byKey[key] = own
	return own
}

// evict ends the environment that has been idle longest, and reports whether there was one.
func (p *pools) evict() bool {
	var from *pool
	for _, q := range p.byKey {
		if len(q.idle) > 0 && (from == nil || q.idle[0].idleSince.Before(from.idle[0].idleSince)) {
			from = q
		}
	}
	if from == nil {
		return false
	}
	env := from.idle[0]
	from.idle = from.idle[1:]
	p.drop(from, env)
	return true
}

// drop gives up an environment's place and ends it; env may be nil when it did not come to be.
func (p *pools) drop(from *pool, env *environment) {
	from.live--
	p.live--
	if from.live == 0 && p.byKey[from.key] == from {
		delete(p.byKey, from.key)
	}
	if env != nil {
		p.end(env)
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// release ends a lease. The environment becomes idle if keep is set and it may still be used.
func (p *pools) release(l lease, keep bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	if !keep || l.pool.retired || p.closed || !l.env.usable(now) {
		p.drop(l.pool, l.env)
		return
	}
	l.env.idleSince = now
	l.pool.idle = append(l.pool.idle, l.env)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pools) retirePool(q *pool) {
	q.retired = true
	delete(p.byKey, q.key)
	idle := q.idle
	q.idle = nil
	for _, env := range idle {
		p.drop(q, env)
	}
}

// retire retires all pools of a function.
func (p *pools) retire(arn string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, q := range p.byKey {
		if k.arn == arn {
			p.retirePool(q)
		}
	}
}

// sweep ends the environments that nobody has used for a while, or whose credentials run out.
func (p *pools) sweep(idle time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	for _, q := range p.byKey {
		kept := q.idle[:0]
		var gone []*environment
		for _, env := range q.idle {
			if now.Sub(env.idleSince) >= idle || !env.usable(now) {
				gone = append(gone, env)
			} else {
				kept = append(kept, env)
			}
		}
		q.idle = kept
		for _, env := range gone {
			p.drop(q, env)
		}
	}
}

// close retires everything and lets nobody in any more.
func (p *pools) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, q := range p.byKey {
		p.retirePool(q)
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pools) tooMany(fn Function) error {
	reason := "ConcurrentInvocationLimitExceeded"
	if fn.MaxConcurrency > 0 {
		reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
	}
	return &cloud.Error{
		Code: "TooManyRequestsException", Status: 429, Message: "Rate Exceeded.",
		Fields: map[string]any{"Reason": reason, "Type": "User"},
	}
}

func errClosed() error {
	return &cloud.Error{Code: "ServiceException", Status: 503, Message: "The server is shutting down. Try again once it has started."}
}
