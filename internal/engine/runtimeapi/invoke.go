package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Invocation is one event as the runtime sees it.
type Invocation struct {
	RequestID   string
	Payload     []byte
	Deadline    time.Time
	FunctionARN string
	TraceID     string
	// ClientContext is JSON in one line.
	ClientContext string
	// Identity is the caller's Cognito identity, JSON in one line.
	Identity string
	// Tenant is the id of the tenant for which the environment is.
	Tenant string
	// Stream receives an answer that the runtime streams. Nil: it is collected, within the bound of a buffered answer.
	Stream Stream
}

// Stream receives an answer while it is produced, or in one piece when the function does not stream it; nothing of one that is an error from the beginning.
// Invoke calls it, from its own goroutine. An error says that nobody listens any more; the runtime may finish its answer all the same. As long as a call
// lasts Invoke cannot return, whatever becomes of its context.
type Stream interface {
	Begin(mediaType string, streamed bool) error
	io.Writer
}

// Answer is what the runtime made of an invocation, or of its own start.
type Answer struct {
	// Payload is empty for an answer that went to a Stream. Of one that failed, midway too, it is the error document.
	Payload []byte
	// ErrorType is set when the runtime reported an error: the name that it gave it, or "Unhandled".
	ErrorType string
	// MediaType is what the runtime called its answer; may be empty.
	MediaType string
	// Streamed reports that the runtime streamed it.
	Streamed bool
	// Size is what the function produced, in bytes.
	Size int64
	// Cause is JSON in one line about the cause of an error, for X-Ray; empty unless the runtime gave it.
	Cause string
	// Latency is the time from the event to the answer's first byte, Transfer from there to its last.
	Latency, Transfer time.Duration
}

// exchange is an invocation on its way.
type exchange struct {
	Invocation
	answer chan Answer // buffered: the runtime does not wait for the reader
	// parts are those of a streamed answer, nil when nobody wants them. over closes when nobody waits for the answer any more.
	parts chan part
	over  chan struct{}
	// taken is when the runtime got the event, began when its answer began.
	taken, began time.Time
}

// part is a piece of a streamed answer; the first has no data. Its bytes are not used any more when the next part has been taken.
type part struct {
	mediaType string
	data      []byte
}

// Invoke gives inv to the runtime as soon as it asks, and returns its answer. When ctx ends first the error is its cause, wrapped with
// ErrNotTaken when the runtime has not seen the event; otherwise the environment is of no further use. Only one Invoke may run at a time, and a next one
// when Settled has closed.
func (s *Server) Invoke(ctx context.Context, inv Invocation) (Answer, error) {
	e := &exchange{Invocation: inv, answer: make(chan Answer, 1), over: make(chan struct{})}
	if inv.Stream != nil {
		e.parts = make(chan part)
	}
	if !s.offer(e) {
		return Answer{}, fmt.Errorf("%w: the environment is in use or broken", ErrNotTaken)
	}
	for listens := true; ; {
		l, turn := s.claim(e)
		if l != nil {
			if err := l.send(ctx, e); err != nil {
				return s.notSent(ctx, e, err)
			}
			turn = nil
		}
		select {
		case a := <-e.answer:
			return e.passed(a), nil
		case p := <-e.parts:
			listens = listens && pass(inv.Stream, p)
		case <-turn:
		case <-ctx.Done():
			a, err := s.giveUp(ctx, e)
			if err == nil {
				a = e.passed(a)
			}
			return a, err
		}
	}
}

// pass hands p on and reports whether anybody listens.
func pass(to Stream, p part) bool {
	if p.data == nil {
		return to.Begin(p.mediaType, true) == nil
	}
	_, err := to.Write(p.data)
	return err == nil
}

// passed hands an answer that came in one piece to the Stream that waits for it.
func (e *exchange) passed(a Answer) Answer {
	if e.Stream == nil || a.Streamed || a.ErrorType != "" {
		return a
	}
	if e.Stream.Begin(a.MediaType, false) == nil && len(a.Payload) > 0 {
		_, _ = e.Stream.Write(a.Payload) // who does not listen any more misses it
	}
	a.Payload = nil
	return a
}

// offer makes e the event that the runtime gets when it asks.
func (s *Server) offer(e *exchange) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil || s.state == broken || s.closed {
		return false
	}
	s.current = e
	close(s.offered)
	s.offered = make(chan struct{})
	s.extensions.invoke(e)
	return true
}

// claim takes e for the runtime that waits behind the link, and returns the link. Without one it returns when to try again.
func (s *Server) claim(e *exchange) (*link, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != e || s.state != waiting || s.link == nil {
		return nil, s.turn
	}
	s.taken()
	return s.link, nil
}

// notSent ends an invocation whose event could not be written.
func (s *Server) notSent(ctx context.Context, e *exchange, err error) (Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = nil
	_ = s.move(breach)
	close(e.over)
	if ctx.Err() != nil {
		return Answer{}, context.Cause(ctx)
	}
	return Answer{}, fmt.Errorf("%w: %w", ErrNotTaken, err)
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
	close(e.over)
	if s.current == e {
		s.current = nil
	}
	if !e.taken.IsZero() {
		_ = s.move(abandon) // it may have broken by itself
		return Answer{}, context.Cause(ctx)
	}
	s.settle()
	return Answer{}, fmt.Errorf("%w: %w", ErrNotTaken, context.Cause(ctx))
}

// errOver says that nobody waits for an answer any more.
var errOver = errors.New("runtimeapi: the invocation is over")

// sink takes a streamed answer, for e's Stream or together.
type sink struct {
	e         *exchange
	limit     int64
	size      int64
	collected []byte
	tooLarge  bool
	mediaType string
	// bufs are filled in turn: the one that the Stream may still have in its hands is not the other.
	bufs [2][]byte
	turn int
}

// buffer returns n bytes to fill for write.
func (k *sink) buffer(n int) []byte {
	if cap(k.bufs[k.turn]) < n {
		k.bufs[k.turn] = make([]byte, n)
	}
	return k.bufs[k.turn][:n]
}

func (s *Server) sink(e *exchange, mediaType string) (*sink, error) {
	k := &sink{e: e, limit: s.opt.MaxStreamed, mediaType: mediaType}
	if e.parts == nil {
		k.limit = s.opt.MaxResponse
		return k, nil
	}
	return k, k.pass(part{mediaType: mediaType})
}

// write takes b, the beginning of what buffer returned last. What is beyond the bound is lost.
func (k *sink) write(b []byte) error {
	if k.tooLarge || int64(len(b)) > k.limit-k.size {
		k.tooLarge = true
		return nil
	}
	k.size += int64(len(b))
	if k.e.parts == nil {
		k.collected = append(k.collected, b...)
		return nil
	}
	if len(b) == 0 {
		return nil
	}
	k.turn ^= 1
	return k.pass(part{data: b})
}

func (k *sink) pass(p part) error {
	select {
	case k.e.parts <- p:
		return nil
	case <-k.e.over:
		return errOver
	}
}

// answer is what has come, when the stream ended with an error of the given type, or well when it is empty.
func (k *sink) answer(errorType string, document []byte) Answer {
	a := Answer{Payload: k.collected, MediaType: k.mediaType, Streamed: true, Size: k.size}
	if k.tooLarge {
		errorType, document = typeTooLarge, tooLarge(k.limit).Payload
	}
	if errorType != "" {
		a.ErrorType, a.Payload = errorType, document
	}
	return a
}
