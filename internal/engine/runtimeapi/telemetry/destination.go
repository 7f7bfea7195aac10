package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// maxAnswer bounds what is read of a listener's answer, in bytes.
const maxAnswer = 64 << 10

// destination is where a subscriber listens. One goroutine uses it.
type destination interface {
	send(ctx context.Context, batch [][]byte) error
	close()
}

func newDestination(o Options, s *subscription) destination {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
	dial := func(ctx context.Context) (net.Conn, error) { return o.Dial(ctx, addr) }
	if s.url == "" {
		return &tcp{dial: dial}
	}
	// Whatever the URI's name, and whatever an answer says, there is one place to which it leads: a port inside the environment.
	t := &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableCompression:     true,
		MaxConnsPerHost:        1,
		MaxResponseHeaderBytes: maxAnswer,
	}
	return &web{method: s.method, url: s.url, transport: t}
}

// web is a listener that takes batches as JSON arrays.
type web struct {
	method, url string
	transport   *http.Transport
}

func (w *web) send(ctx context.Context, batch [][]byte) error {
	body := append([]byte{'['}, bytes.Join(batch, []byte{','})...)
	body = append(body, ']')
	req, err := http.NewRequestWithContext(ctx, w.method, w.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := w.transport.RoundTrip(req) // redirects are not followed
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // so that the connection can be used again
	_ = res.Body.Close()
	if res.StatusCode >= 300 {
		return fmt.Errorf("telemetry: the listener answered %s", res.Status)
	}
	return nil
}

func (w *web) close() { w.transport.CloseIdleConnections() }

// tcp is a listener that takes events as lines.
type tcp struct {
	dial func(context.Context) (net.Conn, error)
	conn net.Conn
}

func (t *tcp) send(ctx context.Context, batch [][]byte) error {
	if t.conn == nil {
		c, err := t.dial(ctx)
		if err != nil {
			return err
		}
		t.conn = c
	}
	release := context.AfterFunc(ctx, t.closer(t.conn)) // a listener may have stopped reading
	defer release()
	if _, err := t.conn.Write(append(bytes.Join(batch, []byte{'\n'}), '\n')); err != nil {
		t.close()
		return err
	}
	return nil
}

func (t *tcp) closer(c net.Conn) func() {
	return func() { _ = c.Close() }
}

func (t *tcp) close() {
	if t.conn != nil {
		_ = t.conn.Close()
		t.conn = nil
	}
}
