package sandbox

import (
	"bufio"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// stocked is a stock with two functions' code, and a base with it whose programs are this binary.
func stocked(t *testing.T) Base {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stock := t.TempDir()
	for _, name := range []string{"mine", "others"} {
		dir := filepath.Join(stock, "code", name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "text"), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Base{Anchor: t.TempDir(), Stock: stock, Binds: []Bind{{Source: self, Target: "/opt/probe/probe"}}, Listen: []string{"127.0.0.1:9001"}}
}

func probing(out *os.File, args ...string) Program {
	return Program{Args: append([]string{"/opt/probe/probe", "probe"}, args...), Output: out}
}

// prepared makes a shell that ends with the test.
func prepared(t *testing.T, b Base) Shell {
	t.Helper()
	s, err := Prepare(t.Context(), b)
	if err != nil {
		skipIfRefused(t, err)
		t.Fatal(err)
	}
	t.Cleanup(func() { end(s) })
	return s
}

func pipe(t *testing.T) (*bufio.Scanner, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return bufio.NewScanner(r), w
}

func line(t *testing.T, s *bufio.Scanner) string {
	t.Helper()
	if !s.Scan() {
		t.Fatal("nothing more was printed")
	}
	return s.Text()
}

// TestBootSeesTheWork: a process that was started ahead finds the function's files once there is a function, and neither it nor another program
// finds more than that.
func TestBootSeesTheWork(t *testing.T) {
	base := stocked(t)
	base.Hosts = map[string]netip.Addr{"sqs.internal": netip.MustParseAddr("127.0.0.1")}
	base.ListenPackets = []string{"127.0.0.1:2000"}
	s := prepared(t, base)
	lines, out := pipe(t)
	told, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	defer tell.Close()
	p := probing(out, "wait", "/var/task/text", stockPath+"/code/others/text", "/etc/hosts", "/etc/resolv.conf", "/.croft")
	p.Files = []*os.File{told}
	if err := s.Boot(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := s.Boot(t.Context(), p); err == nil {
		t.Error("a second process was started ahead")
	}
	if got := line(t, lines); got != "waiting: done" {
		t.Fatalf("got %q", got)
	}
	r, err := s.Start(t.Context(), Work{
		Binds: []Bind{{Source: filepath.Join(base.Stock, "code/mine"), Target: "/var/task"}}, TmpBytes: 1 << 20, Programs: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(tell, "go on\n"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"/var/task/text: mine", stockPath + "/code/others/text: no such file or directory",
		"/etc/hosts: 127.0.0.1 localhost sandbox sandbox.localdomain|127.0.0.1 sqs.internal|", "/etc/resolv.conf: ", "/.croft: no such file or directory",
	} {
		if got := line(t, lines); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	<-r.Booted().Done()
	if len(s.Packets()) != 1 || s.Packets()[0].LocalAddr().String() != "127.0.0.1:2000" {
		t.Errorf("packets %v", s.Packets())
	}
	select {
	case <-r.Done():
		t.Error("the sandbox ended with its first program")
	default:
	}
	if _, err := r.Run(t.Context(), probing(out, "exit-7")); err != nil {
		t.Error(err)
	}
	if _, err := r.Run(t.Context(), probing(out, "exit-7")); !errors.Is(err, errNoPrograms) {
		t.Errorf("one program too many: %v", err)
	}
}

// TestChildren: several programs, each with its own output and files, each told apart at its end.
func TestChildren(t *testing.T) {
	s := prepared(t, stocked(t))
	r, err := s.Start(t.Context(), Work{Programs: 3})
	if err != nil {
		t.Fatal(err)
	}
	var told *ProgramError
	if _, err := r.Run(t.Context(), Program{Args: []string{"/opt/nothing"}, Output: os.Stderr}); !errors.As(err, &told) || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a missing program: %v", err)
	}
	firstLines, firstOut := pipe(t)
	first, err := r.Run(t.Context(), probing(firstOut, "family"))
	if err != nil {
		t.Fatal(err)
	}
	secondLines, secondOut := pipe(t)
	second, err := r.Run(t.Context(), probing(secondOut, "exit-7"))
	if err != nil {
		t.Fatal(err)
	}
	<-second.Done()
	if second.Exit() != (Exit{Code: 7}) || r.Booted() != nil {
		t.Errorf("exit %v, booted %v", second.Exit(), r.Booted())
	}
	if err := second.Signal(9); err != nil {
		t.Error(err)
	}
	if got := line(t, firstLines); got != "child: ready" {
		t.Errorf("got %q", got)
	}
	if err := first.Signal(int(syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
	<-first.Done()
	if first.Exit() != (Exit{Code: -1, Signal: int(syscall.SIGTERM)}) {
		t.Errorf("exit %v", first.Exit())
	}
	secondOut.Close()
	if secondLines.Scan() {
		t.Errorf("the second program printed %q", secondLines.Text())
	}
}

// TestReady: a process that waited before there was a function becomes the function's program, sees its files, and is one of the programs that were
// asked for.
func TestReady(t *testing.T) {
	s := prepared(t, stocked(t))
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := s.Start(t.Context(), Work{Programs: 2, Binds: []Bind{{Source: filepath.Join(s.(*isolated).base.Stock, "code", "mine"), Target: "/var/task"}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		lines, out := pipe(t)
		told, tell, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tell, "go on\n"); err != nil {
			t.Fatal(err)
		}
		tell.Close()
		p := probing(out, "wait", "/var/task/text", stockPath+"/code/others/text")
		p.Files = []*os.File{told}
		child, err := r.Run(t.Context(), p)
		told.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"waiting: done", "/var/task/text: mine", stockPath + "/code/others/text: no such file or directory"} {
			if got := line(t, lines); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		<-child.Done()
	}
	if _, err := r.Run(t.Context(), probing(os.Stderr, "read")); !errors.Is(err, errNoPrograms) {
		t.Errorf("a program too many: %v", err)
	}
}

// TestForeignPrograms are files that the kernel does not execute.
func TestForeignPrograms(t *testing.T) {
	base := stocked(t)
	for name, c := range map[string]struct {
		head string
		mode os.FileMode
		want error
	}{
		"another machine's": {"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xf3\x00\x01\x00\x00\x00", 0o755, syscall.ENOEXEC},
		"no program":        {"hello", 0o755, syscall.ENOEXEC},
		"not executable":    {"#!/bin/sh\n", 0o644, syscall.EACCES},
	} {
		dir := filepath.Join(base.Stock, "code", "mine")
		if err := os.RemoveAll(filepath.Join(dir, "bootstrap")); err != nil {
			t.Fatal(err)
		}
		text := append([]byte(c.head), make([]byte, 256)...)
		if err := os.WriteFile(filepath.Join(dir, "bootstrap"), text, c.mode); err != nil {
			t.Fatal(err)
		}
		s := prepared(t, base)
		r, err := s.Start(t.Context(), Work{Programs: 1, Binds: []Bind{{Source: dir, Target: "/var/task"}}})
		if err != nil {
			t.Fatal(err)
		}
		var told *ProgramError
		_, err = r.Run(t.Context(), Program{Args: []string{"/var/task/bootstrap"}, Dir: "/var/task", Output: os.Stderr})
		if !errors.As(err, &told) || !errors.Is(err, c.want) || told.Path != "/var/task/bootstrap" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDialInto: the server connects to a program that listens inside.
func TestDialInto(t *testing.T) {
	s := prepared(t, stocked(t))
	r, err := s.Start(t.Context(), Work{Programs: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Dial(t.Context(), "127.0.0.1:4243"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("where nobody listens: %v", err)
	}
	lines, out := pipe(t)
	if _, err := r.Run(t.Context(), probing(out, "listen", "127.0.0.1:4243")); err != nil {
		t.Fatal(err)
	}
	if got := line(t, lines); got != "listen: done" {
		t.Fatalf("got %q", got)
	}
	c, err := r.Dial(t.Context(), "127.0.0.1:4243")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != "from inside" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestFirstProcess: it has one right, on every thread, and there is nothing in it for a function.
func TestFirstProcess(t *testing.T) {
	s := prepared(t, stocked(t))
	r, err := s.Start(t.Context(), Work{Programs: 1})
	if err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(s.(*isolated).cmd.Process.Pid)
	tasks, err := os.ReadDir("/proc/" + pid + "/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile("/proc/" + pid + "/task/" + task.Name() + "/status")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for l := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(strings.TrimSpace(l), ":\t")
			if slices.Contains([]string{"CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs"}, name) {
				got = append(got, name+"="+strings.TrimLeft(value, "0"))
			}
		}
		if want := []string{"CapInh=", "CapPrm=20", "CapEff=20", "CapAmb=", "NoNewPrivs=1"}; !slices.Equal(got, want) {
			t.Errorf("thread %s: %v", task.Name(), got)
		}
	}
	if len(tasks) < 2 {
		t.Errorf("%d threads, which proves nothing", len(tasks))
	}
	lines, out := pipe(t)
	c, err := r.Run(t.Context(), probing(out, "signals"))
	if err != nil {
		t.Fatal(err)
	}
	if got := line(t, lines); got != "signals: survived" {
		t.Errorf("got %q", got)
	}
	<-c.Done()
	if c.Exit() != (Exit{}) {
		t.Errorf("exit %v", c.Exit())
	}
	if _, err := r.Dial(t.Context(), "127.0.0.1:9001"); err != nil {
		t.Errorf("the first process does not answer any more: %v", err)
	}
}

// TestFreeze: frozen processes do not run, also those that have no parent left, and go on afterwards; frozen sandboxes can be ended.
func TestFreeze(t *testing.T) {
	s := prepared(t, stocked(t))
	r, err := s.Start(t.Context(), Work{Programs: 1})
	if err != nil {
		t.Fatal(err)
	}
	lines, out := pipe(t)
	if _, err := r.Run(t.Context(), probing(out, "spinning")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := line(t, lines); got != "spin: ready" {
			t.Fatalf("got %q", got)
		}
	}
	pids := processes(s.(*isolated).cmd.Process.Pid)
	if len(pids) != 2 {
		t.Fatalf("%d processes", len(pids))
	}
	if err := r.Freeze(); err != nil {
		t.Fatal(err)
	}
	before := ticks(t, pids)
	burn(t)
	// The one on the other core may still have been on its way.
	if after := ticks(t, pids); after > before+1 {
		t.Errorf("a frozen sandbox used %d ticks", after-before)
	}
	if err := r.Thaw(); err != nil {
		t.Fatal(err)
	}
	for ticks(t, pids) <= before+1 {
		if t.Context().Err() != nil {
			t.Fatal("it does not go on")
		}
	}
	if err := r.Freeze(); err != nil {
		t.Fatal(err)
	}
	r.Kill()
	<-r.Done()
}

// ticks is the CPU time of processes in the kernel's units.
func ticks(t *testing.T, pids []int) int {
	t.Helper()
	total := 0
	for _, pid := range pids {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		f := strings.Fields(rest)
		for _, i := range []int{11, 12} { // utime, stime
			n, err := strconv.Atoi(f[i])
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
	}
	return total
}

// burn uses 60 ms of CPU time, in which a process that runs on the other core would use as much.
func burn(t *testing.T) {
	t.Helper()
	used := func() int64 {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
			t.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	for start := used(); used() < start+60e6; {
	}
}
