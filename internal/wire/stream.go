package wire

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
)

// Stream is a body that is read while it travels: of an upload, or of an answer. It is for one goroutine.
//
// Who is given a Stream as input reads it before the operation returns, and trusts nothing of it before the reader has returned io.EOF:
// only then have hashes and signatures been checked. Who is given one as output closes it.
type Stream struct {
	// Reader yields the body. Its errors may be a *cloud.Error for the client.
	io.Reader
	// Size is the number of bytes, -1 when that is not known beforehand.
	Size int64
	// Trailer holds the headers that follow the body. Its keys are there from the start, as the client announced them; its values once
	// Reader has returned io.EOF. Nil for none.
	Trailer http.Header
	closer  io.Closer
}

// NewStream returns a stream of size bytes, or of unknown size when that is -1. Closing it closes r, if that can be closed.
func NewStream(r io.Reader, size int64) *Stream {
	s := &Stream{Reader: r, Size: size}
	s.closer, _ = r.(io.Closer)
	return s
}

// NewStreamOf is NewStream for a part of something else, which is what is closed.
func NewStreamOf(r io.Reader, size int64, c io.Closer) *Stream {
	return &Stream{Reader: r, Size: size, closer: c}
}

// Close releases what the stream reads from. A nil stream has nothing to release.
func (s *Stream) Close() error {
	if s == nil || s.closer == nil {
		return nil
	}
	c := s.closer
	s.closer = nil
	return c.Close()
}

// TakesStream reports whether the operation's input is read while it comes.
func (op *Operation) TakesStream() bool { return op.streams(op.Input) }

// GivesStream reports whether the operation's output is read while it is sent.
func (op *Operation) GivesStream() bool { return op.streams(op.Output) }

func (op *Operation) streams(r Ref) bool {
	if r == NoRef {
		return false
	}
	s := op.Schema.Shape(r)
	return s.Payload > 0 && op.Schema.Shape(s.Members[s.Payload-1].Shape).Kind == Streamed
}

// MatchStream returns the exchange of a request whose operation takes its body as a stream: Match without the body. For all other
// requests, also those that Match refuses, it returns nil.
func MatchStream(svc *Service, r *http.Request) *Exchange {
	possible := false
	for _, op := range svc.Operations {
		possible = possible || op.Route.Method == r.Method && op.TakesStream()
	}
	if !possible {
		return nil
	}
	x, err := Match(svc, r, nil)
	if err != nil || !x.Op.TakesStream() {
		return nil
	}
	return x
}

// SetStream gives the exchange the body that Decode puts into the input.
func (x *Exchange) SetStream(s *Stream) { x.stream = s }

// outputStream returns the stream in an output, or nil.
func (x *Exchange) outputStream(v reflect.Value) *Stream {
	if !v.IsValid() || !x.Op.GivesStream() {
		return nil
	}
	s, _ := v.Field(x.Op.Schema.Shape(x.Op.Output).Payload - 1).Interface().(*Stream)
	return s
}

// StreamSize returns how many bytes an output's stream has, -1 where that is not known, and 0 for an output without one.
func (x *Exchange) StreamSize(out any) int64 {
	v, err := x.output(out)
	if err != nil {
		return 0
	}
	s := x.outputStream(v)
	if s == nil {
		return 0
	}
	return s.Size
}

// sendStream writes an answer's body as it comes. A body that ends before its size breaks the connection, so that the client sees it.
func sendStream(w http.ResponseWriter, status int, contentType string, s *Stream) error {
	h := w.Header()
	if h[headerType] == nil {
		h[headerType] = []string{contentType}
	}
	if s.Size >= 0 {
		h[headerLength] = []string{strconv.FormatInt(s.Size, 10)}
	}
	w.WriteHeader(status)
	n, err := io.Copy(w, s.Reader)
	if err == nil && s.Size >= 0 && n != s.Size {
		err = fmt.Errorf("wire: a body of %d bytes ended after %d", s.Size, n)
	}
	return err
}
