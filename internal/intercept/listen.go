package intercept

import (
	"net"
	"sync"
)

// limited is a TCP listener with a bound on the connections that are open at once. One more is closed at once: the child that has so many
// is better told than kept waiting.
type limited struct {
	*net.TCPListener
	slots chan struct{}
}

func newLimited(l *net.TCPListener, n int) *limited {
	return &limited{l, make(chan struct{}, n)}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &counted{TCPConn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
			_ = c.Close()
		}
	}
}

// counted is a connection that gives its place back when it is closed.
type counted struct {
	*net.TCPConn
	release func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	defer c.release()
	return c.TCPConn.Close()
}

// handover is a listener whose connections come from a program.
type handover struct {
	conns chan net.Conn
	done  chan struct{}
	close func()
	addr  net.Addr
}

func newHandover(addr net.Addr) *handover {
	h := &handover{conns: make(chan net.Conn), done: make(chan struct{}), addr: addr}
	h.close = sync.OnceFunc(func() { close(h.done) })
	return h
}

// give hands c over to whoever accepts. A connection that nobody accepts any more is closed.
func (h *handover) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.done:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.close()
	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.addr }
