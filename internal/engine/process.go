package engine

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"croft/internal/engine/runtimeapi"
	"croft/internal/engine/sandbox"
)

// A function's connections are descriptors of the server, which all functions share: further ones wait until one is closed. A runtime
// keeps its connections open for as long as it likes, the endpoint's clients connect again.
const (
	maxRuntimeConns  = 16
	maxEndpointConns = 256
	headerTime       = 30 * time.Second
	idleTime         = 5 * time.Minute
)

// errExited is why an invocation's context ends when the function's process does.
var errExited = errors.New("engine: the function's process has ended")

// process is the running half of an environment: a sandbox, and the servers behind its listeners.
type process struct {
	sandbox.Process
	api     *runtimeapi.Server
	out     *output
	servers []*http.Server
	// serving counts the servers' goroutines and the requests they handle.
	serving sync.WaitGroup
	// ctx ends with the process, with errExited as its cause.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// gone closes when nothing is left of the process and all that it wrote is logged.
	gone chan struct{}
}

// startProcess starts spec with the Runtime API behind its first listener and endpoint, unless it is nil, behind its second. start bounds
// the start, and life the process's requests to the server.
func startProcess(start, life context.Context, spec sandbox.Spec, endpoint http.Handler, logs *logStream) (*process, error) {
	out, err := newOutput(logs)
	if err != nil {
		return nil, err
	}
	p := &process{api: runtimeapi.New(runtimeapi.Options{}), out: out, gone: make(chan struct{})}
	p.Process, err = sandbox.Start(start, spec, out.write)
	go out.run()
	if err != nil {
		out.close()
		return nil, err
	}
	p.ctx, p.cancel = context.WithCancelCause(life)
	for i, l := range p.Listeners() {
		if i == 0 {
			p.serve(netutil.LimitListener(l, maxRuntimeConns), &http.Server{Handler: p.api.Handler()}, logs.log)
		} else {
			p.serve(netutil.LimitListener(l, maxEndpointConns), &http.Server{
				Handler: endpoint, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime,
			}, logs.log)
		}
	}
	go p.watch()
	return p, nil
}

func (p *process) serve(l net.Listener, srv *http.Server, log *slog.Logger) {
	h := srv.Handler
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.serving.Add(1)
		defer p.serving.Done()
		h.ServeHTTP(w, r)
	})
	srv.BaseContext = func(net.Listener) context.Context { return p.ctx }
	srv.MaxHeaderBytes = 64 << 10
	srv.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	p.servers = append(p.servers, srv)
	p.serving.Add(1)
	go func() {
		defer p.serving.Done()
		// It ends with ErrServerClosed, when watch closes it.
		_ = srv.Serve(l)
	}()
}

// watch waits for the end of the sandbox and clears up behind it.
func (p *process) watch() {
	<-p.Done()
	p.cancel(errExited)
	for _, s := range p.servers {
		// What it returns is about a listener that is of no use any more.
		_ = s.Close()
	}
	p.serving.Wait()
	p.out.close()
	close(p.gone)
}

// stop ends the process and returns when nothing is left of it.
func (p *process) stop() {
	p.PeakMemory() // reads it while there is something to read
	p.Kill()
	<-p.gone
}

// ensureDir makes a folder of the engine's own, for the server's user alone: what is in it has the modes that functions need.
func ensureDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}
