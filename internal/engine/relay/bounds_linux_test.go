package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"croft/internal/clock"
)

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// eventually waits for what other goroutines bring about; twenty seconds are for machines that are busy.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := clock.WithTimeout(t.Context(), clock.Real(), 20*time.Second)
	defer cancel()
	for !holds() {
		if clock.Sleep(ctx, clock.Real(), time.Millisecond) != nil {
			stacks := make([]byte, 1<<20)
			t.Fatalf("it does not come: %s\n%s", what, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func TestLinksLeaveNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	w := newWorld(t, Config{})
	w.is("203.0.113.1:80", serve(t, "127.0.0.1:0", echo))
	round := func(n int) {
		for range n {
			expect(t, run(t, w.Relay, uids()[0], probeName, "crowd", "203.0.113.1:80", "2"), "crowd: done")
		}
		eventually(t, "the end of the links", func() bool { w.Relay.mu.Lock(); defer w.Relay.mu.Unlock(); return len(w.links) == 0 })
		eventually(t, "the devices' end", func() bool { w.keeper.mu.Lock(); defer w.keeper.mu.Unlock(); return len(w.keeper.queue) == 0 })
	}
	round(5)
	eventually(t, "quiet", func() bool { return w.total.connections.used.Load() == 0 })
	eventually(t, "quiet goroutines", func() bool { return runtime.NumGoroutine() <= before+3 }) // the server of the test, the keeper, and this wait
	files, routines := openFiles(t), runtime.NumGoroutine()
	round(300)
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= routines+1 }) // the one that ends this wait
	eventually(t, "no descriptor is left", func() bool { return openFiles(t) <= files })
	for name, g := range map[string]*gauge{"connections": &w.total.connections, "flows": &w.total.flows, "questions": &w.total.questions, "buffers": &w.total.buffers} {
		if n := g.used.Load(); n != 0 {
			t.Errorf("%s: %d are still counted", name, n)
		}
	}
}

func TestIdleLinkCostsLittle(t *testing.T) {
	w := newWorld(t, Config{})
	const n = 20
	var all []*function
	before, routines := heap(), runtime.NumGoroutine()
	for range n {
		all = append(all, start(t, w.Relay, uids()[0], probeName, "pause"))
	}
	for _, f := range all {
		eventually(t, "the program", func() bool { return f.link.Stats().Dropped > 0 }) // router solicitations, which are no reason for a stack
	}
	// Waiting for a program costs the test three goroutines each: its output, its end and its link.
	each := (int64(heap()) - int64(before)) / n
	t.Logf("%d bytes each, %d goroutines for %d links and their test", each, runtime.NumGoroutine()-routines, n)
	if each > 60_000 {
		t.Errorf("an idle link and its test's program cost %d bytes", each)
	}
	for _, f := range all {
		f.link.mu.Lock()
		if f.link.stack != nil {
			t.Error("an idle link has a stack")
		}
		f.link.mu.Unlock()
		f.wait()
	}
}

