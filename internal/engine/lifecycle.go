package engine

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"croft/internal/clock"
	"croft/internal/engine/bundle"
	"croft/internal/engine/runtimes"
)

// Engine runs functions. It is safe for concurrent use.
type Engine struct {
	cfg      Config
	bundles  *bundle.Store
	runtimes *runtimes.Set
	pools    *pools
	// initTime is the constant of that name, except in tests.
	initTime time.Duration
	// slots numbers the sandboxes.
	slots atomic.Uint64
	// ctx ends when the engine closes.
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup // every goroutine that the engine started, and every caller in it
}

// Runtimes returns the identifiers of the runtimes that functions may have.
func Runtimes() []string { return runtimes.Names() }

// New returns an engine that has no environments yet. The caller closes it.
func New(cfg Config) (*Engine, error) {
	if cfg.Clock == nil || cfg.Dir == "" || cfg.Code == nil {
		return nil, errors.New("engine: Clock, Dir and Code are required")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	cfg = configDefaults(cfg)
	cfg.Dir = dir
	if err := ensureDir(cfg.Dir); err != nil {
		return nil, err
	}
	if err := ensureDir(filepath.Join(cfg.Dir, "root")); err != nil {
		return nil, err
	}
	bundles, err := bundle.NewStore(filepath.Join(cfg.Dir, "code"))
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg:      cfg,
		bundles:  bundles,
		initTime: initTime,
		runtimes: runtimes.NewSet(runtimes.Host{Clock: cfg.Clock, Log: cfg.Log, Dir: cfg.Dir, SDKDir: cfg.SDKDir, Isolation: cfg.Isolation, Progress: cfg.Progress}),
	}
	e.pools = newPools(cfg.Clock, cfg.MaxEnvironments, e.end)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.work.Go(e.sweepOften)
	return e, nil
}

func configDefaults(cfg Config) Config {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Logs == nil {
		cfg.Logs = func(context.Context, LogBatch) error { return nil }
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	if cfg.EndpointAddr == "" {
		cfg.EndpointAddr = "127.0.0.1:4566"
	}
	if cfg.MaxEnvironments <= 0 {
		cfg.MaxEnvironments = 64
	}
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = 5 * time.Minute
	}
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = 30 * time.Second
	}
	return cfg
}

// enter counts the caller as work that Close waits for, unless the engine is closed. Who has entered may start more work.
func (e *Engine) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.work.Add(1)
	}
	return !e.closed
}

// end ends an environment without waiting for it. The caller, who may hold locks, has entered.
func (e *Engine) end(env *environment) { e.work.Go(env.close) }

func (e *Engine) sweepOften() {
	for clock.Sleep(e.ctx, e.cfg.Clock, e.cfg.IdleTimeout/5) == nil {
		e.pools.sweep(e.cfg.IdleTimeout)
	}
}

// Retire ends all environments of the function, those in use once their invocation is over. It is called when a function is
// updated or deleted, and does not wait.
func (e *Engine) Retire(functionARN string) {
	if e.enter() {
		defer e.work.Done()
		e.pools.retire(functionARN)
	}
}

// Ahead initialises an environment of fn that nobody has asked for yet, if there is room. It does not wait.
func (e *Engine) Ahead(Function) {}

// Provision keeps n environments of fn initialised, from now on; zero ends that. It does not wait. Nothing of it outlives the engine.
func (e *Engine) Provision(Function, int) {}

// Provisioned says how Provision stands.
func (e *Engine) Provisioned(functionARN, version string) Provision { return Provision{} }

// Close ends all environments, also those in use, and waits until nothing of them is left.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.pools.close()
	e.cancel()
	e.work.Wait()
	return nil
}
