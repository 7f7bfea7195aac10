// Package ric holds the Runtime, Extensions and Telemetry APIs against programs that AWS wrote for Lambda's: its runtime interface clients for Python,
// Node and Go, and against extensions. They run as plain processes, without a sandbox, and then as functions on a cloud.
package ric

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/engine/runtimeapi"
	"croft/test/harness"
)

// within bounds what one program may take for one thing, on a busy machine.
const within = 60 * time.Second

// environment is an environment's APIs and the programs in it.
type environment struct {
	t    *testing.T
	api  *runtimeapi.Server
	addr string
	ctx  context.Context
}

func newEnvironment(t *testing.T, o runtimeapi.Options) *environment {
	t.Helper()
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	ctx, cancel := clock.WithTimeout(t.Context(), clock.Real(), 5*within)
	e := &environment{t: t, api: runtimeapi.New(o), ctx: ctx}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.addr = l.Addr().String()
	srv := &http.Server{Handler: e.api.Handler(), ReadHeaderTimeout: within}
	var work sync.WaitGroup
	work.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() {
		cancel()
		e.api.Close()
		_ = srv.Close()
		work.Wait()
	})
	return e
}

// output is what a program writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// program is a running program; done closes when it has ended.
type program struct {
	out  output
	done chan struct{}
}

// start starts a program in dir with the variables that a function has, and env. It ends with the test.
func (e *environment) start(dir string, env []string, args ...string) *program {
	e.t.Helper()
	ctx, cancel := context.WithCancel(e.ctx)
	p := &program{done: make(chan struct{})}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &p.out, &p.out
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + e.t.TempDir(), "AWS_LAMBDA_RUNTIME_API=" + e.addr, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"LAMBDA_TASK_ROOT=" + dir,
		"AWS_LAMBDA_FUNCTION_NAME=f", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/f", "AWS_LAMBDA_LOG_STREAM_NAME=s",
	}, env...)
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	e.t.Cleanup(func() {
		cancel()
		<-p.done
		if e.t.Failed() {
			e.t.Logf("%s wrote:\n%s", args, &p.out)
		}
	})
	return p
}

// await waits for c while p runs.
func (e *environment) await(p *program, what string, c <-chan struct{}) {
	e.t.Helper()
	ctx, cancel := clock.WithTimeout(e.ctx, clock.Real(), within)
	defer cancel()
	select {
	case <-c:
	case <-p.done:
		e.t.Fatalf("the program ended before it was %s", what)
	case <-ctx.Done():
		e.t.Fatalf("not %s within %v", what, within)
	}
}

// stream is a Stream that keeps what it gets.
type stream struct {
	mediaType string
	bytes.Buffer
}

func (s *stream) Begin(mediaType string, _ bool) error {
	s.mediaType = mediaType
	return nil
}

func (e *environment) invoke(id, payload string, to runtimeapi.Stream) runtimeapi.Answer {
	e.t.Helper()
	ctx, cancel := clock.WithTimeout(e.ctx, clock.Real(), within)
	defer cancel()
	a, err := e.api.Invoke(ctx, runtimeapi.Invocation{
		RequestID: id, Payload: []byte(payload), FunctionARN: "arn:aws:lambda:us-east-1:123456789012:function:f", Stream: to,
		Deadline: clock.Real().Now().Add(within), TraceID: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
		ClientContext: `{"custom":{"k":"v"},"client":{},"env":{}}`, Identity: `{"cognitoIdentityId":"me","cognitoIdentityPoolId":"pool"}`,
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return a
}

// testdata returns a folder of testdata by its full path.
func testdata(t *testing.T, name string) string {
	return filepath.Join(harness.Root(t), "test", "ric", "testdata", name)
}

// install runs an installer in a new folder, and skips the test where it does not succeed.
func install(t *testing.T, what string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skipf("SKIPPED: this test needs %s: %v", args[0], err)
	}
	ctx, cancel := clock.WithTimeout(t.Context(), clock.Real(), 3*within)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this test needs %s, which cannot be had here: %v\n%s", what, err, out)
	}
	return dir
}

