package engine

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/engine/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

const testARN = "arn:aws:lambda:eu-west-1:000000000000:function:f"

// world is an engine and what surrounds it.
type world struct {
	t      testing.TB
	engine *Engine
	logged chan struct{} // has a token when there are new log lines

	mu       sync.Mutex
	code     map[string][]byte
	lines    []string
	batches  []LogBatch
	progress []string
	ids      int
}

// firstVar names a file with the first process, for those who may not build it.
const firstVar = "CROFT_TEST_FIRST"

// firstProgram is what users have as the first process of sandboxes, built once. Other packages' tests execute themselves.
var firstProgram = sync.OnceValues(func() ([]byte, error) {
	if built := os.Getenv(firstVar); built != "" {
		return os.ReadFile(built)
	}
	dir, err := os.MkdirTemp("", "croft-first")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "croft-first")
	build := exec.Command("go", "build", "-o", file, "croft/cmd/croft-first")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the first process: %w\n%s", err, out)
	}
	return os.ReadFile(file)
})

func newWorld(t testing.TB, change func(*Config)) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := sandbox.Check(ctx); err != nil {
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSPC) {
			t.Skipf("NO SANDBOX HERE, NOTHING IS TESTED: %v", err)
		}
		t.Fatal(err)
	}
	first, err := firstProgram()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, code: map[string][]byte{}, logged: make(chan struct{}, 1)}
	cfg := Config{
		Clock: clock.Real(), Dir: t.TempDir(), Code: w.open, First: first,
		Package: func(ctx context.Context, fn Function, p Package) (io.ReaderAt, int64, io.Closer, error) {
			fn.CodeSHA = p.SHA
			return w.open(ctx, fn)
		},
		Logs: func(_ context.Context, b LogBatch) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.batches = append(w.batches, b)
			for _, l := range b.Lines {
				w.lines = append(w.lines, l.Text)
			}
			select {
			case w.logged <- struct{}{}:
			default:
			}
			return nil
		},
		Progress: func(s string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.progress = append(w.progress, s)
		},
	}
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.engine = e
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) open(_ context.Context, fn Function) (io.ReaderAt, int64, io.Closer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	data, ok := w.code[fn.CodeSHA]
	if !ok {
		return nil, 0, nil, fmt.Errorf("no code %s", fn.CodeSHA)
	}
	return bytes.NewReader(data), int64(len(data)), io.NopCloser(nil), nil
}

// pack makes a package of files, all executable, and returns its hash.
func (w *world) pack(files map[string]string) string {
	w.t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &zip.FileHeader{Name: name}
		h.SetMode(0o755)
		f, err := z.CreateHeader(h)
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := io.WriteString(f, files[name]); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256(buf.Bytes())
	sha := hex.EncodeToString(sum[:])
	w.mu.Lock()
	defer w.mu.Unlock()
	w.code[sha] = buf.Bytes()
	return sha
}

// layer makes a layer of files.
func (w *world) layer(files map[string]string) Package {
	sha := w.pack(files)
	return Package{ID: sha, SHA: sha, ARN: "arn:aws:lambda:eu-west-1:000000000000:layer:l:1"}
}

// function makes a function of the file app.py, whose handler is called handler.
func (w *world) function(source string) Function {
	w.t.Helper()
	sha := w.pack(map[string]string{"app.py": source})
	return Function{
		ARN: testARN, Name: "f", Version: "$LATEST", Account: "000000000000", Region: "eu-west-1", Runtime: "python3.11",
		Handler: "app.handler", Role: "arn:aws:iam::000000000000:role/r", MemoryMB: 256, Timeout: 20 * time.Second, CodeSHA: sha, Revision: sha,
	}
}

func (w *world) invoke(fn Function, payload string) *Result {
	w.t.Helper()
	r, err := w.try(fn, payload)
	if err != nil {
		var e *cloud.Error
		if errors.As(err, &e) && strings.Contains(e.Message, "Python interpreter") {
			w.t.Skipf("NO PYTHON HERE, NOTHING IS TESTED: %v", err)
		}
		w.t.Fatal(err)
	}
	return r
}

