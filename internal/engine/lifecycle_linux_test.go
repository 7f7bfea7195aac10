package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"croft/internal/cloud"
)

func TestTimeout(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function(`
import subprocess, sys, time
def handler(event, context):
    print("before", end="", flush=True)
    subprocess.Popen([sys.executable, "-c", "while True: pass"])
    while True: time.sleep(60)
`)
	fn.Timeout = time.Second
	r := w.invoke(fn, "{}")
	id := requestID(1)
	w.expect(r, "Unhandled", `{"errorType": "Sandbox.Timedout", "errorMessage": "RequestId: `+id+` Error: Task timed out after 1.00 seconds"}`)
	if r.Duration != time.Second || r.MaxMemoryMB < 5 {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"\nbefore\n", "Z " + id + " Task timed out after 1.00 seconds\nEND ", "Duration: 1000.00 ms", "\tStatus: timeout"} {
		if !strings.Contains(string(r.LogTail), want) {
			t.Errorf("tail lacks %q:\n%s", want, r.LogTail)
		}
	}
	if r = w.invoke(fn, "{}"); !r.Cold {
		t.Error("the environment was used again")
	}
}

// TestSlowInit takes longer to initialise than the function may run, but less than Lambda allows for that.
func TestSlowInit(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function("import time\ntime.sleep(1.2)\ndef handler(event, context): return 1\n")
	fn.Timeout = time.Second
	r := w.invoke(fn, "{}")
	w.expect(r, "", "1")
	if r.Init < 1200*time.Millisecond || r.Duration > time.Second {
		t.Errorf("%+v", r)
	}
}

func TestInitIsBegunAgain(t *testing.T) {
	w := newWorld(t, nil)
	w.engine.initTime = time.Second
	fn := w.function("import time\ntime.sleep(60)\ndef handler(event, context): return 1\n")
	fn.Timeout = time.Second
	r := w.invoke(fn, "{}")
	w.expect(r, "Unhandled", `{"errorType": "Sandbox.Timedout", "errorMessage": "~.*Task timed out after 1.00 seconds"}`)
	log := w.log()
	for _, want := range []string{"Phase: init\tStatus: timeout", "Phase: invoke\tStatus: timeout", "START ", "Task timed out", "END ", "REPORT "} {
		_, after, ok := strings.Cut(log, want)
		if !ok {
			t.Fatalf("log lacks %q where it was looked for:\n%s", want, w.log())
		}
		log = after
	}
}

// TestDeathWhileIdle kills the process between two invocations: the second gets a new environment, not an error.
func TestDeathWhileIdle(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function("n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n\n")
	w.expect(w.invoke(fn, "{}"), "", "1")
	env := w.idle(fn)
	env.process.Kill()
	<-env.process.gone
	w.expect(w.invoke(fn, "{}"), "", "1")
	w.expect(w.invoke(fn, "{}"), "", "2")
}

func TestConcurrencyAndBounds(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxEnvironments, c.MaxWait = 3, 20*time.Second })
	fn := w.function(`
import time, os
def handler(event, context):
    time.sleep(event["for"])
    return context.log_stream_name
`)
	var group sync.WaitGroup
	streams := make([]string, 8)
	for i := range streams {
		group.Go(func() {
			r, err := w.try(fn, `{"for": 0.1}`)
			if err != nil {
				t.Error(err)
				return
			}
			streams[i] = string(r.Payload)
		})
	}
	group.Wait()
	distinct := map[string]bool{}
	for _, s := range streams {
		distinct[s] = true
	}
	if len(distinct) == 0 || len(distinct) > 3 {
		t.Errorf("%d environments", len(distinct))
	}
	// Another function takes the place of one that is idle.
	other := w.function("def handler(event, context): return 1\n")
	other.ARN += "2"
	w.expect(w.invoke(other, "{}"), "", "1")
	if w.engine.pools.live != 3 {
		t.Errorf("%d live", w.engine.pools.live)
	}
}

