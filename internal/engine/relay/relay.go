package relay

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/clock"
)

// Config says what a relay is made with. Clock is required.
type Config struct {
	Clock clock.Clock
	// Log receives what is refused, and what fails; nil discards it.
	Log *slog.Logger
	// Allow are exceptions to the policy, each HOST:PORT. HOST is an address or a name, which is resolved when something dials.
	Allow []string
	// Names answers names that the server itself stands behind, in lower case and without a final dot: with the address inside the sandbox. Nil knows none.
	Names func(name string) (netip.Addr, bool)
	// Private closes private networks: RFC 1918, RFC 6598 and fc00::/7.
	Private bool
	// PerSandbox bounds one sandbox, Server all of them together. A zero takes the default.
	PerSandbox, Server Bounds
}

// Bounds are what connections may take.
type Bounds struct {
	// Connections are TCP connections, counted from the moment somebody asks for one. Default 1,024, which is how many descriptors a function has; 8,192 for
	// the server, or half of its own descriptors.
	Connections int
	// Flows are pairs of a function's UDP port and a destination. The oldest is forgotten for a new one. Default 256; 4,096 for the server.
	Flows int
	// Questions are questions about names at one time. Default 64; 1,024 for the server.
	Questions int
	// Buffers are bytes for what TCP connections have received and not passed on. Connections beyond them get 32 KiB each and way. Default 32 MiB; 256 MiB for
	// the server.
	Buffers int64
}

func (b Bounds) or(d Bounds) Bounds {
	for _, f := range []struct{ to, from *int }{{&b.Connections, &d.Connections}, {&b.Flows, &d.Flows}, {&b.Questions, &d.Questions}} {
		if *f.to <= 0 {
			*f.to = *f.from
		}
	}
	if b.Buffers <= 0 {
		b.Buffers = d.Buffers
	}
	return b
}

func perSandbox() Bounds {
	return Bounds{Connections: 1024, Flows: 256, Questions: 64, Buffers: 32 << 20}
}

func wholeServer() Bounds {
	b := Bounds{Connections: 8192, Flows: 4096, Questions: 1024, Buffers: 256 << 20}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		b.Connections = int(min(uint64(b.Connections), files.Cur/2))
		b.Flows = int(min(uint64(b.Flows), files.Cur/4))
	}
	return b
}

// Relay answers network devices. Its methods are safe for concurrent use.
type Relay struct {
	clock  clock.Clock
	log    *slog.Logger
	policy *policy
	names  *names
	notes  *notes
	// large and small are buffers for everything that is read.
	large, small *buffers
	bounds       Bounds
	total        *usage
	// dial and dialUDP are the host's network; tests put another in its place.
	dial    func(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error)
	dialUDP func(to netip.AddrPort) (*net.UDPConn, error)
	own     ends

	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup
	keeper *keeper

	mu     sync.Mutex
	closed bool
	links  map[*Link]struct{}
}

// ends are the addresses at the two ends of every device.
type ends struct{ gateway4, gateway6, function4, function6 netip.Addr }

func (e ends) isGateway(a netip.Addr) bool { return a == e.gateway4 || a == e.gateway6 }

// New makes a relay. Close ends it. The error says which entry of Allow is not one.
func New(c Config) (*Relay, error) {
	if c.Clock == nil {
		return nil, errors.New("relay: a clock is required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	host := &hostNames{ctx: ctx, clock: c.Clock, resolver: net.Resolver{PreferGo: true}}
	allow, err := newAllowed(c.Clock, host.lookup, c.Allow)
	if err != nil {
		cancel()
		return nil, err
	}
	server := c.Server.or(wholeServer())
	r := &Relay{
		clock:   c.Clock,
		log:     c.Log,
		policy:  newPolicy(allow, c.Private, askRoute),
		notes:   newNotes(c.Clock, c.Log),
		large:   newBuffers(bufferSize),
		small:   newBuffers(smallBuffer),
		bounds:  c.PerSandbox.or(perSandbox()),
		total:   newUsage(server, nil),
		dial:    dialTCP,
		dialUDP: dialUDP,
		own:     ends{gateway4: gateway4(), gateway6: gateway6(), function4: function4(), function6: function6()},
		ctx:     ctx,
		cancel:  cancel,
		keeper:  newKeeper(c.Clock),
		links:   map[*Link]struct{}{},
	}
	r.names = &names{clock: c.Clock, own: c.Names, host: host.lookup, allow: allow, route: askRoute, servers: hostServers, gateway: r.own.gateway4}
	r.all.Go(func() { r.keeper.run(r.ctx, r.expire) })
	return r, nil
}

func dialTCP(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	return new(net.Dialer).DialTCP(ctx, "tcp", netip.AddrPort{}, to)
}

func dialUDP(to netip.AddrPort) (*net.UDPConn, error) {
	return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
}

// Attach takes the server's end of a sandbox's network device over and answers it until the Link is closed. A nil Link that is not attached to
// anything is never returned: when the descriptor cannot be used, or the relay is closed, the Link is one that has ended.
func (r *Relay) Attach(file *os.File) *Link {
	l := newLink(r)
	d, err := newDevice(file)
	if err != nil {
		r.log.Error("a sandbox's network device cannot be used", "error", err)
		file.Close()
		l.Close()
		return l
	}
	l.device = d
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		d.close()
		l.Close()
		return l
	}
	r.links[l] = struct{}{}
	r.all.Go(l.run)
	return l
}

// Close ends every link and everything that the relay does, and returns when nothing of it is left.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	var links []*Link
	for l := range r.links {
		links = append(links, l)
	}
	r.mu.Unlock()
	for _, l := range links {
		l.Close()
	}
	r.cancel()
	r.all.Wait()
	r.keeper.closeAll()
}

// Local returns the addresses of a sandbox's loopback at which the server must listen for the entries of Allow that mean the host's own loopback; see Join.
func (r *Relay) Local() []string { return r.policy.allow.listen() }

// expire forgets the flows that nobody has used. It reports whether there are others.
func (r *Relay) expire(now time.Time) bool {
	r.mu.Lock()
	links := make([]*Link, 0, len(r.links))
	for l := range r.links {
		links = append(links, l)
	}
	r.mu.Unlock()
	left := false
	for _, l := range links {
		left = l.flows.expire(now) || left
	}
	return left
}

// gone is called once by a link that has ended.
func (r *Relay) gone(l *Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.links, l)
}
