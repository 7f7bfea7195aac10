package engine

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"croft/internal/cloud"
)

// snapFunction is a published version with SnapStart.
func (w *world) snapFunction(source string) Function {
	fn := w.function(source)
	fn.Runtime, fn.Version, fn.SnapStart = "python3.12", "1", true
	return fn
}

// together invokes fn n times at once and returns the payloads.
func (w *world) together(fn Function, n int) []string {
	w.t.Helper()
	out := make([]string, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			r, err := w.try(fn, "{}")
			if err != nil {
				w.t.Error(err)
				return
			}
			out[i] = string(r.Payload)
		})
	}
	all.Wait()
	return out
}

const snapSource = `
import os, random, socket, tempfile, time, uuid
from snapshot_restore_py import register_before_snapshot, register_after_restore
hooks = []
register_before_snapshot(lambda: hooks.append("before 1"))
register_before_snapshot(lambda: hooks.append("before 2"))
register_after_restore(lambda: hooks.append("after 1"))
register_after_restore(lambda: hooks.append("after 2"))
born = str(uuid.uuid4())
count = 0
words = open(__file__)
words.read(1)
a, b = socket.socketpair()
os.environ["SET_IN_INIT"] = "yes"
print("initialised")
def handler(event, context):
    global count
    count += 1
    time.sleep(event.get("sleep", 0))
    dead = False
    try:
        a.send(b"x")
    except OSError:
        dead = True
    return {"born": born, "count": count, "hooks": hooks, "pid": os.getpid(), "random": random.random(), "at": words.tell(), "rest": len(words.read()),
            "dead": dead, "set": os.environ.get("SET_IN_INIT"), "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"],
            "stream": context.log_stream_name == os.environ["AWS_LAMBDA_LOG_STREAM_NAME"], "tmp": tempfile.gettempdir()}
`

// TestSnapStart initialises once for several environments, which then share nothing that they can change.
func TestSnapStart(t *testing.T) {
	for name, env := range map[string]map[string]string{"forked": {"A": "b"}, "fresh": {"PYTHONOPTIMIZE": "1"}} {
		t.Run(name, func(t *testing.T) { testSnapStart(t, env) })
	}
}

func testSnapStart(t *testing.T, env map[string]string) {
	w := newWorld(t, nil)
	fn := w.snapFunction(strings.Replace(snapSource, `event.get("sleep", 0)`, "1", 1))
	fn.Env = env
	w.invokeSnap(fn)
	born, random, tmp := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, p := range w.together(fn, 3) {
		m := decodeMap(t, p)
		born[m["born"].(string)], random[p[strings.Index(p, `"random"`):]], tmp[m["tmp"].(string)] = true, true, true
		hooks := []any{"before 2", "before 1", "after 1", "after 2"}
		if !matches(m["hooks"], any(hooks)) || m["dead"] != true || m["set"] != "yes" || m["type"] != "snap-start" || m["stream"] != true {
			t.Errorf("%s", p)
		}
	}
	if len(born) != 1 || len(random) != 3 || len(tmp) != 3 {
		t.Errorf("%d initialisations, %d sequences of random numbers, %d folders", len(born), len(random), len(tmp))
	}
	if n := strings.Count(w.log(), "\ninitialised\n"); n != 1 {
		t.Errorf("initialised %d times", n)
	}
	for _, want := range []string{"RESTORE_START Runtime Version: python:3.12", "RESTORE_REPORT Restore Duration: ", "\tRestore Duration: ", "Billed Restore Duration: "} {
		if !strings.Contains(w.log(), want) {
			t.Errorf("log lacks %q:\n%s", want, w.log())
		}
	}
}

func (w *world) invokeSnap(fn Function) {
	w.t.Helper()
	r := w.invoke(fn, "{}")
	m := decodeMap(w.t, string(r.Payload))
	if r.FunctionError != "" || m["count"] != 1.0 || m["at"] != 1.0 || m["rest"].(float64) < 10 || r.Restore <= 0 || r.Init != 0 {
		w.t.Fatalf("%+v %s\n%s", r, r.Payload, w.log())
	}
}

func TestSnapStartEnds(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.snapFunction(`
import os, sys, time, subprocess
def handler(event, context):
    if event.get("do") == "sleep":
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        time.sleep(60)
    if event.get("do") == "exit":
        os._exit(3)
    if event.get("do") == "count":
        return sum(open("/proc/%s/cmdline" % p).read().count("while True") for p in os.listdir("/proc") if p.isdigit() and p != "1")
    if event.get("do") == "hog":
        x = bytearray(400 << 20)
        time.sleep(60)
    return os.getpid()
`)
	fn.Timeout = 5 * time.Second
	one := string(w.invoke(fn, "{}").Payload)
	var all sync.WaitGroup
	for _, c := range [][2]string{{"sleep", "Task timed out"}, {"exit", "Runtime.ExitError"}, {"hog", "Runtime.OutOfMemory"}} {
		all.Go(func() {
			r, err := w.try(fn, `{"do":"`+c[0]+`"}`)
			if err != nil || r.FunctionError == "" || !strings.Contains(string(r.Payload), c[1]) {
				t.Errorf("%s: %v %s", c[0], err, r.Payload)
			}
		})
	}
	all.Wait()
	// One of the three had the first environment; there is always a snapshot to start another from.
	two := w.invoke(fn, "{}")
	if two.FunctionError != "" || string(two.Payload) == one || two.Restore == 0 {
		t.Errorf("%s %+v", one, two)
	}
	if n := strings.Count(w.log(), "INIT_START"); n != 1 {
		t.Errorf("%d initialisations", n)
	}
	if r := w.invoke(fn, `{"do":"count"}`); string(r.Payload) != "0" {
		t.Errorf("%s processes of an environment that has ended", r.Payload)
	}
	w.engine.Retire(fn.ARN)
	w.engine.snaps.mu.Lock()
	left := len(w.engine.snaps.byKey)
	w.engine.snaps.mu.Unlock()
	if left != 0 {
		t.Errorf("%d snapshots are left", left)
	}
}

