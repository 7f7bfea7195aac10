package engine

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// frameHelp lets a function write frames of its own, and call the Runtime API over HTTP.
const frameHelp = `
import http.client, json, os, struct, sys, time, threading
def frame(kind, body=b"", header=b"{}"):
    return struct.pack("<IBI", 5 + len(header) + len(body), ord(kind), len(header)) + header + body
def call(method, path, body=b"", headers={}):
    c = http.client.HTTPConnection("127.0.0.1", 9001, timeout=2)
    try:
        c.request(method, path, body, headers)
        r = c.getresponse()
        return r.status, r.read(2000).decode(), dict(r.getheaders())
    except OSError as e:
        return 0, str(e), {}
    finally:
        c.close()
`

// deceits are those that lie to the server.
func deceits() map[string]misdeed {
	const exit = "Runtime.ExitError"
	all := map[string]misdeed{
		"garbage":           {source: "def handler(event, context):\n    os.write(3, b'garbage' * 1000)\n", errorType: exit},
		"a huge frame":      {source: "def handler(event, context):\n    os.write(3, struct.pack('<IBI', 0xffffffff, ord('O'), 0))\n    os.write(3, b'x' * 100000)\n    return 1\n", errorType: "Function.ResponseSizeTooLarge", either: true},
		"a huge header":     {source: "def handler(event, context):\n    os.write(3, struct.pack('<IBI', 0xffffffff, ord('O'), 0xfffffff0))\n    return 1\n", errorType: exit},
		"ready again":       {source: "def handler(event, context):\n    os.write(3, frame('R'))\n    return 1\n", errorType: exit},
		"an init error":     {source: "def handler(event, context):\n    os.write(3, frame('I', b'{}'))\n    return 1\n", errorType: exit},
		"the server's kind": {source: "def handler(event, context):\n    os.write(3, frame('A'))\n    return 1\n", errorType: exit},
		"two answers":       {source: "def handler(event, context):\n    os.write(3, frame('O', b'1') * 2)\n    return 2\n", answer: "1"},
		"an early answer":   {source: "os.write(3, frame('O', b'1'))\ndef handler(event, context):\n    return 2\n", errorType: exit},
		"an answer ahead": {
			source: "def handler(event, context):\n    def late():\n        time.sleep(0.1)\n        os.write(3, frame('O', b'\"forged\"'))\n    threading.Thread(target=late).start()\n    return 1\n",
			answer: "1", either: true,
		},
		"descriptors for the server": {
			source: "import socket\ndef handler(event, context):\n    s = socket.socket(fileno=os.dup(3))\n    socket.send_fds(s, [frame('O', b'1')], [0, 1, 2, 3] * 20)\n    time.sleep(1)\n    os._exit(0)\n",
			answer: "1", either: true, // and the descriptors are nobody's
		},
		"a closed socket":   {source: "def handler(event, context):\n    os.close(3)\n    return 1\n", errorType: exit},
		"closed outputs":    {source: "def handler(event, context):\n    print('x')\n    os.close(1); os.close(2); os.close(0)\n    return 1\n", answer: "1", stays: true},
		"not JSON":          {source: "def handler(event, context):\n    os.write(3, frame('O', b'{\"a\":'))\n    time.sleep(60)\n", answer: `\{"a":`, either: true},
		"an endless stream": {source: "def handler(event, context):\n    os.write(3, frame('S'))\n    while True: os.write(3, frame('C', b'x' * 60000, b''))\n", errorType: "Function.ResponseSizeTooLarge|Sandbox.Timedout|" + exit},
		"answers over HTTP": {
			source: "def handler(event, context):\n    p = '/2018-06-01/runtime/invocation/' + context.aws_request_id\n    call('POST', p + '/response', b'3')\n    return 2\n", answer: "3",
		},
		"another's answer": {
			source: "def handler(event, context):\n    p = '/2018-06-01/runtime/invocation/00000000-0000-4000-8000-000000000001/response'\n    return call('POST', p, b'3')[0]\n",
			answer: "400", stays: true,
		},
		"asks over HTTP": {
			source: "def handler(event, context):\n    return call('GET', '/2018-06-01/runtime/invocation/next')[0]\n", answer: "403", stays: true,
		},
	}
	for name, m := range all {
		m.source = frameHelp + m.source
		all[name] = m
	}
	return all
}