func TestTooMany(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxWait = 50 * time.Millisecond })
	fn := w.function("import time\ndef handler(event, context):\n    print('in')\n    time.sleep(1)\n    return 1\n")
	fn.Reserved = new(int)
	*fn.Reserved = 1
	done := make(chan *Result, 1)
	go func() {
		r, err := w.try(fn, "{}")
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	w.await("in")
	_, err := w.try(fn, "{}")
	var e *cloud.Error
	if !errors.As(err, &e) || e.Code != "TooManyRequestsException" || e.Status != 429 || e.Fields["Reason"] != "ReservedFunctionConcurrentInvocationLimitExceeded" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.engine.Invoke(ctx, fn, Invocation{RequestID: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	<-done
}

// await waits until the log holds text.
func (w *world) await(text string) {
	for !strings.Contains(w.log(), text) {
		<-w.logged
	}
}

// TestCallerGoesAway: the function runs to its end, and its environment serves on.
func TestCallerGoesAway(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function("import time\ndef handler(event, context):\n    print('in')\n    time.sleep(0.3)\n    print('out')\n    return context.log_stream_name\n")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := w.engine.Invoke(ctx, fn, Invocation{RequestID: "id-1"})
		failed <- err
	}()
	w.await("in")
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	w.await("out\nEND RequestId: id-1")
	if r := w.invoke(fn, "{}"); r.FunctionError != "" {
		t.Errorf("got %+v", r)
	}
}

func TestRevisionsAndRetire(t *testing.T) {
	w := newWorld(t, nil)
	one := w.function("def handler(event, context): return 1\n")
	w.expect(w.invoke(one, "{}"), "", "1")
	two := w.function("def handler(event, context): return 2\n")
	old := w.idle(one)
	w.expect(w.invoke(two, "{}"), "", "2")
	<-old.process.gone
	published := one
	published.Version = "1"
	w.expect(w.invoke(published, "{}"), "", "1")
	if r := w.invoke(two, "{}"); r.Cold {
		t.Error("another version retired $LATEST")
	}
	of2, of1 := w.idle(two), w.idle(published)
	w.engine.Retire(testARN)
	<-of2.process.gone
	<-of1.process.gone
	if r := w.invoke(two, "{}"); !r.Cold {
		t.Error("a retired environment was used")
	}
}

func (w *world) idle(fn Function) *environment {
	w.t.Helper()
	w.engine.pools.mu.Lock()
	defer w.engine.pools.mu.Unlock()
	p := w.engine.pools.byKey[poolKey{fn.ARN, fn.Version, fn.Revision}]
	if p == nil || len(p.idle) == 0 {
		w.t.Fatal("no idle environment")
	}
	return p.idle[0]
}

func TestExpiringCredentials(t *testing.T) {
	calls := 0
	w := newWorld(t, func(c *Config) {
		c.Credentials = func(context.Context, Function) (Credentials, error) {
			calls++
			return Credentials{AccessKeyID: fmt.Sprint(calls), Expires: c.Clock.Now().Add(time.Minute)}, nil
		}
	})
	fn := w.function("import os\ndef handler(event, context): return os.environ['AWS_ACCESS_KEY_ID']\n")
	w.expect(w.invoke(fn, "{}"), "", `"1"`)
	w.expect(w.invoke(fn, "{}"), "", `"2"`)
}

func TestClose(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function("import time\ndef handler(event, context):\n    print('in')\n    time.sleep(60)\n")
	fn.Timeout = time.Minute
	failed := make(chan error, 1)
	go func() {
		_, err := w.try(fn, "{}")
		failed <- err
	}()
	w.await("in")
	if err := w.engine.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; cloud.Code(err) != "ServiceException" || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("got %v", err)
	}
	if _, err := w.try(fn, "{}"); cloud.Code(err) != "ServiceException" {
		t.Errorf("after Close: %v", err)
	}
	w.engine.Retire(testARN)
}

// TestCloseWhileIdle: a runtime that waits for its next event goes without a word.
func TestCloseWhileIdle(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function("def handler(event, context): return 1\n")
	w.expect(w.invoke(fn, "{}"), "", "1")
	if err := w.engine.Close(); err != nil {
		t.Error(err)
	}
	if log := w.log(); strings.Contains(log, "Traceback") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestPlatformErrors(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Credentials = func(_ context.Context, fn Function) (Credentials, error) {
			if fn.Role == "none" {
				return Credentials{}, cloud.Errorf("AccessDeniedException", "no such role")
			}
			return Credentials{}, nil
		}
	})
	fn := w.function("def handler(event, context): return 1\n")
	for code, change := range map[string]func(*Function){
		"InvalidRuntimeException": func(fn *Function) { fn.Runtime = "cobol85" },
		"InvalidZipFileException": func(fn *Function) {
			fn.CodeSHA = strings.Repeat("0", 64)
			w.code[fn.CodeSHA] = []byte("no zip")
		},
		"AccessDeniedException": func(fn *Function) { fn.Role = "none" },
		"":                      func(fn *Function) { fn.CodeSHA = strings.Repeat("1", 64) },
	} {
		f := fn
		change(&f)
		if _, err := w.try(f, "{}"); err == nil || cloud.Code(err) != code {
			t.Errorf("%s: %v", code, err)
		}
	}
	_, err := w.engine.Invoke(t.Context(), fn, Invocation{RequestID: "x", ClientContext: []byte("{")})
	if cloud.Code(err) != "InvalidRequestContentException" {
		t.Errorf("a broken client context: %v", err)
	}
	if _, err = w.engine.Invoke(t.Context(), fn, Invocation{}); err == nil {
		t.Error("an invocation without an id")
	}
	if w.engine.pools.live != 0 {
		t.Errorf("%d places are lost", w.engine.pools.live)
	}
	w.expect(w.invoke(fn, "{}"), "", "1")
}

