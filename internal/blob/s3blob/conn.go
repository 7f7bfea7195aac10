package s3blob

import (
	"context"
	"net"
	"time"

	"croft/internal/clock"
)

// steady is a connection on which each read and each write must come to something within a time. A server that stands still takes no more of a body,
// and yields no more of one, for as long as it likes: what waits for the answer's beginning does not see it.
type steady struct {
	net.Conn
	limit time.Duration
}

// Read implements net.Conn.
func (c *steady) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(clock.Real().Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write implements net.Conn. A large write goes out in pieces, each within the time. The client reads all the while, for an answer before the end:
// that has its time from the last piece on.
func (c *steady) Write(p []byte) (n int, err error) {
	const piece = 64 << 10
	for first := true; first || len(p) > n; first = false {
		if err := c.SetDeadline(clock.Real().Now().Add(c.limit)); err != nil {
			return n, err
		}
		m, err := c.Conn.Write(p[n:min(len(p), n+piece)])
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

// dialSteady returns what opens such connections.
func dialSteady(limit time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: connectTime}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &steady{c, limit}, nil
	}
}
