package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// misdeed is a function that harms what it can reach, and what its caller then gets: the error's type, or the answer, both as patterns.
type misdeed struct {
	source    string
	errorType string
	answer    string
	// stays says that the environment is of further use.
	stays bool
	// either says that it may be, or may find out later that it is not: it is not called again.
	either bool
	log    string
}

// exhaustion are those that use up processes and memory.
func exhaustion() map[string]misdeed {
	return map[string]misdeed{
		"fork bomb": {
			source: "import os\ndef handler(event, context):\n    while True:\n        try: os.fork()\n        except OSError: pass\n",
			// Its children answer for it, each as the runtime itself; the first answer may be one's that has run out of memory.
			errorType: "Sandbox.Timedout|Runtime.ExitError|Runtime.OutOfMemory", either: true,
		},
		"processes": {
			source: `
import os, time
def handler(event, context):
    n = 0
    try:
        while n < 5000:
            if os.fork() == 0: os.execv("/proc/self/exe", ["python3", "-S", "-E", "-c", "while True: pass"]) if n < 3 else time.sleep(600)
            n += 1
    except OSError as e:
        os.kill(-1, 9) # all but itself
        return n
`,
			answer: `\d{2,4}`, errorType: "Runtime.OutOfMemory|", stays: true,
		},
		"threads": {
			source: `
import threading
stop = threading.Event()
def handler(event, context):
    n = 0
    try:
        while n < 5000:
            threading.Thread(target=stop.wait, daemon=True).start()
            n += 1
    except RuntimeError:
        return n
`,
			answer: `\d{2,4}`, errorType: "Runtime.OutOfMemory|", stays: true,
		},
		"memory": {
			source:    "def handler(event, context):\n    kept = []\n    while True: kept.append(b'x' * (1 << 20))\n",
			errorType: "Runtime.OutOfMemory",
		},
		"memory of children": {
			source: `
import os
def handler(event, context):
    for i in range(8):
        if os.fork() == 0:
            kept = []
            while True: kept.append(b'x' * (1 << 20))
    os.wait()
    while True: pass
`,
			errorType: "Runtime.OutOfMemory",
		},
		"memory without an owner": {
			source: `
import os
def handler(event, context):
    fds, n = [], 0
    try:
        while n < 4096:
            fd = os.memfd_create("x")
            fds.append(fd)
            for _ in range(16): n += os.write(fd, b"x" * (1 << 20)) >> 20
    except OSError as e:
        return n
    return n
`,
			// As much as /tmp may have, where the kernel counts it.
			errorType: "Runtime.OutOfMemory|", answer: `\d{1,3}`, stays: true,
		},
		"memory of System V": {
			source: `
import ctypes, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
def handler(event, context):
    n = 0
    while n < 4096:
        id = libc.shmget(0, ctypes.c_size_t(64 << 20), 0o1600)
        if id < 0: return n
        at = libc.shmat(id, None, 0)
        if at in (None, ctypes.c_void_p(-1).value): return n
        ctypes.memset(at, 1, 64 << 20)
        libc.shmdt(ctypes.c_void_p(at))
        n += 64
    return n
`,
			errorType: "Runtime.OutOfMemory|", answer: `\d{1,3}`, stays: true,
		},
		"shared memory": {
			source: `
import mmap, os
def handler(event, context):
    kept = []
    while len(kept) < 64:
        kept.append(mmap.mmap(-1, 64 << 20))
        for i in range(0, 64 << 20, 4096): kept[-1][i] = 1
    return len(kept)
`,
			errorType: "Runtime.OutOfMemory",
		},
		"hidden memory": {
			source: `
import ctypes
def handler(event, context):
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) # not dumpable
    kept = []
    while len(kept) < 4096: kept.append(b'x' * (1 << 20))
`,
			errorType: "Runtime.OutOfMemory",
		},
	}
}