// TestPythonLibraries uses what sandboxes make difficult: threads, processes, sockets, files, certificates, time zones, shared libraries.
func TestPythonLibraries(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function(`
import concurrent.futures, ctypes, decimal, hashlib, json, locale, logging, lzma, os, pwd, random, signal, socket, sqlite3, ssl, subprocess, sys
import tempfile, threading, time, uuid, zoneinfo, datetime
logging.getLogger().setLevel("INFO")
def handler(event, context):
    logging.info("one\ntwo")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        threads = sum(pool.map(lambda n: n * n, range(100)))
    child = subprocess.run([sys.executable, "-c", "print('child')"], capture_output=True, text=True, check=True).stdout
    r, w = socket.socketpair(); r.send(b"x"); w.recv(1)
    server = socket.create_server(("127.0.0.1", 0)); socket.create_connection(server.getsockname()).close()
    with tempfile.NamedTemporaryFile() as f: f.write(b"x" * 1000000)
    db = sqlite3.connect("/tmp/db"); db.execute("create table t (x)"); db.commit()
    signal.signal(signal.SIGTERM, lambda *_: None); os.kill(os.getpid(), signal.SIGTERM)
    try: socket.getaddrinfo("example.com", 80); dns = "resolved"
    except socket.gaierror as e: dns = "fails"
    return {
        "threads": threads, "child": child, "user": pwd.getpwuid(os.getuid()).pw_name, "authorities": len(ssl.create_default_context().get_ca_certs()) > 0,
        "zone": datetime.datetime(2026, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")).utcoffset().seconds,
        "decimal": [decimal.Decimal("1.10"), {"d": decimal.Decimal("1E+2")}], "cwd": os.getcwd(), "dns": dns, "localhost": socket.gethostbyname("localhost"),
        "path": [p for p in sys.path if p.startswith(("/var/task", "/opt"))], "tz": time.tzname[0], "stdin": sys.stdin.read(),
        "cpus": os.cpu_count() > 0,
    }
`)
	r := w.invoke(fn, "{}")
	version := strings.SplitN(strings.SplitN(w.log(), "python:3.11.v3.", 2)[1], ".", 2)[0]
	w.expect(r, "", `{"threads": 328350, "child": "child\n", "user": "sbx_user1051", "authorities": true, "zone": 7200, "decimal": [1.10, {"d": 100}],
		"cwd": "/var/task", "dns": "fails", "localhost": "127.0.0.1", "path": ["/var/task", "/opt/python/lib/python3.`+version+`/site-packages", "/opt/python"],
		"tz": "UTC", "stdin": "", "cpus": true}`)
	if !strings.Contains(string(r.Payload), "1.10") {
		t.Errorf("the decimal lost its digits: %s", r.Payload)
	}
	for _, b := range w.batches {
		for _, l := range b.Lines {
			if strings.Contains(l.Text, "one") && !strings.HasSuffix(l.Text, "Z\t"+requestID(1)+"\tone\ntwo") {
				t.Errorf("the event %q", l.Text)
			}
		}
	}
	if !strings.Contains(w.log(), "[INFO]\t20") {
		t.Errorf("log:\n%s", w.log())
	}
}

// TestLargePayloads sends and returns nearly as much as Lambda allows, and prints more than a pipe holds.
func TestLargePayloads(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function("def handler(event, context):\n    for i in range(3000): print(i, 'x' * 100)\n    return event\n")
	payload := `"` + strings.Repeat("x", 6<<20-10) + `"`
	if r := w.invoke(fn, payload); string(r.Payload) != payload {
		t.Errorf("got %.100s… of %d bytes", r.Payload, len(r.Payload))
	}
	lines := strings.Split(w.log(), "\n")
	if len(lines) != 3004 || !strings.HasPrefix(lines[2], "0 x") || !strings.HasPrefix(lines[3001], "2999 x") {
		t.Errorf("%d lines", len(lines))
	}
}