func (w *world) try(fn Function, payload string) (*Result, error) {
	w.mu.Lock()
	w.ids++
	id := requestID(w.ids)
	w.mu.Unlock()
	return w.engine.Invoke(context.Background(), fn, Invocation{RequestID: id, Payload: []byte(payload), Tail: true})
}

func requestID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func (w *world) log() string {
	w.engine.FlushLogs()
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.lines, "\n")
}

// expect checks a payload, which is JSON, against another; values that are strings may be patterns between slashes.
func (w *world) expect(r *Result, functionError, want string) {
	w.t.Helper()
	var got, pattern any
	if err := json.Unmarshal(r.Payload, &got); err != nil {
		w.t.Errorf("payload %s: %v", r.Payload, err)
		return
	}
	if err := json.Unmarshal([]byte(want), &pattern); err != nil {
		w.t.Fatal(err)
	}
	if r.FunctionError != functionError || !matches(got, pattern) {
		w.t.Errorf("got %q %s\nwant %q %s\nlog:\n%s", r.FunctionError, r.Payload, functionError, want, w.log())
	}
}

func matches(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(want) {
			return false
		}
		for k, v := range want {
			if !matches(g[k], v) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if ok && len(want) > 0 && want[0] == "..." && len(g) >= len(want) { // only the end counts
			g, want = g[len(g)-len(want)+1:], want[1:]
		}
		if !ok || len(g) != len(want) {
			return false
		}
		for i, v := range want {
			if !matches(g[i], v) {
				return false
			}
		}
		return true
	case string:
		if len(want) > 1 && want[0] == '~' {
			g, ok := got.(string)
			return ok && regexp.MustCompile("^(?s:"+want[1:]+")$").MatchString(g)
		}
	}
	return got == want
}

func TestHello(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function(`
n = 0
print("loading")
def handler(event, context):
    global n
    n += 1
    print("called with", event)
    return {"n": n, "event": event, "ü": "ö"}
`)
	r := w.invoke(fn, `{"a": [1, 2.5, null]}`)
	w.expect(r, "", `{"n": 1, "event": {"a": [1, 2.5, null]}, "ü": "ö"}`)
	if !r.Cold || r.Init <= 0 || r.Duration <= 0 || r.Billed < r.Duration+r.Init || r.MaxMemoryMB < 5 || r.MaxMemoryMB > 200 {
		t.Errorf("%+v", r)
	}
	tail := `^START RequestId: ` + requestID(1) + ` Version: \$LATEST
called with \{'a': \[1, 2.5, None\]\}
END RequestId: ` + requestID(1) + `
REPORT RequestId: ` + requestID(1) + `\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 256 MB\tMax Memory Used: \d+ MB\tInit Duration: [\d.]+ ms\t
$`
	if !regexp.MustCompile(tail).Match(r.LogTail) {
		t.Errorf("tail:\n%s", r.LogTail)
	}
	r = w.invoke(fn, "")
	w.expect(r, "", `{"n": 2, "event": {}, "ü": "ö"}`)
	if r.Cold || r.Init != 0 {
		t.Errorf("the second: %+v", r)
	}
	if log := w.log(); !regexp.MustCompile(`^INIT_START Runtime Version: python:3.11.v3\.\d+\.\d+\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:[0-9a-f]{64}
loading
START `).MatchString(log) || strings.Count(log, "INIT_START") != 1 {
		t.Errorf("log:\n%s", log)
	}
	stream := regexp.MustCompile(`^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`)
	for _, b := range w.batches {
		if b.Group != "/aws/lambda/f" || !stream.MatchString(b.Stream) || b.Account != "000000000000" || b.Region != "eu-west-1" {
			t.Errorf("batch %+v", b)
		}
	}
}

