package server

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"croft/internal/cloud"
)

const (
	// maxBody bounds a request's body. The largest that AWS takes is a deployment package in CreateFunction: 50 MB, in base64.
	maxBody = 70 << 20
	// smallBody is what a request may buffer without asking the budget.
	smallBody = 64 << 10
	// maxBuffered bounds what all requests together buffer beyond that.
	maxBuffered = 512 << 20
)

// budget bounds the memory of large bodies.
type budget struct {
	mu   sync.Mutex
	left int64
}

func newBudget(n int64) *budget { return &budget{left: n} }

func (b *budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < n {
		return false
	}
	b.left -= n
	return true
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}

// readBody returns the request's whole body. The caller calls release once the body is no longer used.
func (s *Server) readBody(r *http.Request) (body []byte, release func(), cerr *cloud.Error) {
	release = func() {}
	if r.ContentLength > maxBody {
		return nil, release, tooLarge()
	}
	reserved := r.ContentLength
	if reserved < 0 {
		reserved = maxBody
	}
	if reserved > smallBody {
		if !s.memory.take(reserved) {
			return nil, release, cloud.Errorf("SlowDown", "Too many large requests at once. Please reduce your request rate.").WithStatus(http.StatusServiceUnavailable)
		}
		release = sync.OnceFunc(func() { s.memory.give(reserved) })
	}
	body, err := readAll(r)
	if err == nil {
		return body, release, nil
	}
	release()
	if errors.Is(err, errTooLarge) {
		return nil, func() {}, tooLarge()
	}
	return nil, func() {}, cloud.Errorf("RequestTimeout", "The request's body could not be read to its end.").WithStatus(http.StatusBadRequest)
}

func tooLarge() *cloud.Error {
	return cloud.Errorf("RequestEntityTooLargeException", "The request's body is larger than %d bytes.", int64(maxBody)).WithStatus(http.StatusRequestEntityTooLarge)
}

var errTooLarge = errors.New("server: body too large")

func readAll(r *http.Request) ([]byte, error) {
	if r.ContentLength >= 0 {
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errTooLarge
	}
	return body, err
}
