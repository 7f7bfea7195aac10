package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// limited runs a probe in a sandbox with limits and returns what it says first; empty when it ended without a word.
func limited(t *testing.T, w Work, args ...string) (Running, *Child, string) {
	t.Helper()
	s := prepared(t, stocked(t))
	w.Programs = 1
	r, err := s.Start(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	lines, out := pipe(t)
	c, err := r.Run(t.Context(), probing(out, args...))
	if err != nil {
		t.Fatal(err)
	}
	out.Close()
	lines.Scan()
	return r, c, lines.Text()
}

func TestMemory(t *testing.T) {
	const mb = 1 << 20
	t.Run("enough", func(t *testing.T) {
		r, _, said := limited(t, Work{TmpBytes: 8 * mb, Limits: Limits{Memory: 128 * mb}}, "eat", "64")
		u := r.Usage()
		if said != "eat: done" || u.OutOfMemory || u.PeakMemory < 64*mb || u.PeakMemory > 90*mb {
			t.Errorf("%q, %+v", said, u)
		}
	})
	t.Run("shared", func(t *testing.T) {
		r, _, said := limited(t, Work{TmpBytes: 8 * mb, Limits: Limits{Memory: 128 * mb, Shared: 20 * mb}}, "eat", "64")
		if u := r.Usage(); said != "eat: done" || u.PeakMemory < 84*mb {
			t.Errorf("%q, %+v", said, u)
		}
	})
	for _, kind := range []string{"eat", "eat-by-child"} {
		t.Run(kind, func(t *testing.T) {
			r, c, _ := limited(t, Work{TmpBytes: 512 * mb, Limits: Limits{Memory: 128 * mb}}, kind, "400")
			<-r.Done()
			<-c.Done()
			u := r.Usage()
			if !u.OutOfMemory || u.PeakMemory != 128*mb && u.PeakMemory < 64*mb {
				t.Errorf("%+v", u)
			}
		})
	}
	t.Run("far too much at once", func(t *testing.T) {
		r, c, said := limited(t, Work{TmpBytes: 8 * mb, Limits: Limits{Memory: 128 * mb}}, "eat", "4000")
		if said == "eat: cannot allocate memory" { // the backstop, where the kernel does not count
			return
		}
		<-r.Done()
		<-c.Done()
		if !r.Usage().OutOfMemory || c.Exit().Signal != int(syscall.SIGKILL) && c.Exit().Code != -1 {
			t.Errorf("%q, %+v, %v", said, r.Usage(), c.Exit())
		}
	})
}

// TestTmpIsNotMemory: files in /tmp have their own limit and are not held against that of memory.
func TestTmpIsNotMemory(t *testing.T) {
	const mb = 1 << 20
	w := Work{TmpBytes: 200 * mb, Limits: Limits{Memory: 64 * mb}}
	r, _, said := limited(t, w, "fill", "150")
	for range 3 {
		r.(*isolated).sample()
	}
	if u := r.Usage(); said != "fill: done" || u.OutOfMemory || u.PeakMemory > 40*mb {
		t.Errorf("%q, %+v", said, u)
	}
	select {
	case <-r.Done():
		t.Error("it was ended")
	default:
	}
	if _, _, said = limited(t, w, "fill", "250"); said != "fill: no space left on device" {
		t.Errorf("too many files: %q", said)
	}
}

func TestForkBomb(t *testing.T) {
	_, _, said := limited(t, Work{Limits: Limits{Processes: 50}}, "bomb")
	var n int
	if _, err := fmt.Sscanf(said, "bomb: %d, then resource temporarily unavailable", &n); err != nil || n < 20 || n > 50 {
		t.Errorf("%q", said)
	}
}

func TestCPUWeight(t *testing.T) {
	r, _, _ := limited(t, Work{Limits: Limits{CPUWeight: 200}}, "spin")
	d, ok := r.(*isolated).groups.dirs["cpu"]
	if !ok {
		t.Skip("SKIPPED, shares of the CPU are not tested: there is no controller here")
	}
	file, want := "cpu.weight", "200"
	if !d.v2 {
		file, want = "cpu.shares", "2048"
	}
	if b, err := os.ReadFile(filepath.Join(d.path, file)); err != nil || strings.TrimSpace(string(b)) != want {
		t.Errorf("%s: %s, %v", file, b, err)
	}
	b, err := os.ReadFile(filepath.Join(d.path, "cgroup.procs"))
	if err != nil || len(strings.Fields(string(b))) != 1 {
		t.Errorf("in the group are %q, %v", b, err)
	}
}

// TestNothingIsLeft ends sandboxes in every way and compares what is there before and afterwards.
func TestNothingIsLeft(t *testing.T) {
	base := stocked(t)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	rounds := 200
	if testing.Short() {
		rounds = 40
	}
	ends := []func(Shell) error{
		func(Shell) error { return nil },
		func(s Shell) error { return s.Boot(t.Context(), probing(null, "child")) },
		func(s Shell) error {
			_, err := s.Start(t.Context(), Work{Programs: 3})
			return err
		},
		func(s Shell) error {
			r, err := s.Start(t.Context(), Work{Programs: 1, Limits: Limits{Memory: 64 << 20}})
			if err != nil {
				return err
			}
			if _, err := r.Run(t.Context(), probing(null, "spinning")); err != nil {
				return err
			}
			return r.Freeze()
		},
		func(s Shell) error {
			r, err := s.Start(t.Context(), Work{Programs: 1})
			if err != nil {
				return err
			}
			c, err := r.Run(t.Context(), probing(null, "exit-7"))
			if err == nil {
				<-c.Done()
			}
			return err
		},
		func(s Shell) error { return s.(*isolated).cmd.Process.Kill() },
	}
	end(prepared(t, base))
	before := inventory(t)
	for n := range rounds {
		s, err := Prepare(t.Context(), base)
		if err != nil {
			t.Fatal(err)
		}
		if err := ends[n%len(ends)](s); err != nil {
			t.Fatal(err)
		}
		end(s)
	}
	if after := inventory(t); after != before {
		t.Errorf("before: %s\nafter:  %s", before, after)
	}
}

// inventory counts what a sandbox could leave behind.
func inventory(t *testing.T) string {
	t.Helper()
	count := func(path string) int {
		entries, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	groups := 0
	for _, dir := range theGround().folders() {
		found, err := filepath.Glob(filepath.Join(dir, "croft-"+strconv.Itoa(os.Getpid())+"-*"))
		if err != nil {
			t.Fatal(err)
		}
		groups += len(found)
	}
	children, err := os.ReadFile("/proc/thread-self/children")
	if err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	pid, _ := unix.Wait4(-1, &status, unix.WNOHANG, nil)
	return fmt.Sprintf("%d descriptors, %d mounts, %d groups, children %q %d", count("/proc/self/fd"), strings.Count(string(mounts), "\n"), groups, children, pid)
}

func TestAbilities(t *testing.T) {
	a := Abilities(t.Context())
	if err := Check(t.Context()); (err == nil) != (a.Namespaces == "") || a.Freeze != a.Namespaces {
		t.Errorf("%+v, but %v", a, err)
	}
	if dir, _ := theGround().at("memory"); (dir == "") == (a.MemoryLimit == "") {
		t.Errorf("%+v with groups in %q", a, dir)
	}
}

// TestFindGround reads what machines of several kinds say.
func TestFindGround(t *testing.T) {
	for _, c := range []struct{ point, root, path, want string }{
		{"/sys/fs/cgroup/memory", "/", "/user/1", "/sys/fs/cgroup/memory/user/1"},
		{"/sys/fs/cgroup", "/docker/abc", "/docker/abc", "/sys/fs/cgroup"},
		{"/sys/fs/cgroup", "/docker/abc", "/docker/abc/x", "/sys/fs/cgroup/x"},
		{"/sys/fs/cgroup", "/docker/abc", "/elsewhere", ""},
		{"/sys/fs/cgroup", "/", "/../outside", ""},
	} {
		if got := groupFolder(c.point, c.root, c.path); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	// A tree of the second version, as a folder: the kernel's refusals are missing, its files are not.
	dir := t.TempDir()
	for name, text := range map[string]string{"cgroup.controllers": "cpu io memory pids\n", "cgroup.procs": "", "cgroup.subtree_control": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for folder, file := range map[string]string{"croft-server": "cgroup.procs", nestName(): "cgroup.subtree_control"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, folder, file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g := &ground{v1: map[string]string{}, missing: map[string]string{}}
	g.find([]byte("0::/\n"), fmt.Appendf(nil, "30 29 0:26 / %s rw,nosuid - cgroup2 cgroup2 rw\n", dir))
	if at, v2 := g.at("memory"); at != dir || !v2 {
		t.Errorf("%+v", g)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control")); err != nil || string(b) != "+cpu +memory +pids" {
		t.Errorf("%q, %v", b, err)
	}
	made, err := makeGroups(g)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(made.v2) != filepath.Join(dir, nestName()) || len(made.v1) > 0 || len(made.files()) != 1 {
		t.Errorf("%+v", made)
	}
	if b, err := os.ReadFile(filepath.Join(dir, nestName(), "cgroup.subtree_control")); err != nil || string(b) != "+cpu +memory +pids" {
		t.Errorf("%q, %v", b, err)
	}
	made.remove()
	if _, err := os.Stat(made.v2); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

// TestSweep: of the groups of servers, those go whose server has gone.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	gone := fmt.Sprintf("croft-%d-00", cmd.Process.Pid)
	nest := fmt.Sprintf("croft-%d", cmd.Process.Pid)
	here := fmt.Sprintf("croft-%d-00", os.Getpid())
	for _, name := range []string{gone, nest, filepath.Join(nest, gone), here, "croft-server", "other"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sweep(dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{here, "croft-server", "other"}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
}