// echoed checks what the handlers of testdata answer, in all languages.
func (e *environment) echoed(a runtimeapi.Answer, id, payload string) {
	e.t.Helper()
	var got struct {
		Event               json.RawMessage
		ID, ARN, Custom, Me string
		Left                int64
	}
	if err := json.Unmarshal(a.Payload, &got); err != nil || a.ErrorType != "" {
		e.t.Fatalf("%v %s %s", err, a.ErrorType, a.Payload)
	}
	var sent, back any
	if json.Unmarshal([]byte(payload), &sent) != nil || json.Unmarshal(got.Event, &back) != nil || !equal(sent, back) || got.ID != id ||
		got.ARN != "arn:aws:lambda:us-east-1:123456789012:function:f" || got.Custom != "v" || got.Me != "me" || got.Left < 1000 || got.Left > within.Milliseconds() {
		e.t.Errorf("%.300s", a.Payload)
	}
}

func equal(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// client takes a runtime interface client through what all of them do.
func (e *environment) client(p *program) {
	e.t.Helper()
	e.await(p, "ready", e.api.Ready())
	for i, payload := range []string{`{"a":[1,2,{"ü":"€"}]}`, `null`, `"` + strings.Repeat("x", 5<<20) + `"`, `{"again":true}`} {
		id := "8476a536-e9f4-11e8-9739-2dfe598c3fc" + string(rune('0'+i))
		e.echoed(e.invoke(id, payload, nil), id, payload)
	}
	a := e.invoke("8476a536-e9f4-11e8-9739-2dfe598c3fd1", `{"fail":true}`, nil)
	var doc struct{ ErrorMessage, ErrorType string }
	if err := json.Unmarshal(a.Payload, &doc); err != nil || doc.ErrorMessage != "as told" || doc.ErrorType == "" || a.ErrorType == "" {
		e.t.Errorf("a failure: %q %s", a.ErrorType, a.Payload)
	}
	if a = e.invoke("8476a536-e9f4-11e8-9739-2dfe598c3fd2", `{"large":true}`, nil); a.ErrorType != "Function.ResponseSizeTooLarge" {
		e.t.Errorf("a response that is too large: %q %.100s", a.ErrorType, a.Payload)
	}
}

func TestPython(t *testing.T) {
	target := install(t, "awslambdaric", "python3", "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--target", ".", "awslambdaric==4.2.2")
	dir := testdata(t, "python")
	run := func(handler string) (*environment, *program) {
		e := newEnvironment(t, runtimeapi.Options{})
		return e, e.start(dir, []string{"PYTHONPATH=" + target, "PYTHONDONTWRITEBYTECODE=1"}, "python3", "-m", "awslambdaric", handler)
	}
	e, p := run("app.handler")
	e.client(p)
	for handler, want := range map[string]string{"missing.handler": "Runtime.ImportModuleError", "broken.handler": "Runtime.UserCodeSyntaxError", "app.none": "Runtime.HandlerNotFound"} {
		e, p := run(handler)
		e.await(p, "failed", e.api.Failed())
		if a := e.api.InitError(); a.ErrorType != want || !strings.Contains(string(a.Payload), "errorMessage") {
			t.Errorf("%s: %q %s", handler, a.ErrorType, a.Payload)
		}
	}
}

// nodeClient is npm's name for AWS's client. A part of it is C++, which takes a minute or two to compile.
const nodeClient = "aws-lambda-ric@4.0.2"

// installNode builds the client for Node once, outside the tree, and returns its program.
func installNode(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"node", "npm", "cmake", "make", "g++"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("SKIPPED: this test needs %s: %v", name, err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("SKIPPED: no place for %s: %v", nodeClient, err)
	}
	dir := filepath.Join(cache, "croft-test", strings.ReplaceAll(nodeClient, "@", "-"))
	program := filepath.Join(dir, "node_modules", "aws-lambda-ric", "index.mjs")
	if _, err := os.Stat(filepath.Join(dir, "done")); err == nil {
		return program
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := clock.WithTimeout(t.Context(), clock.Real(), 6*within)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", nodeClient)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this test needs %s, which cannot be built here: %v\n%s", nodeClient, err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "done"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return program
}

func TestNode(t *testing.T) {
	client := installNode(t)
	dir := testdata(t, "node")
	run := func(handler string) (*environment, *program) {
		e := newEnvironment(t, runtimeapi.Options{})
		return e, e.start(dir, []string{"_HANDLER=" + handler}, "node", client)
	}
	e, p := run("app.handler")
	e.client(p)
	e, p = run("app.streaming")
	e.await(p, "ready", e.api.Ready())
	var s stream
	if a := e.invoke("8476a536-e9f4-11e8-9739-2dfe598c3fd3", `{}`, &s); a.ErrorType != "" || !a.Streamed || s.String() != "one two" || s.mediaType != "text/x" {
		t.Errorf("%+v %q %q", a, s.mediaType, s.String())
	}
	s = stream{}
	if a := e.invoke("8476a536-e9f4-11e8-9739-2dfe598c3fd4", `{"fail":true}`, &s); a.ErrorType == "" || !a.Streamed || !strings.Contains(string(a.Payload), "as told") || s.String() != "one " {
		t.Errorf("%+v %s %q", a, a.Payload, s.String())
	}
	e, p = run("missing.handler")
	e.await(p, "failed", e.api.Failed())
	if a := e.api.InitError(); a.ErrorType != "Runtime.ImportModuleError" {
		t.Errorf("%q %s", a.ErrorType, a.Payload)
	}
}

// buildGo builds the function in Go.
func buildGo(t *testing.T, binary string) {
	t.Helper()
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = testdata(t, "goapp")
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this test needs github.com/aws/aws-lambda-go, which cannot be had here: %v\n%s", err, out)
	}
}

func TestGo(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "bootstrap")
	buildGo(t, binary)
	e := newEnvironment(t, runtimeapi.Options{})
	p := e.start(t.TempDir(), nil, binary)
	e.client(p)
	e = newEnvironment(t, runtimeapi.Options{})
	p = e.start(t.TempDir(), []string{"MODE=stream"}, binary)
	e.await(p, "ready", e.api.Ready())
	var s stream
	if a := e.invoke("8476a536-e9f4-11e8-9739-2dfe598c3fd3", `{}`, &s); a.ErrorType != "" || !a.Streamed || s.String() != "one two" {
		t.Errorf("%+v %q", a, s.String())
	}
	s = stream{}
	if a := e.invoke("8476a536-e9f4-11e8-9739-2dfe598c3fd4", `{"fail":true}`, &s); a.ErrorType == "" || !a.Streamed || !strings.Contains(string(a.Payload), "as told") {
		t.Errorf("%+v %s %q", a, a.Payload, s.String())
	}
	// Nobody wants it in pieces: the error still comes through.
	if a := e.invoke("8476a536-e9f4-11e8-9739-2dfe598c3fd5", `{"fail":true}`, nil); a.ErrorType == "" || a.Streamed || !strings.Contains(string(a.Payload), "as told") {
		t.Errorf("%+v %s", a, a.Payload)
	}
}

// drain is where the fixture's extension sends what it got; the test listens there.
func drain(t *testing.T) (string, <-chan string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 100)
	srv := &http.Server{ReadHeaderTimeout: within, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		got <- string(b)
	})}
	var work sync.WaitGroup
	work.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() {
		_ = srv.Close()
		work.Wait()
	})
	return l.Addr().String(), got
}
