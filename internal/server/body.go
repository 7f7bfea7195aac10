package server

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
)

const (
	// maxBody bounds a request's body. The largest that AWS takes is a deployment package in CreateFunction: 50 MB, in base64.
	maxBody = 70 << 20
	// smallBody is what a request may buffer without asking the budget.
	smallBody = 64 << 10
	// maxBuffered bounds what all requests together buffer beyond that, and maxFunctionBuffered what those of one function's environment do.
	maxBuffered         = 512 << 20
	maxFunctionBuffered = 160 << 20
	// maxStream bounds a body that is not buffered. Source: S3 User Guide, "Amazon S3 multipart upload limits", and "Uploading objects".
	maxStream = 5 << 30
	// A large body must come at minPace bytes a second on the whole, after a grace: what it has buffered others wait for.
	paceGrace = 30 * time.Second
	minPace   = 64 << 10
	// A body that streams to a client must be taken at sendPace bytes a second on the whole, after a longer grace: nobody waits for its memory.
	sendGrace = 5 * time.Minute
	sendPace  = 8 << 10
)

// budget bounds the memory of large bodies. One with a parent draws on both.
type budget struct {
	parent *budget
	mu     sync.Mutex
	left   int64
}

func newBudget(n int64, parent *budget) *budget { return &budget{parent: parent, left: n} }

func (b *budget) take(n int64) bool {
	if b.parent != nil && !b.parent.take(n) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left >= n {
		b.left -= n
		return true
	}
	if b.parent != nil {
		b.parent.give(n)
	}
	return false
}

func (b *budget) give(n int64) {
	if b.parent != nil {
		b.parent.give(n)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}

// large reports whether a request's body may be more than a small one.
func large(r *http.Request) bool { return r.ContentLength < 0 || r.ContentLength > smallBody }

// pacedBody is a body whose sender must keep up a pace. One that streams occupies no memory while it is awaited: its sender must only not
// fall silent.
type pacedBody struct {
	io.ReadCloser
	conn    deadliner
	began   time.Time
	got     int64
	streams bool
}

// streamBody returns the body of a request whose operation takes it as a stream.
func streamBody(w http.ResponseWriter, r *http.Request) io.ReadCloser {
	b, ok := r.Body.(*pacedBody)
	if !ok {
		b = newPacedBody(r.Body, http.NewResponseController(w))
	}
	b.streams = true
	return b
}

// deadliner is the part of http.ResponseController that a body needs.
type deadliner interface{ SetReadDeadline(time.Time) error }

// newPacedBody begins to count. The deadlines are the connection's, which knows the machine's time alone, whatever the cloud's clock says.
func newPacedBody(body io.ReadCloser, conn deadliner) *pacedBody {
	b := &pacedBody{ReadCloser: body, conn: conn, began: clock.Real().Now()}
	b.setDeadline()
	return b
}

func (b *pacedBody) setDeadline() {
	if b.streams {
		_ = b.conn.SetReadDeadline(clock.Real().Now().Add(paceGrace))
		return
	}
	// It fails for a connection that has no deadlines, such as a test's.
	_ = b.conn.SetReadDeadline(b.began.Add(paceGrace + time.Duration(b.got/minPace)*time.Second))
}

// Read implements io.Reader. At the body's end the deadline is lifted, for the answer may take long; before that it stays, also for the
// HTTP server, which reads what is left when a request is refused.
func (b *pacedBody) Read(p []byte) (int, error) {
	b.setDeadline()
	n, err := b.ReadCloser.Read(p)
	b.got += int64(n)
	if err == io.EOF {
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

var (
	errTooLarge = errors.New("server: body too large")
	errBusy     = errors.New("server: too many large bodies at once")
)

// budgetedBody is a body that is drawn from a budget while it is read.
type budgetedBody struct {
	io.ReadCloser
	memory *budget
	got    int64
	taken  int64
}

// Read implements io.Reader.
func (b *budgetedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.got += int64(n)
	for b.got > b.taken+smallBody {
		if !b.memory.take(smallBody) {
			return n, errBusy
		}
		b.taken += smallBody
	}
	return n, err
}

func (b *budgetedBody) release() { b.memory.give(b.taken) }

// readBody returns the request's whole body. The caller calls release once the body is no longer used.
func readBody(r *request) (body []byte, release func(), cerr *cloud.Error) {
	if r.ContentLength > maxBody {
		return nil, func() {}, tooLarge()
	}
	if !large(r.Request) {
		body = make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, func() {}, unreadable(err)
		}
		return body, func() {}, nil
	}
	b := &budgetedBody{ReadCloser: r.Body, memory: r.memory}
	body, err := readLarge(b, r.ContentLength)
	if err != nil {
		b.release()
		return nil, func() {}, unreadable(err)
	}
	return body, sync.OnceFunc(b.release), nil
}

// readLarge reads a body whose length is said to be length, or not said. Memory is taken as bytes come, not as they are promised.
func readLarge(r io.Reader, length int64) ([]byte, error) {
	most := maxBody + 1
	if length >= 0 {
		most = int(length) + 1 // the end of the body is read as well
	}
	body := make([]byte, 0, min(most, 2*smallBody))
	for {
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > maxBody:
			return nil, errTooLarge
		case err == io.EOF && length >= 0 && int64(len(body)) != length:
			return nil, io.ErrUnexpectedEOF
		case err == io.EOF:
			return body, nil
		case err != nil:
			return nil, err
		}
		if len(body) == cap(body) {
			body = slices.Grow(body, min(most, 2*cap(body))-len(body))
		}
	}
}

// unreadable returns what a client is told of a body that could not be read.
func unreadable(err error) *cloud.Error {
	switch {
	case errors.Is(err, errTooLarge):
		return tooLarge()
	case errors.Is(err, errBusy):
		return cloud.Errorf("SlowDown", "Too many large requests at once. Please reduce your request rate.").WithStatus(http.StatusServiceUnavailable)
	}
	return cloud.Errorf("RequestTimeout", "The request's body could not be read to its end.").WithStatus(http.StatusBadRequest)
}

func tooLarge() *cloud.Error {
	return cloud.Errorf("RequestEntityTooLargeException", "The request's body is larger than %d bytes.", int64(maxBody)).WithStatus(http.StatusRequestEntityTooLarge)
}