func TestContextAndEnvironment(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Credentials = func(_ context.Context, fn Function) (Credentials, error) {
			return Credentials{AccessKeyID: "ASIA1", SecretAccessKey: "secret", SessionToken: "token", Expires: c.Clock.Now().Add(time.Hour)}, nil
		}
		c.Endpoint = func(env Environment) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "%s %s for %s", r.Method, r.URL.Path, env.Function.Role)
			})
		}
	})
	t.Setenv("SERVER_SECRET", "x")
	fn := w.function(`
import os, urllib.request
def handler(event, context):
    left = context.get_remaining_time_in_millis()
    c = context.client_context
    return {
        "context": [context.function_name, context.function_version, context.invoked_function_arn, context.memory_limit_in_mb,
            context.aws_request_id, context.log_group_name, context.log_stream_name, 10000 < left <= 20000,
            c.custom, c.env, c.client.app_title, context.identity.cognito_identity_id],
        "env": {k: v for k, v in os.environ.items() if k != "LC_CTYPE"},  # Python sets it where the locale is missing
        "endpoint": urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/path").read().decode(),
    }
`)
	fn.Env = map[string]string{"MINE": "1", "AWS_REGION": "mars", "TZ": "Europe/Berlin"}
	r, err := w.engine.Invoke(t.Context(), fn, Invocation{
		RequestID: "id-1", InvokedARN: testARN + ":live", TraceID: "Root=1-2",
		ClientContext: []byte("{\n \"custom\": {\"k\": \"ü\"}, \"env\": {\"e\": \"1\"}, \"client\": {\"app_title\": \"t\"}}"),
	})
	if err != nil {
		t.Fatal(err)
	}
	const stream = `~\\d{4}/\\d\\d/\\d\\d/\\[\\$LATEST\\][0-9a-f]{32}`
	w.expect(r, "", `{
		"context": ["f", "$LATEST", "`+testARN+`:live", "256", "id-1", "/aws/lambda/f", "`+stream+`", true, {"k": "ü"}, {"e": "1"}, "t", null],
		"endpoint": "GET /path for arn:aws:iam::000000000000:role/r",
		"env": {
			"MINE": "1", "TZ": "Europe/Berlin", "LANG": "en_US.UTF-8", "PATH": "~.*:/usr/bin:/bin:/opt/bin", "LD_LIBRARY_PATH": "~.*/var/task/lib.*",
			"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
			"AWS_ACCESS_KEY_ID": "ASIA1", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
			"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
			"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
			"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f", "AWS_LAMBDA_LOG_STREAM_NAME": "`+stream+`",
			"LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime", "_HANDLER": "app.handler", "_X_AMZN_TRACE_ID": "Root=1-2"
		}}`)
}

// errorCase is a function that fails, what its caller gets and what its log then holds. @ID is the request's.
type errorCase struct{ handler, source, payload, log string }

