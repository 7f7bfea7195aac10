package relay

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"croft/internal/clock"
)

func testPolicy(t *testing.T, closed bool, allow ...string) *policy {
	t.Helper()
	a, err := newAllowed(clock.Real(), func(_ context.Context, name string) ([]netip.Addr, error) {
		if name == "db.test" {
			return []netip.Addr{netip.MustParseAddr("192.0.2.77")}, nil
		}
		return nil, errors.New("no such host")
	}, allow)
	if err != nil {
		t.Fatal(err)
	}
	return newPolicy(a, closed, func(addr netip.Addr) (route, error) {
		switch addr.String() {
		case "192.0.2.77":
			return routeOwn, nil
		case "192.0.2.255":
			return routeMany, nil
		case "192.0.2.99":
			return 0, errors.New("no routing")
		}
		return routeOut, nil
	})
}

func TestPolicy(t *testing.T) {
	const (
		open    = ""
		own     = "own address"
		private = "private"
		special = "."
	)
	for _, c := range []struct{ addr, open, closed string }{
		{"203.0.113.1", open, open}, {"2001:db8::1", open, open}, {"8.8.8.8", open, open},
		{"10.0.0.1", open, private}, {"172.31.255.255", open, private}, {"172.32.0.1", open, open}, {"192.168.1.1", open, private},
		{"100.64.0.1", open, private}, {"fd12::1", open, private}, {"::ffff:10.0.0.1", open, private}, {"64:ff9b::a00:1", open, private},
		{"127.0.0.1", "loopback", "loopback"}, {"127.255.255.254", "loopback", "loopback"}, {"::1", "loopback", "loopback"},
		{"0.0.0.0", special, special}, {"0.1.2.3", special, special}, {"::", special, special},
		{"169.254.169.254", "metadata", "metadata"}, {"169.254.170.2", "metadata", "metadata"}, {"169.254.1.1", "link-local", "link-local"},
		{"fd00:ec2::254", "metadata", "metadata"}, {"fd20:ce::254", "metadata", "metadata"}, {"168.63.129.16", "metadata", "metadata"},
		{"100.100.100.200", "metadata", "metadata"}, {"fe80::1", "link-local", "link-local"}, {"febf::1", "link-local", "link-local"},
		{"fec0::1", "link-local", "link-local"},
		{"224.0.0.1", special, special}, {"240.0.0.1", special, special}, {"255.255.255.255", special, special}, {"ff02::1", special, special},
		{"198.18.0.1", "sandbox", "sandbox"}, {"198.18.0.5", open, open}, {"fd00:c10f::1", "sandbox", "sandbox"},
		{"192.0.2.77", own, own}, {"192.0.2.255", "broadcast", "broadcast"},
		// In disguise: mapped, compatible, translated, 6to4, NAT64 with the lengths of its prefix, Teredo's server and client, ISATAP.
		{"::ffff:127.0.0.1", "loopback", "loopback"}, {"::ffff:169.254.169.254", "metadata", "metadata"}, {"::127.0.0.1", "loopback", "loopback"},
		{"::ffff:0:127.0.0.1", "loopback", "loopback"}, {"2002:7f00:1::1", "loopback", "loopback"}, {"2002:a9fe:a9fe::", "metadata", "metadata"},
		{"64:ff9b::127.0.0.1", "loopback", "loopback"}, {"64:ff9b::192.0.2.77", own, own}, {"64:ff9b:1::169.254.169.254", special, special},
		{"64:ff9b:1:7f00:0:100::", "loopback", "loopback"}, {"2001:0:7f00:1::", "loopback", "loopback"}, {"2001:0:808:808::80ff:fffe", "loopback", "loopback"},
		{"2001:db8::5efe:127.0.0.1", "loopback", "loopback"}, {"2001:db8::200:5efe:169.254.169.254", "metadata", "metadata"},
		{"2002:cb00:7101::1", open, open}, {"64:ff9b::203.0.113.1", open, open}, {"2002:c000:24d::1", own, own},
	} {
		for _, mode := range []struct {
			closed bool
			want   string
		}{{false, c.open}, {true, c.closed}} {
			why, err := testPolicy(t, mode.closed).check(t.Context(), netip.AddrPortFrom(netip.MustParseAddr(c.addr), 80))
			if err != nil || mode.want == "" && why != "" || mode.want != "" && (why == "" || mode.want != special && !strings.Contains(string(why), mode.want)) {
				t.Errorf("%s, private closed %v: %q, %v; want %q", c.addr, mode.closed, why, err, mode.want)
			}
		}
	}
	if _, err := testPolicy(t, false).check(t.Context(), netip.MustParseAddrPort("192.0.2.99:1")); err == nil {
		t.Error("an address that could not be looked at is let through")
	}
}

