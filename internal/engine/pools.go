package engine

import (
	"context"
	"slices"
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
	fn  Function
	// idle is ordered by when the environments were last used, the latest at the end.
	idle []*environment
	// waiting is who wants an environment, in the order of coming.
	waiting []*waiter
	// starting counts the starts under way, for whoever waits when they are done.
	starting int
	// live counts the environments in use, idle or starting.
	live int
	// rising and working count those of the pool's provisioned environments that start and that are in use.
	rising, working int
	// finishing counts the environments that have answered their invocation and will be free in a moment.
	finishing int
	// retired: environments end instead of becoming idle.
	retired bool

	standing
}

// waiter is a caller who waits for an environment.
type waiter struct{ got chan grant }

// grant is what a waiter gets: an environment, which may be one whose initialisation failed by its function's doing, or the reason why there is none.
type grant struct {
	env *environment
	err error
}

// pools is the account of all environments: who has one, who waits for one. It makes and ends nothing itself.
type pools struct {
	clock clock.Clock
	limits
	// start makes an environment for a pool, and end ends one; neither waits. start's outcome comes back through started.
	start func(*pool, purpose)
	end   func(*environment)

	mu    sync.Mutex
	byKey map[poolKey]*pool
	// hungry are the pools whose waiters are more than their starts, because there was no place.
	hungry []*pool
	live   int
	// running counts invocations, by function ARN and by account and region.
	running map[string]int
	closed  bool
}

// limits bounds the pools.
type limits struct {
	// environments bounds what exists at once, concurrency the invocations of one account in one region.
	environments, concurrency int
}

// purpose is why an environment is started.
type purpose int

const (
	onDemand purpose = iota
	ahead
	provisioned
	template // of a snapshot; the pools know nothing of it
)

func newPools(c clock.Clock, l limits, start func(*pool, purpose), end func(*environment)) *pools {
	return &pools{clock: c, limits: l, start: start, end: end, byKey: map[poolKey]*pool{}, running: map[string]int{}}
}

// admit counts an invocation of fn as running, or refuses it with TooManyRequestsException. Who is admitted leaves.
func (p *pools) admit(fn Function) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed()
	}
	if fn.Reserved != nil && p.running[fn.ARN] >= *fn.Reserved {
		return errThrottled("ReservedFunctionConcurrentInvocationLimitExceeded")
	}
	account := fn.Account + "/" + fn.Region
	if p.running[account] >= p.concurrency {
		return errThrottled("ConcurrentInvocationLimitExceeded")
	}
	p.running[fn.ARN]++
	p.running[account]++
	return nil
}

func (p *pools) leave(fn Function) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left(fn)
}

func (p *pools) left(fn Function) {
	for _, key := range [2]string{fn.ARN, fn.Account + "/" + fn.Region} {
		if p.running[key]--; p.running[key] <= 0 {
			delete(p.running, key)
		}
	}
}

// answered takes the invocation that env serves from the running ones. Its caller may call again before env is released: the next one waits for env then
// instead of having another started.
func (p *pools) answered(env *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left(env.pool.fn)
	env.finishing = true
	env.pool.finishing++
}

// finished says that env will not be free in a moment after all.
func (p *pools) finished(env *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.settle(env) {
		p.pump(env.pool)
	}
}

// settle takes env out of those that finish, and reports whether it was one.
func (p *pools) settle(env *environment) bool {
	was := env.finishing
	if was {
		env.finishing = false
		env.pool.finishing--
	}
	return was
}

// acquire returns an environment for fn that is the caller's until release. When all places are taken by environments in use it waits at most wait;
// then the error is TooManyRequestsException.
func (p *pools) acquire(ctx context.Context, fn Function, wait time.Duration) (*environment, error) {
	env, own, w, err := p.take(fn)
	if env != nil || err != nil {
		return env, err
	}
	timer := p.clock.NewTimer(wait)
	defer func() { timer.Stop() }()
	for {
		select {
		case g := <-w.got:
			return g.env, g.err
		case <-timer.C():
			if !p.giveUp(own, w) {
				timer = p.clock.NewTimer(wait)
				continue
			}
			return nil, errThrottled("ConcurrentInvocationLimitExceeded")
		case <-ctx.Done():
			p.cancel(own, w)
			return nil, ctx.Err()
		}
	}
}