// reportedErrors are those that the runtime reports.
func reportedErrors() map[string]errorCase {
	return map[string]errorCase{
		"exception": {
			"app.handler", "def g():\n    raise ValueError('bad <ü>')\n\ndef handler(event, context):\n    g()\n",
			`{"errorMessage": "bad <ü>", "errorType": "ValueError", "requestId": "@ID", "stackTrace": [
				"  File \"/var/task/app.py\", line 5, in handler\n    g()\n",
				"  File \"/var/task/app.py\", line 2, in g\n    raise ValueError('bad <ü>')\n"]}`,
			"[ERROR] ValueError: bad <ü>\nTraceback (most recent call last):\n\u00a0\u00a0File \"/var/task/app.py\", line 5, in handler\n",
		},
		"marshal": {
			"app.handler", "def handler(event, context): return {1, 2}\n",
			`{"errorMessage": "Unable to marshal response: Object of type set is not JSON serializable", "errorType": "Runtime.MarshalError",
				"requestId": "@ID", "stackTrace": []}`, "[ERROR] Runtime.MarshalError: Unable to marshal",
		},
		"no module": {
			"lib/nothing.handler", "", `{"errorMessage": "Unable to import module 'lib/nothing': No module named 'lib'",
				"errorType": "Runtime.ImportModuleError", "requestId": "@ID", "stackTrace": []}`,
			"INIT_REPORT Init Duration: ",
		},
		"no handler": {
			"app.other", "", `{"errorMessage": "Handler 'other' missing on module 'app'", "errorType": "Runtime.HandlerNotFound",
				"requestId": "@ID", "stackTrace": []}`, "\tPhase: init\tStatus: error\tError Type: Runtime.HandlerNotFound",
		},
		"bad name": {
			"app", "", `{"errorMessage": "Bad handler 'app': not enough values to unpack (expected 2, got 1)",
				"errorType": "Runtime.MalformedHandlerName", "requestId": "@ID", "stackTrace": []}`, "",
		},
		"syntax": {
			"app.handler", "def handler(:\n", `{"errorMessage": "~Syntax error in module 'app': .*\\(app.py, line 1\\)",
				"errorType": "Runtime.UserCodeSyntaxError", "requestId": "@ID", "stackTrace": ["  File \"/var/task/app.py\" Line 1\n    def handler(:\n"]}`, "",
		},
		"exception at load": {
			"app.handler", "x = 1 / 0\n", `{"errorMessage": "division by zero", "errorType": "ZeroDivisionError", "requestId": "@ID",
				"stackTrace": ["...", "  File \"/var/task/app.py\", line 1, in <module>\n    x = 1 / 0\n"]}`, "",
		},
	}
}

// suddenEnds are those that the runtime has no say in.
func suddenEnds() map[string]errorCase {
	return map[string]errorCase{
		"exit": {
			"app.handler", "import os\ndef handler(event, context):\n    print('last words', end='', flush=True)\n    os._exit(3)\n",
			`{"errorType": "Runtime.ExitError", "errorMessage": "RequestId: @ID Error: Runtime exited with error: exit status 3"}`,
			"last words\nRequestId: @ID Error: Runtime exited with error: exit status 3\nRuntime.ExitError\nEND RequestId: @ID\n",
		},
		"sys.exit(0)": {
			"app.handler", "import sys\ndef handler(event, context): sys.exit(0)\n",
			`{"errorType": "Runtime.ExitError", "errorMessage": "RequestId: @ID Error: Runtime exited without providing a reason"}`,
			"\tStatus: error\tError Type: Runtime.ExitError",
		},
		"signal": {
			"app.handler", "import os\ndef handler(event, context): os.kill(os.getpid(), 9)\n",
			`{"errorType": "Runtime.ExitError", "errorMessage": "RequestId: @ID Error: Runtime exited with error: signal: killed"}`, "",
		},
		"exit at load": {
			"app.handler", "import os\nos._exit(4)\n",
			`{"errorType": "Runtime.ExitError", "errorMessage": "RequestId: @ID Error: Runtime exited with error: exit status 4"}`, "",
		},
		"too large": {
			"app.handler", "def handler(event, context): return 'x' * 6291556\n",
			`{"errorType": "Function.ResponseSizeTooLarge",
				"errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`, "",
		},
	}
}

func TestErrors(t *testing.T) {
	w := newWorld(t, nil)
	cases := reportedErrors()
	maps.Copy(cases, suddenEnds())
	id := 0
	for name, c := range cases {
		id++
		fn := w.function(c.source)
		fn.Handler, fn.ARN = c.handler, fmt.Sprint(testARN, id)
		request := requestID(w.ids + 1)
		r := w.invoke(fn, "{}")
		w.expect(r, "Unhandled", strings.ReplaceAll(c.payload, "@ID", request))
		if log := w.log(); !strings.Contains(log, strings.ReplaceAll(c.log, "@ID", request)) {
			t.Errorf("%s: log lacks %q:\n%s", name, c.log, log)
		}
		if !strings.Contains(string(r.LogTail), "START RequestId: "+request) {
			t.Errorf("%s: tail %s", name, r.LogTail)
		}
	}
}
