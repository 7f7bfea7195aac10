package relay

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Link is one sandbox's way out. Its methods are safe for concurrent use.
type Link struct {
	relay  *Relay
	device *device
	label  atomic.Pointer[string]
	used   *usage
	flows  *flows
	counts counts

	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
	// work counts the goroutines that the link has started.
	work sync.WaitGroup

	mu     sync.Mutex
	closed bool
	stack  *network
	conns  map[flow]*connection
}

type counts struct{ up, down, connections, refused, dropped atomic.Int64 }

// Stats is what has happened on a link so far.
type Stats struct {
	// Up and Down are bytes that TCP connections and datagrams carried: from the function, and to it.
	Up, Down int64
	// Connections were made, Refused were asked for and not allowed. Dropped counts packets that nobody answered.
	Connections, Refused, Dropped int64
}

func newLink(r *Relay) *Link {
	l := &Link{relay: r, used: newUsage(r.bounds, r.total), conns: map[flow]*connection{}}
	l.ctx, l.cancel = context.WithCancel(r.ctx)
	l.flows = newFlows(l)
	return l
}

// Label names the function that the sandbox is for, in what is logged.
func (l *Link) Label(name string) { l.label.Store(&name) }

func (l *Link) who() string {
	if name := l.label.Load(); name != nil {
		return *name
	}
	return ""
}

// Stats returns the link's figures.
func (l *Link) Stats() Stats {
	c := &l.counts
	return Stats{Up: c.up.Load(), Down: c.down.Load(), Connections: c.connections.Load(), Refused: c.refused.Load(), Dropped: c.dropped.Load()}
}

// Close ends the link's connections and returns at once. It is to be called when no process of the sandbox is left: the descriptor is closed a second
// later, when the kernel has taken the device down.
func (l *Link) Close() {
	l.once.Do(func() {
		l.cancel()
		if l.device == nil {
			return
		}
		l.device.stop()
		l.relay.keeper.later(l.device)
	})
}

// run reads packets until the link is closed, or its device is gone, and ends what it has begun.
func (l *Link) run() {
	defer l.relay.gone(l)
	for l.device.read(l.relay.large, l.take) == nil {
	}
	l.end()
}

// again is how long the end of a link waits before it looks once more for connections that were just about to stand.
const again = 50 * time.Millisecond

// end ends connections and flows, and waits for the goroutines behind them.
func (l *Link) end() {
	l.cancel()
	l.mu.Lock()
	l.closed = true
	stack := l.stack
	l.mu.Unlock()
	l.flows.end()
	ended := make(chan struct{})
	go func() {
		l.work.Wait()
		close(ended)
	}()
	for waiting := true; waiting; {
		if stack != nil {
			stack.abort()
		}
		timer := l.relay.clock.NewTimer(again)
		select {
		case <-ended:
			waiting = false
		case <-timer.C():
		}
		timer.Stop()
	}
	if stack != nil {
		stack.end()
	}
}

// begin runs work in a goroutine of the link's, unless the link is ending.
func (l *Link) begin(work func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.work.Go(work)
	return true
}

// take decides what becomes of one packet of the function's.
func (l *Link) take(b []byte) {
	p, ok := parsePacket(b)
	if !ok || !l.mayCome(p.flow) {
		l.counts.dropped.Add(1)
		return
	}
	switch {
	case p.proto == protoUDP && p.to.Port() == dnsPort && l.relay.own.isGateway(p.to.Addr()):
		l.ask(p)
	case p.proto == protoUDP:
		l.flows.send(p)
	case p.asksToConnect() && p.carries() > 0:
		// It is kept while the destination is dialled, and data would have to be kept with it. The function's kernel asks again without.
		l.counts.dropped.Add(1)
	case p.asksToConnect():
		l.connect(p)
	default:
		l.pass(p)
	}
}

// mayCome drops what wants no answer: the function's kernel sends to multicast groups by itself. A source that is not the device's own is somebody
// playing.
func (l *Link) mayCome(f flow) bool {
	from, to := f.from.Addr(), f.to.Addr()
	own := l.relay.own
	return (from == own.function4 || from == own.function6) && !to.IsMulticast() && to != from && f.from.Port() != 0 && f.to.Port() != 0
}

// pass hands a segment to the stack, which has the connection that it belongs to.
func (l *Link) pass(p packet) {
	l.mu.Lock()
	stack := l.stack
	l.mu.Unlock()
	if stack == nil {
		l.counts.dropped.Add(1)
		return
	}
	stack.take(p.raw)
}

// refuse notes that the policy does not let a packet through.
func (l *Link) refuse(network string, to netip.AddrPort, why refusal) {
	l.counts.refused.Add(1)
	l.relay.notes.refused(l.who(), network, to, why)
}

// answer sends a packet to the function.
func (l *Link) answer(parts ...[]byte) {
	if !l.device.write(parts...) {
		l.counts.dropped.Add(1)
	}
}
