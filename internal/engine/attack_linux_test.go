package engine

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

//go:embed testdata/attack.py
var attackSource string

// The ways in which a function's process comes to be: each must take everything from it.
func starts() map[string]map[string]string {
	return map[string]map[string]string{
		"forked": nil,
		"fresh":  {"PYTHONDONTWRITEBYTECODE": "1"},
	}
}

// TestAttacks runs a function that tries everything at once, and looks at what came of each attempt.
func TestAttacks(t *testing.T) {
	const needle = "needle-0123456789abcdef"
	t.Setenv("SERVER_SECRET", needle)
	w := newWorld(t, nil)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(needle), 0o644); err != nil {
		t.Fatal(err)
	}
	event := map[string]any{
		"secret": secret, "data": w.engine.cfg.Dir, "pid": os.Getpid(), "host": ownAddress(t), "port": listen(t, "tcp4", ":0"),
		"udp": listenUDP(t), "abstract": "croft-test-" + filepath.Base(t.TempDir()),
	}
	listen(t, "unix", "@"+event["abstract"].(string))
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	for how, env := range starts() {
		t.Run(how, func(t *testing.T) {
			fn := w.function(attackSource)
			fn.ARN, fn.Env, fn.MemoryMB = testARN+how, env, 512
			r := w.invoke(fn, string(payload))
			var got map[string]any
			if err := json.Unmarshal(r.Payload, &got); err != nil || r.FunctionError != "" {
				t.Fatalf("%v: %s", err, r.Payload)
			}
			compareAttacks(t, got)
		})
	}
}

// outcomes has what may come of those attempts that do not simply fail with an error of the system's.
func outcomes() map[string]string {
	return map[string]string{
		// No descriptor but the server's socket, no process but its own, nothing of the server's in its memory and in what is told about it.
		"descriptors": `\[socket\]`, "processes": "1", "memory": "0", "maps": "false", "environ": "false", "arguments": "false", "session": "true",
		"privileges": "12", "capabilities": "0 0 0 0 0", "core": `\(0, 0\)`,
		"lift nproc": "ValueError: not allowed to raise maximum limit", "lift nofile": "ValueError: not allowed to raise maximum limit",
		"kill group 0": "done", "write /dev/null": "done", "write /proc/self/timerslack_ns": "done|E.*",
		// The lowest value is the kernel's to keep where the server has CAP_SYS_RESOURCE.
		"oom score 0": "done|EACCES",
		// Where the function has the first process's own id it may send it signals, which do nothing.
		"kill first 0": "done|EPERM", "kill first 15": "done|EPERM", "kill first 9": "done|EPERM", "kill first 19": "done|EPERM",
		"read /proc/keys": "read 0 bytes|E.*", // there are none
		"metadata name":   `\[Errno -\d\] .*|EHOSTUNREACH|ENETUNREACH`,
		"listen 80":       "done|EACCES", // on its own loopback
	}
}

func compareAttacks(t *testing.T, got map[string]any) {
	t.Helper()
	if len(got) < 150 {
		t.Errorf("only %d attempts", len(got))
	}
	special := outcomes()
	for _, name := range slices.Sorted(maps.Keys(got)) {
		want, ok := special[name]
		if !ok {
			want = "E[A-Z0-9]+"
		}
		if text := fmt.Sprint(got[name]); !regexp.MustCompile("^(" + want + ")$").MatchString(text) {
			t.Errorf("%s: %s, and may be %s", name, text, want)
		}
	}
}

// ownAddress is an address of this machine that is not its loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	t.Log("THE MACHINE HAS NO ADDRESS BUT ITS LOOPBACK: that one is tried instead")
	return "127.0.0.1"
}

// listen opens something of the machine's that a function must not reach, and returns its port.
func listen(t *testing.T, network, addr string) int {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Errorf("%s %s was reached by %v", network, addr, c.RemoteAddr())
			c.Close()
		}
	}()
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

func listenUDP(t *testing.T) int {
	t.Helper()
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 10)
		for {
			_, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			t.Errorf("UDP was reached by %v", from)
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).Port
}
