package runtimes

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/engine/runtimeapi"
)

// nodeOf returns the interpreter of the major version that this machine has.
func nodeOf(t testing.TB, major int) *nodeInterpreter {
	t.Helper()
	n := newNode(Host{Clock: clock.Real(), Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Progress: func(string) {}})
	in, _, err := n.ready(t.Context(), major)
	if err != nil || in.Major != major {
		t.Skipf("NO NODE.JS %d HERE: nodejs%[1]d.x is not tested", major)
	}
	return in
}

// nodeFunction is a function that runs as a plain process.
type nodeFunction struct {
	t   testing.TB
	api *runtimeapi.Server
	cmd *exec.Cmd
	// bootstrap is the folder that stands for /var/runtime.
	bootstrap string
	done      chan struct{}

	write *os.File
	out   *bufio.Reader
}

// logged ends what a call of log returns.
const logged = "that is all\n"

// log returns what the function has logged since the last call, without what differs each time. What it wrote before it answered is in the pipe.
func (f *nodeFunction) log() string {
	f.t.Helper()
	if _, err := f.write.WriteString(logged); err != nil {
		f.t.Fatal(err)
	}
	text := ""
	for !strings.HasSuffix(text, logged) {
		line, err := f.out.ReadString('\n')
		if err != nil {
			f.t.Fatal(err)
		}
		text += line
	}
	text = strings.TrimSuffix(text, logged)
	text = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z`).ReplaceAllString(text, "TIME")
	text = regexp.MustCompile(`"(stack|stackTrace)":\[(?:"(?:[^"\\]|\\.)*",?)*\]`).ReplaceAllString(text, `"$1":[]`)
	text = regexp.MustCompile(`\(node:\d+\)`).ReplaceAllString(text, "(node:PID)")
	return strings.ReplaceAll(text, "\x1e", "<newline>")
}

// folderOf makes a folder of files, given as txtar does: "-- name --" lines and content.
func folderOf(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, text)
	return dir
}

