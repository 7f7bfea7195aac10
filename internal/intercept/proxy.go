package intercept

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"

	"croft/internal/clock"
)

const (
	// maxConnections bounds the connections of the tool and its children to the proxy.
	maxConnections = 1024
	patience       = 30 * time.Second
	// idleFor is how long a connection may wait for its next request.
	idleFor   = 5 * time.Minute
	maxHeader = 256 << 10
	dialLimit = 30 * time.Second
	// maxNotes bounds what is said of refused hosts.
	maxNotes = 64
	user     = "croft"
)

// Config is what a Proxy is made of.
type Config struct {
	// Endpoint is the cloud's address.
	Endpoint *url.URL
	// Upstream returns the proxy through which a URL of some other host is reached; nil for none. It is what the user's environment says.
	Upstream func(*url.URL) (*url.URL, error)
	// Dial opens connections to other hosts and to the upstream proxy. Nil means the network, without metadata addresses.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Note is told, once for each host, that a host of AWS was refused. Nil means nobody.
	Note  func(string)
	Clock clock.Clock

	limits limits
}

// limits are what tests have smaller.
type limits struct {
	connections int
	// patience bounds the wait for a request's headers, and for the first byte and the handshake in a tunnel.
	patience time.Duration
}

// Proxy is a running proxy. It is safe for concurrent use.
type Proxy struct {
	cfg      Config
	route    router
	ca       *authority
	token    string
	listener net.Listener
	outer    *http.Server // what the tool speaks to
	inner    *http.Server // what is inside of tunnels to AWS
	tunnels  *handover
	croft    *httputil.ReverseProxy
	others   *httputil.ReverseProxy
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu    sync.Mutex
	noted map[string]bool
}

// Start starts a proxy on a free loopback port. The caller closes it.
func Start(cfg Config) (*Proxy, error) {
	ca, err := newAuthority(cfg.Clock, "croft exec", validFor)
	if err != nil {
		return nil, err
	}
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("no port for the proxy: %w", err)
	}
	if cfg.Dial == nil {
		d := &net.Dialer{Timeout: dialLimit, Control: refuseMetadata}
		cfg.Dial = d.DialContext
	}
	if cfg.Upstream == nil {
		cfg.Upstream = func(*url.URL) (*url.URL, error) { return nil, nil }
	}
	if cfg.limits == (limits{}) {
		cfg.limits = limits{maxConnections, patience}
	}
	p := &Proxy{cfg: cfg, route: newRouter(cfg.Endpoint), ca: ca, token: rand.Text(), noted: map[string]bool{}}
	p.listener, p.tunnels = newLimited(l, cfg.limits.connections), newHandover(l.Addr())
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.croft, p.others = p.forwarder(), p.passer()
	p.outer, p.inner = p.server(p.serve), p.server(p.serveTunnel)
	p.running.Go(func() { _ = p.outer.Serve(p.listener) })
	p.running.Go(func() { _ = p.inner.Serve(p.tunnels) })
	return p, nil
}

func (p *Proxy) server(h http.HandlerFunc) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: p.cfg.limits.patience, IdleTimeout: idleFor, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(io.Discard, "", 0), DisableGeneralOptionsHandler: true,
	}
}

// Close ends the proxy and every connection through it.
func (p *Proxy) Close() error {
	p.cancel()
	err := errors.Join(p.outer.Close(), p.inner.Close())
	p.running.Wait()
	p.croft.Transport.(*http.Transport).CloseIdleConnections()
	p.others.Transport.(*http.Transport).CloseIdleConnections()
	return err
}

// Addr returns the proxy's address, "127.0.0.1:PORT".
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL returns the proxy's address with the credentials that it asks for, as proxy variables have it.
func (p *Proxy) URL() string {
	return (&url.URL{Scheme: "http", User: url.UserPassword(user, p.token), Host: p.Addr()}).String()
}