// hoards are the same with what is neither a processor's nor memory.
func hoards() map[string]misdeed {
	return map[string]misdeed{
		"disk": {
			source: `
import os
def handler(event, context):
    n = 0
    with open("/tmp/big", "wb", 0) as f:
        try:
            while n < 4096: n += f.write(b"x" * (1 << 20)) >> 20
        except OSError: pass
    os.unlink("/tmp/big")
    return n
`,
			answer: "5(09|1[0-2])", stays: true,
		},
		"files": {
			source: `
import os
def handler(event, context):
    n = 0
    try:
        while n < 500000:
            os.mkfifo("/tmp/%d" % n)
            n += 1
    except OSError as e: return n
`,
			errorType: "Sandbox.Timedout|Runtime.OutOfMemory|", answer: `1[23]\d{4}`, stays: true,
		},
		"descriptors": {
			source: `
import os
fds = []
def handler(event, context):
    try:
        while True: fds.extend(os.pipe())
    except OSError: return len(fds)
`,
			answer: `10[01]\d|102\d`, stays: true,
		},
		"timers": {
			source: `
import ctypes, signal
libc = ctypes.CDLL(None, use_errno=True)
def handler(event, context):
    timer, n = ctypes.c_void_p(), 0
    while n < 2000000 and libc.timer_create(1, None, ctypes.byref(timer)) == 0: n += 1
    return n > 0
`,
			answer: "true|false", stays: true, errorType: "Runtime.OutOfMemory|Sandbox.Timedout|",
		},
	}
}

// TestHostileExhaustion: whatever a function uses up is its own. Another function is called after each, and keeps its environment.
func TestHostileExhaustion(t *testing.T) { misbehave(t, exhaustion()) }

// TestHostileHoards is the same for what else there is.
func TestHostileHoards(t *testing.T) { misbehave(t, hoards()) }

