package sandbox

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// reduced starts a shell script with reduced isolation and returns it and the lines it prints.
func reduced(t *testing.T, change func(*Spec), script string) (Process, *bufio.Scanner) {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("NO sh HERE, NOTHING IS TESTED")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	spec := Spec{
		Isolation: Reduced, Args: []string{sh, "-c", script}, Env: []string{"GREETING=hello", "PATH=" + os.Getenv("PATH")}, TmpBytes: 1 << 20,
		Listen: []string{"127.0.0.1:9001", "127.0.0.1:4566"},
	}
	if change != nil {
		change(&spec)
	}
	p, err := Start(t.Context(), spec, w)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		<-p.Done()
		r.Close()
		for _, l := range p.Listeners() {
			l.Close()
		}
	})
	return p, bufio.NewScanner(r)
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
	p, lines := reduced(t, func(s *Spec) {
		s.Binds = []Bind{{Source: code, Target: "/var/task"}}
		s.Dir = "/var/task"
		s.Env = append(s.Env, "LAMBDA_TASK_ROOT=/var/task", "LIST=/lib:/var/task/lib:/var/tasks", "API=127.0.0.1:9001", "URL=http://127.0.0.1:4566", "SCRATCH=/tmp/x")
	}, `pwd; echo "$LAMBDA_TASK_ROOT|$LIST|$API|$URL|$SCRATCH"; echo "$HOME $TMPDIR"; touch "$TMPDIR/here" && echo written; ulimit -n; ulimit -c; env | grep -c CROFT; ls -d "$TMPDIR"`)
	got := text(lines)
	<-p.Done()
	if len(got) != 8 {
		t.Fatalf("%q", got)
	}
	tmp := got[7]
	api, url := p.Listeners()[0].Addr().String(), p.Listeners()[1].Addr().String()
	want := []string{code, strings.Join([]string{code, "/lib:" + code + "/lib:/var/tasks", api, "http://" + url, tmp + "/x"}, "|"),
		tmp + " " + tmp, "written", "1024", "0", "0", tmp}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if p.Exit() != (Exit{}) || p.PeakMemory() < 100<<10 {
		t.Errorf("exit %v, peak memory %d", p.Exit(), p.PeakMemory())
	}
	if _, err := os.Stat(filepath.Dir(tmp)); !os.IsNotExist(err) {
		t.Errorf("the temporary folder is still there: %v", err)
	}
}

func TestReducedReachesItsListeners(t *testing.T) {
	p, _ := reduced(t, nil, "sleep 100")
	conn, err := net.Dial("tcp", p.Listeners()[0].Addr().String())
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
		end    func(Process)
	}{
		"kill":                {`trap "" TERM INT HUP; (sleep 1000) & echo ready; wait`, Process.Kill},
		"end of the program":  {`(sleep 1000) & echo ready`, func(Process) {}},
		"death of the server": {`(sleep 1000) & echo ready; wait`, func(p Process) { p.(*plain).life.Close() }},
		"a killed supervisor": {`(sleep 1000) & echo ready; wait`, func(p Process) { _ = p.(*plain).supervisor.Process.Kill() }},
	} {
		t.Run(name, func(t *testing.T) {
			p, lines := reduced(t, nil, c.script)
			if !lines.Scan() || lines.Text() != "ready" {
				t.Fatalf("got %q", lines.Text())
			}
			c.end(p)
			text(lines)
			<-p.Done()
		})
	}
}

func TestReducedTellsHowItEnded(t *testing.T) {
	for script, want := range map[string]Exit{"exit 3": {Code: 3}, "kill -9 $$": {Code: -1, Signal: 9}} {
		p, _ := reduced(t, nil, script)
		<-p.Done()
		if p.Exit() != want {
			t.Errorf("%s: %v", script, p.Exit())
		}
	}
}

func TestReducedBoundsFiles(t *testing.T) {
	p, lines := reduced(t, nil, `trap "" XFSZ; head -c 2000000 /dev/zero >"$TMPDIR/big" 2>/dev/null; wc -c <"$TMPDIR/big" | tr -d ' '`)
	got := text(lines)
	<-p.Done()
	if !slices.Equal(got, []string{"1048576"}) {
		t.Errorf("%q", got)
	}
}

func TestReducedStartsThatFail(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, c := range map[string]struct {
		spec Spec
		want string
	}{
		"no program":     {Spec{Args: []string{"/does/not/exist"}}, "execute the program: "},
		"nothing to run": {Spec{}, "no program"},
		"no address":     {Spec{Args: []string{"/bin/true"}, Listen: []string{"192.0.2.1:1"}}, "192.0.2.1"},
		"no folder":      {Spec{Args: []string{"/bin/true"}, Dir: "/does/not/exist"}, "no such file"},
	} {
		c.spec.Isolation = Reduced
		if _, err := Start(t.Context(), c.spec, null); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if _, err := Start(ctx, Spec{Isolation: Reduced, Args: []string{"/bin/sh", "-c", "sleep 1000"}}, null); err == nil {
		t.Error("an ended context started a program")
	}
}
