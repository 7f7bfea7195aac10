// Package runtimeapi serves the Lambda Runtime API to one execution environment: what a runtime asks its next event of, and answers.
//
// An environment is a state machine. It starts, and then turns in a circle: waiting for an event, running it, done with it. What a
// state does not name as legal is answered with 403 InvalidStateTransition and changes nothing, so that a runtime that loses its way, or a
// function that plays with the API, harms its own invocation at most.
//
// Source: Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes". Streamed responses are refused with an error.
package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// MaxPayload is Lambda's bound for the payload of a synchronous response, in bytes: 6 MB and 100 bytes.
const MaxPayload = 6<<20 + 100

// maxErrorType bounds the name of an error.
const maxErrorType = 256

// ErrNotTaken says that the runtime never got the invocation: it may be given to another environment.
var ErrNotTaken = errors.New("runtimeapi: the runtime did not take the invocation")

// Invocation is one event as the runtime sees it.
type Invocation struct {
	RequestID   string
	Payload     []byte
	Deadline    time.Time
	FunctionARN string
	TraceID     string
	// ClientContext is JSON in one line.
	ClientContext string
}

// Answer is what the runtime made of an invocation, or of its own start.
type Answer struct {
	Payload []byte
	// ErrorType is set when the runtime reported an error: the name that it gave it, or "Unhandled".
	ErrorType string
}

// Server is the Runtime API of one environment. It is safe for concurrent use; invocations come one at a time.
type Server struct {
	mu      sync.Mutex
	state   state
	current *exchange
	// requests counts the requests for an event; the last one gets it.
	requests int
	// offered closes, and is replaced, when current was set.
	offered chan struct{}
	ready   chan struct{}
	failed  chan struct{}
	initErr Answer
}

// exchange is an invocation on its way.
type exchange struct {
	Invocation
	answer chan Answer // buffered: the runtime does not wait for the reader
}

type state int

const (
	starting  state = iota // the runtime initialises
	waiting                // it has asked for an event, or will take one when it asks again
	running                // it has an event
	answering              // its answer is being read
	answered               // it has answered, and not yet asked again
	broken                 // its start failed, or its event was given up
)

// New returns the API of an environment that starts.
func New() *Server {
	return &Server{offered: make(chan struct{}), ready: make(chan struct{}), failed: make(chan struct{})}
}

// Ready closes when the runtime first asks for an event: it is initialised.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Failed closes when the runtime reports that it could not initialise; InitError then says why.
func (s *Server) Failed() <-chan struct{} { return s.failed }

// InitError returns what the runtime reported when Failed has closed.
func (s *Server) InitError() Answer { return s.initErr }

// Invoke gives inv to the runtime as soon as it asks, and returns its answer. When ctx ends first the error is its cause, wrapped with
// ErrNotTaken when the runtime has not seen the event; otherwise the environment is of no further use. Only one Invoke may run at a time.
func (s *Server) Invoke(ctx context.Context, inv Invocation) (Answer, error) {
	e := &exchange{Invocation: inv, answer: make(chan Answer, 1)}
	s.mu.Lock()
	if s.current != nil || s.state == broken {
		s.mu.Unlock()
		return Answer{}, fmt.Errorf("%w: the environment is in use or broken", ErrNotTaken)
	}
	s.current = e
	close(s.offered)
	s.offered = make(chan struct{})
	s.mu.Unlock()
	select {
	case a := <-e.answer:
		return a, nil
	case <-ctx.Done():
		return s.giveUp(ctx, e)
	}
}

// giveUp takes e back, if the runtime has neither taken nor answered it in the meantime.
func (s *Server) giveUp(ctx context.Context, e *exchange) (Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case a := <-e.answer:
		return a, nil
	default:
	}
	s.current = nil
	if s.state == running || s.state == answering {
		s.state = broken
		return Answer{}, context.Cause(ctx)
	}
	return Answer{}, fmt.Errorf("%w: %w", ErrNotTaken, context.Cause(ctx))
}

// ask is the runtime's request for an event. It returns the request's number, and whether it was legal.
func (s *Server) ask() (request int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case starting:
		close(s.ready)
	case waiting: // again, after its connection was lost
	case answered:
	default:
		return 0, false
	}
	s.state = waiting
	s.requests++
	return s.requests, true
}

// take hands out the event, or returns the channel that tells when to try again. Both are nil for a request that a later one has replaced:
// nobody may be listening to it any more.
func (s *Server) take(request int) (*exchange, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != waiting || s.requests != request {
		return nil, nil
	}
	if s.current == nil {
		return nil, s.offered
	}
	s.state = running
	return s.current, nil
}

// Reasons to refuse an answer.
var (
	errTransition = errors.New("State transition is not allowed")
	errRequestID  = errors.New("Invalid request ID")
)

// beginAnswer starts the answer to the event with the given id. No other answer is taken from here on.
func (s *Server) beginAnswer(id string) (*exchange, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != running {
		return nil, errTransition
	}
	if s.current.RequestID != id {
		return nil, errRequestID
	}
	s.state = answering
	return s.current, nil
}

// endAnswer delivers the answer.
func (s *Server) endAnswer(e *exchange, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != answering || s.current != e {
		return // given up while the answer came in
	}
	s.state, s.current = answered, nil
	e.answer <- a
}

// beginFail starts the report that the runtime could not start, and reports whether it may be made: once, and not later.
func (s *Server) beginFail() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != starting {
		return false
	}
	s.state = broken
	return true
}

// endFail delivers the report that beginFail allowed.
func (s *Server) endFail(a Answer) {
	s.initErr = a
	close(s.failed)
}
