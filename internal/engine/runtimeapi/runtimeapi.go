// Package runtimeapi serves one execution environment the APIs that a Lambda environment finds at AWS_LAMBDA_RUNTIME_API: the Runtime, Extensions,
// Telemetry and Logs APIs.
//
// An environment is a state machine. It starts, and then turns in a circle: waiting for an event, running it, answering, done with it. The moves that
// are legal stand in a table (machine.go); whatever else a runtime tries is answered with 403 InvalidStateTransition and changes nothing, so that a
// runtime that loses its way, or a function that plays with the API, harms its own invocation at most. Runtimes reach the machine over HTTP or, croft's
// own bootstraps, over frames on a socket (docs/architecture/engine.md). Every extension has a small machine of its own beside it.
//
// What a function sends is bounded in size; in time it is bounded by the end of its environment.
//
// Source: Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes", "Using the Lambda Extensions API to create extensions",
// "Lambda Telemetry API reference" and "Using the Lambda Logs API"; error documents and texts: aws-lambda-runtime-interface-emulator.
package runtimeapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"

	"croft/internal/clock"
	"croft/internal/engine/runtimeapi/telemetry"
)

// MaxPayload is Lambda's bound for the payload of a synchronous response, in bytes: 6 MB and 100 bytes.
const MaxPayload = 6<<20 + 100

// MaxStreamed is Lambda's bound for a streamed response, in bytes.
const MaxStreamed = 200 << 20

// maxErrorType bounds the name of an error, maxText what else is kept of a header.
const (
	maxErrorType = 256
	maxText      = 64 << 10
)

// ErrNotTaken says that the runtime never got the invocation: it may be given to another environment.
var ErrNotTaken = errors.New("runtimeapi: the runtime did not take the invocation")

// Function is what extensions are told about the function.
type Function struct{ Name, Version, Handler, Account string }

// Options says what an environment's APIs are made for.
type Options struct {
	// Clock times the parts of an invocation; nil means clock.Real.
	Clock clock.Clock
	// Log receives what a function did that it must not; nil discards it.
	Log      *slog.Logger
	Function Function
	// Extensions are the file names in /opt/extensions, each of which registers before the runtime starts.
	Extensions []string
	// MaxResponse bounds a buffered answer, in bytes; zero means MaxPayload. MaxStreamed bounds a streamed one; zero means the constant of that name.
	MaxResponse, MaxStreamed int64
	// Dial connects to a loopback address inside the environment, where listeners for telemetry are. Nil: subscriptions are refused.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Restore makes restore/next and restore/error legal (SnapStart).
	Restore bool
	// JSONLogs says that the function's log format is JSON: newer telemetry schemas then carry its lines as objects.
	JSONLogs bool
}

// Server is the APIs of one environment. It is safe for concurrent use; invocations come one at a time.
type Server struct {
	opt       Options
	telemetry *telemetry.Telemetry

	mu      sync.Mutex
	state   state
	current *exchange
	// lastID is the id of the event that the runtime got last.
	lastID string
	// requests counts the requests for an event over HTTP; the last one gets it.
	requests int
	// offered closes, and is replaced, when current was set.
	offered chan struct{}
	// link is the bootstrap's socket; turn closes, and is replaced, when its runtime asked for an event. assignment waits for the link.
	link       *link
	turn       chan struct{}
	assignment []byte
	assigned   bool
	closed     bool

	ready, failed, restoring chan struct{}
	initErr                  Answer

	extensions extensions
}

// New returns the APIs of an environment that starts.
func New(o Options) *Server {
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxResponse <= 0 {
		o.MaxResponse = MaxPayload
	}
	if o.MaxStreamed <= 0 {
		o.MaxStreamed = MaxStreamed
	}
	s := &Server{
		opt: o, state: starting, offered: make(chan struct{}), turn: make(chan struct{}),
		ready: make(chan struct{}), failed: make(chan struct{}), restoring: make(chan struct{}),
		telemetry: telemetry.New(telemetry.Options{Clock: o.Clock, Log: o.Log, Dial: o.Dial, JSONLogs: o.JSONLogs}),
	}
	s.extensions.init(o.Extensions)
	return s
}

// Ready closes when the runtime first asks for an event: it is initialised.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Failed closes when the runtime reports that it could not initialise, or not be restored; InitError then says why.
func (s *Server) Failed() <-chan struct{} { return s.failed }

// InitError returns what the runtime reported when Failed has closed.
func (s *Server) InitError() Answer { return s.initErr }

// Restoring closes when the runtime has asked to be restored (Options.Restore): what follows until Ready or Failed are its restore hooks.
func (s *Server) Restoring() <-chan struct{} { return s.restoring }

// Telemetry is where what happens in the environment is told to the extensions that subscribed.
func (s *Server) Telemetry() *telemetry.Telemetry { return s.telemetry }

// Close ends the connections that the APIs hold and the goroutines behind them. Requests end with their servers, which are the caller's.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	l := s.link
	s.mu.Unlock()
	if l != nil {
		l.close()
	}
	s.telemetry.Close()
}
