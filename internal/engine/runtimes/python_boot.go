package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/engine/sandbox"
)

// A fork server has the runtime and, unless the function brings parts of it, the SDK loaded. What must not meet anything that is loaded already, starts fresh.
const (
	startSDK   = "sdk"
	startBare  = "bare"
	startFresh = "fresh"
)

const (
	parentStartTime = time.Minute
	// childMemory is what a child of a fork server takes before it has a function, about.
	childMemory = 5 << 20
)

// forkServer is one fork server, which runs from its first use on. It is safe for concurrent use.
type forkServer struct {
	clock   clock.Clock
	program sandbox.Program
	boot    *Boot
	// started is told, once, which modules the fork server has loaded.
	started func(modules []string)
	warn    func(error)
	turn    chan struct{} // holds a token while one starts it

	mu     sync.Mutex
	parent *sandbox.Parent
	err    error
	failed time.Time
	closed bool
}

var errClosed = errors.New("runtimes: closed")

// get returns the fork server, which it starts when it does not run. One that could not be started is not tried again for a while.
func (f *forkServer) get(ctx context.Context) (*sandbox.Parent, error) {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if parent, err := f.running(); parent != nil || err != nil {
		return parent, err
	}
	ctx, cancel := clock.WithTimeout(ctx, f.clock, parentStartTime)
	defer cancel()
	parent, err := sandbox.StartParent(ctx, f.program)
	if err == nil {
		var hello struct{ Modules []string }
		if err := json.Unmarshal(parent.Hello(), &hello); err == nil {
			f.started(hello.Modules) // without the lock: boot asks for it with the runtime's own lock held
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			f.err, f.failed = err, f.clock.Now()
			f.warn(err)
		}
		return nil, err
	}
	if f.closed {
		parent.Close()
		return nil, errClosed
	}
	f.parent, f.err = parent, nil
	return parent, nil
}

// running returns the fork server if it runs, or why it cannot.
func (f *forkServer) running() (*sandbox.Parent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosed
	}
	if f.parent != nil {
		select {
		case <-f.parent.Done():
			f.parent = nil
		default:
			return f.parent, nil
		}
	}
	if f.err != nil && f.clock.Now().Sub(f.failed) < retryAfter {
		return nil, f.err
	}
	return nil, nil
}

// close ends it for good.
func (f *forkServer) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.parent != nil {
		f.parent.Close()
	}
}

// boot returns how processes of in are started ahead with the SDK in the folder sdk, which is empty without one; nil when they cannot be.
func (p *python) boot(in *interpreter, files, sdk, kind string) *Boot {
	if kind == startFresh || p.host.Isolation != sandbox.Full || runtime.GOOS != "linux" || in.Minor < 9 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := launchKey(in, sdk, kind)
	f := p.parents[key]
	if f == nil {
		f = &forkServer{
			clock: p.host.Clock, turn: make(chan struct{}, 1),
			program: sandbox.Program{
				Args: []string{in.Executable, "-s", filepath.Join(files, "parent", "forkserver.py"), filepath.Join(files, "inside"), RuntimeDir, kind, sdk, sdkPath},
				Env:  []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LD_LIBRARY_PATH=" + in.ownLibraries(), "LANG=" + defaultLang, "TZ=" + defaultTZ, "HOME=" + defaultHome},
				Dir:  "/",
			},
			started: func(modules []string) { p.loaded(in, modules) },
			warn: func(err error) {
				p.host.Log.Warn("Python functions start slowly: no fork server", "python", in.Executable, "error", err)
			},
		}
		f.boot = &Boot{Parent: f.get, Memory: childMemory}
		p.parents[key] = f
	}
	if _, err := f.running(); err != nil {
		return nil
	}
	return f.boot
}

// launchKey tells apart what has different binds or another way to be started.
func launchKey(in *interpreter, sdk, kind string) string {
	return "python " + in.Executable + " " + sdk + " " + kind
}

// loaded takes note of what a fork server of in has loaded: a function that brings any of it must not come from there.
func (p *python) loaded(in *interpreter, modules []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.modules[in.Executable]
	if known == nil {
		known = map[string]bool{}
		p.modules[in.Executable] = known
	}
	for _, m := range modules {
		known[m] = true
	}
}

// preloads says what a fork server of in may have loaded.
func (p *python) preloads(in *interpreter) func(module string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]bool{}
	for _, m := range in.Modules {
		all[m] = true
	}
	for m := range p.modules[in.Executable] {
		all[m] = true
	}
	return func(module string) bool { return all[module] }
}

// Close implements Runtime.
func (p *python) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.parents {
		f.close()
	}
}
