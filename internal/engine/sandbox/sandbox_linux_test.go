package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/cloud"
)

// TestMain is also the program that the tests run in sandboxes: this binary, started there as "probe".
func TestMain(m *testing.M) {
	Main()
	if len(os.Args) > 1 && os.Args[1] == "probe" {
		os.Exit(probe(os.Args[2:]))
	}
	if len(os.Args) > 2 && os.Args[1] == "serve" {
		os.Exit(serveUntilKilled(os.Args[2], len(os.Args) > 3))
	}
	os.Exit(m.Run())
}

const probePath = "/var/task/probe"

// sandboxed starts this binary in a sandbox as probe with args, and returns it and the lines it prints.
func sandboxed(t *testing.T, change func(*setup), args ...string) (*started, *bufio.Scanner) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := setup{
		Base:    Base{Anchor: t.TempDir(), Binds: []Bind{{Source: self, Target: probePath}}, Listen: []string{"127.0.0.1:9001"}},
		Work:    Work{TmpBytes: 1 << 20},
		Program: Program{Args: append([]string{probePath, "probe"}, args...), Env: []string{"GREETING=hello"}, Dir: "/var/task"},
	}
	if change != nil {
		change(&s)
	}
	p, lines, err := s.start(t)
	if err != nil {
		skipIfRefused(t, err)
		t.Fatal(err)
	}
	return p, lines
}

// skipIfRefused skips the test on machines whose settings forbid sandboxes, and on no others.
func skipIfRefused(t *testing.T, err error) {
	t.Helper()
	refused := errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSPC)
	if cloud.Code(err) == "ServiceException" && refused {
		t.Skipf("NO SANDBOX HERE, NOTHING IS TESTED: %v", err)
	}
}

// collect reads "name: outcome" lines to the end.
func collect(t *testing.T, s *bufio.Scanner) map[string]string {
	t.Helper()
	out := map[string]string{}
	for s.Scan() {
		name, outcome, ok := strings.Cut(s.Text(), ": ")
		if !ok {
			t.Fatalf("the probe said %q", s.Text())
		}
		out[name] = outcome
	}
	return out
}

// wanted is what every attempt of the probe must come to.
func wanted() map[string]string {
	return map[string]string{
		"read /etc/shadow":         "no such file or directory",
		"read the server's file":   "no such file or directory",
		"read /proc/1/environ":     "no such file or directory",
		"read /proc/1/root":        "no such file or directory",
		"list /":                   "dev etc lib lib64 opt proc tmp usr var",
		"list /home":               "no such file or directory",
		"list /root":               "no such file or directory",
		"list /sys":                "no such file or directory",
		"list /tmp":                "",
		"list /dev":                "fd full null random stderr stdin stdout urandom zero",
		"other processes":          "",
		"environment":              "GREETING=hello",
		"open descriptors":         "/dev/null pipe pipe",
		"working folder":           "/var/task",
		"user":                     "993 990",
		"become root":              "invalid argument",
		"capabilities":             "CapInh=0 CapPrm=0 CapEff=0 CapBnd=0 CapAmb=0 NoNewPrivs=1 Seccomp=2",
		"limits":                   "core=0/0 nofile=1024/1024 nproc=1024/1024",
		"write /":                  "read-only file system",
		"write /usr/lib":           "read-only file system",
		"write /etc":               "read-only file system",
		"write /var/task":          "read-only file system",
		"write /proc/sys":          "read-only file system",
		"change the program":       "read-only file system",
		"write /tmp":               "done",
		"fill /tmp":                "no space left on device",
		"write /dev/stdout":        "done",
		"make a device":            "operation not permitted",
		"mount":                    "operation not permitted",
		"remount / writable":       "operation not permitted",
		"unmount /proc/sys":        "operation not permitted",
		"unshare a user namespace": "operation not permitted",
		"clone a user namespace":   "operation not permitted",
		"clone3":                   "function not implemented",
		"ptrace the parent":        "operation not permitted",
		"bpf":                      "operation not permitted",
		"keyctl":                   "operation not permitted",
		"io_uring":                 "operation not permitted",
		"userfaultfd":              "operation not permitted",
		"chroot":                   "operation not permitted",
		"set the host name":        "operation not permitted",
		"vsock":                    "address family not supported by protocol",
		"packet socket":            "address family not supported by protocol",
		"raw socket":               "operation not permitted",
		"connect to the machine":   "connection refused",
		"connect to the internet":  "network is unreachable",
		"connect to metadata":      "network is unreachable",
		"connect to a host socket": "connection refused",
		"resolve a name":           "fails",
		"kill the first process":   "survived",
	}
}

