package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"croft/internal/clock"
)

// pipe joins a function's end of a connection with the host's. Each of its directions is a goroutine, and holds a buffer only while it moves something.
type pipe struct {
	link *Link
	end  *end
	host *net.TCPConn
	raw  syscall.RawConn
	// broken ends when a direction has failed, or the link has ended: then both ends are reset, as a network would hand a reset on.
	broken context.Context
	cut    context.CancelFunc
}

const (
	// growAfter is what a direction moves before it is given much room, and how much more before it asks again.
	growAfter = 256 << 10
	room      = muchRoom - littleRoom
)

// abort closes a connection with a reset.
func abort(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		// A connection that is closed already needs none.
		_ = t.SetLinger(0)
	}
	c.Close()
}

// join moves what the two ends say until both have ended. It closes the function's; the caller closes the host's.
func (l *Link) join(e *end, host *net.TCPConn) {
	raw, err := host.SyscallConn()
	if err != nil {
		e.ep.Abort()
		return
	}
	p := &pipe{link: l, end: e, host: host, raw: raw}
	p.broken, p.cut = context.WithCancel(l.ctx)
	defer p.cut()
	whole := context.AfterFunc(p.broken, func() {
		abort(host)
		e.ep.Abort()
	})
	var down sync.WaitGroup
	down.Go(p.down)
	p.up()
	down.Wait()
	if whole() {
		p.settle()
	}
	e.ep.Close()
}

// up moves from the function to the host.
func (p *pipe) up() {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
	p.end.queue.EventRegister(&entry)
	defer p.end.queue.EventUnregister(&entry)
	moved := growth{grow: p.growReceive}
	defer moved.end(p.link)
	for {
		n, err := p.readToHost()
		p.link.counts.up.Add(n)
		moved.add(p.link, n)
		switch err.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			select {
			case <-ready:
			case <-p.broken.Done():
				return
			}
		case *tcpip.ErrClosedForReceive:
			// The host has reset it meanwhile if this fails, and then down finds out.
			_ = p.host.CloseWrite()
			return
		default:
			p.cut()
			return
		}
	}
}

// readToHost writes what has come straight from the stack's buffers to the host's socket, until nothing is left. It waits while the host takes nothing.
func (p *pipe) readToHost() (int64, tcpip.Error) {
	var total int64
	var failed tcpip.Error
	err := p.raw.Write(func(fd uintptr) bool {
		w := socket{fd: int(fd)}
		var result tcpip.ReadResult
		result, failed = p.end.ep.Read(&w, tcpip.ReadOptions{})
		total += int64(result.Count)
		switch {
		case w.err != nil:
			failed = &tcpip.ErrConnectionReset{}
		case w.full:
			failed = nil
			return false
		}
		return true
	})
	if err != nil {
		failed = &tcpip.ErrConnectionReset{}
	}
	return total, failed
}

// socket is a writer that does not wait.
type socket struct {
	fd   int
	full bool
	err  error
}

// Write writes what the socket takes. Anything less than p is an error, as the stack wants it.
func (s *socket) Write(p []byte) (int, error) {
	n, err := ignoringInterrupts(func() (int, error) { return unix.Write(s.fd, p) })
	switch {
	case errors.Is(err, unix.EAGAIN):
		s.full = true
		return 0, io.ErrShortWrite
	case err != nil:
		s.err = err
		return 0, err
	case n < len(p):
		s.full = true
		return n, io.ErrShortWrite
	}
	return n, nil
}

// down moves from the host to the function.
func (p *pipe) down() {
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventHUp | waiter.EventErr)
	p.end.queue.EventRegister(&entry)
	defer p.end.queue.EventUnregister(&entry)
	moved := growth{grow: p.growSend}
	defer moved.end(p.link)
	for {
		pool := p.link.relay.small
		if moved.grown {
			pool = p.link.relay.large
		}
		var n int
		written := true
		err := readReady(p.raw, pool, 0, func(b []byte) {
			n = len(b)
			written = p.write(b, ready)
		})
		switch {
		case err != nil || !written:
			p.cut()
			return
		case n == 0:
			// It fails when the function has reset the connection, of which up hears.
			_ = p.end.ep.Shutdown(tcpip.ShutdownWrite)
			return
		}
		p.link.counts.down.Add(int64(n))
		moved.add(p.link, int64(n))
	}
}

