package pgkv

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a store and its database, and breaks connections.
type proxy struct {
	l      net.Listener
	socket string
	wg     sync.WaitGroup
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	// marker, once a client has sent it, has the answer to that lost; nil for none.
	marker atomic.Pointer[string]
	// farewell says that of the marked answer all up to the commit's own arrives, followed by what a database says that shuts down.
	farewell atomic.Bool
	// mute is how many bytes may still be answered, over all connections, before they break; negative for no limit.
	mute atomic.Int64
	// deaf is the same for what is asked.
	deaf atomic.Int64
}

func startProxy(t *testing.T, socket string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, socket: socket, conns: map[net.Conn]struct{}{}}
	p.heal()
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

// heal lets everything through.
func (p *proxy) heal() {
	p.mute.Store(-1 << 40)
	p.deaf.Store(-1 << 40)
}

// cut breaks all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) serve() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.socket)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = struct{}{}, struct{}{}
		p.mu.Unlock()
		var marked atomic.Bool
		p.wg.Go(func() { p.pipe(server, client, &p.deaf, &marked, true) })
		p.wg.Go(func() { p.pipe(client, server, &p.mute, &marked, false) })
	}
}

// committed is the end of a database's answer to a COMMIT.
const committed = "COMMIT\x00"

// shutdown returns the message with which a database ends a connection when it shuts down.
func shutdown() []byte {
	fields := "SFATAL\x00VFATAL\x00C57P01\x00Mterminating connection due to administrator command\x00\x00"
	return append(binary.BigEndian.AppendUint32([]byte{'E'}, uint32(4+len(fields))), fields...)
}

// pipe copies until the budget is used up. Then both sides are closed, the client's with a reset.
func (p *proxy) pipe(to, from net.Conn, budget *atomic.Int64, marked *atomic.Bool, asks bool) {
	defer func() {
		for _, c := range []net.Conn{to, from} {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
			p.mu.Lock()
			delete(p.conns, c)
			p.mu.Unlock()
		}
	}()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if m := p.marker.Load(); asks && m != nil && bytes.Contains(buf[:n], []byte(*m)) {
			p.marker.Store(nil)
			marked.Store(true)
		}
		if !asks && marked.Load() {
			if i := bytes.LastIndex(buf[:n], []byte(committed)); i >= 0 && p.farewell.Load() {
				_, _ = to.Write(append(buf[:i+len(committed):i+len(committed)], shutdown()...))
			}
			return
		}
		before := budget.Load()
		left := budget.Add(-int64(n))
		if before >= 0 && left < 0 {
			_, _ = to.Write(buf[:before])
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// through returns the URL of a database by way of the proxy.
func (p *proxy) through(t *testing.T, db string) string {
	t.Helper()
	u, err := url.Parse(db)
	if err != nil {
		t.Fatal(err)
	}
	u.Host, u.RawQuery = p.l.Addr().String(), "sslmode=disable"
	return u.String()
}