// serve answers what the tool sends to its proxy.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	if !p.allowed(r) {
		w.Header().Set("Proxy-Authenticate", `Basic realm="croft exec"`)
		fail(w, http.StatusProxyAuthRequired, "this proxy serves the tool that croft exec started")
		return
	}
	if r.Method == http.MethodConnect {
		p.connect(w, r)
		return
	}
	if r.URL.Scheme != "http" || r.URL.Host == "" {
		fail(w, http.StatusBadRequest, "this is a proxy for http:// addresses and CONNECT")
		return
	}
	host, port := splitTarget(r.URL.Host, "http")
	switch to, why := p.route.find(host, port); to {
	case toCroft:
		p.toCroft(w, r)
	case elsewhere:
		p.others.ServeHTTP(w, r)
	default:
		p.refuse(w, net.JoinHostPort(host, port), why)
	}
}

// allowed reports whether r comes from the tool: by the token, or because the connection belongs to our own user, for the clients that cannot
// be given credentials for a proxy.
func (p *Proxy) allowed(r *http.Request) bool {
	given, ok := basicAuth(r.Header.Get("Proxy-Authorization"))
	if ok {
		return subtle.ConstantTimeCompare([]byte(given), []byte(user+":"+p.token)) == 1
	}
	return r.Header.Get("Proxy-Authorization") == "" && ownConnection(r.RemoteAddr, p.Addr())
}

// serveTunnel answers what a tool sends within a tunnel to a host of AWS.
func (p *Proxy) serveTunnel(w http.ResponseWriter, r *http.Request) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if host, port := splitTarget(r.Host, scheme); r.Method == http.MethodConnect || !p.route.served(normal(host), port) {
		fail(w, http.StatusMisdirectedRequest, fmt.Sprintf("a connection to a host of AWS cannot ask for %q", r.Host))
		return
	}
	p.toCroft(w, r)
}

// toCroft sends r to the cloud.
func (p *Proxy) toCroft(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		fail(w, http.StatusNotImplemented, "croft does not change protocols")
		return
	}
	p.croft.ServeHTTP(w, r)
}

// connect opens a tunnel.
func (p *Proxy) connect(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
		fail(w, http.StatusBadRequest, "CONNECT needs a host and a port")
		return
	}
	to, why := p.route.find(host, port)
	if to == refused {
		p.refuse(w, r.Host, why)
		return
	}
	var far net.Conn
	if to == elsewhere {
		if far, err = p.reach(r.Context(), net.JoinHostPort(normal(host), port)); err != nil {
			fail(w, http.StatusBadGateway, err.Error())
			return
		}
		defer far.Close()
	}
	near, err := established(w)
	if err != nil {
		return // the client is gone
	}
	if to == elsewhere {
		p.splice(near, far)
		return
	}
	p.enter(near, normal(host))
}

// established tells the client that its tunnel is there, and returns the connection.
func established(w http.ResponseWriter) (*buffered, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &buffered{conn, rw.Reader}, nil
}

// enter hands a tunnel to AWS over to the inner server: as TLS if it begins like that, else as plain HTTP.
func (p *Proxy) enter(c *buffered, host string) {
	stop := context.AfterFunc(p.ctx, func() { _ = c.Close() })
	defer stop()
	// A connection that has no deadlines fails at its next use as well.
	_ = c.SetReadDeadline(clock.Real().Now().Add(p.cfg.limits.patience))
	first, err := c.r.Peek(1)
	if err != nil {
		_ = c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	const handshake = 0x16
	if first[0] == handshake {
		p.tunnels.give(tls.Server(c, p.ca.tls(host)))
		return
	}
	p.tunnels.give(c)
}

// buffered is a connection of which some was read already.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

// Read implements net.Conn.
func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// refuse answers that target, a host and a port, is not to be had. Tools look for metadata all the time; that is not worth a note.
func (p *Proxy) refuse(w http.ResponseWriter, target, why string) {
	text := fmt.Sprintf("%s was refused, and nothing was sent there: %s", strconv.QuoteToASCII(target), why)
	host, _ := splitTarget(target, "http")
	p.mu.Lock()
	fresh := p.cfg.Note != nil && !isMetadata(normal(host)) && !p.noted[target] && len(p.noted) < maxNotes
	if fresh {
		p.noted[target] = true
	}
	p.mu.Unlock()
	if fresh {
		p.cfg.Note(text)
	}
	fail(w, http.StatusForbidden, text)
}

// fail answers with a status and a line of text that says it comes from here and not from the host.
func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Connection", "close")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "croft exec: "+text+"\n")
}