// write gives the stack all of b, and waits while the function takes nothing.
func (p *pipe) write(b []byte, ready <-chan struct{}) bool {
	data := bytes.NewReader(b)
	for data.Len() > 0 {
		before := data.Len()
		n, err := p.end.ep.Write(data, tcpip.WriteOptions{})
		if took := before - data.Len(); err == nil && took > int(n) {
			// It read more than it had room for.
			if _, err := data.Seek(int64(int(n)-took), io.SeekCurrent); err != nil {
				return false
			}
		}
		switch err.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			select {
			case <-ready:
			case <-p.broken.Done():
				return false
			}
		default:
			return false
		}
	}
	return true
}

// growth gives a direction more room when it moves much, of what the sandbox and the server have for that.
type growth struct {
	grow  func()
	grown bool
	moved int64
}

func (g *growth) add(l *Link, n int64) {
	if g.grown {
		return
	}
	if g.moved += n; g.moved < growAfter {
		return
	}
	g.moved = 0
	if l.used.buffers.take(room) {
		g.grown = true
		g.grow()
	}
}

func (g *growth) end(l *Link) {
	if g.grown {
		l.used.buffers.give(room)
	}
}

func (p *pipe) growReceive() { p.end.ep.SocketOptions().SetReceiveBufferSize(muchRoom, true) }

func (p *pipe) growSend() { p.end.ep.SocketOptions().SetSendBufferSize(muchRoom, true) }

// settleLimit is how long a function may take to accept the last of what was sent to it.
const settleLimit = time.Minute

// settle waits until the function's kernel has taken everything, so that what is on its way counts as a connection.
func (p *pipe) settle() {
	c := p.link.relay.clock
	ctx, cancel := clock.WithTimeout(p.link.ctx, c, settleLimit)
	defer cancel()
	for pause := time.Millisecond; ; pause = min(2*pause, time.Second) {
		switch tcp.EndpointState(p.end.ep.State()) {
		case tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck, tcp.StateEstablished, tcp.StateCloseWait:
		default:
			return
		}
		if clock.Sleep(ctx, c, pause) != nil {
			p.end.ep.Abort()
			return
		}
	}
}

// Join joins conn, accepted at addr, one of Local's, with what listens on the host's loopback. It returns when both directions have ended, or ctx; conn
// is then closed. conn should be a *net.TCPConn: one that is wrapped is ended as a whole when the host ends its direction. When nothing listens, conn is reset: the function's kernel has told it before that it is connected.
func (r *Relay) Join(ctx context.Context, conn net.Conn, addr string) {
	defer conn.Close()
	if !r.total.connections.take(1) {
		r.notes.full("", "connections")
		abort(conn)
		return
	}
	defer r.total.connections.give(1)
	dialCtx, cancel := clock.WithTimeout(ctx, r.clock, dialLimit)
	host, err := dialFirst(dialCtx, r, r.policy.allow.behind(addr))
	cancel()
	if err != nil {
		abort(conn)
		return
	}
	defer host.Close()
	stop := context.AfterFunc(ctx, func() {
		abort(conn)
		abort(host)
	})
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { r.copy(host, conn) })
	both.Go(func() { r.copy(conn, host) })
	both.Wait()
}

// copy moves from one of the kernel's connections to another. A failure resets both.
func (r *Relay) copy(to, from net.Conn) {
	read := r.reader(from)
	for {
		n := 0
		var failed error
		err := read(func(b []byte) {
			if n = len(b); n > 0 {
				_, failed = to.Write(b)
			}
		})
		if err != nil || failed != nil {
			abort(to)
			abort(from)
			return
		}
		if n == 0 {
			endWriting(to)
			return
		}
	}
}

// reader reads without holding a buffer while there is nothing, if the connection lets it; nothing is given at the end.
func (r *Relay) reader(from net.Conn) func(take func([]byte)) error {
	if c, ok := from.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			return func(take func([]byte)) error { return readReady(raw, r.small, 0, take) }
		}
	}
	return func(take func([]byte)) error {
		buf := r.small.get()
		defer r.small.put(buf)
		n, err := from.Read(*buf)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		take((*buf)[:n])
		return err
	}
}

// endWriting ends one direction of a connection, or all of it when it cannot be ended by halves: a wrapped one. The other direction finds out when it fails.
func endWriting(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	c.Close()
}