func TestFloodsAreBounded(t *testing.T) {
	never := make(chan struct{})
	for _, c := range []struct {
		kind  string
		n     int
		gauge func(*usage) *gauge
		want  int64
	}{
		{"flood-syn", 400, func(u *usage) *gauge { return &u.connections }, 100},
		{"flood-udp", 2000, func(u *usage) *gauge { return &u.flows }, 50},
		{"flood-dns", 2000, func(u *usage) *gauge { return &u.questions }, 20},
	} {
		t.Run(c.kind, func(t *testing.T) {
			w := newWorld(t, Config{PerSandbox: Bounds{Connections: 100, Flows: 50, Questions: 20}})
			w.Relay.dial = func(ctx context.Context, _ netip.AddrPort) (*net.TCPConn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			silent, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			w.Relay.dialUDP = func(netip.AddrPort) (*net.UDPConn, error) {
				return dialUDP(netip.MustParseAddrPort(silent.LocalAddr().String()))
			}
			w.names.host = func(ctx context.Context, _ string) ([]netip.Addr, error) {
				select {
				case <-never:
				case <-ctx.Done():
				}
				return nil, errors.New("late")
			}
			w.policy.route = func(netip.Addr) (route, error) { return routeOut, nil }
			f := start(t, w.Relay, uids()[0], probeName, c.kind, fmt.Sprint(c.n))
			before := heap()
			if c.kind == "flood-udp" {
				eventually(t, "the flood", func() bool { return f.link.Stats().Up > 100 })
			} else {
				eventually(t, "the flood", func() bool { return f.link.Stats().Dropped > int64(c.n)/2 })
			}
			g := c.gauge(f.link.used)
			eventually(t, "the bound", func() bool { return g.used.Load() == c.want })
			t.Logf("%d kB", (int64(heap())-int64(before))/1000)
			if c.kind != "flood-udp" && !strings.Contains(w.log.String(), "than it may have") {
				t.Errorf("the log does not say so: %s", w.log.String())
			}
			f.wait()
			eventually(t, "everything is given back", func() bool { return g.used.Load() == 0 && c.gauge(w.total).used.Load() == 0 })
		})
	}
}

func TestServerIsBoundedToo(t *testing.T) {
	w := newWorld(t, Config{Server: Bounds{Connections: 3}})
	w.is("203.0.113.1:80", serve(t, "127.0.0.1:0", echo))
	w.Relay.dial = func(ctx context.Context, _ netip.AddrPort) (*net.TCPConn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	one := start(t, w.Relay, uids()[0], probeName, "flood-syn", "2")
	eventually(t, "two connections", func() bool { return w.total.connections.used.Load() == 2 })
	two := start(t, w.Relay, uids()[0], probeName, "flood-syn", "2")
	eventually(t, "one more, and one that is lost", func() bool {
		return w.total.connections.used.Load() == 3 && two.link.Stats().Dropped > 0 && two.link.used.connections.used.Load() == 1
	})
	one.wait()
	two.wait()
}

func TestIdleFlowsAreForgotten(t *testing.T) {
	m := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	w := newWorld(t, Config{Clock: m})
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	w.is("203.0.113.1:9", silent.LocalAddr().String())
	w.is("203.0.113.1:53", silent.LocalAddr().String())
	l, _ := attachPair(t, w.Relay)
	for _, port := range []uint16{9, dnsPort} {
		to := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.1"), port)
		b := sentUDP(flow{from: netip.AddrPortFrom(function4(), 1000), to: to})
		l.take(b)
	}
	if n := l.used.flows.used.Load(); n != 2 {
		t.Fatalf("%d flows", n)
	}
	wait := func(d time.Duration, want int64) {
		for range d / closeAfter {
			m.BlockUntil(1)
			m.Advance(closeAfter)
		}
		eventually(t, "the flows' end", func() bool { return l.used.flows.used.Load() == want })
	}
	wait(6*time.Second, 1)
	wait(54*time.Second, 0) // a minute in all: with nothing left to look after, nobody waits for the clock any more
}

// attachPair attaches a link to one end of a socket pair, in place of a device.
func attachPair(tb testing.TB, r *Relay) (*Link, int) {
	tb.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { unix.Close(pair[1]) })
	return r.Attach(os.NewFile(uintptr(pair[0]), "pair")), pair[1]
}

func TestStraysAreReset(t *testing.T) {
	w := newWorld(t, Config{})
	l, function := attachPair(t, w.Relay)
	l.network()
	l.take(segment("198.18.0.1:1000", "203.0.113.1:80", header.TCPFlagAck))
	b := make([]byte, 100)
	n, err := unix.Read(function, b)
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := parsePacket(b[:n]); !ok || header.TCP(p.segment).Flags()&header.TCPFlagRst == 0 {
		t.Errorf("% x", b[:n])
	}
}
