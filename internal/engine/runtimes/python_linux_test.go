package runtimes

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/clock"
	"croft/internal/engine/runtimeapi"
	"croft/internal/engine/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// sdkDirVar names a folder with an SDK for the tests.
const sdkDirVar = "CROFT_TEST_SDK"

// stand is this machine's Python with what a sandbox needs around it.
type stand struct {
	t       testing.TB
	python  *python
	stock   string
	anchor  string
	runtime string
	slot    int
}

func newStand(t testing.TB) *stand {
	t.Helper()
	if err := sandbox.Check(t.Context()); err != nil {
		t.Skipf("SKIPPED, Python in a sandbox is not tested: NO SANDBOX HERE: %v", err)
	}
	s := &stand{t: t, stock: openDir(t), anchor: openDir(t), runtime: "python3.11"}
	s.python = newPython(Host{
		Clock: clock.Real(), Dir: s.stock, SDKDir: os.Getenv(sdkDirVar), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Progress: func(text string) { t.Log(text) },
	})
	t.Cleanup(s.python.Close)
	if _, _, err := s.python.ready(t.Context(), 11); err != nil {
		t.Skipf("SKIPPED, Python in a sandbox is not tested: NO PYTHON HERE: %v", err)
	}
	return s
}

func openDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "croft-python-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// code writes files and returns their folder.
func (s *stand) code(files map[string]string) string {
	s.t.Helper()
	dir, err := os.MkdirTemp(s.stock, "code-")
	if err != nil {
		s.t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

func (s *stand) prepare(code, layers, handler string, env map[string]string) *Launch {
	s.t.Helper()
	l, err := s.python.Prepare(s.t.Context(), Request{Runtime: s.runtime, Handler: handler, Code: code, Layers: layers, Env: env})
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// lines is what a function prints.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// live is one environment.
type live struct {
	s     *stand
	api   *runtimeapi.Server
	shell sandbox.Shell
	run   sandbox.Running
	child *sandbox.Child
	out   *lines
	work  sync.WaitGroup
	env   map[string]string
}

// spare makes an environment without a function, with a process that waits when it can.
func (s *stand) spare(ctx context.Context, l *Launch, fresh bool) *live {
	s.t.Helper()
	s.slot++
	v := &live{s: s, api: runtimeapi.New(runtimeapi.Options{}), out: &lines{}}
	var err error
	v.shell, err = sandbox.Prepare(ctx, sandbox.Base{
		Anchor: s.anchor, Binds: l.Binds, Stock: s.stock, Listen: []string{"127.0.0.1:9001"}, Slot: s.slot,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	api := &http.Server{Handler: v.api.Handler()}
	v.work.Go(func() { _ = api.Serve(v.shell.Listeners()[0]) })
	s.t.Cleanup(func() {
		v.end()
		api.Close()
		v.work.Wait()
	})
	if !fresh && l.Boot != nil && l.Boot.Parent == nil {
		p, done := v.program(sandbox.Program{Args: l.Boot.Args, Env: l.Boot.Env, Dir: "/"}, true)
		defer done()
		if err := v.shell.Boot(ctx, p); err != nil {
			s.t.Fatal(err)
		}
		return v
	}
	if !fresh && l.Boot != nil {
		parent, err := l.Boot.Parent(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		p, done := v.program(sandbox.Program{}, true)
		defer done()
		if err := v.shell.Fork(ctx, parent, p); err != nil {
			s.t.Fatal(err)
		}
	}
	return v
}

func (v *live) end() {
	v.api.Close()
	v.shell.Kill()
	<-v.shell.Done()
}

// program completes p with an output and, for frames, a socket.
func (v *live) program(p sandbox.Program, frames bool) (sandbox.Program, func()) {
	t := v.s.t
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	v.work.Go(func() {
		_, _ = io.Copy(v.out, r)
		r.Close()
	})
	p.Output = w
	if !frames {
		return p, func() { w.Close() }
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "frames"), os.NewFile(uintptr(fds[1]), "frames")
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		t.Fatal(err)
	}
	v.work.Go(func() { v.api.ServeFrames(conn) })
	p.Files = []*os.File{theirs}
	return p, func() { w.Close(); theirs.Close() }
}

// start gives the environment its function.
func (v *live) start(ctx context.Context, l *Launch, code, layers, handler string, own map[string]string) {
	v.s.t.Helper()
	v.begin(ctx, l, code, layers, handler, own)
	v.assign(ctx, l, handler)
}

// begin gives the sandbox its function, and assign the process, which it starts when none waits.
func (v *live) begin(ctx context.Context, l *Launch, code, layers, handler string, own map[string]string) {
	t := v.s.t
	t.Helper()
	v.env = maps.Clone(l.Env)
	maps.Copy(v.env, own)
	maps.Copy(v.env, map[string]string{
		"_HANDLER": handler, "LAMBDA_TASK_ROOT": TaskRoot, "LAMBDA_RUNTIME_DIR": RuntimeDir, "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
		"AWS_LAMBDA_FUNCTION_NAME": "hello", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret",
	})
	binds := []sandbox.Bind{{Source: code, Target: TaskRoot}}
	if layers != "" {
		binds = append(binds, sandbox.Bind{Source: layers, Target: "/opt"})
	}
	var err error
	if v.run, err = v.shell.Start(ctx, sandbox.Work{Binds: binds, TmpBytes: 64 << 20, Programs: 1, Limits: sandbox.Limits{Memory: 512 << 20, CPUWeight: 100}}); err != nil {
		t.Fatal(err)
	}
}

func (v *live) assign(ctx context.Context, l *Launch, handler string) {
	t := v.s.t
	t.Helper()
	var err error
	if v.child = v.run.Booted(); v.child != nil {
		delete(v.env, sdkVar)
		if err := v.api.Assign(runtimeapi.Assignment{Env: v.env, Handler: handler, SDK: l.SDK}); err != nil {
			t.Fatal(err)
		}
		return
	}
	env := make([]string, 0, len(v.env))
	for k, value := range v.env {
		env = append(env, k+"="+value)
	}
	p, done := v.program(sandbox.Program{Args: l.Args, Env: env, Dir: TaskRoot}, l.Frames)
	defer done()
	if v.child, err = v.run.Run(ctx, p); err != nil {
		t.Fatal(err)
	}
	if l.Frames {
		if err := v.api.Assign(runtimeapi.Assignment{Handler: handler, SDK: l.SDK}); err != nil {
			t.Fatal(err)
		}
	}
}

// await waits for the end of the initialisation, and returns the error that it ended with, or "" or how the process ended.
func (v *live) await() string {
	select {
	case <-v.api.Ready():
		return ""
	case <-v.api.Failed():
		return string(v.api.InitError().Payload)
	case <-v.child.Done():
		return v.child.Exit().String()
	case <-v.s.t.Context().Done():
		return "the test has ended"
	}
}

func (v *live) invoke(payload string) (string, string) {
	v.s.t.Helper()
	ctx, cancel := context.WithCancel(v.s.t.Context())
	defer cancel()
	v.work.Go(func() {
		select {
		case <-v.child.Done():
			cancel()
		case <-ctx.Done():
		}
	})
	a, err := v.api.Invoke(ctx, runtimeapi.Invocation{
		RequestID: "11111111-2222-3333-4444-555555555555", Payload: []byte(payload), Deadline: clock.Real().Now().Add(time.Minute),
		FunctionARN: "arn:aws:lambda:eu-west-1:000000000000:function:hello", TraceID: "Root=1-5-5", ClientContext: `{"custom":{"a":"b"},"client":{"app_title":"t"}}`,
		Identity: `{"cognitoIdentityId":"i"}`, Tenant: "blue",
	})
	if err != nil {
		<-v.child.Done()
		return "", v.child.Exit().String()
	}
	return string(a.Payload), a.ErrorType
}

// function prepares, starts and awaits one function.
func (s *stand) function(fresh bool, files map[string]string, handler string, env map[string]string) (*live, *Launch, string) {
	s.t.Helper()
	code := s.code(files)
	l := s.prepare(code, "", handler, env)
	v := s.spare(s.t.Context(), l, fresh)
	v.start(s.t.Context(), l, code, "", handler, env)
	return v, l, v.await()
}

const aboutItself = `
import json, os, sys, random, uuid, time, __main__
def handler(event, context):
    return {
        "event": event, "pid": os.getpid(), "ppid": os.getppid(), "uid": os.getuid(), "cwd": os.getcwd(), "argv": sys.argv, "path": sys.path,
        "env": dict(os.environ), "main": __main__.__file__, "name": __main__.__name__, "fds": sorted(int(f) for f in os.listdir("/proc/self/fd"))[:4],
        "status": [line.strip() for line in open("/proc/self/status") if line.startswith(("Cap", "NoNewPrivs", "Seccomp:", "Groups"))],
        "limits": [line.split()[-3:] for line in open("/proc/self/limits") if line.startswith(("Max open files", "Max core", "Max processes"))],
        "tz": time.tzname, "context": [context.aws_request_id, context.function_name, context.tenant_id, context.client_context.custom, context.identity.cognito_identity_id],
        "root": sorted(os.listdir("/")), "task": os.listdir("/var/task"), "stdin": os.readlink("/proc/self/fd/0"), "gc": __import__("gc").isenabled(),
    }
`

// TestForkedIsLikeFresh: nothing that a function can see of itself tells how it was started, with whatever versions this machine has.
func TestForkedIsLikeFresh(t *testing.T) {
	s := newStand(t)
	for minor := 9; minor <= 14; minor++ {
		if in, _, err := s.python.ready(t.Context(), minor); err != nil || in.Minor != minor {
			t.Logf("SKIPPED, Python 3.%d: it is not on this machine", minor)
			continue
		}
		s.runtime = fmt.Sprintf("python3.%d", minor)
		var answers []string
		for _, fresh := range []bool{true, false} {
			v, l, failure := s.function(fresh, map[string]string{"app.py": aboutItself}, "app.handler", map[string]string{"GREETING": "hello"})
			if failure != "" {
				t.Fatalf("%s, fresh %v: %s\n%s", s.runtime, fresh, failure, v.out)
			}
			if l.Boot == nil {
				t.Fatalf("%s: no fork server", s.runtime)
			}
			answer, kind := v.invoke(`{"a":1}`)
			if kind != "" {
				t.Fatalf("%s: %s: %s", s.runtime, kind, answer)
			}
			answers = append(answers, answer)
			v.end()
		}
		if differences := jsonDiff(t, answers[0], answers[1], "pid", "uid"); len(differences) > 0 {
			t.Errorf("%s: fresh and forked differ:\n%s", s.runtime, strings.Join(differences, "\n"))
		}
		if !strings.Contains(answers[1], `"ppid": 1`) || !strings.Contains(answers[1], "CapBnd:\\t0000000000000000") {
			t.Errorf("%s: %s", s.runtime, answers[1])
		}
	}
}

// handlers are functions and what they answer, or what ends them, or what they print.
var handlers = []struct {
	name, text, handler, env string
	failure, answer, kind    string
	prints                   []string
}{
	{name: "hello", text: "def handler(e, c): return 'hi'", answer: `"hi"`},
	{name: "module path", handler: "pkg/sub.handler", text: "", answer: `"sub"`},
	{name: "dotted", handler: "pkg.sub.handler", text: "", answer: `"sub"`},
	{name: "missing", text: "x = 1", failure: `{"errorMessage": "Handler 'handler' missing on module 'app'", "errorType": "Runtime.HandlerNotFound", "requestId": "", "stackTrace": []}`},
	{name: "no module", handler: "nothing.handler", failure: `"Unable to import module 'nothing': No module named 'nothing'", "errorType": "Runtime.ImportModuleError"`},
	{name: "syntax", text: "def handler(:", failure: "Runtime.UserCodeSyntaxError"},
	{name: "raises at init", text: "raise ValueError('no')", failure: `{"errorMessage": "no", "errorType": "ValueError", "requestId": "", "stackTrace": ["  File`,
		prints: []string{"[ERROR] ValueError: no\x1eTraceback (most recent call last):\x1e"}},
	{name: "exit at init", text: "import sys; sys.exit(3)", failure: "exit status 3"},
	{name: "raises", text: "def handler(e, c):\n    raise KeyError('x')", kind: "KeyError",
		answer: `{"errorMessage": "'x'", "errorType": "KeyError", "requestId": "11111111-2222-3333-4444-555555555555", "stackTrace": ["  File \"/var/task/app.py\", line 2, in handler\n    raise KeyError('x')\n"]}`},
	{name: "exits", text: "import sys\ndef handler(e, c): sys.exit(4)", kind: "exit status 4"},
	{name: "exits at once", text: "import os\ndef handler(e, c): os._exit(5)", kind: "exit status 5"},
	{name: "interrupted", text: "def handler(e, c): raise KeyboardInterrupt", kind: "signal: interrupt"},
	{name: "not JSON", text: "def handler(e, c): return {1, 2}", kind: "Runtime.MarshalError", answer: "Unable to marshal response: Object of type set is not JSON serializable"},
	{name: "bytes", text: "def handler(e, c): return b'\\xff'", answer: "\xff"},
	{name: "prints", text: "import sys, os\ndef handler(e, c):\n    print('a\\nb'); sys.stdout = open(os.devnull, 'w'); os.write(1, b'\\xff\\n'); raise ValueError",
		kind: "ValueError", prints: []string{"a\nb\n", "\xff\n", "[ERROR] ValueError: \x1e"}},
	{name: "logs", text: "import logging\ndef handler(e, c):\n    logging.warning('w\\nx')", answer: "null", prints: []string{"[WARNING]\t", "Z\t11111111-2222-3333-4444-555555555555\tw\x1ex\n"}},
	{name: "logs JSON", env: "AWS_LAMBDA_LOG_FORMAT=JSON AWS_LAMBDA_LOG_LEVEL=INFO", answer: "null",
		text:   "import logging\nlog = logging.getLogger('mine')\ndef handler(e, c):\n    log.debug('no'); log.info('yes', extra={'order': 5}); print('plain')\n    try: 1/0\n    except Exception: log.exception('bad')",
		prints: []string{`"level": "INFO", "message": "yes", "logger": "mine", "requestId": "11111111-2222-3333-4444-555555555555", "tenantId": "blue", "order": 5}`, "\nplain\n", `"errorType": "ZeroDivisionError", "errorMessage": "division by zero", "location": "/var/task/app.py:handler:6"`}},
	{name: "error JSON", env: "AWS_LAMBDA_LOG_FORMAT=JSON", text: "def handler(e, c): raise ValueError('x')", kind: "ValueError", prints: []string{`"log_level": "ERROR", "errorMessage": "x", "errorType": "ValueError"`}},
	{name: "threads", text: "import threading\ndef handler(e, c):\n    out = []\n    t = threading.Thread(target=lambda: out.append(threading.main_thread().name)); t.start(); t.join(); return out", answer: `["MainThread"]`},
	{name: "processes", text: "import subprocess, sys, multiprocessing as m\ndef f(q): q.send(7)\ndef handler(e, c):\n    a, b = m.get_context('spawn').Pipe(); p = m.get_context('spawn').Process(target=f, args=(b,)); p.start(); p.join()\n    return [a.recv(), subprocess.check_output([sys.executable, '-c', 'print(5)']).decode()]", answer: `[7, "5\n"]`},
	{name: "huge", text: "def handler(e, c): return 'x' * (7 << 20)", kind: "Function.ResponseSizeTooLarge"},
	{name: "hooks", env: "AWS_LAMBDA_INITIALIZATION_TYPE=snap-start", answer: `["b2", "b1", "a1", "a2"]`,
		text: "from snapshot_restore_py import *\nran = []\n@register_before_snapshot\ndef b1(): ran.append('b1')\nregister_before_snapshot(ran.append, 'b2')\n@register_after_restore\ndef a1(): ran.append('a1')\nregister_after_restore(ran.append, 'a2')\ndef handler(e, c): return ran"},
	{name: "bad hook", env: "AWS_LAMBDA_INITIALIZATION_TYPE=snap-start", failure: `"errorMessage": "no", "errorType": "Runtime.AfterRestoreError"`,
		text: "from snapshot_restore_py import *\n@register_after_restore\ndef a1(): raise ValueError('no')\ndef handler(e, c): pass"},
	{name: "no snapshot", answer: `[]`, text: "from snapshot_restore_py import *\nran = []\nregister_after_restore(ran.append, 'a2')\ndef handler(e, c): return ran"},
}

// TestHandlers runs every handler forked and fresh.
func TestHandlers(t *testing.T) {
	s := newStand(t)
	for _, fresh := range []bool{false, true} {
		for _, c := range handlers {
			files := map[string]string{"app.py": c.text, "pkg/sub.py": "def handler(e, c): return 'sub'"}
			env := map[string]string{}
			for kv := range strings.FieldsSeq(c.env) {
				name, value, _ := strings.Cut(kv, "=")
				env[name] = value
			}
			handler := c.handler
			if handler == "" {
				handler = "app.handler"
			}
			v, _, failure := s.function(fresh, files, handler, env)
			if failure != c.failure && (c.failure == "" || !strings.Contains(failure, c.failure)) {
				t.Errorf("%s, fresh %v: %s\n%s", c.name, fresh, failure, v.out)
			}
			if failure == "" {
				answer, kind := v.invoke("{}")
				if kind != c.kind || !strings.Contains(answer, c.answer) {
					t.Errorf("%s, fresh %v: %.300s %q\n%s", c.name, fresh, answer, kind, v.out)
				}
			}
			v.end()
			for _, p := range c.prints {
				if !strings.Contains(v.out.String(), p) {
					t.Errorf("%s, fresh %v, printed %q", c.name, fresh, v.out)
				}
			}
		}
	}
}

func jsonDiff(t *testing.T, a, b string, but ...string) []string {
	t.Helper()
	x, y := map[string]any{}, map[string]any{}
	decode(t, a, &x)
	decode(t, b, &y)
	var out []string
	for _, k := range slices.Sorted(maps.Keys(x)) {
		if one, two := encode(t, x[k]), encode(t, y[k]); one != two && !slices.Contains(but, k) {
			out = append(out, k+": "+one+"\n    "+two)
		}
	}
	return out
}
