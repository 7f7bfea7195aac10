package sandbox

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// reduced starts a shell script with reduced isolation and returns it and the lines it prints.
func reduced(t *testing.T, change func(*setup), script string) (*started, *bufio.Scanner) {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("NO sh HERE, NOTHING IS TESTED")
	}
	s := setup{
		Base:    Base{Isolation: Reduced, Listen: []string{"127.0.0.1:9001", "127.0.0.1:4566"}},
		Work:    Work{TmpBytes: 1 << 20},
		Program: Program{Args: []string{sh, "-c", script}, Env: []string{"GREETING=hello", "PATH=" + os.Getenv("PATH")}},
	}
	if change != nil {
		change(&s)
	}
	p, lines, err := s.start(t)
	if err != nil {
		t.Fatal(err)
	}
	return p, lines
}

func text(lines *bufio.Scanner) []string {
	var out []string
	for lines.Scan() {
		out = append(out, lines.Text())
	}
	return out
}

func TestReducedSeesACleanEnvironment(t *testing.T) {
	t.Setenv("CROFT_TEST_SECRET", "of the server")
	code := t.TempDir()
	p, lines := reduced(t, func(s *setup) {
		s.Work.Binds = []Bind{{Source: code, Target: "/var/task"}}
		s.Program.Dir = "/var/task"
		s.Program.Env = append(s.Program.Env, "LAMBDA_TASK_ROOT=/var/task", "LIST=/lib:/var/task/lib:/var/tasks", "API=127.0.0.1:9001", "URL=http://127.0.0.1:4566", "SCRATCH=/tmp/x")
	}, `pwd; echo "$LAMBDA_TASK_ROOT|$LIST|$API|$URL|$SCRATCH"; echo "$HOME $TMPDIR"; touch "$TMPDIR/here" && echo written; ulimit -n; ulimit -c; env | grep -c CROFT; ls -d "$TMPDIR"`)
	got := text(lines)
	<-p.child.Done()
	if len(got) != 8 {
		t.Fatalf("%q", got)
	}
	tmp := got[7]
	api, url := p.shell.Listeners()[0].Addr().String(), p.shell.Listeners()[1].Addr().String()
	want := []string{code, strings.Join([]string{code, "/lib:" + code + "/lib:/var/tasks", api, "http://" + url, tmp + "/x"}, "|"),
		tmp + " " + tmp, "written", "1024", "0", "0", tmp}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if p.child.Exit() != (Exit{}) || p.Usage().PeakMemory < 100<<10 {
		t.Errorf("exit %v, peak memory %d", p.child.Exit(), p.Usage().PeakMemory)
	}
	p.Kill()
	<-p.Done()
	if _, err := os.Stat(filepath.Dir(tmp)); !os.IsNotExist(err) {
		t.Errorf("the temporary folder is still there: %v", err)
	}
}

