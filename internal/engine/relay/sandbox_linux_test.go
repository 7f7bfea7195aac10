package relay

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"

	"croft/internal/engine/sandbox"
)

// TestInARealSandbox: the device that a sandbox makes, and its resolver, lead here.
func TestInARealSandbox(t *testing.T) {
	w := newWorld(t, Config{})
	w.known["db.example"] = addrs("203.0.113.1", "2001:db8::1")
	w.is("203.0.113.1:80", serve(t, "127.0.0.1:0", hello("over IPv4")))
	w.is("203.0.113.2:80", unused(t))
	w.is("[2001:db8::1]:80", serve(t, "127.0.0.1:0", hello("over IPv6")))
	for _, a := range [][]string{
		{"line", "203.0.113.1:80", "over IPv4", "line: done"},
		{"line", "[2001:db8::1]:80", "over IPv6", "line: done"},
		{"connect tcp", "203.0.113.2:80", "203.0.113.2:80: ECONNREFUSED"},
		{"connect tcp", "100.100.100.200:80", "100.100.100.200:80: ECONNREFUSED"},
		{"lookup ip", "db.example", "db.example 203.0.113.1 2001:db8::1: done"},
	} {
		args := append(strings.Fields(a[0]), a[1])
		expect(t, inSandbox(t, w.Relay, args...), a[2:]...)
	}
}

func inSandbox(t *testing.T, r *Relay, args ...string) string {
	t.Helper()
	needTunnel(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const path = "/opt/" + probeName
	shell, err := sandbox.Prepare(t.Context(), sandbox.Base{Anchor: t.TempDir(), Stock: t.TempDir(), Tunnel: true,
		Binds: []sandbox.Bind{{Source: self, Target: path}}, Hosts: map[string]netip.Addr{}})
	if err != nil {
		t.Skipf("NOT TESTED: the relay behind a sandbox, as none can be made: %v", err)
	}
	if shell.Tunnel() == nil {
		shell.Kill()
		<-shell.Done()
		t.Skip("NOT TESTED: the relay behind a sandbox, as it has no network device")
	}
	link := r.Attach(shell.Tunnel())
	defer func() {
		shell.Kill()
		<-shell.Done()
		link.Close()
	}()
	running, err := shell.Start(t.Context(), sandbox.Work{Programs: 1})
	if err != nil {
		t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	_, err = running.Run(t.Context(), sandbox.Program{Args: append([]string{path}, args...), Output: in})
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := io.Copy(&text, out); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text.String())
}
