package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/clock"
)

// world is a relay whose network is the tests': other hosts are servers on the loopback of this one.
type world struct {
	*Relay
	mu    sync.Mutex
	hosts map[netip.AddrPort]string // what is dialled instead
	known map[string][]netip.Addr
	log   logged
}

type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newWorld(t testing.TB, c Config) *world {
	t.Helper()
	w := &world{hosts: map[netip.AddrPort]string{}, known: map[string][]netip.Addr{}}
	if c.Clock == nil {
		c.Clock = clock.Real()
	}
	c.Log = slog.New(slog.NewTextHandler(&w.log, nil))
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	w.Relay = r
	t.Cleanup(r.Close)
	dialTCP, dialUDP, ask := r.dial, r.dialUDP, r.policy.route
	r.dial = func(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
		to, err := w.instead(to)
		if err != nil {
			return nil, err
		}
		return dialTCP(ctx, to)
	}
	r.dialUDP = func(to netip.AddrPort) (*net.UDPConn, error) {
		to, err := w.instead(to)
		if err != nil {
			return nil, err
		}
		return dialUDP(to)
	}
	r.policy.route = func(a netip.Addr) (route, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for known := range w.hosts {
			if known.Addr() == a {
				return routeOut, nil
			}
		}
		return ask(a)
	}
	r.names.route = r.policy.route
	find := func(_ context.Context, name string) ([]netip.Addr, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if found, ok := w.known[strings.TrimSuffix(name, ".")]; ok {
			return found, nil
		}
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	r.names.host, r.policy.allow.lookup = find, find
	return w
}

func (w *world) instead(to netip.AddrPort) (netip.AddrPort, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch text, ok := w.hosts[to]; {
	case !ok && to.Addr().IsLoopback(): // what is allowed there is dialled as it is
		return to, nil
	case !ok || text == "":
		return to, &net.OpError{Op: "dial", Err: unix.EHOSTUNREACH}
	case text == "nowhere":
		return to, &net.OpError{Op: "dial", Err: unix.ENETUNREACH}
	default:
		return netip.MustParseAddrPort(text), nil
	}
}

// is says that what listens at the address of this machine is another host.
func (w *world) is(host, here string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[netip.MustParseAddrPort(host)] = here
}

// serve answers connections at addr until the test ends.
func serve(t testing.TB, addr string, answer func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, answer)
	return l.Addr().String()
}

func serveOn(t testing.TB, l net.Listener, answer func(*net.TCPConn)) {
	t.Helper()
	var all sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				answer(c.(*net.TCPConn))
			})
		}
	})
}

func echo(c *net.TCPConn) { _, _ = io.Copy(c, struct{ io.Reader }{c}) }

func hello(text string) func(*net.TCPConn) {
	return func(c *net.TCPConn) { _, _ = io.WriteString(c, text+"\n") }
}