func TestReducedReachesItsListeners(t *testing.T) {
	p, _ := reduced(t, nil, "sleep 100")
	conn, err := net.Dial("tcp", p.shell.Listeners()[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// TestReducedLeavesNothing checks that what a program started goes with it, and that a program which ignores signals goes too. The pipe that they
// all write to closes when the last of them has gone.
func TestReducedLeavesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		end    func(*started)
	}{
		"kill":                {`trap "" TERM INT HUP; (sleep 1000) & echo ready; wait`, func(p *started) { p.Kill() }},
		"end of the program":  {`(sleep 1000) & echo ready`, func(*started) {}},
		"death of the server": {`(sleep 1000) & echo ready; wait`, func(p *started) { p.shell.(*plain).running[0].life.Close() }},
		"a killed supervisor": {`(sleep 1000) & echo ready; wait`, func(p *started) { _ = p.shell.(*plain).running[0].supervisor.Process.Kill() }},
	} {
		t.Run(name, func(t *testing.T) {
			p, lines := reduced(t, nil, c.script)
			if !lines.Scan() || lines.Text() != "ready" {
				t.Fatalf("got %q", lines.Text())
			}
			c.end(p)
			text(lines)
			<-p.child.Done()
		})
	}
}

func TestReducedTellsHowItEnded(t *testing.T) {
	for script, want := range map[string]Exit{"exit 3": {Code: 3}, "kill -9 $$": {Code: -1, Signal: 9}} {
		p, _ := reduced(t, nil, script)
		<-p.child.Done()
		if p.child.Exit() != want {
			t.Errorf("%s: %v", script, p.child.Exit())
		}
	}
}

func TestReducedBoundsFiles(t *testing.T) {
	_, lines := reduced(t, nil, `trap "" XFSZ; head -c 2000000 /dev/zero >"$TMPDIR/big" 2>/dev/null; wc -c <"$TMPDIR/big" | tr -d ' '`)
	got := text(lines)
	if !slices.Equal(got, []string{"1048576"}) {
		t.Errorf("%q", got)
	}
}

// TestReducedFreezes: what is frozen does not go on, and can be ended; its supervisor still sees the server's end.
func TestReducedFreezes(t *testing.T) {
	p, lines := reduced(t, nil, `trap "echo on; exit 4" USR1; echo ready; while :; do :; done`)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("got %q", lines.Text())
	}
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := p.child.Signal(int(syscall.SIGUSR1)); err != nil {
		t.Fatal(err)
	}
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || lines.Text() != "on" {
		t.Fatalf("got %q", lines.Text())
	}
	<-p.child.Done()
	if p.child.Exit() != (Exit{Code: 4}) {
		t.Errorf("%v", p.child.Exit())
	}
	p, _ = reduced(t, nil, "sleep 1000")
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	p.shell.(*plain).running[0].life.Close()
	<-p.child.Done()
}

// TestReducedBoundsMemory: where the system tells, a program that takes too much is ended.
func TestReducedBoundsMemory(t *testing.T) {
	if Default() != Full {
		t.Skip("SKIPPED, limits of memory are not tested: this system does not tell what other processes use")
	}
	p, _ := reduced(t, func(s *setup) { s.Work.Limits.Memory = 30 << 20 }, `x=$(head -c 60000000 /dev/zero | tr "\0" x); echo ready; sleep 1000`)
	<-p.child.Done()
	<-p.Done()
	if !p.Usage().OutOfMemory {
		t.Errorf("%+v, %v", p.Usage(), p.child.Exit())
	}
}

// TestReducedSeveral: programs with files of their own, and one more than was asked for.
func TestReducedSeveral(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, lines := reduced(t, func(s *setup) { s.Work.Programs = 2; s.Program.Files = []*os.File{w} }, "echo first >&3; echo ready; sleep 1000")
	w.Close()
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("got %q", lines.Text())
	}
	said, err := bufio.NewReader(r).ReadString('\n')
	if err != nil || said != "first\n" {
		t.Errorf("%q, %v", said, err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	exits := Program{Args: []string{"/bin/sh", "-c", "exit 3"}, Output: null}
	second, err := p.Run(t.Context(), exits)
	if err != nil {
		t.Fatal(err)
	}
	<-second.Done()
	if second.Exit() != (Exit{Code: 3}) {
		t.Errorf("%v", second.Exit())
	}
	if _, err := p.Run(t.Context(), exits); !errors.Is(err, errNoPrograms) {
		t.Errorf("one program too many: %v", err)
	}
	select {
	case <-p.child.Done():
		t.Error("the first program ended with the second")
	default:
	}
}

func TestReducedStartsThatFail(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, c := range map[string]struct {
		setup setup
		want  string
	}{
		"no program":     {setup{Program: Program{Args: []string{"/does/not/exist"}}}, "cannot execute /does/not/exist: no such file"},
		"nothing to run": {setup{}, "no program"},
		"no address":     {setup{Base: Base{Listen: []string{"192.0.2.1:1"}}, Program: Program{Args: []string{"/bin/true"}}}, "192.0.2.1"},
		"no folder":      {setup{Program: Program{Args: []string{"/bin/true"}, Dir: "/does/not/exist"}}, "no such file"},
	} {
		c.setup.Isolation, c.setup.Program.Output = Reduced, null
		if _, err := run(t.Context(), c.setup); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if _, err := run(ctx, setup{Base: Base{Isolation: Reduced}, Program: Program{Args: []string{"/bin/sh", "-c", "sleep 1000"}, Output: null}}); err == nil {
		t.Error("an ended context started a program")
	}
}
