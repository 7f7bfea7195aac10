package engine

// maxEarly bounds the functions that wait to be initialised ahead, and maxReady the environments that are and that nobody has used yet: what is
// ready before anybody asks must not take the machine from those who do.
const (
	maxEarly = 64
	maxReady = 8
)

// Ahead says that fn is what its ARN and version stand for from now on: environments of other revisions end. It initialises one that nobody has asked for
// yet, as Lambda does after a deployment, if there is room. It does not wait.
func (e *Engine) Ahead(fn Function) {
	if !e.enter() {
		return
	}
	defer e.work.Done()
	e.pools.renew(fn)
	if e.cfg.NoAhead || fn.Reserved != nil && *fn.Reserved == 0 {
		return
	}
	select {
	case e.early <- withDefaults(fn):
	default: // a deployment of very many functions: the first ones are ready
	}
}

// startEarly does what Ahead asks for, one at a time.
func (e *Engine) startEarly() {
	for {
		select {
		case fn := <-e.early:
			e.pools.startAhead(fn)
		case <-e.ctx.Done():
			return
		}
	}
}

// renew retires the environments of other revisions.
func (p *pools) renew(fn Function) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if own := p.poolOf(fn); own.live == 0 && len(own.waiting) == 0 && own.wanted == 0 {
		delete(p.byKey, own.key)
	}
}

// startAhead starts an environment that nobody waits for.
func (p *pools) startAhead(fn Function) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ready := 0
	for _, q := range p.byKey {
		for _, env := range q.idle {
			if env.purpose == ahead && !env.served {
				ready++
			}
		}
	}
	if p.closed || ready >= maxReady || p.live >= p.environments {
		return
	}
	if own := p.poolOf(fn); own.live == 0 {
		p.claim(own, ahead)
	}
}
