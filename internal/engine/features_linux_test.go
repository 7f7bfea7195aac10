package engine

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// extension is an external extension: it notes its events in the log, and what telemetry says in a file.
const extension = `#!/usr/bin/env python3
import http.client, json, os, sys, threading
api = os.environ["AWS_LAMBDA_RUNTIME_API"]
name = os.path.basename(__file__)
def call(method, path, body=None, headers={}):
    c = http.client.HTTPConnection(api)
    c.request(method, path, json.dumps(body) if body is not None else None, headers)
    r = c.getresponse()
    return r, r.read()
r, _ = call("POST", "/2020-01-01/extension/register", {"events": ["INVOKE", "SHUTDOWN"]}, {"Lambda-Extension-Name": name})
me = {"Lambda-Extension-Identifier": r.headers["Lambda-Extension-Identifier"]}
print("registered", flush=True)
while True:
    _, body = call("GET", "/2020-01-01/extension/event/next", headers=me)
    event = json.loads(body)
    print("extension got", event["eventType"], event.get("requestId", event.get("shutdownReason")), flush=True)
    if event["eventType"] == "SHUTDOWN":
        break
`

// TestExtension runs a function beside an external extension from a layer: it registers before the runtime starts, hears of the invocation and of the end,
// and what it writes is in the function's log.
func TestExtension(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function("import shared\nprint('init')\ndef handler(event, context): return shared.name\n")
	fn.Layers = []Package{
		w.layer(map[string]string{"extensions/watcher": extension, "python/shared.py": "name = 'first'"}),
		w.layer(map[string]string{"python/shared.py": "name = 'second'"}),
	}
	w.expect(w.invoke(fn, "{}"), "", `"second"`)
	w.engine.Retire(fn.ARN)
	w.await("extension got SHUTDOWN spindown")
	log := w.log()
	for _, want := range []string{"registered", "init", "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE, SHUTDOWN]", "START RequestId", "extension got INVOKE " + requestID(1)} {
		if !strings.Contains(log, want) {
			t.Errorf("log lacks %q:\n%s", want, log)
		}
	}
	if strings.Index(log, "registered") > strings.Index(log, "\ninit\n") {
		t.Errorf("the runtime did not wait for the extension:\n%s", log)
	}
}

func TestExtensionFails(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function("def handler(event, context): return 1\n")
	for name, c := range map[string]struct{ source, want string }{
		"crash":  {"#!/bin/sh\nexit 3\n", "Extension.Crash"},
		"broken": {"#!/no/such/interpreter\n", "Extension.LaunchError"},
	} {
		fn.Layers = []Package{w.layer(map[string]string{"extensions/" + name: c.source})}
		fn.Revision = name
		r := w.invoke(fn, "{}")
		w.expect(r, "Unhandled", `{"errorType": "`+c.want+`", "errorMessage": "~RequestId: `+requestID(1)[:20]+`.* `+name+` .*"}`)
	}
}

func TestOutOfMemory(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function("def handler(event, context):\n    hog = []\n    while event['on']: hog.append(bytearray(1 << 20))\n    return 1\n")
	fn.MemoryMB = 128
	w.expect(w.invoke(fn, `{"on": true}`), "Unhandled", `{"errorType": "Runtime.OutOfMemory", "errorMessage": "~RequestId: .* Error: Runtime exited with error: signal: killed"}`)
	if log := w.log(); !strings.Contains(log, "Status: error\tError Type: Runtime.OutOfMemory") {
		t.Errorf("the report:\n%s", log)
	}
	w.expect(w.invoke(fn, `{"on": false}`), "", "1")
}

// TestFrozen: nothing of a function runs between two invocations.
func TestFrozen(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function(`
import threading, time
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.005)
threading.Thread(target=tick, daemon=True).start()
def handler(event, context):
    return ticks
`)
	before := ticks(t, w.invoke(fn, "{}"))
	env := w.idle(fn)
	frozen := func() bool {
		env.repose.mu.Lock()
		defer env.repose.mu.Unlock()
		return env.repose.frozen
	}
	w.until(frozen)
	w.pause(300 * time.Millisecond)
	if n := ticks(t, w.invoke(fn, "{}")) - before; n > 30 {
		t.Errorf("%d ticks in 300 ms of rest", n)
	}
}

func ticks(t *testing.T, r *Result) int {
	t.Helper()
	var n int
	if err := json.Unmarshal(r.Payload, &n); err != nil {
		t.Fatalf("%s: %v", r.Payload, err)
	}
	return n
}

// until waits for something of the engine's that has no channel.
func (w *world) until(f func() bool) {
	for !f() {
		w.pause(5 * time.Millisecond)
	}
}

// pause lets time pass that functions could use.
func (w *world) pause(d time.Duration) {
	timer := w.engine.cfg.Clock.NewTimer(d)
	<-timer.C()
}