// ends are ways to stay, or to go, that nobody expects.
func ends() map[string]misdeed {
	return map[string]misdeed{
		"a daemon": {
			source: `
import os, signal, time
def handler(event, context):
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        for s in range(1, 64):
            try: signal.signal(s, signal.SIG_IGN)
            except (OSError, ValueError): pass
        if os.fork() == 0:
            os.write(w, b"x")
            while True: os.write(1, b"the daemon lives\n"); time.sleep(0.01)
        os._exit(0)
    return os.read(r, 1).decode()
`,
			answer: `"x"`, stays: true,
		},
		"never returns": {
			source: `
import signal, time, os
for s in range(1, 64):
    try: signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError): pass
def handler(event, context):
    for _ in range(20):
        if os.fork() == 0: break
    while True:
        try: time.sleep(60)
        except BaseException: pass
`,
			errorType: "Sandbox.Timedout", log: "Task timed out",
		},
		"stops itself":    {source: "import os, signal\ndef handler(event, context): os.kill(os.getpid(), signal.SIGSTOP)\n", errorType: "Sandbox.Timedout"},
		"stops in init":   {source: "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\ndef handler(event, context): pass\n", errorType: "Sandbox.Timedout"},
		"exits in init":   {source: "import os\nos._exit(3)\n", errorType: "Runtime.ExitError", log: "exit status 3"},
		"killed in init":  {source: "import os\nos.kill(os.getpid(), 9)\n", errorType: "Runtime.ExitError"},
		"dies while idle": {source: "import os, threading, time\ndef handler(event, context):\n    threading.Thread(target=lambda: (time.sleep(0.005), os._exit(1))).start()\n    return 1\n", answer: "1", either: true},
		"segfault":        {source: "import ctypes\ndef handler(event, context): ctypes.string_at(0)\n", errorType: "Runtime.ExitError", log: "segmentation fault"},
		"few descriptors": {source: "import resource\ndef handler(event, context):\n    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))\n    return 1\n", answer: "1", stays: true},
		"no CPU time":     {source: "import resource\ndef handler(event, context):\n    resource.setrlimit(resource.RLIMIT_CPU, (0, 0))\n    while True: pass\n", errorType: "Runtime.ExitError"},
		"no module json":  {source: "import json, sys\njson.dumps = json.loads = None\nsys.stdout = sys.stderr = None\ndef handler(event, context): return 1\n", answer: "1", stays: true},
		"too large":       {source: "def handler(event, context): return 'x' * (20 << 20)\n", errorType: "Function.ResponseSizeTooLarge", stays: true},
		"a deep answer":   {source: "def handler(event, context):\n    a = []\n    for _ in range(100000): a = [a]\n    return a\n", errorType: "Runtime.MarshalError|Runtime.ExitError", either: true},
		"odd error names": {source: "def handler(event, context):\n    raise type('X' * 100000 + '\\n\\r\\t', (Exception,), {})('y' * 10000000)\n", errorType: "X*.*|Function.ResponseSizeTooLarge|", answer: ".*", stays: true},
	}
}

// TestHostileDeceit: a function that lies to the server harms nobody but itself.
func TestHostileDeceit(t *testing.T) { misbehave(t, deceits()) }

// TestHostileEnds: whatever a function leaves behind is gone with its environment.
func TestHostileEnds(t *testing.T) { misbehave(t, ends()) }

// TestHostileExtensions registers and subscribes as much, and as oddly, as an extension can. Nothing of the machine is reached.
func TestHostileExtensions(t *testing.T) {
	w := newWorld(t, nil)
	port := listen(t, "tcp4", ":0")
	source := frameHelp + `
def register(name):
    return call("POST", "/2020-01-01/extension/register", b'{"events": ["INVOKE"]}', {"Lambda-Extension-Name": name})
ids, statuses = [], []
for i in range(30):
    status, _, headers = register("x%d" % i + "y" * i)
    statuses.append(status)
    ids += [v for k, v in headers.items() if k.lower() == "lambda-extension-identifier"]
subscribed = {}
def subscribe(uri, id):
    for path, schema in (("/2022-07-01/telemetry", "2022-12-13"), ("/2020-08-15/logs", "2021-03-18")):
        body = {"schemaVersion": schema, "types": ["platform", "function"], "destination": {"protocol": "HTTP", "URI": uri}, "buffering": {"timeoutMs": 25}}
        status = call("PUT", path, json.dumps(body).encode(), {"Lambda-Extension-Identifier": id})[0]
        subscribed[uri] = max(status, subscribed.get(uri, 0))
port, host = PORT, "HOST"
for uri in ("http://%s:%d/" % (host, port), "http://127.0.0.1:%d/" % port, "http://sandbox.localdomain@%s:%d/" % (host, port),
    "http://sandbox.localdomain.%s:%d/" % (host, port), "http://[::ffff:%s]:%d/" % (host, port), "unix:///x", "http://localhost:%d" % port, "http://169.254.169.254:80/"):
    subscribe(uri, ids[0])
subscribe("http://sandbox.localdomain:%d/x" % port, ids[1])
subscribe("http://sandbox:%d/../x" % port, ids[2])
unknown = call("GET", "/2020-01-01/extension/event/next", headers={"Lambda-Extension-Identifier": "00000000-0000-4000-8000-000000000000"})[0]
def ask(id):
    while True:
        if call("GET", "/2020-01-01/extension/event/next", headers={"Lambda-Extension-Identifier": id})[0] == 403: return
for id in ids: threading.Thread(target=ask, args=(id,), daemon=True).start()
def handler(event, context):
    return {"registered": len(ids), "statuses": sorted(set(statuses)), "subscribed": {k: v for k, v in subscribed.items() if "sandbox" not in k or "@" in k}, "unknown": unknown}
`
	fn := w.function(strings.NewReplacer("PORT", fmt.Sprint(port), "HOST", ownAddress(t)).Replace(source))
	fn.Timeout = 8 * time.Second
	r := w.invoke(fn, "{}")
	var got struct {
		Registered int
		Statuses   []int
		Subscribed map[string]int
		Unknown    int
	}
	if err := json.Unmarshal(r.Payload, &got); err != nil || r.FunctionError != "" {
		t.Fatalf("%v %s\n%s", err, r.Payload, w.log())
	}
	if got.Registered != 10 || got.Unknown != 403 || len(got.Subscribed) < 7 {
		t.Errorf("%+v", got)
	}
	for uri, status := range got.Subscribed {
		if status == 200 && !strings.HasPrefix(uri, "http://sandbox.localdomain@") || status == 0 {
			t.Errorf("%s: %d", uri, status)
		}
	}
	w.invoke(fn, "{}")
}