func TestIsolation(t *testing.T) {
	host, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	abstract, err := net.Listen("unix", "@croft-test-"+strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SERVER_SECRET", "of the server")
	_, lines := sandboxed(t, nil, "attack", host.Addr().String(), abstract.Addr().String(), secret)
	got := collect(t, lines)
	want := wanted()
	for name := range maps.Keys(want) {
		if got[name] != want[name] {
			t.Errorf("%s: got %q, want %q", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %q was not expected", name, got[name])
		}
	}
}

// TestMounts lists every mount that a sandbox sees: what is not on the list was not meant to be there.
func TestMounts(t *testing.T) {
	_, lines := sandboxed(t, nil, "mounts")
	got := collect(t, lines)
	writable := []string{"/proc", "/tmp"}
	allowed := []string{"/", probePath}
	for _, b := range systemBinds() {
		allowed = append(allowed, b.Target)
	}
	for point, options := range got {
		known := slices.Contains(allowed, point) || strings.HasPrefix(point, "/dev/") || strings.HasPrefix(point, "/proc/") ||
			strings.HasPrefix(point, "/usr/lib")
		if slices.Contains(writable, point) {
			continue
		}
		if !known || !slices.Contains(strings.Split(options, ","), "ro") {
			t.Errorf("mount %s with %s", point, options)
		}
	}
	if len(got) < 8 {
		t.Errorf("saw only %v", got)
	}
}

// TestYieldsMemory: a function is what the kernel ends first when memory runs out, and cannot change that where the server is privileged.
func TestYieldsMemory(t *testing.T) {
	_, lines := sandboxed(t, nil, "memory")
	got := collect(t, lines)
	if got["score"] != "500" {
		t.Errorf("got %v", got)
	}
	privileged, err := hasCapability(unix.CAP_SYS_RESOURCE)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	// Root of a namespace of its own has no say in this.
	privileged = privileged && slices.Equal(strings.Fields(string(ids)), []string{"0", "0", "4294967295"})
	if privileged && got["lower"] != "permission denied" {
		t.Errorf("got %v", got)
	}
}

func TestTmpIsPrivate(t *testing.T) {
	_, lines := sandboxed(t, nil, "leave-file")
	if got := collect(t, lines); got["leave"] != "done" {
		t.Fatalf("got %v", got)
	}
	_, lines = sandboxed(t, nil, "find-file")
	if got := collect(t, lines); got["find"] != "no such file or directory" {
		t.Fatalf("the file of another sandbox: %v", got)
	}
}

func TestListener(t *testing.T) {
	p, lines := sandboxed(t, nil, "dial", "127.0.0.1:9001")
	c, err := p.shell.Listeners()[0].Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "hello from the server\n"); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, lines); got["heard"] != "hello from the server" {
		t.Fatalf("got %v", got)
	}
}

func TestExit(t *testing.T) {
	for _, c := range []struct {
		arg  string
		want Exit
		text string
	}{
		{"exit-0", Exit{}, "exit status 0"},
		{"exit-7", Exit{Code: 7}, "exit status 7"},
		{"abort", Exit{Code: -1, Signal: int(syscall.SIGKILL)}, "signal: killed"},
	} {
		p, lines := sandboxed(t, nil, c.arg)
		collect(t, lines)
		<-p.child.Done()
		if p.child.Exit() != c.want || p.child.Exit().String() != c.text {
			t.Errorf("%s: %+v %s", c.arg, p.child.Exit(), p.child.Exit())
		}
		if peak := p.Usage().PeakMemory; peak < 1<<20 {
			t.Errorf("%s: peak memory %d", c.arg, peak)
		}
	}
}

// TestNothingOutlives checks that a kill, and the server's death, end the program's children too. The pipe that they all write to closes when
// the last of them has gone.
func TestNothingOutlives(t *testing.T) {
	for name, end := range map[string]func(*started){
		"kill":               func(p *started) { p.Kill() },
		"death of a server":  func(p *started) { p.shell.(*isolated).control.conn.Close() },
		"end of the program": func(p *started) { <-p.child.Done(); p.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			arg := "family"
			if name == "end of the program" {
				arg = "orphan"
			}
			p, lines := sandboxed(t, nil, arg)
			if !lines.Scan() || lines.Text() != "child: ready" {
				t.Fatalf("got %q", lines.Text())
			}
			end(p)
			for lines.Scan() {
			}
			<-p.Done()
		})
	}
}

// serveUntilKilled is a server that has a sandbox. It prints the process id of the sandbox's first process.
func serveUntilKilled(self string, frozen bool) int {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return 1
	}
	p, err := run(context.Background(), setup{
		Base:    Base{Anchor: os.TempDir(), Binds: []Bind{{Source: self, Target: probePath}}},
		Program: Program{Args: []string{probePath, "probe", "child"}, Output: null},
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if frozen {
		if err := p.Freeze(); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println(p.shell.(*isolated).cmd.Process.Pid)
	<-p.Done()
	return 0
}

// TestServerIsKilled kills a server in the way that leaves it no time for anything.
func TestServerIsKilled(t *testing.T) {
	sandboxed(t, nil, "exit-0") // skips where there is no sandbox
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"serve", self}, {"serve", self, "frozen"}} {
		killServer(t, self, args...)
	}
}

