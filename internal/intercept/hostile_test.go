package intercept

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
)

// within returns a connection to the proxy's inside, as a client that checks nothing has it.
func (w *world) within(t *testing.T) net.Conn {
	t.Helper()
	c, status := w.tunnel(t, "sqs.us-east-1.amazonaws.com:443")
	if !strings.HasPrefix(status, "200") {
		t.Fatal(status)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.Certificate())
	s := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "sqs.us-east-1.amazonaws.com"})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStrangeTargets(t *testing.T) {
	w := newWorld(t, func(http.ResponseWriter, *http.Request) { t.Error("the cloud was asked") })
	for target, want := range map[string]string{
		"sqs.us-east-1.amazonaws.com:0": "400", "sqs.us-east-1.amazonaws.com:99999": "400", "sqs.us-east-1.amazonaws.com:22": "403",
		"sqs.us-east-1.amazonaws.com.:443": "200", "169.254.169.254:80": "403", "[fe80::1%25lo]:80": "403", ":443": "400", "example.com:x": "400",
		"[::ffff:a9fe:a9fe]:80": "403",
	} {
		c, status := w.tunnel(t, target)
		_ = c.Close()
		if !strings.HasPrefix(status, want) {
			t.Errorf("CONNECT %s: %s, want %s", target, status, want)
		}
	}
	if asked := w.outside.calls(); len(asked) > 0 {
		t.Errorf("connections to the outside: %q", asked)
	}
}

func TestNamesThatResolveToMetadata(t *testing.T) {
	for addr, want := range map[string]bool{
		"169.254.169.254:80": true, "169.254.170.2:80": true, "[fd00:ec2::254]:80": true, "[fe80::1%lo]:80": true, "[::ffff:169.254.169.254]:80": true,
		"127.0.0.1:80": false, "10.0.0.1:443": false, "[fd00::1]:80": false,
	} {
		if got := refuseMetadata("tcp", addr, nil) != nil; got != want {
			t.Errorf("%s: refused %v", addr, got)
		}
	}
}

func TestATunnelServesHostsOfAWSAlone(t *testing.T) {
	var asked atomic.Int32
	w := newWorld(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	for _, head := range []string{
		"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
		"GET http://169.254.169.254/ HTTP/1.1\r\nHost: sqs.us-east-1.amazonaws.com\r\n\r\n",
		"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
		"CONNECT sqs.us-east-1.amazonaws.com:443 HTTP/1.1\r\nHost: sqs.us-east-1.amazonaws.com:443\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: sqs.us-east-1.amazonaws.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.amazonaws.com\r\nHost: example.com\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: sqs.us-east-1.amazonaws.com\r\nX: " + strings.Repeat("x", maxHeader+8<<10) + "\r\n\r\n",
		"nonsense\r\n\r\n",
	} {
		c := w.within(t)
		go func() { _, _ = io.WriteString(c, head) }()
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%.60q: %v", head, err)
			continue
		}
		if res.StatusCode < 400 {
			t.Errorf("%.60q: %s", head, res.Status)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the cloud was asked %d times", n)
	}
}

func TestNoRequestHidesInAnother(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Method+" "+r.RequestURI+" "+string(body))
	})
	hidden := "GET /hidden HTTP/1.1\r\nHost: sqs.us-east-1.amazonaws.com\r\n\r\n"
	for _, head := range []string{
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
		"Content-Length: +0\r\n\r\n",
		"Content-Length : 0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff0\r\n\r\n",
	} {
		c := w.within(t)
		go func() {
			_, _ = io.WriteString(c, "POST /open HTTP/1.1\r\nHost: sqs.us-east-1.amazonaws.com\r\n"+head+hidden)
		}()
		// The answer, whatever it is, ends the connection or belongs to the first request.
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Errorf("%q: %v", head, err)
		}
		_ = c.Close()
	}
	mu.Lock()
	defer mu.Unlock()
	for _, s := range seen {
		// A second request after a complete first one is no secret: both are the tool's own. A body is where one would hide.
		if s != "POST /open " && s != "GET /hidden " {
			t.Errorf("the cloud saw %q", s)
		}
	}
}