// TestIsolation is the function's view; package sandbox tests the walls themselves.
func TestIsolation(t *testing.T) {
	w := newWorld(t, nil)
	t.Setenv("SERVER_SECRET", "of the server")
	fn := w.function(`
import os, socket
def outcome(f):
    try: return repr(f())
    except OSError as e: return e.strerror
def handler(event, context):
    def connect(*to): return socket.create_connection(to, 2)
    return {
        "shadow": outcome(lambda: open("/etc/shadow").read()), "home": outcome(lambda: os.listdir("/home")),
        "data": outcome(lambda: os.listdir(event["data"])), "server": outcome(lambda: open("/proc/1/environ").read()),
        "tmp": os.listdir("/tmp"), "kill": outcome(lambda: os.kill(-1, 9)), "write": outcome(lambda: open("/var/task/x", "w")),
        "runtime": outcome(lambda: open("/var/runtime/bootstrap.py", "a")), "machine": outcome(lambda: connect(*event["machine"])),
        "metadata": outcome(lambda: connect("169.254.169.254", 80)), "leave": open("/tmp/mine", "w").write("x"),
        "secret": os.environ.get("SERVER_SECRET"),
    }
`)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host, port, _ := strings.Cut(l.Addr().String(), ":")
	payload, err := json.Marshal(map[string]any{"data": w.engine.cfg.Dir, "machine": []string{host, port}})
	if err != nil {
		t.Fatal(err)
	}
	const none = "No such file or directory"
	want := `{"shadow": "` + none + `", "home": "` + none + `", "data": "` + none + `", "server": "` + none + `", "tmp": [], "kill": "No such process",
		"write": "Read-only file system", "runtime": "~(Read-only file system|Permission denied)", "machine": "Connection refused",
		"metadata": "~(No route to host|Network is unreachable)", "leave": 1, "secret": null}`
	w.expect(w.invoke(fn, string(payload)), "", want)
	fn.ARN += "2"
	w.expect(w.invoke(fn, string(payload)), "", want)
}

func TestVersions(t *testing.T) {
	w := newWorld(t, nil)
	for _, name := range Runtimes() {
		if !strings.HasPrefix(name, "python") {
			continue
		}
		fn := w.function("import sys\ndef handler(event, context): return '%d.%d' % sys.version_info[:2]\n")
		fn.Runtime, fn.ARN = name, testARN+name
		r := w.invoke(fn, "{}")
		if got := "python" + strings.Trim(string(r.Payload), `"`); got != name {
			t.Logf("%s ran on %s, and croft said %q", name, got, w.progress)
			if len(w.progress) == 0 {
				t.Errorf("%s ran on %s without a word", name, got)
			}
		}
	}
}

// TestBoto3 runs where an interpreter has boto3; nothing is installed.
func TestBoto3(t *testing.T) {
	if err := exec.Command("python3.11", "-c", "import boto3").Run(); err != nil {
		t.Skipf("NO BOTO3 HERE, NOTHING IS TESTED: %v", err)
	}
	w := newWorld(t, nil)
	fn := w.function("import boto3\nclient = boto3.client('sqs')\ndef handler(event, context): return client.meta.endpoint_url\n")
	fn.Env = map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
	w.expect(w.invoke(fn, "{}"), "", `"http://127.0.0.1:4566"`)
}

// TestAsOrdinaryUser runs these tests again as a user without rights, from a copy of this binary.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 || testing.Short() {
		t.Skip("SKIPPED, the tests are not run again as an ordinary user: this is one already, or the run is short")
	}
	dir, err := os.MkdirTemp("", "croft-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	first, err := firstProgram()
	if err != nil {
		t.Fatal(err)
	}
	copied, built := filepath.Join(dir, "engine.test"), filepath.Join(dir, "croft-first")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(copied, self, fs.FileMode(0o755)), os.WriteFile(built, first, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied, "-test.v", "-test.short", "-test.run=Hello|Errors|Isolation|Libraries|Timeout|Context|Attacks|Hostile|Leak")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", firstVar + "=" + built}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, missing := range []string{"NO SANDBOX HERE", "NO PYTHON HERE"} {
		if strings.Contains(string(out), missing) {
			t.Skipf("%s FOR AN ORDINARY USER:\n%s", missing, out)
		}
	}
}

// TestBoto3IsInstalled is the one test that needs a package index: it asks for a runtime whose interpreter, on most machines, lacks boto3.
func TestBoto3IsInstalled(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED, the installation of boto3 is not tested: it needs a package index, and the run is short")
	}
	w := newWorld(t, nil)
	fn := w.function("import boto3, sys\ndef handler(event, context):\n    boto3.client('sqs')\n    return boto3.__file__\n")
	fn.Runtime = "python3.12"
	r, err := w.try(fn, "{}")
	if cloud.Code(err) == "ServiceException" && strings.Contains(err.Error(), " -m pip install ") {
		t.Skipf("NO PACKAGE INDEX HERE, NOTHING IS TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(w.progress) == 0 {
		t.Skip("SKIPPED, the installation of boto3 is not tested: python3.12 has it here")
	}
	w.expect(r, "", `"/var/lang/sdk/boto3/__init__.py"`)
}