func TestInitializedAhead(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function("print('init')\ndef handler(event, context): return 1\n")
	w.engine.Ahead(fn)
	w.await("Initialized ahead of its first invocation")
	r := w.invoke(fn, "{}")
	w.expect(r, "", "1")
	if r.Cold || r.Init == 0 || strings.Count(w.log(), "init\n") != 1 {
		t.Errorf("cold %v, init %v:\n%s", r.Cold, r.Init, w.log())
	}
	if r = w.invoke(fn, "{}"); r.Init != 0 {
		t.Errorf("init %v again", r.Init)
	}
}

func TestProvisionedEnvironments(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function("import os\ndef handler(event, context): return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n")
	w.engine.Provision(fn, 2)
	w.until(func() bool { return w.engine.Provisioned(fn.ARN, fn.Version).Available == 2 })
	r := w.invoke(fn, "{}")
	w.expect(r, "", `"provisioned-concurrency"`)
	if r.Cold || r.Init != 0 {
		t.Errorf("%+v", r)
	}
	broken := w.function("raise Exception('no')\n")
	broken.ARN += "2"
	w.engine.Provision(broken, 1)
	w.until(func() bool { return w.engine.Provisioned(broken.ARN, broken.Version).Failure != "" })
	if got := w.engine.Provisioned(broken.ARN, broken.Version); got.Failure != "FUNCTION_ERROR_INIT_FAILURE" || got.Available != 0 {
		t.Errorf("%+v", got)
	}
}

func TestJSONLogs(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function("import logging\ndef handler(event, context):\n    logging.getLogger().info('hello %s', 'you')\n    logging.getLogger().debug('no')\n    return 1\n")
	fn.JSONLogs, fn.AppLogLevel, fn.SystemLogLevel = true, "INFO", "INFO"
	w.expect(w.invoke(fn, "{}"), "", "1")
	kinds := ""
	for _, l := range strings.Split(w.log(), "\n") {
		var e struct {
			Type, Message, Level, RequestID string
			Record                          struct{ Metrics struct{ DurationMs float64 } }
		}
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Errorf("%q: %v", l, err)
			continue
		}
		if e.Message != "" && (e.Message != "hello you" || e.Level != "INFO" || e.RequestID != requestID(1)) {
			t.Errorf("%s", l)
		}
		if e.Type == "platform.report" && e.Record.Metrics.DurationMs <= 0 {
			t.Errorf("%s", l)
		}
		kinds += e.Type + e.Message + " "
	}
	if kinds != "platform.initStart platform.initReport platform.start hello you platform.report " {
		t.Errorf("the log: %s", kinds)
	}
}

// stream collects a streamed answer.
type stream struct {
	bytes.Buffer
	mediaType string
	streamed  bool
	pieces    int
}

func (s *stream) Begin(mediaType string, streamed bool) error {
	s.mediaType, s.streamed = mediaType, streamed
	return nil
}

func (s *stream) Write(p []byte) (int, error) {
	s.pieces++
	return s.Buffer.Write(p)
}

func TestStreamedAnswers(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("NO NODE HERE, STREAMED ANSWERS ARE NOT TESTED")
	}
	fn := w.function("")
	fn.Runtime, fn.Handler = "nodejs20.x", "app.handler"
	fn.CodeSHA = w.pack(map[string]string{"app.mjs": `export const handler = awslambda.streamifyResponse(async (event, out) => {
	out.setContentType("text/plain");
	for (const word of ["one ", "two ", "three"]) { out.write(word); await new Promise((done) => setTimeout(done, 50)); }
	if (event.fail) throw new Error("midway");
	out.end();
});
`})
	var s stream
	r, err := w.engine.Invoke(t.Context(), fn, Invocation{RequestID: "id-1", Payload: []byte("{}"), Stream: &s})
	if err != nil || r.FunctionError != "" || s.String() != "one two three" || s.mediaType != "text/plain" || !s.streamed || s.pieces < 2 {
		t.Errorf("%+v, %v: %q %+v\n%s", r, err, s.String(), s, w.log())
	}
	s = stream{}
	if r, err = w.engine.Invoke(t.Context(), fn, Invocation{RequestID: "id-2", Payload: []byte(`{"fail": true}`), Stream: &s}); err != nil || r.FunctionError == "" || s.String() != "one two three" {
		t.Errorf("%+v, %v: %q", r, err, s.String())
	}
}

func TestEntrypoint(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function("")
	fn.Runtime, fn.Handler = "provided.al2023", "x"
	fn.CodeSHA = w.pack(map[string]string{"other": "x"})
	w.expect(w.invoke(fn, "{}"), "Unhandled", `{"errorType": "Runtime.InvalidEntrypoint", "errorMessage": "~RequestId: .* Error: Couldn't find valid bootstrap.*"}`)
	fn.Revision, fn.CodeSHA = "2", w.pack(map[string]string{"bootstrap": "#!/bin/sh\nset -e\nAPI=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation\necho started\nexit 4\n"})
	w.expect(w.invoke(fn, "{}"), "Unhandled", `{"errorType": "Runtime.ExitError", "errorMessage": "~RequestId: .* Error: Runtime exited with error: exit status 4"}`)
}