func TestSlowClientsAreDropped(t *testing.T) {
	w := newWorld(t, echo, func(c *Config) { c.limits = limits{connections: 16, patience: 50 * time.Millisecond} })
	plain := func() net.Conn {
		c, err := net.Dial("tcp", w.Addr())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	inTunnel := func() net.Conn { c, _ := w.tunnel(t, "sqs.us-east-1.amazonaws.com:443"); return c }
	for what, c := range map[string]net.Conn{"silent": plain(), "tunnel": inTunnel()} {
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Logf("%s: %v", what, err)
		}
		_ = c.Close()
	}
	for what, text := range map[string]string{"half a request": "GET http://sqs.us-east-1.amazonaws.com/ HT", "half a handshake": "\x16\x03\x01"} {
		c := plain()
		if what == "half a handshake" {
			_ = c.Close()
			c = inTunnel()
		}
		fmt.Fprint(c, text)
		_, _ = io.Copy(io.Discard, c) // hangs when the proxy waits for ever
		_ = c.Close()
	}
}

func TestConnectionsAreCounted(t *testing.T) {
	w := newWorld(t, echo, func(c *Config) { c.limits = limits{connections: 2, patience: time.Minute} })
	a, _ := w.tunnel(t, "sqs.us-east-1.amazonaws.com:443")
	b, _ := w.tunnel(t, "sqs.us-east-1.amazonaws.com:443")
	c, err := net.Dial("tcp", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil { // ends at once
		t.Log(err)
	}
	for _, x := range []net.Conn{a, b, c} {
		_ = x.Close()
	}
}

func TestOnlyHTTP2IsTurnedAway(t *testing.T) {
	w := newWorld(t, echo)
	c, _ := w.tunnel(t, "sqs.us-east-1.amazonaws.com:443")
	defer c.Close()
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := s.Handshake(); err == nil || !strings.Contains(err.Error(), "protocol") {
		t.Errorf("handshake: %v", err)
	}
}

func TestTheAuthorityIsGoodForAWSAlone(t *testing.T) {
	a, err := newAuthority(clock.Real(), "croft exec", validFor)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.root)
	issuers := x509.NewCertPool()
	issuers.AddCert(a.issuer)
	for host, want := range map[string]bool{
		"sqs.us-east-1.amazonaws.com": true, "b.s3.amazonaws.com": true, "croft.internal": false, "example.com": false, "localhost": false,
		"amazonaws.com.example.com": false, "notamazonaws.com": false,
	} {
		leaf, err := a.leaf(host)
		if err != nil {
			t.Fatal(err)
		}
		_, err = leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: issuers, DNSName: host})
		if (err == nil) != want {
			t.Errorf("%s: %v", host, err)
		}
	}
	for i := range maxLeaves + 10 {
		if _, err := a.leaf(fmt.Sprintf("h%d.amazonaws.com", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.leaves) > maxLeaves {
		t.Errorf("%d leaves are kept", len(a.leaves))
	}
}

func FuzzRouter(f *testing.F) {
	f.Add("sqs.us-east-1.amazonaws.com", "443")
	f.Add("[::ffff:169.254.169.254]", "80")
	f.Add("sync-croft.internal.", "")
	f.Fuzz(func(t *testing.T, host, port string) {
		to, why := (router{"127.0.0.1", "4566"}).find(host, port)
		if to == elsewhere && cloud.IsAWSHost(normal(host)) {
			t.Errorf("%q leads out", host)
		}
		if a, err := netip.ParseAddr(normal(host)); to == elsewhere && err == nil && a.Unmap().IsLinkLocalUnicast() {
			t.Errorf("%q leads out", host)
		}
		if (to == refused) != (why != "") {
			t.Errorf("%q: %v %q", host, to, why)
		}
		exempts(host)
		splitTarget(host, "http")
	})
}