// take returns an idle environment, or the waiter that the caller is.
func (p *pools) take(fn Function) (*environment, *pool, *waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, nil, errClosed()
	}
	own := p.poolOf(fn)
	now := p.clock.Now()
	for len(own.idle) > 0 {
		last := len(own.idle) - 1
		env := own.idle[last]
		own.idle = own.idle[:last]
		if env.usable(now) {
			own.lend(env)
			return env, own, nil, nil
		}
		p.drop(own, env)
	}
	w := &waiter{got: make(chan grant, 1)}
	own.waiting = append(own.waiting, w)
	p.pump(own)
	return nil, own, w, nil
}

// giveUp takes a waiter out of the queue whose time is over, unless a start is under way for it or it has just been served.
func (p *pools) giveUp(own *pool, w *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(own.waiting, w)
	if i < 0 || own.starting+own.finishing > 0 {
		return false
	}
	own.waiting = slices.Delete(own.waiting, i, i+1)
	return true
}

// cancel takes a waiter out who is not there any more. What it was just given goes to the next.
func (p *pools) cancel(own *pool, w *waiter) {
	p.mu.Lock()
	if i := slices.Index(own.waiting, w); i >= 0 {
		own.waiting = slices.Delete(own.waiting, i, i+1)
	}
	p.mu.Unlock()
	select {
	case g := <-w.got:
		if g.env != nil {
			p.release(g.env, g.env.initFailure == nil)
		}
	default:
	}
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
	own := &pool{key: key, fn: fn}
	p.byKey[key] = own
	return own
}

// pump starts environments for those who wait, as far as there are places.
func (p *pools) pump(own *pool) {
	for own.starting+own.finishing < len(own.waiting) && p.claim(own, onDemand) {
	}
	if own.starting+own.finishing < len(own.waiting) && !slices.Contains(p.hungry, own) {
		p.hungry = append(p.hungry, own)
	}
}

// claim takes a place for a start and begins it, if there is one.
func (p *pools) claim(own *pool, why purpose) bool {
	if p.closed || p.live >= p.environments && !p.evict() {
		return false
	}
	own.starting++
	own.live++
	p.live++
	if !own.retired {
		p.byKey[own.key] = own // again, if the last of its environments was just found dead
	}
	p.start(own, why)
	return true
}

// wanted reports whether a start that was claimed is still of use, and takes the place back otherwise. A caller who meanwhile got what another gave back
// does not make it useless: there were so many at once, and the next time so many find an environment.
func (p *pools) wanted(own *pool, why purpose) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed && (!own.retired || len(own.waiting) >= own.starting) {
		return true
	}
	own.starting--
	if why == provisioned {
		own.rising--
	}
	p.drop(own, nil)
	return false
}

// started takes the outcome of a start: an environment, with or without initFailure, or an error.
func (p *pools) started(own *pool, env *environment, why purpose, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own.starting--
	if why == provisioned {
		own.rising--
		own.outcome(env, err)
	}
	if len(own.waiting) > 0 {
		p.serve(own, grant{env, err})
		if err != nil {
			p.drop(own, nil)
		}
		return
	}
	if err != nil || env.initFailure != nil {
		p.drop(own, env)
		return
	}
	p.keep(own, env)
}

// serve gives the first waiter what there is.
func (p *pools) serve(own *pool, g grant) {
	if g.env != nil {
		own.lend(g.env)
	}
	w := own.waiting[0]
	own.waiting = slices.Delete(own.waiting, 0, 1)
	w.got <- g
}