func TestAllowedIsExactlyWhatIsNamed(t *testing.T) {
	p := testPolicy(t, true, "169.254.169.254:80", "db.test:5432", "[fe80::1]:7", "10.0.0.1:443")
	for to, want := range map[string]bool{
		"169.254.169.254:80": true, "169.254.169.254:81": false, "169.254.169.253:80": false, "[::ffff:169.254.169.254]:80": true,
		"192.0.2.77:5432": true, "192.0.2.77:5433": false, "[fe80::1]:7": true, "[fe80::2]:7": false, "10.0.0.1:443": true, "10.0.0.2:443": false,
	} {
		why, err := p.check(t.Context(), netip.MustParseAddrPort(to))
		if err != nil || (why == "") != want {
			t.Errorf("%s: %q, %v", to, why, err)
		}
	}
}

func TestAllowanceIsWrittenHostPort(t *testing.T) {
	for _, text := range []string{"", "localhost", "localhost:", "localhost:0", "localhost:65536", "localhost:http", ":80", "*.example:80", "fe80::1:80",
		"[fe80::1%eth0]:80", "http://x:80", strings.Repeat("x", 254) + ":1"} {
		if _, err := New(Config{Clock: clock.Real(), Allow: []string{text}}); err == nil {
			t.Errorf("%q is accepted", text)
		} else if !strings.Contains(err.Error(), "allowed host") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := New(Config{Clock: clock.Real(), Allow: make([]string, maxAllowed+1)}); err == nil {
		t.Error("any number is accepted")
	}
}

func TestLocalAddresses(t *testing.T) {
	a := testPolicy(t, false, "localhost:6379", "LOCALHOST.:6379", "127.0.0.1:5432", "127.0.0.2:5432", "[::1]:7", "x.localhost:8", "db.test:9").allow
	want := "127.0.0.1:6379 127.0.0.1:5432 127.0.0.2:5432 127.0.0.1:7 127.0.0.1:8"
	if got := strings.Join(a.listen(), " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for addr, want := range map[string]string{"127.0.0.1:7": "[[::1]:7]", "127.0.0.2:5432": "[127.0.0.2:5432]", "127.0.0.1:9": "[]",
		"127.0.0.1:8": "[127.0.0.1:8 [::1]:8]"} {
		if got := strings.ReplaceAll(strings.Join(strings.Fields(sprint(a.behind(addr))), " "), "  ", " "); got != want {
			t.Errorf("behind %s: %s, want %s", addr, got, want)
		}
	}
}

func sprint(list []netip.AddrPort) string {
	var texts []string
	for _, a := range list {
		texts = append(texts, a.String())
	}
	return "[" + strings.Join(texts, " ") + "]"
}

func TestAllowedNameIsResolvedAgain(t *testing.T) {
	m := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	now, asked := "10.0.0.1", 0
	a, err := newAllowed(m, func(context.Context, string) ([]netip.Addr, error) {
		asked++
		return []netip.Addr{netip.MustParseAddr(now)}, nil
	}, []string{"db.test:1"})
	if err != nil {
		t.Fatal(err)
	}
	first, second := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:1")
	if !a.has(t.Context(), first) || a.has(t.Context(), second) || asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	now = "10.0.0.2"
	m.Advance(keepResolved)
	if a.has(t.Context(), first) || !a.has(t.Context(), second) || asked != 2 {
		t.Errorf("the address has moved, asked %d times", asked)
	}
}
