// Package app puts a cloud together: the store, the machinery, the services and the listener. It is the only importer of the services.
package app

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
	"time"

	bodies "croft/internal/blob/all"
	"croft/internal/blobref"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/engine/sandbox"
	"croft/internal/identity"
	"croft/internal/kv"
	"croft/internal/kv/all"
	"croft/internal/lease"
	"croft/internal/outbox"
	"croft/internal/server"
	"croft/internal/service"
	"croft/internal/service/lambda"
	"croft/internal/timer"
)

// Options say what cloud to start. The zero value of a field is its default.
type Options struct {
	// Dir is the data folder; required unless Ephemeral.
	Dir string
	// Store is the location of a store that other processes may share, as package kv/all knows them. The store lies in Dir when empty.
	Store string
	// Blobs is where large bodies lie: a folder, or s3://BUCKET/PREFIX as package s3blob has it. Required when Store is shared, and then the same
	// for all. A folder below Dir when empty.
	Blobs string
	// Ephemeral keeps nothing: the store is in memory, files are in a folder that is removed at the end.
	Ephemeral bool
	// SDKDir is where an ephemeral cloud installs what functions need of the machine, so that the next one finds it. Its own folder when empty.
	SDKDir string
	// Fsync makes an acknowledged write survive loss of power, not only the death of the process.
	Fsync bool
	// PlainObjects has objects of S3 lie as they come, but for those whose request or bucket asks for encryption. Otherwise all are encrypted at rest.
	PlainObjects bool
	// Listen is the address to serve on: a loopback address with a port. Port 0 takes a free one.
	Listen string
	// Account is the account of requests that name none.
	Account string
	// Isolation says how far functions are kept apart. IsolationAuto when empty.
	Isolation Isolation
	// AllowHosts are addresses (HOST:PORT) of this machine, or otherwise refused, that functions reach.
	AllowHosts []string
	// ClosedNetworks refuses functions private networks (10.0.0.0/8 and the like), but for what AllowHosts names.
	ClosedNetworks bool
	// MaxTimeout is the longest timeout that functions may have, and MaxPayload the largest event and answer in bytes. Zero means Lambda's.
	MaxTimeout time.Duration
	MaxPayload int
	// NoProactiveInit keeps functions from being initialised before their first invocation.
	NoProactiveInit bool
	// Version is what health and status report.
	Version string
	Clock   clock.Clock
	Log     *slog.Logger
	// Progress receives what a person should see while something takes its time.
	Progress func(string)
	// openStore is all.Open but in tests.
	openStore func(location string, o all.Options) (kv.Store, error)
}

// DefaultListen is where a cloud serves unless it is told otherwise.
const DefaultListen = "127.0.0.1:4566"

// App is one running cloud.
type App struct {
	opts     Options
	dir      string
	started  time.Time
	listener net.Listener
	http     *http.Server
	store    kv.Store
	blobs    bodies.Store
	refs     *blobref.Refs
	keys     *identity.Keys
	leases   lease.Leases
	// nodes and lock are set when others may share the store.
	nodes     *lease.Shared
	lock      *os.File
	timers    *timer.Timers
	outbox    *outbox.Outbox
	functions *engine.Engine
	server    *server.Server
	deps      service.Deps
	tail      *tail
	traces    traces
	dispatch  *service.Dispatcher
	stop      context.CancelFunc
	running   sync.WaitGroup
	served    chan error
	// sandboxes is the isolation that functions get.
	sandboxes sandbox.Isolation
}

// Start starts a cloud. It serves when Start returns; Close ends it.
func Start(ctx context.Context, o Options) (_ *App, err error) {
	a := &App{opts: withDefaults(o), tail: newTail(), served: make(chan error, 2)}
	a.started = a.opts.Clock.Now()
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close(context.WithoutCancel(ctx)))
		}
	}()
	if a.sandboxes, err = isolate(ctx, a.opts.Isolation, sandbox.Abilities); err != nil {
		return nil, err
	}
	if a.listener, err = listen(ctx, a.opts.Clock, a.opts.Listen); err != nil {
		return nil, err
	}
	if err := a.openData(ctx); err != nil {
		return nil, err
	}
	if err := a.compose(); err != nil {
		return nil, err
	}
	if err := a.refs.Arm(ctx); err != nil {
		return nil, err
	}
	a.run()
	return a, nil
}

