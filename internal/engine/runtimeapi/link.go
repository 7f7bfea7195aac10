package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// link is the server's end of a bootstrap's socket. One goroutine reads; writes come one at a time by the machine's order: the assignment, then one
// event after each request for one.
type link struct {
	conn net.Conn
	once sync.Once
}

func (l *link) close() {
	l.once.Do(func() {
		_ = l.conn.Close() // there is nobody to tell
	})
}

// buffers are for the frames of events.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}

// send writes e in one piece, if the runtime reads it before ctx ends.
func (l *link) send(ctx context.Context, e *exchange) error {
	p, _ := buffers.Get().(*[]byte)
	defer buffers.Put(p)
	b, err := appendEvent((*p)[:0], e)
	if err != nil {
		return err
	}
	// A runtime may have stopped reading.
	release := context.AfterFunc(ctx, l.stopWriting)
	defer release()
	if len(e.Payload) <= maxInline {
		b = append(b, e.Payload...)
		_, err = l.conn.Write(b)
	} else {
		parts := net.Buffers{b, e.Payload}
		_, err = parts.WriteTo(l.conn)
	}
	if cap(b) <= maxHeader {
		*p = b
	}
	return err
}

// stopWriting ends a write that waits. The link is of no further use.
func (l *link) stopWriting() {
	_ = l.conn.SetWriteDeadline(time.Unix(1, 0)) // a connection that cannot be told so is closed
}

// Assign tells the process behind the frames which function it is. It may be called before ServeFrames, and once.
func (s *Server) Assign(a Assignment) error {
	b, err := a.frame()
	if err != nil {
		return err
	}
	s.mu.Lock()
	l := s.link
	if s.assigned || s.state != starting || s.closed {
		s.mu.Unlock()
		return errors.New("runtimeapi: the runtime is assigned, or broken")
	}
	s.assigned = true
	if l == nil {
		s.assignment = b
	}
	s.mu.Unlock()
	if l == nil {
		return nil // ServeFrames writes it
	}
	_, err = l.conn.Write(b)
	return err
}

// ServeFrames serves the bootstrap at the other end of conn, a stream socket. It returns, with conn closed, when the bootstrap closes it or breaks the
// protocol: the environment is then of no further use, and an Invoke under way ends with its context, which is to end with the runtime's process.
func (s *Server) ServeFrames(conn net.Conn) {
	l := &link{conn: conn}
	defer l.close()
	s.mu.Lock()
	free := s.link == nil && s.state == starting && !s.closed
	first := s.assignment
	if free {
		s.link, s.assignment = l, nil
	}
	s.mu.Unlock()
	if !free {
		return
	}
	err := error(nil)
	if first != nil {
		_, err = conn.Write(first)
	}
	for r := newFrameReader(conn); err == nil; {
		err = s.frame(r)
	}
	s.mu.Lock()
	_ = s.move(breach) // the environment ends here, whatever its state
	close(s.turn)
	s.turn = make(chan struct{})
	s.mu.Unlock()
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		s.opt.Log.Debug("the runtime's connection ended", "error", err)
	}
}

// frame reads and obeys one frame. After an error the connection is of no further use.
func (s *Server) frame(r *frameReader) error {
	kind, h, err := r.next()
	if err != nil {
		return err
	}
	switch kind {
	case frameReady:
		if err := r.bodyless(); err != nil {
			return err
		}
		return s.askFrames(starting)
	case frameInitError:
		return s.initErrorFrame(r, h)
	case frameResponse, frameError:
		return s.answerFrame(r, kind, h)
	case frameStream:
		if err := r.bodyless(); err != nil {
			return err
		}
		return s.streamFrames(r, h)
	}
	return fmt.Errorf("%w: kind %q is not expected", errFrame, kind)
}

func (f *frameReader) bodyless() error {
	if f.left != 0 {
		return fmt.Errorf("%w: a body of %d bytes where there is none", errFrame, f.left)
	}
	return nil
}

// askFrames is a request for an event, from a runtime in the given state.
func (s *Server) askFrames(from state) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != from || !s.assigned {
		return errTransition
	}
	if err := s.move(ask); err != nil {
		return err
	}
	close(s.turn)
	s.turn = make(chan struct{})
	return nil
}

func (s *Server) initErrorFrame(r *frameReader, h frameHeader) error {
	if !s.isAssigned() || r.left > s.opt.MaxResponse {
		return errTransition
	}
	if err := s.beginFail(failInit); err != nil {
		return err
	}
	body, err := r.body()
	if err != nil {
		body = nil // the report stands without its text
	}
	s.endFail(Answer{Payload: body, ErrorType: orUnhandled(h.Type)})
	return err
}

func (s *Server) isAssigned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.assigned
}

// answerFrame takes an answer that comes in one piece.
func (s *Server) answerFrame(r *frameReader, kind byte, h frameHeader) error {
	e, err := s.beginAnswer("")
	if err != nil {
		return err
	}
	a := Answer{MediaType: clip(h.Type, maxErrorType)}
	if kind == frameError {
		a = Answer{ErrorType: orUnhandled(h.Type)}
	}
	if r.left > s.opt.MaxResponse {
		s.endAnswer(e, tooLarge(s.opt.MaxResponse), false)
		if err := r.discard(); err != nil {
			return err
		}
		return s.askFrames(answered)
	}
	if a.Payload, err = r.body(); err != nil {
		return err
	}
	return s.endFrames(e, a)
}

// endFrames delivers an answer that asks for the next event.
func (s *Server) endFrames(e *exchange, a Answer) error {
	if !s.endAnswer(e, a, true) {
		return errOver
	}
	return nil
}

// streamFrames takes an answer in pieces.
func (s *Server) streamFrames(r *frameReader, h frameHeader) error {
	e, err := s.beginAnswer("")
	if err != nil {
		return err
	}
	k, err := s.sink(e, clip(h.Type, maxErrorType))
	if err != nil {
		return err
	}
	for {
		kind, h, err := r.next()
		if err != nil {
			return err
		}
		if kind == frameEnd {
			if err := r.bodyless(); err != nil {
				return err
			}
			return s.endFrames(e, k.answer(clip(h.Type, maxErrorType), h.Error))
		}
		if kind != frameChunk || r.left > maxChunk {
			return fmt.Errorf("%w: kind %q of %d bytes in a stream", errFrame, kind, r.left)
		}
		b, err := r.into(k.buffer(int(r.left)))
		if err != nil {
			return err
		}
		if err := k.write(b); err != nil {
			return err
		}
	}
}
