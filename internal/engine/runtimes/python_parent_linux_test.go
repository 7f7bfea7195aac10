package runtimes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/engine/sandbox"
)

// serverVar makes the test binary a server that dies: see TestForkServerDiesWithTheServer.
const serverVar = "CROFT_TEST_SERVER"

// TestForksLeaveNothing: after many children of every kind of end, the fork server has neither processes nor descriptors more than before.
func TestForksLeaveNothing(t *testing.T) {
	s := newStand(t)
	code := s.code(map[string]string{"app.py": hello})
	l := s.prepare(code, "", "app.handler", nil)
	parent, err := l.Boot.Parent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ PID int }
	decode(t, string(parent.Hello()), &said)
	before := parentState(t, said.PID)
	for i := range 20 {
		v := s.spare(t.Context(), l, false)
		if i%2 == 0 {
			v.start(t.Context(), l, code, "", "app.handler", nil)
			if failure := v.await(); failure != "" {
				t.Fatal(failure)
			}
		}
		v.end()
	}
	// A sandbox that has ended cannot be joined, and the fork server goes on.
	v := s.spare(t.Context(), l, true)
	v.end()
	p, done := v.program(sandbox.Program{}, true)
	defer done()
	if err := v.shell.Fork(t.Context(), parent, p); err == nil {
		t.Error("a child joined a sandbox that has ended")
	}
	// Nor does a caller that gives up harm it.
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	v = s.spare(t.Context(), l, true)
	p, done = v.program(sandbox.Program{}, true)
	defer done()
	if err := v.shell.Fork(ctx, parent, p); !errors.Is(err, gone) {
		t.Errorf("a caller that has given up: %v", err)
	}
	// It may still be about to close what the last request brought.
	after := parentState(t, said.PID)
	for range 20_000 {
		if after == before {
			break
		}
		after = parentState(t, said.PID)
	}
	if after != before {
		t.Errorf("the fork server had %s, and has %s", before, after)
	}
	if again, err := l.Boot.Parent(t.Context()); err != nil || again != parent {
		t.Errorf("another fork server: %v", err)
	}
}

// TestSignals: a function that kills all that it can reach kills itself.
func TestSignals(t *testing.T) {
	s := newStand(t)
	code := s.code(map[string]string{"app.py": "import os, signal\ndef handler(e, c):\n    for target in e:\n        try: os.kill(target, signal.SIGKILL)\n        except ProcessLookupError: pass\n    return 'alive'"})
	l := s.prepare(code, "", "app.handler", nil)
	parent, err := l.Boot.Parent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ PID int }
	decode(t, string(parent.Hello()), &said)
	var all []*live
	for range 3 {
		v := s.spare(t.Context(), l, false)
		v.start(t.Context(), l, code, "", "app.handler", nil)
		if failure := v.await(); failure != "" {
			t.Fatal(failure)
		}
		all = append(all, v)
	}
	if _, end := all[0].invoke("[0]"); end != "signal: killed" {
		t.Errorf("its group: %s", end)
	}
	if answer, end := all[1].invoke(fmt.Sprintf("[%d, -1]", said.PID)); answer != `"alive"` {
		t.Errorf("everybody: %s %s", answer, end)
	}
	if answer, end := all[2].invoke("[]"); answer != `"alive"` {
		t.Errorf("another: %s %s", answer, end)
	}
	if again, err := l.Boot.Parent(t.Context()); err != nil || again != parent {
		t.Errorf("another fork server: %v", err)
	}
}

// TestExecutable: a function of an ordinary user cannot change the interpreter of that user, which it reaches past the read-only binds.
func TestExecutable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("SKIPPED: it is for ordinary users, as whom TestAsOrdinaryUser runs it")
	}
	s := newStand(t)
	in, _, err := s.python.ready(t.Context(), 11)
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(openDir(t), "python3.11")
	if out, err := exec.CommandContext(t.Context(), "cp", in.Executable, own).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	in.Executable = own
	v, _, failure := s.function(false, map[string]string{"app.py": `
import os
def handler(e, c):
    out = [os.readlink("/proc/self/exe").split(" ")[0]]
    for path in ("/proc/self/exe", "/proc/self/fd/%d" % os.open("/proc/self/exe", os.O_RDONLY)):
        try:
            with open(path, "r+b") as f: out.append(f.write(b"changed"))
        except OSError as e: out.append(e.strerror)
    return out`}, "app.handler", nil)
	if failure != "" {
		t.Fatal(failure)
	}
	if answer, _ := v.invoke("{}"); !strings.HasPrefix(answer, `["/memfd:fork-server", `) || strings.Contains(answer, "7") {
		t.Error(answer)
	}
}

// parentState is what a fork server has: children, and descriptors.
func parentState(t *testing.T, pid int) string {
	t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("children %q and %d descriptors", children, len(fds))
}

// TestForksAtOnce: many callers at a time, each with a sandbox of its own.
func TestForksAtOnce(t *testing.T) {
	s := newStand(t)
	code := s.code(map[string]string{"app.py": "import os\ndef handler(e, c): return [e, os.getppid()]"})
	l := s.prepare(code, "", "app.handler", nil)
	if _, err := l.Boot.Parent(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []*live
	for range 24 {
		all = append(all, s.spare(t.Context(), l, true))
	}
	var work sync.WaitGroup
	for i, v := range all {
		p, done := v.program(sandbox.Program{}, true)
		work.Go(func() {
			defer done()
			parent, err := l.Boot.Parent(t.Context())
			if err == nil {
				err = v.shell.Fork(t.Context(), parent, p)
			}
			if err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	work.Wait()
	for i, v := range all {
		v.start(t.Context(), l, code, "", "app.handler", nil)
		if failure := v.await(); failure != "" {
			t.Fatalf("%s\n%s", failure, v.out)
		}
		if answer, _ := v.invoke(strconv.Itoa(i)); answer != fmt.Sprintf("[%d, 1]", i) {
			t.Errorf("%d: %s", i, answer)
		}
	}
}

// TestForkServerDiesWithTheServer: also when the server cannot say so any more.
func TestForkServerDiesWithTheServer(t *testing.T) {
	if os.Getenv(serverVar) != "" {
		s := newStand(t)
		l := s.prepare(s.code(map[string]string{"app.py": hello}), "", "app.handler", nil)
		parent, err := l.Boot.Parent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("\nHELLO%s\n", parent.Hello())
		<-t.Context().Done()
		return
	}
	newStand(t)
	dir := openDir(t)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestForkServerDiesWithTheServer$")
	cmd.Env = append(os.Environ(), serverVar+"=1", "TMPDIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said struct{ PID int }
	text := make([]byte, 0, 64<<10)
	for !bytes.Contains(text, []byte("}\n")) {
		n, err := out.Read(text[len(text):cap(text)])
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		text = text[:len(text)+n]
	}
	_, hello, _ := strings.Cut(string(text), "HELLO")
	decode(t, strings.TrimSpace(hello), &said)
	fd, err := unix.PidfdOpen(said.PID, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as it was to be
	// Readable once the process has ended; ten seconds are for a busy machine.
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000); n != 1 {
		t.Errorf("the fork server lives on: %v", err)
	}
}