func withDefaults(o Options) Options {
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.Account == "" {
		o.Account = cloud.DefaultAccount
	}
	if o.openStore == nil {
		o.openStore = all.Open
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o
}

// An address is tried for a while: a process that a killed server was about to start holds its listener until it has become what it was to be.
const (
	listenTries = 50
	listenPause = 20 * time.Millisecond
)

// listen refuses addresses that others can reach: requests are not authorised by policies yet.
func listen(ctx context.Context, clk clock.Clock, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("the listen address %q is not HOST:PORT, such as %s", addr, DefaultListen)
	}
	ip := net.ParseIP(host)
	if host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("cannot listen on %q: croft does not enforce IAM policies yet, so it serves this machine alone; use --listen 127.0.0.1:PORT", addr)
	}
	l, err := net.Listen("tcp", addr)
	for try := 0; isAddrInUse(err) && try < listenTries; try++ {
		if err := clock.Sleep(ctx, clk, listenPause); err != nil {
			return nil, err
		}
		l, err = net.Listen("tcp", addr)
	}
	if isAddrInUse(err) {
		return nil, fmt.Errorf("the address %s is in use, perhaps by another croft: stop that (croft status shows it), or choose another with --listen 127.0.0.1:PORT", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	return l, nil
}

func (a *App) openData(ctx context.Context) (err error) {
	a.dir = a.opts.Dir
	if a.opts.Ephemeral {
		if a.dir, err = ephemeralDir(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("the data folder %s cannot be made: %w; choose another with --data DIR", a.dir, err)
		}
		return fmt.Errorf("the data folder %s cannot be made: %w", a.dir, err)
	}
	if err := a.openStore(ctx); err != nil {
		return err
	}
	if err := a.openBlobs(ctx); err != nil {
		return err
	}
	a.keys, err = identity.New(ctx, a.store, a.opts.Clock)
	return err
}

// compose makes the machinery and the services, in the order of who needs whom.
func (a *App) compose() (err error) {
	log, clk := a.opts.Log, a.opts.Clock
	a.timers = timer.New(a.store, clk, log)
	a.outbox = outbox.New(a.store, a.timers, clk, log)
	a.refs = blobref.New(a.store, a.blobs, a.outbox, a.timers, clk, log)
	a.dispatch = service.NewDispatcher()
	a.deps = service.Deps{
		Clock: clk, Store: a.store, Blobs: a.blobs, Refs: a.refs, Outbox: a.outbox, Timers: a.timers, Caller: a.dispatch,
		Log:    log,
		Leases: a.leases, BaseURL: a.URL(), Warned: new(service.Warnings), PlainObjects: a.opts.PlainObjects,
	}
	if a.functions, err = engine.New(a.engineConfig()); err != nil {
		return err
	}
	a.deps.SettleLogs = a.functions.FlushLogs
	for _, d := range Services(a.deps, a.keys, a.functions, lambda.Limits{MaxTimeout: a.opts.MaxTimeout, MaxPayload: a.opts.MaxPayload}) {
		a.dispatch.Add(d)
	}
	a.server = server.New(server.Config{
		Clock: clk, Log: log, Dispatcher: a.dispatch, Keys: a.keys, Account: a.opts.Account, Control: a.control(),
	})
	return nil
}

func (a *App) run() {
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	list := a.dispatch.All()
	messages, timers := handlers(list, a.outbox, a.refs)
	a.timers.Start(a.leases, timers)
	a.outbox.Start(a.leases, messages)
	for _, d := range list {
		if d.Run != nil {
			a.running.Go(func() { d.Run(ctx) })
		}
	}
	if a.nodes != nil {
		a.running.Go(func() { a.keys.Follow(ctx, a.opts.Log) })
	}
	a.http = &http.Server{
		Handler:           a.server.Handler(),
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    256 << 10,
		ConnState:         newConnections(maxConnections).state,
		ErrorLog:          slog.NewLogLogger(a.opts.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() { a.served <- a.http.Serve(a.listener) }()
	if f, ok := a.store.(kv.Failing); ok {
		a.running.Go(func() {
			select {
			case <-f.Failed():
				a.served <- f.Err()
			case <-ctx.Done():
			}
		})
	}
}

// URL returns the cloud's base URL, without a trailing slash.
func (a *App) URL() string { return "http://" + a.listener.Addr().String() }

// Failed yields an error if the cloud stops serving by itself, or its store can no longer be written.
func (a *App) Failed() <-chan error { return a.served }

// Close stops serving, waits for the requests under way as long as ctx allows, ends the functions, and closes the store. It returns
// the first thing that went wrong.
func (a *App) Close(ctx context.Context) error {
	var errs []error
	a.tail.close()
	if a.http != nil {
		a.stop() // ends long polls and streams; what has begun to commit is committed
		if err := a.http.Shutdown(ctx); err != nil {
			errs = append(errs, a.http.Close())
		}
		a.running.Wait()
	} else if a.listener != nil {
		errs = append(errs, a.listener.Close())
	}
	if a.outbox != nil {
		a.outbox.Close()
		a.timers.Close()
	}
	if a.nodes != nil {
		a.nodes.Close()
	}
	if a.functions != nil {
		errs = append(errs, a.functions.Close())
	}
	if a.blobs != nil {
		errs = append(errs, a.blobs.Close())
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	if a.opts.Ephemeral && a.dir != "" {
		errs = append(errs, os.RemoveAll(a.dir))
	}
	return errors.Join(errs...)
}