// unused is a port of this machine on which nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// expect compares what was printed, line by line.
func expect(t *testing.T, got string, want ...string) {
	t.Helper()
	if got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestFunctionsConnectAndAreRefused(t *testing.T) {
	for _, uid := range uids() {
		t.Run(fmt.Sprint("user ", uid), func(t *testing.T) {
			w := newWorld(t, Config{})
			w.is("203.0.113.1:80", serve(t, "127.0.0.1:0", hello("over IPv4")))
			w.is("203.0.113.2:80", unused(t))
			w.is("203.0.113.3:80", "")
			w.is("203.0.113.4:80", "nowhere")
			w.is("[2001:db8::1]:80", serve(t, "127.0.0.1:0", hello("over IPv6")))
			w.is("[2001:db8::2]:80", unused(t))
			w.is("[2001:db8::3]:80", "")
			w.is("[2001:db8::4]:80", "nowhere")
			expect(t, run(t, w.Relay, uid, probeName, "line", "203.0.113.1:80"), "over IPv4", "line: done")
			expect(t, run(t, w.Relay, uid, probeName, "line", "[2001:db8::1]:80"), "over IPv6", "line: done")
			expect(t, run(t, w.Relay, uid, probeName, "connect", "tcp", "203.0.113.2:80", "203.0.113.3:80", "203.0.113.4:80",
				"[2001:db8::2]:80", "[2001:db8::3]:80", "[2001:db8::4]:80", "169.254.169.254:80", "[fd00:ec2::254]:80", "127.0.0.1:80",
				"[::ffff:203.0.113.1]:80", "198.18.0.2:80", "10.1.2.255:1"),
				"203.0.113.2:80: ECONNREFUSED", "203.0.113.3:80: EHOSTUNREACH", "203.0.113.4:80: ENETUNREACH",
				"[2001:db8::2]:80: ECONNREFUSED", "[2001:db8::3]:80: EHOSTUNREACH", "[2001:db8::4]:80: ENETUNREACH",
				"169.254.169.254:80: ECONNREFUSED", "[fd00:ec2::254]:80: ECONNREFUSED", "127.0.0.1:80: ECONNREFUSED",
				"[::ffff:203.0.113.1]:80: done", "198.18.0.2:80: ECONNREFUSED", "10.1.2.255:1: EHOSTUNREACH")
			if text := w.log.String(); !strings.Contains(text, "--allow-host 169.254.169.254:80") || !strings.Contains(text, "metadata") {
				t.Errorf("the log does not say how to allow it:\n%s", text)
			}
		})
	}
}

func TestLanguagesSeeTheSame(t *testing.T) {
	w := newWorld(t, Config{})
	w.is("203.0.113.1:80", serve(t, "127.0.0.1:0", hello("hello")))
	w.is("203.0.113.2:80", unused(t))
	want := []string{"203.0.113.1 hello", "203.0.113.2 ECONNREFUSED", "169.254.169.254 ECONNREFUSED"}
	const python = `
import asyncio, errno, socket, sys
for host in sys.argv[2:]:
    try:
        if sys.argv[1] == "blocking":
            text = socket.create_connection((host, 80), 10).makefile().readline().strip()
        else:
            async def get():
                r, _ = await asyncio.open_connection(host, 80)
                return (await r.readline()).decode().strip()
            text = asyncio.run(get())
    except OSError as e:
        text = errno.errorcode[e.errno]
    print(host, text)
`
	const node = `
const net = require("net");
const next = (hosts) => {
  if (!hosts.length) return;
  const say = (text) => { console.log(hosts[0], text); next(hosts.slice(1)); };
  const s = net.connect(80, hosts[0]);
  s.once("data", (d) => { s.destroy(); say(String(d).trim()); });
  s.once("error", (e) => say(e.code));
};
next(process.argv.slice(1));
`
	hosts := []string{"203.0.113.1", "203.0.113.2", "169.254.169.254"}
	for _, c := range []struct {
		name string
		args []string
	}{
		{"Python", []string{"python3", "-c", python, "blocking"}},
		{"asyncio", []string{"python3", "-c", python, "asyncio"}},
		{"Node", []string{"node", "-e", node, "--"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, err := exec.LookPath(c.args[0])
			if err != nil {
				t.Skipf("NOT TESTED: the relay as %s sees it, as there is no %s", c.name, c.args[0])
			}
			args := append(append([]string{path}, c.args[1:]...), hosts...)
			expect(t, run(t, w.Relay, uids()[0], args...), want...)
		})
	}
}

func TestMuchGoesBothWaysAndEachWayEndsByItself(t *testing.T) {
	w := newWorld(t, Config{})
	w.is("203.0.113.1:80", serve(t, "127.0.0.1:0", echo))
	w.is("203.0.113.2:80", serve(t, "127.0.0.1:0", func(c *net.TCPConn) { // answers when everything has come
		all, _ := io.ReadAll(c)
		_, _ = c.Write(all)
	}))
	f := start(t, w.Relay, uids()[0], probeName, "both-ways", "203.0.113.1:80", fmt.Sprint(64<<20))
	expect(t, f.wait(), "both ways: done")
	if s := f.link.Stats(); s.Up != 64<<20 || s.Down != 64<<20 || s.Connections != 1 {
		t.Errorf("figures: %+v", s)
	}
	expect(t, run(t, w.Relay, uids()[0], probeName, "both-ways", "203.0.113.2:80", fmt.Sprint(3<<20)), "both ways: done")
	expect(t, run(t, w.Relay, uids()[0], probeName, "crowd", "203.0.113.1:80", "200"), "crowd: done")
}

func TestDatagrams(t *testing.T) {
	for _, uid := range uids() {
		w := newWorld(t, Config{})
		here, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var answering sync.WaitGroup
		answering.Go(func() {
			b := make([]byte, 100)
			for {
				n, from, err := here.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = here.WriteTo([]byte("you said "+string(b[:n])), from)
			}
		})
		w.is("203.0.113.1:9", here.LocalAddr().String())
		w.is("[2001:db8::1]:9", here.LocalAddr().String())
		w.is("203.0.113.2:9", unused(t))
		w.is("[2001:db8::2]:9", unused(t))
		expect(t, run(t, w.Relay, uid, probeName, "udp", "203.0.113.1:9", "[2001:db8::1]:9", "203.0.113.2:9", "[2001:db8::2]:9",
			"169.254.169.254:123", "[fd00:ec2::123]:123", "198.18.0.2:9"),
			"203.0.113.1:9 you said hello: done", "[2001:db8::1]:9 you said hello: done", "203.0.113.2:9 : ECONNREFUSED",
			"[2001:db8::2]:9 : ECONNREFUSED", "169.254.169.254:123 : EHOSTUNREACH", "[fd00:ec2::123]:123 : EACCES", "198.18.0.2:9 : ECONNREFUSED")
		here.Close()
		answering.Wait()
	}
}

func TestHostsOwnAddressesAreRefused(t *testing.T) {
	w := newWorld(t, Config{})
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var ask, want []string
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		to := netip.AddrPortFrom(p.Addr(), 80).String()
		ask, want = append(ask, to), append(want, to+": ECONNREFUSED")
	}
	if len(ask) == 0 {
		t.Skip("NOT TESTED: refusing the host's own addresses, as it has none but its loopback")
	}
	expect(t, run(t, w.Relay, uids()[0], append([]string{probeName, "connect", "tcp"}, ask...)...), want...)
	if text := w.log.String(); !strings.Contains(text, "this machine's own address") {
		t.Errorf("log: %s", text)
	}
}

