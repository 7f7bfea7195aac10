package engine

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"croft/internal/clock"
	"croft/internal/engine/bundle"
	"croft/internal/engine/relay"
	"croft/internal/engine/runtimes"
	"croft/internal/engine/sandbox"
)

// Engine runs functions. It is safe for concurrent use.
type Engine struct {
	cfg      Config
	bundles  *bundle.Store
	runtimes *runtimes.Set
	relay    *relay.Relay   // nil when sandboxes have no network device
	first    *sandbox.Image // nil for this program
	pools    *pools
	spares   *spares
	resting  *resting
	snaps    *snapshots
	streams  *logStreams
	workers  workers
	// names is made once, at the first start.
	names func() names
	// starts has a token for each start that uses the processors.
	starts chan struct{}
	// early is what Ahead was asked for.
	early chan Function
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
	bundles, err := bundle.NewStore(stock(cfg))
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg:      cfg,
		bundles:  bundles,
		initTime: initTime,
		runtimes: runtimes.NewSet(runtimes.Host{Clock: cfg.Clock, Log: cfg.Log, Dir: cfg.Dir, SDKDir: cfg.SDKDir, Progress: cfg.Progress}),
		streams:  newLogStreams(),
		starts:   make(chan struct{}, max(4, 2*runtime.GOMAXPROCS(0))),
		early:    make(chan Function, maxEarly),
	}
	if e.relay, err = newRelay(cfg); err != nil {
		return nil, err
	}
	if e.first, err = newFirst(cfg); err != nil {
		return nil, err
	}
	e.names = sync.OnceValue(e.makeNames)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.spares = newSpares(e)
	e.resting = newResting(cfg.Clock)
	e.snaps = newSnapshots(e)
	e.pools = newPools(cfg.Clock, limits{cfg.MaxEnvironments, cfg.MaxConcurrency}, e.begin, e.end)
	for _, f := range []func(){e.sweepOften, e.tendOften, e.startEarly, e.freezeOften, e.spares.refillOften} {
		e.work.Go(f)
	}
	return e, nil
}

// newFirst returns the program of sandboxes' first processes; nil: this program.
func newFirst(cfg Config) (*sandbox.Image, error) {
	if len(cfg.First) == 0 || cfg.Isolation != sandbox.Full {
		return nil, nil
	}
	return sandbox.NewImage(cfg.First)
}

// stock is the folder with unpacked code.
func stock(cfg Config) string { return filepath.Join(cfg.Dir, "code") }

// newRelay makes what answers on the sandboxes' network devices.
func newRelay(cfg Config) (*relay.Relay, error) {
	if cfg.Isolation != sandbox.Full {
		return nil, nil
	}
	return relay.New(relay.Config{Clock: cfg.Clock, Log: cfg.Log, Allow: cfg.AllowHosts, Names: endpointNames(cfg), Private: cfg.ClosedNetworks})
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
		cfg.MaxEnvironments = environmentsFor(sandbox.MachineMemory())
	}
	if cfg.MaxConcurrency <= 0 {
		cfg.MaxConcurrency = 1000
	}
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = 5 * time.Minute
	}
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = 30 * time.Second
	}
	return cfg
}

// environmentsFor returns how many environments a machine with so many bytes of memory should have at once. A Python function that uses the SDK takes about
// 14 MB of its own.
func environmentsFor(memory int64) int {
	const each, least, most = 24 << 20, 100, 1000
	return min(max(int(memory/each), least), most)
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
		e.spares.sweep(e.cfg.IdleTimeout)
		e.snaps.sweep(e.cfg.IdleTimeout)
	}
}

// Retire ends all environments of the function, those in use once their invocation is over. It is called when a function is
// updated or deleted, and does not wait.
func (e *Engine) Retire(functionARN string) {
	if e.enter() {
		defer e.work.Done()
		e.pools.retire(functionARN)
		e.snaps.retire(functionARN)
	}
}

// FlushLogs stores the log lines that wait to be stored, and returns when they are.
func (e *Engine) FlushLogs() { e.streams.flush() }

// Close ends all environments, also those in use, and waits until nothing of them is left.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.pools.close()
	e.cancel()
	e.workers.close()
	e.snaps.close()
	e.spares.close()
	e.work.Wait()
	e.runtimes.Close()
	if e.relay != nil {
		e.relay.Close()
	}
	if e.first != nil {
		return e.first.Close()
	}
	return nil
}
