package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"croft/internal/clock"
	"croft/internal/engine/relay"
	"croft/internal/engine/runtimeapi"
	"croft/internal/engine/sandbox"
)

// A function's connections are descriptors of the server, which all functions share: further ones wait until one is closed. A runtime
// keeps its connections open for as long as it likes, the endpoint's clients connect again.
const (
	maxRuntimeConns  = 64
	maxEndpointConns = 256
	headerTime       = 30 * time.Second
	idleTime         = 5 * time.Minute
	// maxExtensions is Lambda's quota.
	maxExtensions = 10
	// shutdownTime is how long extensions may take to end. Source: Lambda Developer Guide, "Shutdown phase".
	shutdownTime = 2 * time.Second
)

// errExited is why an invocation's context ends when the runtime's process does.
var errExited = errors.New("engine: the runtime's process has ended")

// extensionFault is why it ends when an extension fails.
type extensionFault struct{ name, kind string }

func (f *extensionFault) Error() string { return "The extension " + f.name + " failed: " + f.kind }

// process is the running half of an environment: a sandbox with its programs, and the servers behind its listeners.
type process struct {
	sandbox.Running
	clock clock.Clock
	api   *runtimeapi.Server
	// main is the runtime's process, and extensions those of the external extensions.
	main       *sandbox.Child
	extensions []*sandbox.Child
	// outs are the outputs: the runtime's, then the extensions'.
	outs    []*output
	conn    net.Conn // frames; nil without
	servers []*http.Server
	link    *relay.Link // nil without a network device
	packets []net.PacketConn
	log     *slog.Logger
	// shared says that the sandbox is others' too, whose processes may have the outputs.
	shared bool
	// serving counts the goroutines that belong to the process.
	serving sync.WaitGroup
	// ctx ends with the runtime or an extension; its cause says with which.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// served is the context of requests, which outlives the runtime: extensions are still to hear that it has ended.
	served    context.Context
	endServed context.CancelFunc
	// gone closes when nothing is left of the process and all that it wrote is logged.
	gone chan struct{}
	once sync.Once
	// framesRead closes when the runtime's frames have ended.
	framesRead chan struct{}
}

// start starts the environment's processes, within ctx: everything until its runtime initialises.
func (env *environment) start(ctx context.Context, phase string) error {
	names, err := env.externalExtensions()
	if err != nil {
		return err
	}
	sp, err := env.e.spares.take(ctx, env.launch)
	if err != nil {
		return err
	}
	programs := len(names)
	if !sp.booted {
		programs++
	}
	running, err := sp.shell.Start(ctx, env.work(programs, sp.shared))
	if err != nil {
		sp.discard()
		return err
	}
	p := env.newProcess(sp, running, names)
	env.process = p
	first := env.initStart(phase)
	p.api.Telemetry().Platform(p.clock.Now(), first.kind, first.record) // logged already, when there were no subscribers yet
	if len(names) > 0 {
		p.serveAll(env, sp)
		err = env.startPrograms(ctx, sp, names)
	} else {
		// A runtime takes its time until it asks for something, and the listeners keep what it asks for.
		err = env.startPrograms(ctx, sp, names)
		p.serveAll(env, sp)
	}
	if err != nil {
		p.stop("failure")
	}
	return err
}

func (env *environment) newProcess(sp *spare, running sandbox.Running, extensions []string) *process {
	e, fn := env.e, env.Function
	p := &process{Running: running, clock: e.cfg.Clock, log: e.cfg.Log, conn: sp.conn, gone: make(chan struct{}), framesRead: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancelCause(e.ctx)
	p.served, p.endServed = context.WithCancel(context.WithoutCancel(e.ctx))
	if sp.out != nil {
		p.outs = append(p.outs, sp.out)
	}
	o := runtimeapi.Options{
		Clock: e.cfg.Clock, Log: e.cfg.Log, Extensions: extensions, MaxResponse: e.cfg.MaxResponse, Dial: running.Dial, JSONLogs: fn.JSONLogs,
		Restore: fn.SnapStart,
	}
	o.Function.Name, o.Function.Version, o.Function.Handler, o.Function.Account = fn.Name, fn.Version, fn.Handler, fn.Account
	p.api = runtimeapi.New(o)
	return p
}

// serveAll starts the servers behind the sandbox's listeners.
func (p *process) serveAll(env *environment, sp *spare) {
	e := env.e
	listeners := sp.shell.Listeners()
	p.serve(netutil.LimitListener(listeners[0], maxRuntimeConns), &http.Server{Handler: p.api.Handler()})
	listeners = listeners[1:]
	if e.cfg.Endpoint != nil {
		endpoint := e.cfg.Endpoint(env.Environment)
		p.serve(netutil.LimitListener(listeners[0], maxEndpointConns), endpointServer(endpoint))
		listeners = listeners[1:]
		listeners = p.serveNames(e.names(), listeners, endpoint)
	}
	p.packets = sp.shell.Packets()
	listeners = p.serveSegments(env, listeners)
	if e.relay == nil {
		return
	}
	for i, addr := range e.relay.Local() {
		p.join(e.relay, listeners[i], addr)
	}
	if t := sp.shell.Tunnel(); t != nil {
		p.link = e.relay.Attach(t)
		p.link.Label(env.Function.Name)
	}
}

func endpointServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime}
}