func TestSnapStartHookFails(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.snapFunction(`
from snapshot_restore_py import register_after_restore
@register_after_restore
def hook(): raise ValueError("no way")
def handler(event, context): return 1
`)
	_, err := w.try(fn, "{}")
	var fault *cloud.Error
	if !errors.As(err, &fault) || fault.Code != "SnapStartException" {
		t.Fatalf("%v\n%s", err, w.log())
	}
	if log := w.log(); !strings.Contains(log, "no way") || !strings.Contains(log, "Status: error\tError Type: ") {
		t.Error(log)
	}
	w.engine.snaps.limit = time.Second
	slow := w.snapFunction("import snapshot_restore_py, time\nsnapshot_restore_py.register_after_restore(time.sleep, 60)\ndef handler(event, context): return 1\n")
	if _, err = w.try(slow, "{}"); !errors.As(err, &fault) || fault.Code != "SnapStartTimeoutException" {
		t.Errorf("%v\n%s", err, w.log())
	}
	before := w.snapFunction(`
from snapshot_restore_py import register_before_snapshot
@register_before_snapshot
def hook(): raise ValueError("not now")
def handler(event, context): return 1
`)
	r := w.invoke(before, "{}")
	if r.FunctionError == "" || !strings.Contains(string(r.Payload), `"errorMessage":"not now","errorType":"Runtime.BeforeSnapshotError"`) {
		t.Errorf("%s", r.Payload)
	}
}

func TestSnapStartUnfit(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.snapFunction(`
import threading, time
from snapshot_restore_py import register_before_snapshot, register_after_restore
hooks = []
register_before_snapshot(lambda: hooks.append("before"))
register_after_restore(lambda: hooks.append("after"))
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
def handler(event, context): return hooks
`)
	w.expect(w.invoke(fn, "{}"), "", `["before", "after"]`)
	if log := w.log(); !strings.Contains(log, "no snapshot of this function: its initialisation has left 1 thread(s) running") {
		t.Error(log)
	}
	fn = w.snapFunction("raise ValueError('in init')\n")
	r := w.invoke(fn, "{}")
	if r.FunctionError == "" || !strings.Contains(string(r.Payload), "in init") {
		t.Errorf("%s", r.Payload)
	}
}

// TestSnapStartLies has a snapshot tell the numbers of processes that are not its children, or nothing.
func TestSnapStartLies(t *testing.T) {
	for _, number := range []string{"1", "os.getppid()", "lies.getpid()", "4000000", "'x'"} {
		w := newWorld(t, nil)
		w.engine.snaps.limit = 2 * time.Second
		fn := w.snapFunction(strings.ReplaceAll(`
import os, types
write, lies = os.write, types.SimpleNamespace(getpid=os.getpid)
main = os.getpid()
def lie(fd, data):
    return write(fd, b'{"pid": %d}' % NUMBER if isinstance(NUMBER, int) else b"?")
os.write = lie
lies.getpid = lambda: main
def handler(event, context): return 1
`, "NUMBER", number))
		if _, err := w.try(fn, "{}"); err == nil && number != "4000000" {
			t.Errorf("%s is believed", number)
		}
	}
}

// TestSnapStartFrozen: an environment of a snapshot rests by itself, and goes on.
func TestSnapStartFrozen(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.snapFunction(`
import threading, time
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.005)
def handler(event, context):
    if not ticks:
        threading.Thread(target=tick, daemon=True).start()
    return ticks
`)
	before := ticks(t, w.invoke(fn, "{}"))
	env := w.idle(fn)
	w.until(func() bool {
		env.repose.mu.Lock()
		defer env.repose.mu.Unlock()
		return env.repose.frozen
	})
	w.pause(300 * time.Millisecond)
	if n := ticks(t, w.invoke(fn, "{}")) - before; n > 30 || n == 0 {
		t.Errorf("%d ticks in 300 ms of rest", n)
	}
}

// TestSnapStartLeavesNothing ends the engine under environments that run, one with a process that has left its session.
func TestSnapStartLeavesNothing(t *testing.T) {
	before := childrenOf(t)
	w := newWorld(t, nil)
	fn := w.snapFunction(`
import subprocess, sys
def handler(event, context):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    return 1
`)
	for _, p := range w.together(fn, 3) {
		if p != "1" {
			t.Errorf("%s\n%s", p, w.log())
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.engine.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Fatal("the engine does not close")
	}
	if after := childrenOf(t); after > before {
		t.Errorf("%d processes, and %d before", after, before)
	}
}

// childrenOf counts this process's children.
func childrenOf(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err == nil {
			n += len(strings.Fields(string(b)))
		}
	}
	return n
}

func decodeMap(t testing.TB, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}