// lend notes that an environment is in use from now on.
func (own *pool) lend(env *environment) {
	if env.purpose == provisioned {
		own.working++
	}
}

// evict ends the environment that has been idle longest, and reports whether there was one.
func (p *pools) evict() bool {
	var from *pool
	at := -1
	for _, q := range p.byKey {
		i := slices.IndexFunc(q.idle, func(env *environment) bool { return env.purpose != provisioned })
		if i >= 0 && (from == nil || q.idle[i].idleSince.Before(from.idle[at].idleSince)) {
			from, at = q, i
		}
	}
	if from == nil {
		return false
	}
	env := from.idle[at]
	from.idle = slices.Delete(from.idle, at, at+1)
	p.remove(from, env)
	return true
}

// remove gives up an environment's place and ends it; env may be nil when it did not come to be.
func (p *pools) remove(from *pool, env *environment) {
	from.live--
	p.live--
	if from.live == 0 && len(from.waiting) == 0 && from.wanted == 0 && p.byKey[from.key] == from {
		delete(p.byKey, from.key)
	}
	if env != nil {
		p.end(env)
	}
}

// drop is remove, and lets those have the place who wait for one.
func (p *pools) drop(from *pool, env *environment) {
	p.remove(from, env)
	hungry := p.hungry
	p.hungry = nil
	for _, q := range hungry {
		p.pump(q)
	}
	p.pump(from)
}

// release gives an environment back. It serves the next or becomes idle if keep is set and it may still be used.
func (p *pools) release(env *environment, keep bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := env.pool
	p.settle(env)
	if env.purpose == provisioned {
		if own.working--; own.provisioned() >= own.wanted {
			env.purpose = onDemand // more than are wanted by now
		}
	}
	if !keep || !env.usable(p.clock.Now()) {
		p.drop(own, env)
		return
	}
	p.keep(own, env)
}

// keep gives an environment to whoever waits for it, or puts it among the idle ones.
func (p *pools) keep(own *pool, env *environment) {
	switch {
	case p.closed:
		p.drop(own, env)
	case len(own.waiting) > 0:
		p.serve(own, grant{env: env})
	case own.retired:
		p.drop(own, env)
	default:
		env.idleSince = p.clock.Now()
		own.idle = append(own.idle, env)
		env.rest()
		if len(p.hungry) > 0 && p.live >= p.environments {
			hungry := p.hungry
			p.hungry = nil
			for _, q := range hungry {
				p.pump(q)
			}
		}
	}
}

// died takes an environment whose processes have ended out of the idle ones.
func (p *pools) died(env *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(env.pool.idle, env); i >= 0 {
		env.pool.idle = slices.Delete(env.pool.idle, i, i+1)
		p.drop(env.pool, env)
	}
}

func (p *pools) retirePool(q *pool) {
	q.retired = true
	q.standing = standing{}
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
		var gone []*environment
		q.idle = slices.DeleteFunc(q.idle, func(env *environment) bool {
			old := env.purpose != provisioned && now.Sub(env.idleSince) >= idle || !env.usable(now)
			if old {
				gone = append(gone, env)
			}
			return old
		})
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
	for _, q := range p.hungry {
		p.turnAway(q)
	}
	for _, q := range p.byKey {
		p.turnAway(q)
		p.retirePool(q)
	}
}

// turnAway tells those who wait that the engine is closing.
func (p *pools) turnAway(q *pool) {
	for len(q.waiting) > 0 {
		p.serve(q, grant{err: errClosed()})
	}
}

func errThrottled(reason string) error {
	return &cloud.Error{
		Code: "TooManyRequestsException", Status: 429, Message: "Rate Exceeded.",
		Fields: map[string]any{"Reason": reason, "Type": "User"},
	}
}

func errClosed() error {
	return &cloud.Error{Code: "ServiceException", Status: 503, Message: "The server is shutting down. Try again once it has started."}
}
