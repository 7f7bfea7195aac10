package relay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"croft/internal/clock"
)

// allowed are the exceptions to the policy. It is safe for concurrent use.
type allowed struct {
	clock   clock.Clock
	lookup  lookup
	entries []allowance

	mu sync.Mutex
	// known remembers for a moment what names resolve to; there are no more of them than entries.
	known map[string]resolved
}

// lookup returns the addresses of a name.
type lookup func(ctx context.Context, name string) ([]netip.Addr, error)

// allowance is one HOST:PORT. addr is valid when HOST is an address.
type allowance struct {
	name string
	addr netip.Addr
	port uint16
}

type resolved struct {
	addrs []netip.Addr
	until time.Time
}

// keepResolved is how long an allowed name's addresses are believed: names of databases move, and connections come in bursts.
const keepResolved = 5 * time.Second

// maxAllowed bounds the exceptions.
const maxAllowed = 256

func newAllowed(c clock.Clock, lookup lookup, list []string) (*allowed, error) {
	if len(list) > maxAllowed {
		return nil, fmt.Errorf("relay: at most %d hosts can be allowed", maxAllowed)
	}
	a := &allowed{clock: c, lookup: lookup, known: map[string]resolved{}}
	for _, text := range list {
		e, err := parseAllowance(text)
		if err != nil {
			return nil, err
		}
		a.entries = append(a.entries, e)
	}
	return a, nil
}

func parseAllowance(text string) (allowance, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return allowance{}, fmt.Errorf("allowed host %q: it is written HOST:PORT, as in localhost:6379", text)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return allowance{}, fmt.Errorf("allowed host %q: the port is a number from 1 to 65535", text)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return allowance{}, fmt.Errorf("allowed host %q: an address with a zone cannot be allowed", text)
		}
		return allowance{addr: addr.Unmap(), port: uint16(n)}, nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "" || len(name) > 253 || strings.ContainsAny(name, "*/ ") {
		return allowance{}, fmt.Errorf("allowed host %q: HOST is a name or an address", text)
	}
	return allowance{name: name, port: uint16(n)}, nil
}

// isLocalhost says whether the entry means, whatever a resolver says, the host's own loopback.
func (e allowance) isLocalhost() bool {
	return e.addr.IsLoopback() || e.name == "localhost" || strings.HasSuffix(e.name, ".localhost")
}

// loopback returns where the entry is dialled when it is localhost: a server of the host may listen on one kind of address alone.
func (e allowance) loopback() []netip.AddrPort {
	if e.addr.IsValid() {
		return []netip.AddrPort{netip.AddrPortFrom(e.addr, e.port)}
	}
	return []netip.AddrPort{netip.AddrPortFrom(localhost4(), e.port), netip.AddrPortFrom(netip.IPv6Loopback(), e.port)}
}

// listen is the address at which a function finds the entry on its own loopback.
func (e allowance) listen() string {
	if e.addr.Is4() {
		return netip.AddrPortFrom(e.addr, e.port).String()
	}
	return netip.AddrPortFrom(localhost4(), e.port).String()
}

func localhost4() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// has says whether an entry allows exactly this address and port. It may resolve names.
func (a *allowed) has(ctx context.Context, to netip.AddrPort) bool {
	for _, e := range a.entries {
		if e.port == to.Port() && a.means(ctx, e, to.Addr()) {
			return true
		}
	}
	return false
}

func (a *allowed) means(ctx context.Context, e allowance, addr netip.Addr) bool {
	if e.addr.IsValid() {
		return e.addr == addr
	}
	for _, one := range a.resolve(ctx, e.name) {
		if one == addr {
			return true
		}
	}
	return false
}

// hidden returns where a connection to port at the relay's own address goes: to the host's loopback, by the entries whose name resolves to it. The
// function is given the relay's address for such names, as on its side of the device the loopback is its own.
func (a *allowed) hidden(ctx context.Context, port uint16) []netip.AddrPort {
	var out []netip.AddrPort
	for _, e := range a.entries {
		if e.port != port || e.addr.IsValid() {
			continue
		}
		for _, one := range a.resolve(ctx, e.name) {
			if one.IsLoopback() {
				out = append(out, netip.AddrPortFrom(one, port))
			}
		}
	}
	return out
}

// named says whether an entry has this name.
func (a *allowed) named(name string) bool {
	for _, e := range a.entries {
		if e.name == name {
			return true
		}
	}
	return false
}

// resolve returns the addresses of an allowed name; none when it has none now.
func (a *allowed) resolve(ctx context.Context, name string) []netip.Addr {
	now := a.clock.Now()
	a.mu.Lock()
	r, ok := a.known[name]
	a.mu.Unlock()
	if ok && now.Before(r.until) {
		return r.addrs
	}
	addrs, err := a.lookup(ctx, name)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		addrs = nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[name] = resolved{addrs: addrs, until: now.Add(keepResolved)}
	return addrs
}

// listen are the addresses of every entry that means the host's loopback.
func (a *allowed) listen() []string {
	var out []string
	seen := map[string]bool{}
	for _, e := range a.entries {
		if l := e.listen(); e.isLocalhost() && !seen[l] {
			seen[l] = true
			out = append(out, l)
		}
	}
	return out
}

// behind returns where a connection that a function made to addr, one of listen's, is dialled.
func (a *allowed) behind(addr string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, e := range a.entries {
		if e.isLocalhost() && e.listen() == addr {
			out = append(out, e.loopback()...)
		}
	}
	return out
}
