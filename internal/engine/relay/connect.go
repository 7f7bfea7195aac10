package relay

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"croft/internal/clock"
)

// connection is one TCP connection of a function's, from the segment that asks for it.
type connection struct {
	flow
	// syn is the whole segment that asked last, under Link.mu. It is given to the stack when the destination has answered, and quoted when it cannot be reached.
	syn []byte
	// passed says, under Link.mu, that the stack has it.
	passed bool
	// requests receives the stack's request, once.
	requests chan *tcp.ForwarderRequest
}

// dialLimit bounds dialling and the handshake with the function. A function that waits longer asks again, as TCP does by itself.
const dialLimit = 30 * time.Second

// connect begins a connection, or repeats what is known of one that has begun.
func (l *Link) connect(p packet) {
	l.mu.Lock()
	c, known := l.conns[p.flow]
	passed := known && c.passed
	if known && !passed {
		c.syn = bytes.Clone(p.raw) // it may be another connection by now, with other numbers
	}
	l.mu.Unlock()
	if passed {
		l.pass(p)
	}
	if known {
		return
	}
	// Segments beyond the bounds are lost: the function asks again a second later, when there may be room.
	if !l.used.connections.take(1) {
		l.counts.dropped.Add(1)
		l.relay.notes.full(l.who(), "connections")
		return
	}
	c = &connection{flow: p.flow, syn: bytes.Clone(p.raw), requests: make(chan *tcp.ForwarderRequest, 1)}
	l.mu.Lock()
	l.conns[p.flow] = c
	l.mu.Unlock()
	if !l.begin(func() { l.serve(c) }) {
		l.forget(c)
	}
}

func (l *Link) forget(c *connection) {
	l.mu.Lock()
	delete(l.conns, c.flow)
	l.mu.Unlock()
	l.used.connections.give(1)
}

// serve is a connection's life: the destination is dialled first, so that the function is told what a network would tell it.
func (l *Link) serve(c *connection) {
	defer l.forget(c)
	ctx, cancel := clock.WithTimeout(l.ctx, l.relay.clock, dialLimit)
	defer cancel()
	if l.relay.own.isGateway(c.to.Addr()) && c.to.Port() == dnsPort {
		if end := l.accept(ctx, c); end != nil {
			l.answerStream(end)
		}
		return
	}
	host, err := l.reach(ctx, c)
	if err != nil {
		l.decline(c, err)
		return
	}
	defer host.Close()
	end := l.accept(ctx, c)
	if end == nil {
		abort(host)
		return
	}
	cancel()
	l.counts.connections.Add(1)
	l.join(end, host)
}

// notAllowed is the error of an address that the policy refuses.
type notAllowed struct{ why refusal }

func (e notAllowed) Error() string { return string(e.why) }

// reach dials the destination, if that may be.
func (l *Link) reach(ctx context.Context, c *connection) (*net.TCPConn, error) {
	r := l.relay
	if r.own.isGateway(c.to.Addr()) {
		return dialFirst(ctx, r, r.policy.allow.hidden(ctx, c.to.Port()))
	}
	why, err := r.policy.check(ctx, c.to)
	if err != nil {
		r.notes.failed("ask the routing", err)
		return nil, err
	}
	if why != "" {
		l.refuse("tcp", c.to, why)
		return nil, notAllowed{why}
	}
	return r.dial(ctx, c.to)
}

// dialFirst returns the first of several that answers. Without any, nobody listens.
func dialFirst(ctx context.Context, r *Relay, list []netip.AddrPort) (*net.TCPConn, error) {
	err := error(unix.ECONNREFUSED)
	for _, to := range list {
		var host *net.TCPConn
		if host, err = r.dial(ctx, to); err == nil {
			return host, nil
		}
	}
	return nil, err
}

// decline tells the function why it is not connected, in the words of a network. What the policy refuses is reset, which is the only answer that the
// function's kernel takes in one step: an ICMP answer it puts into the socket's queue of errors first, and that wakes a poll whose caller may then find
// SO_ERROR still 0 and take itself for connected (Linux 6.18, up to once in a hundred times).
func (l *Link) decline(c *connection, err error) {
	l.mu.Lock()
	syn := c.syn
	l.mu.Unlock()
	p, ok := parsePacket(syn)
	if !ok {
		return
	}
	switch {
	case errors.As(err, new(notAllowed)), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ECONNRESET):
		l.answer(reset(p))
	case errors.Is(err, unix.ENETUNREACH):
		l.answer(unreachable(syn, noRoute))
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL):
		l.answer(unreachable(syn, noHost))
	default:
		// It did not answer in time, or the server has no descriptors: the function hears nothing, and asks again until it gives up.
		l.counts.dropped.Add(1)
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.EADDRNOTAVAIL) {
			l.relay.notes.failed("dial", err)
		}
	}
}

// end is the function's end of a connection.
type end struct {
	ep    tcpip.Endpoint
	queue *waiter.Queue
}

// accept completes the connection with the function; nil when the function is not there any more.
func (l *Link) accept(ctx context.Context, c *connection) *end {
	n := l.network()
	if n == nil {
		return nil
	}
	l.mu.Lock()
	c.passed = true
	syn := c.syn
	l.mu.Unlock()
	n.take(syn)
	var request *tcp.ForwarderRequest
	select {
	case request = <-c.requests:
	case <-ctx.Done():
		return nil
	}
	e := &end{queue: new(waiter.Queue)}
	// The stack does not know of ctx. A function's kernel that is there answers at once; if it is gone, the stack gives up after synRetries, or when it is
	// aborted.
	var failed tcpip.Error
	e.ep, failed = request.CreateEndpoint(e.queue)
	request.Complete(false)
	if failed != nil {
		return nil
	}
	options := e.ep.SocketOptions()
	options.SetReceiveBufferSize(littleRoom, true) // from here on the stack does not change it by itself
	options.SetSendBufferSize(littleRoom, true)
	return e
}

// network returns the link's stack, which is made for the first connection that stands.
func (l *Link) network() *network {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	if l.stack == nil {
		n, err := newNetwork(l.answer, l.opened)
		if err != nil {
			l.relay.notes.failed("make a network stack", err)
			return nil
		}
		l.stack = n
	}
	return l.stack
}

// opened is called by the stack, for segments of no connection: those that open one, which accept has put there, and strays.
func (l *Link) opened(id stack.TransportEndpointID, p *stack.PacketBuffer) bool {
	if header.TCP(p.TransportHeader().Slice()).Flags()&(header.TCPFlagSyn|header.TCPFlagAck) != header.TCPFlagSyn {
		return false
	}
	l.mu.Lock()
	c := l.conns[flowOf(id)]
	n := l.stack
	ready := c != nil && c.passed
	l.mu.Unlock()
	if !ready || n == nil {
		return true // its connection has just ended: the function asks again, and is then asked for anew
	}
	forwarder := tcp.NewForwarder(n.stack, littleRoom, 1, func(r *tcp.ForwarderRequest) {
		select {
		case c.requests <- r:
		default:
			r.Complete(false)
		}
	})
	return forwarder.HandlePacket(id, p)
}

func flowOf(id stack.TransportEndpointID) flow {
	from, _ := netip.AddrFromSlice(id.RemoteAddress.AsSlice())
	to, _ := netip.AddrFromSlice(id.LocalAddress.AsSlice())
	return flow{from: netip.AddrPortFrom(from, id.RemotePort), to: netip.AddrPortFrom(to, id.LocalPort)}
}
