package relay

import (
	"container/list"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// flows are the pairs of a UDP port of the function's and a destination that are in use. It is safe for concurrent use.
type flows struct {
	link *Link

	mu     sync.Mutex
	ended  bool
	known  map[flow]*udpFlow
	recent list.List // of *udpFlow, the one used last in front
}

// udpFlow is a socket of the host's that is connected to one destination.
type udpFlow struct {
	flow
	link *Link

	// Under flows.mu.
	used time.Time
	at   *list.Element

	mu sync.Mutex
	// early is what the function sent before the socket was there.
	early [][]byte
	size  int
	conn  *net.UDPConn
	raw   syscall.RawConn
	gone  bool
}

const (
	flowIdle = time.Minute
	// dnsIdle is for name servers, which answer once.
	dnsIdle = 5 * time.Second
	// maxEarly bounds the bytes that wait while a destination is looked at.
	maxEarly = 64 << 10
)

func newFlows(l *Link) *flows { return &flows{link: l, known: map[flow]*udpFlow{}} }

// send sends a datagram of the function's on its way.
func (fs *flows) send(p packet) {
	f, isNew := fs.find(p.flow)
	if f == nil {
		fs.link.counts.dropped.Add(1)
		return
	}
	f.send(p.segment[header.UDPMinimumSize:])
	if isNew && !fs.link.begin(f.run) {
		f.close()
	}
}

// find returns the flow, which may be new; nil when there is no room.
func (fs *flows) find(id flow) (f *udpFlow, isNew bool) {
	now := fs.link.relay.clock.Now()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.known[id]; f != nil {
		f.used = now
		fs.recent.MoveToFront(f.at)
		return f, false
	}
	if fs.ended {
		return nil, false
	}
	for !fs.link.used.flows.take(1) {
		oldest := fs.recent.Back()
		if oldest == nil {
			fs.link.relay.notes.full(fs.link.who(), "UDP destinations")
			return nil, false
		}
		fs.drop(oldest.Value.(*udpFlow))
	}
	f = &udpFlow{flow: id, link: fs.link, used: now}
	f.at = fs.recent.PushFront(f)
	fs.known[id] = f
	fs.link.relay.keeper.watch()
	return f, true
}

// drop forgets a flow and closes it. mu is held.
func (fs *flows) drop(f *udpFlow) {
	if fs.known[f.flow] != f {
		return
	}
	delete(fs.known, f.flow)
	fs.recent.Remove(f.at)
	fs.link.used.flows.give(1)
	f.close()
}

// expire drops what is idle, and reports whether there are flows left.
func (fs *flows) expire(now time.Time) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for at := fs.recent.Back(); at != nil; {
		f := at.Value.(*udpFlow)
		at = at.Prev()
		idle := flowIdle
		if f.to.Port() == dnsPort {
			idle = dnsIdle
		}
		if now.Sub(f.used) >= idle {
			fs.drop(f)
		}
	}
	return len(fs.known) > 0
}

// end drops everything.
func (fs *flows) end() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.ended = true
	for _, f := range fs.known {
		fs.drop(f)
	}
}

func (fs *flows) touch(f *udpFlow) {
	now := fs.link.relay.clock.Now()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.known[f.flow] == f {
		f.used = now
		fs.recent.MoveToFront(f.at)
	}
}

func (f *udpFlow) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = true
	f.early = nil
	if f.conn != nil {
		f.conn.Close()
	}
}

// run looks at the destination and then hands on what it answers, until the flow is dropped.
func (f *udpFlow) run() {
	defer func() {
		f.link.flows.mu.Lock()
		defer f.link.flows.mu.Unlock()
		f.link.flows.drop(f)
	}()
	if !f.open() {
		return
	}
	room := headerSize(f.to.Addr()) + header.UDPMinimumSize
	for {
		err := readReady(f.raw, f.link.relay.large, room, func(b []byte) { f.receive(b, room) })
		switch {
		case err == nil:
			f.link.flows.touch(f)
		case errors.Is(err, unix.ECONNREFUSED):
			f.link.answer(unreachable(sentUDP(f.flow), noPort))
		default:
			return
		}
	}
}

// receive hands one datagram to the function. Before it is room for the headers.
func (f *udpFlow) receive(b []byte, room int) {
	limit := maxDatagram4
	if f.to.Addr().Is6() {
		limit = maxDatagram6
	}
	if len(b)-room > limit {
		f.link.counts.dropped.Add(1)
		return
	}
	putUDP(b, f.flow)
	f.link.counts.down.Add(int64(len(b) - room))
	f.link.answer(b)
}

// open connects the socket, if that may be, and sends what has waited for it.
func (f *udpFlow) open() bool {
	l := f.link
	if l.relay.own.isGateway(f.to.Addr()) {
		l.answer(unreachable(sentUDP(f.flow), noPort))
		return false
	}
	why, err := l.relay.policy.check(l.ctx, f.to)
	if err != nil {
		l.relay.notes.failed("ask the routing", err)
		return false
	}
	if why != "" {
		l.refuse("udp", f.to, why)
		l.answer(unreachable(sentUDP(f.flow), prohibited))
		return false
	}
	conn, err := l.relay.dialUDP(f.to)
	if err != nil {
		f.unopened(err)
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		conn.Close()
		return false
	}
	f.conn, f.raw = conn, raw
	for _, b := range f.early {
		f.write(b)
	}
	f.early = nil
	return true
}

func (f *udpFlow) unopened(err error) {
	l := f.link
	switch {
	case errors.Is(err, unix.ENETUNREACH):
		l.answer(unreachable(sentUDP(f.flow), noRoute))
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL):
		l.answer(unreachable(sentUDP(f.flow), noHost))
	default:
		l.counts.dropped.Add(1)
		l.relay.notes.failed("open a UDP socket", err)
	}
}

// send writes b, or keeps it until the socket is there.
func (f *udpFlow) send(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.gone:
	case f.conn != nil:
		f.write(b)
	case f.size+len(b) <= maxEarly:
		f.size += len(b)
		f.early = append(f.early, append([]byte(nil), b...))
	default:
		f.link.counts.dropped.Add(1)
	}
}

// write sends a datagram without waiting: the goroutine that calls it has all of the function's packets to look after. mu is held.
func (f *udpFlow) write(b []byte) {
	var failed error
	send := func(fd uintptr) {
		failed = unix.Send(int(fd), b, unix.MSG_DONTWAIT)
	}
	err := f.raw.Control(send)
	if err == nil && errors.Is(failed, unix.ECONNREFUSED) {
		// The socket tells of the datagram before this one, and has not sent this one.
		f.link.answer(unreachable(sentUDP(f.flow), noPort))
		err = f.raw.Control(send)
	}
	if err != nil || failed != nil {
		f.link.counts.dropped.Add(1)
		return
	}
	f.link.counts.up.Add(int64(len(b)))
}