// maxJoined bounds the connections that a function has to one allowed address of the machine. Further ones wait.
const maxJoined = 256

// join connects what the function connects to one of its own addresses with the machine's.
func (p *process) join(r *relay.Relay, l net.Listener, addr string) {
	p.serving.Go(func() {
		<-p.ctx.Done()
		l.Close()
	})
	places := make(chan struct{}, maxJoined)
	p.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			select {
			case places <- struct{}{}:
			case <-p.ctx.Done():
				conn.Close()
				return
			}
			p.serving.Go(func() {
				defer func() { <-places }()
				r.Join(p.ctx, conn, addr)
			})
		}
	})
}

func (p *process) serve(l net.Listener, srv *http.Server) {
	h := srv.Handler
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.serving.Add(1)
		defer p.serving.Done()
		h.ServeHTTP(w, r)
	})
	srv.BaseContext = func(net.Listener) context.Context { return p.served }
	srv.MaxHeaderBytes = 64 << 10
	srv.ErrorLog = slog.NewLogLogger(p.log.Handler(), slog.LevelDebug)
	p.servers = append(p.servers, srv)
	p.serving.Go(func() {
		// It ends with ErrServerClosed.
		_ = srv.Serve(l)
	})
}

// startPrograms starts the extensions, waits until they have registered, and lets the runtime begin.
func (env *environment) startPrograms(ctx context.Context, sp *spare, extensions []string) error {
	p := env.process
	variables := env.variables()
	for _, name := range extensions {
		if err := env.startExtension(ctx, name, variables); err != nil {
			return err
		}
	}
	select {
	case <-p.api.Registered():
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if sp.booted {
		p.main = p.Booted()
	} else if err := env.runMain(ctx, variables); err != nil {
		return err
	}
	p.outs[0].connect(env.functionOutput)
	p.serving.Go(func() { p.watchMain(env) })
	if p.conn == nil {
		return nil
	}
	p.serving.Go(p.serveFrames)
	a := runtimeapi.Assignment{
		Handler: env.Function.Handler, SDK: env.launch.SDK, Restore: env.Function.SnapStart, Snapshot: env.purpose == template,
	}
	if sp.booted {
		a.Env = variables // the others have had theirs from the start
	}
	return p.api.Assign(a)
}

// lastWords is how long a runtime that has closed its frames may take to end by itself, with an exit status of its own.
const lastWords = time.Second

// lastFrames is how long the frames of a runtime that has ended are waited for. Its children may hold its connection.
const lastFrames = 200 * time.Millisecond

// awaitFrames waits for what a runtime has said just before its end.
func (p *process) awaitFrames() {
	if p.conn == nil {
		return
	}
	limit := p.clock.NewTimer(lastFrames)
	defer limit.Stop()
	select {
	case <-p.framesRead:
	case <-p.ctx.Done():
	case <-limit.C():
	}
}

// serveFrames serves the runtime until it closes the connection, or breaks the protocol. It is of no use any more then.
func (p *process) serveFrames() {
	p.api.ServeFrames(p.conn)
	close(p.framesRead)
	limit := p.clock.NewTimer(lastWords)
	defer limit.Stop()
	select {
	case <-p.main.Done():
	case <-p.ctx.Done():
	case <-limit.C():
		p.cancel(errExited)
	}
}

// runMain starts a runtime that was not waiting.
func (env *environment) runMain(ctx context.Context, variables map[string]string) error {
	p := env.process
	out, err := newOutput()
	if err != nil {
		return err
	}
	p.outs = append([]*output{out}, p.outs...)
	go out.run()
	program := sandbox.Program{Args: env.launch.Args, Env: assignments(variables), Dir: "/var/task", Output: out.write}
	if env.launch.Frames {
		conn, theirs, err := framePair()
		if err != nil {
			return err
		}
		defer theirs.Close()
		p.conn = conn
		program.Files = []*os.File{theirs}
	}
	p.main, err = p.Run(ctx, program)
	return err
}

// startExtension starts an external extension. Its output goes into the function's log.
func (env *environment) startExtension(ctx context.Context, name string, variables map[string]string) error {
	p := env.process
	out, err := newOutput()
	if err != nil {
		return err
	}
	p.outs = append(p.outs, out)
	out.connect(env.extensionOutput)
	go out.run()
	child, err := p.Run(ctx, sandbox.Program{
		Args: []string{layersRoot + "/extensions/" + name}, Env: assignments(variables), Dir: "/", Output: out.write,
	})
	if err != nil {
		var bad *sandbox.ProgramError
		if errors.As(err, &bad) {
			return &extensionFault{name, "Extension.LaunchError"}
		}
		return err
	}
	p.extensions = append(p.extensions, child)
	p.serving.Go(func() {
		select {
		case <-child.Done():
			p.cancel(&extensionFault{name, "Extension.Crash"})
		case <-p.Running.Done():
		}
	})
	return nil
}

// watchMain ends the process's context with the runtime, an extension that gives up, or the sandbox.
func (p *process) watchMain(env *environment) {
	select {
	case <-p.main.Done():
		p.awaitFrames()
		p.cancel(errExited)
	case f := <-p.api.Broken():
		p.cancel(&extensionFault{f.Extension, f.Type})
	case <-p.Running.Done():
		p.cancel(errExited)
	case <-p.ctx.Done():
	}
	env.e.pools.died(env)
}

// settled reports whether runtime and extensions have nothing left to do.
func (p *process) settled() bool {
	select {
	case <-p.api.Settled():
		return true
	default:
		return false
	}
}

// stop ends the processes and returns when nothing is left of them. reason is what extensions are told.
func (p *process) stop(reason string) {
	p.once.Do(func() {
		p.farewell(reason)
		p.flushTelemetry()
		p.Usage() // reads it while there is something to read
		p.cancel(errExited)
		p.endServed()
		p.Kill()
		<-p.Running.Done()
		for _, s := range p.servers {
			// What it returns is about a listener that is of no use any more.
			_ = s.Close()
		}
		p.api.Close()
		if p.conn != nil {
			p.conn.Close()
		}
		if p.link != nil {
			p.link.Close()
		}
		for _, c := range p.packets {
			c.Close()
		}
		p.serving.Wait()
		for _, o := range p.outs {
			if p.shared {
				o.abandon()
			}
			o.close()
		}
		close(p.gone)
	})
	<-p.gone
}

// farewell gives extensions their time to end.
func (p *process) farewell(reason string) {
	if len(p.api.Extensions()) == 0 {
		return
	}
	deadline := p.clock.Now().Add(shutdownTime)
	p.api.Shutdown(reason, deadline)
	if p.main != nil {
		// A process that has ended needs no signal.
		_ = p.main.Signal(int(syscall.SIGTERM))
	}
	limit := p.clock.NewTimer(shutdownTime)
	defer limit.Stop()
	for _, c := range p.extensions {
		select {
		case <-c.Done():
		case <-p.Running.Done():
			return
		case <-limit.C():
			return
		}
	}
}

// flushTime bounds the wait for subscribers before an environment is frozen or ended.
const flushTime = 200 * time.Millisecond

// flushTelemetry sends subscribers what they have not got yet.
func (p *process) flushTelemetry() {
	if len(p.api.Extensions()) == 0 {
		return
	}
	ctx, cancel := clock.WithTimeout(p.served, p.clock, flushTime)
	defer cancel()
	p.api.Telemetry().Flush(ctx)
}

// drain logs everything that the runtime has written so far.
func (p *process) drain() { p.outs[0].drain() }

// filesIn returns the names of the files in a folder, none when there is no such folder.
func filesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if !e.IsDir() {
			out = append(out, e.Name())
		}
	}
	if len(out) > maxExtensions {
		return nil, fmt.Errorf("engine: the layers bring %d extensions; Lambda runs at most %d", len(out), maxExtensions)
	}
	return out, nil
}

// ensureDir makes a folder of the engine's own, for the server's user alone: what is in it has the modes that functions need.
func ensureDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}
