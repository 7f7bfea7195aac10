package lambda

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/engine"
	"croft/internal/httpevent"
)

const (
	// integrationType is the media type of a streamed answer that begins with status and headers. Source: Lambda Developer Guide, "Writing
	// response streaming-enabled Lambda functions"; that eight zero bytes end them, from AWS's runtime interface clients.
	integrationType = "application/vnd.awslambda.http-integration-response"
	preludeEnd      = "\x00\x00\x00\x00\x00\x00\x00\x00"
	maxPrelude      = 256 << 10
	// streamPatience is how long a client may take to accept one piece of an answer before it is given up.
	streamPatience = 30 * time.Second
)

var errPrelude = errors.New("a streamed answer does not begin with status and headers, as its media type says")

// urlStream writes an answer to the client of a URL while the function produces it. A client that has gone makes no difference to the function.
type urlStream struct {
	v    *urlVisit
	w    http.ResponseWriter
	conn *http.ResponseController

	mu sync.Mutex
	// waiting is set while the end of the prelude has not come; prelude is what has come of it.
	waiting bool
	prelude []byte
	// began says that the client has been sent status and headers, over that nothing more is for it.
	began, over bool
	err         error // of the prelude
}

// streamURL runs the function and sends on what it produces as it comes.
func (s *Service) streamURL(ctx context.Context, w http.ResponseWriter, v *urlVisit, inv engine.Invocation) {
	u := &urlStream{v: v, w: w, conn: http.NewResponseController(w)}
	inv.Stream = u
	result, err := s.execute(ctx, v.function, inv)
	failed := err != nil || result.FunctionError != ""
	began := u.finish(failed)
	// It fails for a connection that has no deadlines, such as a test's.
	_ = u.conn.SetWriteDeadline(time.Time{})
	switch {
	case u.err != nil:
		s.warnURL(ctx, v, "a function's answer cannot be sent on", u.err)
		badGateway(w)
	case !began && failed:
		s.failURL(ctx, w, v, result, err)
	case !began:
		v.head(w, &httpevent.Response{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/octet-stream"}}})
	case failed:
		if err == nil {
			s.warnURL(ctx, v, "a function failed in the midst of its answer", errors.New(result.FunctionError))
		}
		// Half an answer must not look like a whole one.
		panic(http.ErrAbortHandler)
	}
}

// finish ends the stream's hold on the connection and reports whether the answer has begun.
func (u *urlStream) finish(failed bool) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	if u.waiting && u.err == nil && !failed {
		u.err = errPrelude
	}
	return u.began
}

// Begin implements engine.Stream.
func (u *urlStream) Begin(mediaType string, _ bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.over:
	case mediaType == integrationType:
		u.waiting = true
	default:
		if mediaType == "" {
			mediaType = "application/octet-stream"
		}
		u.begin(&httpevent.Response{Status: http.StatusOK, Header: http.Header{"Content-Type": {mediaType}}})
	}
	return nil
}

// Write implements engine.Stream. It always takes everything.
func (u *urlStream) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := len(p)
	if u.waiting && !u.over {
		p = u.readPrelude(p)
	}
	if !u.over && u.began && len(p) > 0 {
		u.send(func() error { _, err := u.w.Write(p); return err })
	}
	return n, nil
}

// readPrelude takes what belongs to the prelude and returns the rest, which is the body's.
func (u *urlStream) readPrelude(p []byte) []byte {
	// The end may lie across two pieces.
	had := len(u.prelude)
	from := max(0, had-len(preludeEnd)+1)
	u.prelude = append(u.prelude, p[:min(len(p), maxPrelude+len(preludeEnd)-had)]...)
	i := bytes.Index(u.prelude[from:], []byte(preludeEnd))
	if i < 0 {
		if len(u.prelude) == maxPrelude+len(preludeEnd) {
			u.err, u.over = errPrelude, true
		}
		return nil
	}
	end := from + i
	answer, err := httpevent.ParsePrelude(u.prelude[:end])
	u.waiting, u.prelude = false, nil
	if err != nil {
		u.err, u.over = errors.Join(errPrelude, err), true
		return nil
	}
	u.begin(answer)
	return p[end+len(preludeEnd)-had:]
}

func (u *urlStream) begin(answer *httpevent.Response) {
	u.began = true
	u.send(func() error { u.v.head(u.w, answer); return nil })
}

// send writes to the client and gives it up when it takes nothing.
func (u *urlStream) send(write func() error) {
	_ = u.conn.SetWriteDeadline(clock.Real().Now().Add(streamPatience))
	err := write()
	if err == nil {
		err = u.conn.Flush()
	}
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		u.over = true
	}
}