func writeFiles(t testing.TB, dir, text string) {
	t.Helper()
	parts := regexp.MustCompile(`(?m)^-- (.+) --\n`).Split(text, -1)
	for i, m := range regexp.MustCompile(`(?m)^-- (.+) --$`).FindAllStringSubmatch(text, -1) {
		file := filepath.Join(dir, m[1])
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(parts[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type nodeStart struct {
	in      *nodeInterpreter
	runtime int
	code    string
	handler string
	env     map[string]string
	// fresh starts the process with its environment, instead of ahead of it.
	fresh bool
	sdk   string
}

func startNode(t testing.TB, s nodeStart) *nodeFunction {
	t.Helper()
	tree, err := fs.Sub(nodeFiles, "node")
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := writeTree(t.TempDir(), "node", tree)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("nodejs%d.x", s.runtime)
	env := nodeEnv(s.in, s.runtime, name)
	env["LD_LIBRARY_PATH"] = ""
	if s.sdk != "" {
		env["NODE_PATH"] = s.sdk + "/node_modules"
	}
	args := append(s.in.flags(s.runtime, ""), bootstrap+"/bootstrap.js")
	assignment := runtimeapi.Assignment{Handler: s.handler}
	all := map[string]string{"LAMBDA_TASK_ROOT": s.code, "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "FROM": "assign"}
	for _, m := range []map[string]string{env, s.env} {
		for k, v := range m {
			all[k] = v
		}
	}
	if s.fresh {
		env = all
	} else {
		if args = append(args, "ahead"); s.sdk != "" {
			args = append(args, s.sdk+"/node_modules")
		}
		assignment.Env = all
		env["LEFT_OVER"] = "yes"
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	f := &nodeFunction{t: t, write: w, out: bufio.NewReader(r), api: runtimeapi.New(runtimeapi.Options{}), bootstrap: bootstrap, done: make(chan struct{})}
	f.cmd = exec.Command(s.in.Executable, args...)
	f.cmd.Dir, f.cmd.Env, f.cmd.Stdout, f.cmd.Stderr = s.code, environ(env), w, w
	f.run(assignment)
	return f
}

// run starts the process, and ends it with the test.
func (f *nodeFunction) run(a runtimeapi.Assignment) {
	t := f.t
	syscall.ForkLock.RLock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours := os.NewFile(uintptr(pair[0]), "theirs"), os.NewFile(uintptr(pair[1]), "ours")
	conn, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	ours.Close()
	f.cmd.ExtraFiles = []*os.File{theirs}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	var serving sync.WaitGroup
	serving.Go(func() { f.api.ServeFrames(conn) })
	go func() {
		_ = f.cmd.Wait() // the tests look at the state
		close(f.done)
	}()
	t.Cleanup(func() {
		f.api.Close()
		_ = f.cmd.Process.Kill()
		<-f.done
		serving.Wait()
	})
	if err := f.api.Assign(a); err != nil {
		t.Fatal(err)
	}
}

// initialised waits for the end of the initialisation, and returns the error that was reported.
func (f *nodeFunction) initialised() string {
	f.t.Helper()
	select {
	case <-f.api.Ready():
		return ""
	case <-f.api.Failed():
		<-f.done
		a := f.api.InitError()
		return a.ErrorType + " " + withoutTrace(a.Payload)
	case <-f.done:
		return fmt.Sprint("exit ", f.cmd.ProcessState.ExitCode())
	case <-f.t.Context().Done():
		return "timeout"
	}
}

func withoutTrace(document []byte) string {
	return regexp.MustCompile(`,"trace":\[.*\]`).ReplaceAllString(string(document), "")
}

// invoke returns the answer, or the error and its type.
func (f *nodeFunction) invoke(inv runtimeapi.Invocation) string {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	go func() {
		<-f.done
		cancel()
	}()
	if inv.RequestID == "" {
		inv.RequestID = "ID"
	}
	inv.Deadline = time.Unix(4e9, 0)
	a, err := f.api.Invoke(ctx, inv)
	switch {
	case err != nil && f.cmd.ProcessState != nil:
		return fmt.Sprint("exit ", f.cmd.ProcessState.ExitCode())
	case err != nil:
		return err.Error()
	case a.ErrorType != "":
		return a.ErrorType + " " + withoutTrace(a.Payload)
	}
	return string(a.Payload)
}

// nodeCase is one file of testdata/node: a txtar archive whose comment says what is expected.
type nodeCase struct {
	runtimes []int
	handler  string
	env      map[string]string
	steps    []string
	log      string
}

func readNodeCase(t *testing.T, text string) nodeCase {
	c := nodeCase{handler: "index.handler", runtimes: []int{20}, env: map[string]string{}}
	comment, _, _ := strings.Cut(text, "\n-- ")
	for line := range strings.Lines(comment) {
		line = strings.TrimSuffix(line, "\n")
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "", "#":
		case "runtimes":
			c.runtimes = nil
			for n := range strings.FieldsSeq(rest) {
				var major int
				if _, err := fmt.Sscan(n, &major); err != nil {
					t.Fatal(err)
				}
				c.runtimes = append(c.runtimes, major)
			}
		case "handler":
			c.handler = rest
		case "env":
			name, value, _ := strings.Cut(rest, "=")
			c.env[name] = value
		case "init", "invoke", "gives":
			c.steps = append(c.steps, line)
		case "log":
			c.log += rest + "\n"
		default:
			t.Fatalf("what is %q?", line)
		}
	}
	return c
}

func TestNode(t *testing.T) {
	files, err := filepath.Glob("testdata/node/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := readNodeCase(t, string(text))
		for _, major := range c.runtimes {
			t.Run(fmt.Sprintf("%s/%d", strings.TrimSuffix(filepath.Base(file), ".txtar"), major), func(t *testing.T) {
				c.run(t, major, folderOf(t, string(text)))
			})
		}
	}
}

func (c nodeCase) run(t *testing.T, major int, code string) {
	env := map[string]string{}
	for name, value := range c.env {
		env[name] = strings.ReplaceAll(value, "TASK", code)
	}
	f := startNode(t, nodeStart{in: nodeOf(t, major), runtime: major, code: code, handler: c.handler, env: env, fresh: c.env["NODE_PATH"] != ""})
	neutral := strings.NewReplacer(code, "TASK", f.bootstrap, "RUNTIME").Replace
	got := neutral(f.initialised())
	for i, step := range c.steps {
		word, rest, _ := strings.Cut(step, " ")
		switch word {
		case "init":
			if got != rest {
				t.Errorf("init: %s\nwant: %s", got, rest)
			}
			got = ""
		case "invoke":
			if got != "" {
				t.Fatalf("%s: %s", step, got)
			}
			got = f.invoke(runtimeapi.Invocation{RequestID: fmt.Sprint("ID-", i/2+1), Payload: []byte(rest), FunctionARN: "ARN", TraceID: "Root=1"})
		case "gives":
			if got != rest {
				t.Errorf("%s:\n gives %s\n want  %s", c.steps[i-1], got, rest)
			}
			got = ""
		}
	}
	if log := neutral(f.log()); log != c.log {
		t.Errorf("log:\n%swant:\n%s", log, c.log)
	}
}
