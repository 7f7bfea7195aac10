// Package servicetest runs services for tests: a whole cloud of the given services in memory, on a clock that moves only when told.
//
// A test calls the services through their generated clients over Env.Dispatcher, with the context that Env.Context returns, or runs
// scripts (Run) that need no Go at all.
package servicetest

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"croft/internal/blob"
	"croft/internal/blobref"
	"croft/internal/cfn"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/kv/pebblekv"
	"croft/internal/lease"
	"croft/internal/outbox"
	"croft/internal/service"
	"croft/internal/timer"
)

// Start is where the clock of a new Env stands.
var start = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

// Endpoint is the base URL under which calls claim to have come.
const Endpoint = "http://localhost:4566"

// patience bounds how long Settle waits, in real time, for what should take milliseconds.
const patience = 20 * time.Second

// Env is a running cloud of a few services.
type Env struct {
	Deps       service.Deps
	Dispatcher *service.Dispatcher
	Clock      *clock.Manual

	t    testing.TB
	call cloud.Call
}

// New starts a cloud of the given services. It stops when the test ends.
func New(t testing.TB, services ...func(service.Deps) service.Descriptor) *Env {
	t.Helper()
	log := slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := pebblekv.Open(pebblekv.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	c := clock.NewManual(start)
	blobs, err := blob.OpenDir(t.TempDir(), blob.DirOptions{Clock: c, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := blobs.Close(); err != nil {
			t.Error(err)
		}
	})
	e := &Env{Dispatcher: service.NewDispatcher(), Clock: c, t: t, call: rootCall()}
	timers := timer.New(store, c, log)
	box := outbox.New(store, timers, c, log)
	e.Deps = service.Deps{
		Clock: c, Store: store, Blobs: blobs, Refs: blobref.New(store, blobs, box, timers, c, log), Timers: timers, Outbox: box,
		Caller: e.Dispatcher, Log: log,
		Leases: lease.Local(),
	}
	for _, make := range services {
		e.Dispatcher.Add(make(e.Deps))
	}
	e.start()
	return e
}

func rootCall() cloud.Call {
	return cloud.Call{
		Account: cloud.DefaultAccount, Region: cloud.DefaultRegion, Endpoint: Endpoint, SourceIP: "127.0.0.1",
		Principal: cloud.Principal{
			Kind: cloud.Root, Account: cloud.DefaultAccount, ARN: "arn:aws:iam::" + cloud.DefaultAccount + ":root", UserID: cloud.DefaultAccount,
		},
	}
}

// start runs the outbox, the timers and the services' background work until the test ends.
func (e *Env) start() {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	timers, handlers := e.Deps.Outbox.Timers(), e.Deps.Refs.Outbox()
	maps.Copy(timers, e.Deps.Refs.Timers())
	for _, d := range e.Dispatcher.All() {
		maps.Copy(timers, d.Timers)
		maps.Copy(handlers, d.Outbox)
		if d.Run != nil {
			running.Go(func() { d.Run(ctx) })
		}
	}
	e.Deps.Timers.Start(e.Deps.Leases, timers)
	e.Deps.Outbox.Start(e.Deps.Leases, handlers)
	e.t.Cleanup(func() {
		stop()
		e.Deps.Outbox.Close()
		e.Deps.Timers.Close()
		running.Wait()
	})
}

// Context returns a context that carries a fresh call, made now by the account's root user.
func (e *Env) Context() context.Context {
	call := e.call
	call.RequestID, call.Now = cloud.NewRequestID(), e.Clock.Now()
	return cloud.WithCall(e.t.Context(), &call)
}

// In makes the calls of later contexts act in another account and region.
func (e *Env) In(account, region string) {
	e.call.Account, e.call.Region, e.call.Principal.Account = account, region, account
}

// Advance moves the clock by d and waits until all that falls due by then has happened.
func (e *Env) Advance(d time.Duration) {
	e.t.Helper()
	e.Clock.Advance(d)
	e.Settle()
}

// Settle waits until no message is left in the outbox and no timer is due. What waits in the timers for a later moment does not count.
func (e *Env) Settle() {
	e.t.Helper()
	// Both write to the store whenever they get on, and only then can the answer change.
	watch := e.Deps.Store.Watch(nil)
	defer watch.Close()
	limit := clock.Real().NewTimer(patience)
	defer limit.Stop()
	for !e.idle() {
		select {
		case <-watch.C():
		case <-limit.C():
			e.t.Fatal("the outbox and the timers have not come to rest")
		}
	}
}

func (e *Env) idle() (idle bool) {
	e.t.Helper()
	err := e.Deps.Store.View(e.t.Context(), func(ctx context.Context, _ kv.Reader) (err error) {
		if idle, err = e.Deps.Outbox.Idle(ctx); !idle || err != nil {
			return err
		}
		idle, err = e.Deps.Timers.Idle(ctx)
		return err
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return idle
}

// Resource returns the CloudFormation type of that name, which one of the services must have.
func (e *Env) Resource(name string) cfn.ResourceType {
	e.t.Helper()
	for _, d := range e.Dispatcher.All() {
		for _, r := range d.Resources {
			if r.Type == name {
				return r
			}
		}
	}
	e.t.Fatalf("no service has the resource type %s", name)
	return cfn.ResourceType{}
}

// Update runs fn in a transaction, as the deployment engine runs resource types.
func (e *Env) Update(fn func(ctx context.Context) error) error {
	return e.Deps.Store.Update(e.Context(), func(ctx context.Context, _ kv.Tx) error { return fn(ctx) })
}

// testLog writes the cloud's log to the test's.
type testLog struct{ t testing.TB }

func (l testLog) Write(line []byte) (int, error) {
	l.t.Log(string(line))
	return len(line), nil
}