func misbehave(t *testing.T, all map[string]misdeed) {
	before := footprint(t)
	w := newWorld(t, nil)
	w.engine.initTime = 8 * time.Second // a start waits for what a fork bomb before it has left to be ended
	good := w.function("n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n\n")
	good.ARN += "good"
	w.expect(w.invoke(good, "{}"), "", "1")
	calls, number := 1, 0
	for name, m := range all {
		number++
		t.Run(name, func(t *testing.T) {
			fn := w.function(m.source)
			fn.ARN, fn.Name, fn.Timeout, fn.MemoryMB = fmt.Sprint(testARN, number), fmt.Sprint("f", number), 3*time.Second, 128
			began := w.engine.cfg.Clock.Now()
			r := w.invoke(fn, "{}")
			m.check(t, r, w.log())
			if took := w.engine.cfg.Clock.Now().Sub(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			kept := m.stays && !strings.Contains(string(r.Payload), typeOutOfMemory) && !strings.Contains(string(r.Payload), typeTimeout)
			if !m.either {
				if again := w.invoke(fn, "{}"); again.Cold == kept {
					t.Errorf("the second call: cold %v, %s %.300s", again.Cold, again.FunctionError, again.Payload)
				}
			}
			calls++
			r = w.invoke(good, "{}")
			if string(r.Payload) != fmt.Sprint(calls) || r.Duration > time.Second {
				t.Errorf("the other function: %s after %v", r.Payload, r.Duration)
			}
			w.engine.Retire(fn.ARN)
		})
	}
	if err := w.engine.Close(); err != nil {
		t.Error(err)
	}
	before.compare(t, footprint(t))
}

func (m misdeed) check(t *testing.T, r *Result, log string) {
	t.Helper()
	var e struct{ ErrorType string }
	if r.FunctionError != "" {
		if err := json.Unmarshal(r.Payload, &e); err != nil {
			t.Errorf("%v: %s", err, r.Payload)
		}
	}
	t.Logf("%s %.200s in %v, %d MB", e.ErrorType, r.Payload, r.Duration, r.MaxMemoryMB)
	full := func(pattern, text string) bool { return regexp.MustCompile("^(?s:" + pattern + ")$").MatchString(text) }
	if !full(m.errorType, e.ErrorType) || e.ErrorType == "" && !full(m.answer, string(r.Payload)) {
		t.Errorf("got %q %.300s, want an error like %q or %q", e.ErrorType, r.Payload, m.errorType, m.answer)
	}
	for _, want := range []string{m.log, "REPORT RequestId"} {
		if !strings.Contains(log, want) {
			t.Errorf("log lacks %q:\n%.2000s", want, log)
		}
	}
}

// TestHostileLogs writes far more than anybody reads: all of it is taken, in pieces that are bounded, and the server does not keep it.
func TestHostileLogs(t *testing.T) {
	var bytes, longest, batch atomic.Int64
	w := newWorld(t, func(c *Config) {
		c.Logs = func(_ context.Context, b LogBatch) error {
			size := 0
			for _, l := range b.Lines {
				size += len(l.Text)
				longest.Store(max(longest.Load(), int64(len(l.Text))))
			}
			bytes.Add(int64(size))
			batch.Store(max(batch.Load(), int64(size)))
			return nil
		}
	})
	fn := w.function(`
import os
def handler(event, context):
    text = event["text"].encode() * (1 << 16)
    for _ in range(event["mb"] * (1 << 20) // len(text)):
        at = 0
        while at < len(text): at += os.write(1, text[at:])
`)
	for text, mb := range map[string]int{`x`: 256, `x\n`: 16, `\n`: 64, `\u0000`: 64, `\r`: 64, `é`: 64, `\u001e`: 16} {
		bytes.Store(0)
		r := w.invoke(fn, fmt.Sprintf(`{"mb": %d, "text": "%s"}`, mb, text))
		w.expect(r, "", "null")
		t.Logf("%q: %d MB in %v", text, bytes.Load()>>20, r.Duration)
	}
	if longest.Load() > maxLine+4 || batch.Load() > 2*maxPendingBytes+maxLine {
		t.Errorf("a line of %d bytes, a batch of %d", longest.Load(), batch.Load())
	}
}

// footmark is what the process and its sandboxes have of the machine.
type footmark struct {
	processes, mounts, groups []string
	files                     int
}

func footprint(t *testing.T) footmark {
	t.Helper()
	var f footmark
	self := fmt.Sprint(os.Getpid())
	lists, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range lists {
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), "\nPPid:\t"+self+"\n") {
			name, _, _ := strings.Cut(string(b), "\n")
			f.processes = append(f.processes, path+" "+name)
		}
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	f.mounts = strings.Split(string(b), "\n")
	f.groups, _ = filepath.Glob("/sys/fs/cgroup/*/croft-" + self + "-*")
	below, _ := filepath.Glob("/sys/fs/cgroup/*/*/*/croft-" + self + "-*")
	f.groups = append(f.groups, below...)
	f.files = openFiles(t)
	return f
}

func (f footmark) compare(t *testing.T, now footmark) {
	t.Helper()
	for what, lists := range map[string][2][]string{
		"processes": {f.processes, now.processes}, "mounts": {f.mounts, now.mounts}, "control groups": {f.groups, now.groups},
	} {
		if len(lists[1]) > len(lists[0]) {
			t.Errorf("%s: %d before, now %d: %q", what, len(lists[0]), len(lists[1]), lists[1])
		}
	}
	if now.files > f.files+3 {
		t.Errorf("descriptors: %d before, now %d", f.files, now.files)
	}
}

// TestHostileMemory has several functions use up their memory at once.
func TestHostileMemory(t *testing.T) {
	w := newWorld(t, nil)
	var all sync.WaitGroup
	for i := range 4 {
		fn := w.function(exhaustion()["memory"].source)
		fn.ARN = fmt.Sprint(testARN, i)
		all.Go(func() {
			r, err := w.try(fn, "{}")
			if err != nil || !strings.Contains(string(r.Payload), "Runtime.OutOfMemory") {
				t.Errorf("%v %s", err, r.Payload)
			}
		})
	}
	all.Wait()
}
