package intercept

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"

	"golang.org/x/net/proxy"

	"croft/internal/clock"
)

var errMetadata = errors.New("croft exec: link-local addresses, where clouds answer metadata, are refused")

// refuseMetadata is asked for each connection once the name is resolved, so that no name leads there.
func refuseMetadata(_, address string, _ syscall.RawConn) error {
	if a, err := netip.ParseAddrPort(address); err == nil && forbiddenAddr(a.Addr()) {
		return errMetadata
	}
	return nil
}

// reach opens a connection to a host that is not AWS's, through the user's own proxy if there is one for it.
func (p *Proxy) reach(ctx context.Context, addr string) (net.Conn, error) {
	via, err := p.cfg.Upstream(&url.URL{Scheme: "https", Host: addr})
	if err != nil {
		return nil, fmt.Errorf("the proxy in your environment: %w", err)
	}
	if via == nil {
		return p.cfg.Dial(ctx, "tcp", addr)
	}
	ctx, cancel := clock.WithTimeout(ctx, clock.Real(), dialLimit)
	defer cancel()
	var c net.Conn
	switch via.Scheme {
	case "http", "https":
		c, err = p.chain(ctx, via, addr)
	case "socks5", "socks5h":
		c, err = p.socks(ctx, via, addr)
	default:
		err = fmt.Errorf("croft knows no proxies of the kind %q", via.Scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("through the proxy in your environment, %s: %w", via.Host, err)
	}
	return c, nil
}

// chain opens a tunnel through an HTTP proxy.
func (p *Proxy) chain(ctx context.Context, via *url.URL, addr string) (net.Conn, error) {
	host := via.Host
	if via.Port() == "" {
		host = net.JoinHostPort(via.Hostname(), defaultPort(via.Scheme))
	}
	c, err := p.cfg.Dial(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	if via.Scheme == "https" {
		c = tls.Client(c, &tls.Config{ServerName: via.Hostname(), MinVersion: tls.VersionTLS12})
	}
	out, err := askTunnel(c, via.User, addr)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if !stop() {
		return nil, errors.Join(context.Cause(ctx), c.Close())
	}
	return out, nil
}

func askTunnel(c net.Conn, credentials *url.Userinfo, addr string) (net.Conn, error) {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if credentials != nil {
		password, _ := credentials.Password()
		pair := credentials.Username() + ":" + password
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	}
	if err := req.Write(c); err != nil {
		return nil, err
	}
	// What is read at once beyond the answer belongs to the tunnel; the limit holds for the answer's head alone.
	head := &io.LimitedReader{R: c, N: maxHeader}
	r := bufio.NewReader(head)
	res, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", res.Status)
	}
	rest, err := r.Peek(r.Buffered())
	if err != nil {
		return nil, err
	}
	return &prefixed{Conn: c, rest: append([]byte(nil), rest...)}, nil
}

// prefixed is a connection with bytes before those that are yet to come.
type prefixed struct {
	net.Conn
	rest []byte
}

// Read implements net.Conn.
func (c *prefixed) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// dialer lets proxy.SOCKS5 use a function.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Dial implements proxy.Dialer.
func (d dialer) Dial(network, addr string) (net.Conn, error) {
	return d(context.Background(), network, addr)
}

// DialContext implements proxy.ContextDialer.
func (d dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d(ctx, network, addr)
}

func (p *Proxy) socks(ctx context.Context, via *url.URL, addr string) (net.Conn, error) {
	d, err := proxy.FromURL(via, dialer(p.cfg.Dial))
	if err != nil {
		return nil, err
	}
	if c, ok := d.(proxy.ContextDialer); ok {
		return c.DialContext(ctx, "tcp", addr)
	}
	return d.Dial("tcp", addr)
}

// splice copies both ways until both sides have ended, or the proxy has.
func (p *Proxy) splice(near, far net.Conn) {
	stop := context.AfterFunc(p.ctx, func() { _ = near.Close(); _ = far.Close() })
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pump(far, near)
	}()
	pump(near, far)
	<-done
	_ = near.Close()
}

// pump copies until from ends, and tells to. An end that is no proper end ends both sides.
func pump(to, from net.Conn) {
	_, err := io.Copy(to, from)
	half, ok := unwrap(to).(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		_ = to.Close()
		_ = from.Close()
	}
}

// unwrap returns the connection that can be closed by half.
func unwrap(c net.Conn) net.Conn {
	for {
		switch x := c.(type) {
		case *buffered:
			c = x.Conn
		case *prefixed:
			c = x.Conn
		default:
			return c
		}
	}
}
