package engine

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"golang.org/x/net/netutil"
)

// namesHost is the address, inside a sandbox, at which the endpoint answers to the names of AWS: with and without TLS, on their usual ports. A
// loopback address of its own, so that the function's own servers are not in the way.
const namesHost = "127.0.0.3"

// nameAddrs are the addresses on which the server listens for them.
func (e *Engine) nameAddrs() []string {
	if e.cfg.Endpoint == nil || e.cfg.Names == nil {
		return nil
	}
	return []string{namesHost + ":443", namesHost + ":80"}
}

// endpointNames says which names lead there.
func endpointNames(cfg Config) func(name string) (netip.Addr, bool) {
	if cfg.Endpoint == nil || cfg.Names == nil {
		return nil
	}
	at := netip.MustParseAddr(namesHost)
	return func(name string) (netip.Addr, bool) {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		return at, name == "amazonaws.com" || strings.HasSuffix(name, ".amazonaws.com")
	}
}

// serveNames serves the endpoint under the names of AWS, and returns the listeners that are left.
func (p *process) serveNames(e *Engine, listeners []net.Listener, endpoint http.Handler) []net.Listener {
	if len(e.nameAddrs()) == 0 {
		return listeners
	}
	p.serve(tls.NewListener(netutil.LimitListener(listeners[0], maxEndpointConns), e.cfg.Names), endpointServer(endpoint))
	p.serve(netutil.LimitListener(listeners[1], maxEndpointConns), endpointServer(endpoint))
	return listeners[2:]
}
