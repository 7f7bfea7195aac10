package engine

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/net/netutil"

	"croft/internal/cloud"
	"croft/internal/engine/sandbox"
)

// namesHost is the address, inside a sandbox, at which the endpoint answers to the names of AWS: with and without TLS, on their usual ports. A
// loopback address of its own, so that the function's own servers are not in the way.
const namesHost = "127.0.0.3"

// bundlePath is where a function finds what it trusts, whatever the places that its system has for that.
const bundlePath = "/etc/croft/certificates.pem"

// names is how functions reach the endpoint under the names of AWS: nothing, when the configuration does not say.
type names struct {
	tls *tls.Config
	// certificates is a file with what functions trust.
	certificates string
}

// makeNames asks Config.Trust and writes its certificates where sandboxes find them.
func (e *Engine) makeNames() names {
	if e.cfg.Endpoint == nil || e.cfg.Trust == nil || e.relay == nil {
		return names{}
	}
	trust, err := e.cfg.Trust()
	file := filepath.Join(e.cfg.Dir, "certificates.pem")
	if err == nil {
		err = os.WriteFile(file, trust.Certificates, 0o644)
	}
	if err == nil {
		err = os.Chmod(file, 0o644) // whatever the server's umask: functions run as other users
	}
	if err != nil {
		e.cfg.Log.Warn("functions do not reach the cloud under the names of AWS, only at AWS_ENDPOINT_URL", "error", err)
		return names{}
	}
	return names{trust.TLS, file}
}

// variables are those by which the SDKs that do not look at the system's certificates are told of them.
func (n names) variables() map[string]string {
	if n.tls == nil {
		return nil
	}
	out := map[string]string{}
	// The SDKs for Python, Node.js, Python's requests, and httpx and OpenSSL, in this order.
	for _, name := range []string{"AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"} {
		out[name] = bundlePath
	}
	return out
}

// binds brings the certificates into a sandbox.
func (n names) binds() []sandbox.Bind {
	if n.tls == nil {
		return nil
	}
	return []sandbox.Bind{{Source: n.certificates, Target: bundlePath}}
}

// addrs are the addresses on which the server listens for them.
func (n names) addrs() []string {
	if n.tls == nil {
		return nil
	}
	return []string{namesHost + ":443", namesHost + ":80"}
}

// endpointNames says which names lead there.
func endpointNames(cfg Config) func(name string) (netip.Addr, bool) {
	if cfg.Endpoint == nil || cfg.Trust == nil {
		return nil
	}
	at := netip.MustParseAddr(namesHost)
	return func(name string) (netip.Addr, bool) { return at, cloud.IsAWSHost(name) }
}

// serveNames serves the endpoint under the names of AWS, and returns the listeners that are left.
func (p *process) serveNames(n names, listeners []net.Listener, endpoint http.Handler) []net.Listener {
	if n.tls == nil {
		return listeners
	}
	p.serve(tls.NewListener(netutil.LimitListener(listeners[0], maxEndpointConns), n.tls), endpointServer(endpoint))
	p.serve(netutil.LimitListener(listeners[1], maxEndpointConns), endpointServer(endpoint))
	return listeners[2:]
}