func TestClosingALinkEndsItsConnections(t *testing.T) {
	w := newWorld(t, Config{})
	ended := make(chan error, 1)
	w.is("203.0.113.1:80", serve(t, "127.0.0.1:0", func(c *net.TCPConn) {
		_, _ = c.Write([]byte("x"))
		_, err := c.Read(make([]byte, 1))
		ended <- err
	}))
	f := start(t, w.Relay, uids()[0], probeName, "hold", "203.0.113.1:80")
	eventually(t, "the connection", func() bool { return f.link.Stats().Down == 1 })
	f.link.Close()
	if err := <-ended; !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the host saw %v", err)
	}
	f.wait()
}

func TestPortIsUsedAgain(t *testing.T) {
	w := newWorld(t, Config{})
	w.is("203.0.113.1:80", serve(t, "127.0.0.1:0", hello("hello")))
	expect(t, run(t, w.Relay, uids()[0], probeName, "same-port", "203.0.113.1:80"),
		"hello", "same port: done", "hello", "same port: done", "hello", "same port: done")
}

func TestRefusalAndFailureReachBothEnds(t *testing.T) {
	w := newWorld(t, Config{})
	w.is("203.0.113.1:80", serve(t, "127.0.0.1:0", func(c *net.TCPConn) { // resets what it has taken
		_, _ = c.Read(make([]byte, 1))
		abort(c)
	}))
	// Whichever of its two directions asks second hears of a broken pipe.
	if got := run(t, w.Relay, uids()[0], probeName, "both-ways", "203.0.113.1:80", "10000000"); got != "both ways: ECONNRESET" && got != "both ways: EPIPE" {
		t.Error(got)
	}
	got := make(chan error, 1)
	w.is("203.0.113.2:80", serve(t, "127.0.0.1:0", func(c *net.TCPConn) {
		_, err := io.Copy(io.Discard, struct{ io.Reader }{c})
		got <- err
	}))
	expect(t, run(t, w.Relay, uids()[0], probeName, "reset", "203.0.113.2:80"), "reset: done")
	if err := <-got; !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the host saw %v", err)
	}
}

// BenchmarkRelay measures what a function pays: the table of docs/architecture/relay.md.
func BenchmarkRelay(b *testing.B) {
	w := newWorld(b, Config{})
	w.is("203.0.113.1:80", serve(b, "127.0.0.1:0", echo))
	w.is("203.0.113.2:80", serve(b, "127.0.0.1:0", func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, struct{ io.Reader }{c}) }))
	w.is("203.0.113.3:80", serve(b, "127.0.0.1:0", func(c *net.TCPConn) {
		for block, left := make([]byte, 1<<18), bulk; left > 0; left -= len(block) {
			_, _ = c.Write(block)
		}
	}))
	sums, n := map[string]float64{}, 0
	for b.Loop() {
		n++
		for line := range strings.Lines(run(b, w.Relay, uids()[0], probeName, "measure", "203.0.113.1:80", "203.0.113.2:80", "203.0.113.3:80")) {
			var value float64
			var unit string
			if _, err := fmt.Sscan(line, &value, &unit); err != nil {
				b.Fatal(line)
			}
			sums[unit] += value
		}
	}
	for unit, sum := range sums {
		b.ReportMetric(sum/float64(n), unit)
	}
	b.ReportMetric(0, "ns/op")
}
