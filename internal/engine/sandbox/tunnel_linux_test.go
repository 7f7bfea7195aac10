package sandbox

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"
)

// withTunnel is a running sandbox with a network device, and a program in it.
func withTunnel(t *testing.T, args ...string) (*os.File, func() string) {
	t.Helper()
	base := stocked(t)
	base.Tunnel = true
	s := prepared(t, base)
	if s.Tunnel() == nil {
		t.Skipf("SKIPPED, the network device is not tested: %s", s.(*isolated).noTunnel)
	}
	r, err := s.Start(t.Context(), Work{Programs: 1})
	if err != nil {
		t.Fatal(err)
	}
	lines, out := pipe(t)
	if _, err := r.Run(t.Context(), probing(out, args...)); err != nil {
		t.Fatal(err)
	}
	return s.Tunnel(), func() string { return line(t, lines) }
}

// packet reads packets until one is of the protocol and goes to the address, which lies at offset.
func packet(t *testing.T, tunnel *os.File, version byte, to string) []byte {
	t.Helper()
	buf := make([]byte, TunnelMTU)
	for {
		n, err := tunnel.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if n > 28 && buf[0]>>4 == version && strings.Contains(string(buf[:min(n, 40)]), to) {
			return buf[:n]
		}
	}
}

func TestTunnelCarriesPackets(t *testing.T) {
	tunnel, said := withTunnel(t, "send", "192.0.2.7:4321", "[2001:db8::7]:4321", "169.254.169.254:80")
	p := packet(t, tunnel, 4, "\xc0\x00\x02\x07")
	if p[9] != 17 || string(p[12:16]) != "\xc6\x12\x00\x01" || binary.BigEndian.Uint16(p[22:]) != 4321 || string(p[28:]) != "hello" {
		t.Errorf("% x", p)
	}
	p = packet(t, tunnel, 6, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07")
	if p[6] != 17 || string(p[48:]) != "hello" {
		t.Errorf("% x", p)
	}
	for _, want := range []string{"192.0.2.7:4321: done", "[2001:db8::7]:4321: done", "169.254.169.254:80: no route to host"} {
		if got := said(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestTunnelNamesTheResolver also shows that the device is set up so that packets can be large, and that nobody in the sandbox can change it.
func TestTunnelNamesTheResolver(t *testing.T) {
	_, said := withTunnel(t, "network")
	for _, want := range []string{
		"resolv.conf: nameserver " + TunnelGateway, "interfaces: lo " + tunnelName, "mtu: 65520",
		"change the device: operation not permitted", "open the device: no such file or directory",
	} {
		if got := said(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