func killServer(t *testing.T, self string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = []string{"TMPDIR=" + t.TempDir()}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n != 1 {
			t.Errorf("the sandbox outlived its server: %d, %v", n, err)
		}
		return
	}
}

func TestPeakMemoryWhileRunning(t *testing.T) {
	p, lines := sandboxed(t, nil, "family")
	if !lines.Scan() {
		t.Fatal("no line")
	}
	if got := p.Usage().PeakMemory; got < 1<<20 || got > 1<<30 {
		t.Errorf("got %d", got)
	}
}

func TestStartFailures(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := Check(t.Context()); err != nil {
		skipIfRefused(t, err)
		t.Fatal(err)
	}
	program := Program{Args: []string{"/does/not/exist"}}
	for name, c := range map[string]struct {
		setup setup
		want  string
	}{
		"no program":    {setup{Program: program}, "cannot execute /does/not/exist: no such file or directory"},
		"no source":     {setup{Base: Base{Binds: []Bind{{Source: "/does/not/exist", Target: "/x"}}}}, "/does/not/exist"},
		"no address":    {setup{Base: Base{Listen: []string{"192.0.2.1:1"}}}, "192.0.2.1:1"},
		"too many":      {setup{Base: Base{Listen: make([]string, maxListen+1)}}, "listeners"},
		"a bad anchor":  {setup{Base: Base{Anchor: "/does/not/exist"}}, "mount tmpfs"},
		"not in stock":  {setup{Base: Base{Stock: "/usr/lib"}, Work: Work{Binds: []Bind{{Source: "/etc", Target: "/var/task"}}}}, "not below the stock"},
		"no folder":     {setup{Program: Program{Args: []string{"/x"}, Dir: "/does/not/exist"}}, "enter the working folder /does/not/exist: no such file"},
		"no arguments":  {setup{}, "no program is given"},
		"a zero inside": {setup{Program: Program{Args: []string{"/x"}, Env: []string{"A=\x00"}}}, "invalid argument"},
		"too much":      {setup{Program: Program{Args: []string{"/x"}, Env: []string{strings.Repeat("A", maxSpec)}}}, "argument list too long"},
	} {
		if c.setup.Anchor == "" {
			c.setup.Anchor = t.TempDir()
		}
		c.setup.Program.Output = null
		_, err := run(t.Context(), c.setup)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Prepare(ctx, Base{Anchor: t.TempDir()}); err != context.Canceled {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// TestHostUser checks, from outside, that a privileged server's function is not root.
func TestHostUser(t *testing.T) {
	id, err := chooseIdentity(5)
	if err != nil {
		t.Fatal(err)
	}
	if id.hostUID != firstHostUID+5 {
		t.Skip("SKIPPED, users of their own for functions are not tested: this needs root with all its rights")
	}
	p, lines := sandboxed(t, func(s *setup) { s.Slot = 5 }, "family")
	lines.Scan()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", processes(p.shell.(*isolated).cmd.Process.Pid)[0]))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("Uid:\t%d\t%[1]d\t%[1]d\t%[1]d", firstHostUID+5)
	if !bytes.Contains(status, []byte(want)) {
		t.Errorf("status lacks %q:\n%s", want, status)
	}
}

// TestAsOrdinaryUser runs the tests of this file again as a user without rights.
func TestAsOrdinaryUser(t *testing.T) {
	if id, err := chooseIdentity(0); err != nil || id.hostUID == 0 {
		t.Skipf("SKIPPED, the tests are not run again as an ordinary user: this is one already, or cannot become one (%v)", err)
	}
	dir, err := os.MkdirTemp("", "croft-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "sandbox.test")
	if err := os.WriteFile(copied, self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied, "-test.v", "-test.count=1", "-test.timeout=5m")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if bytes.Contains(out, []byte("NO SANDBOX HERE")) {
		t.Skipf("AN ORDINARY USER HAS NO SANDBOX HERE:\n%s", out)
	}
	if !bytes.Contains(out, []byte("--- PASS: TestIsolation")) {
		t.Errorf("the isolation test did not run:\n%s", out)
	}
}

// A program that does not call Main must not be run again as a stage.
func TestMainNotCalled(t *testing.T) {
	t.Setenv(mainVar, "1")
	p, err := Prepare(t.Context(), Base{})
	if err == nil || !strings.Contains(err.Error(), "croft.Main()") {
		t.Errorf("%v, %v", p, err)
	}
}
