package engine

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// leaking is how many cold starts TestLeaks makes, by CROFT_LEAKS. `make leaks` makes 10,000.
func leaking(t *testing.T) int {
	text := os.Getenv("CROFT_LEAKS")
	if text == "" {
		return 200
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 20 {
		t.Fatalf("CROFT_LEAKS=%q is not a number of at least 20", text)
	}
	return n
}

// start is a way for a function's environment to begin, and end: one in every of all starts is such a one.
type start struct {
	name   string
	fn     Function
	every  int
	failed string // what its error document holds
}

// TestLeaks starts environments by the hundred, which end in every way there is, and then looks whether anything is left of them.
func TestLeaks(t *testing.T) {
	n := leaking(t)
	// The first round loads what is loaded once: packages of tables, pools, threads.
	before := leaks(t, max(n/10, 20))
	after := leaks(t, n)
	t.Logf("after %d starts: %+v; after %d: %+v", max(n/10, 20), before, n, after)
	if after.goroutines > before.goroutines+2 {
		buf := make([]byte, 1<<20)
		t.Errorf("goroutines: %d, then %d\n%s", before.goroutines, after.goroutines, buf[:runtime.Stack(buf, true)])
	}
	if after.heap > before.heap+4<<20 || after.resident > before.resident+32<<20 {
		t.Errorf("memory: %+v, then %+v", before, after)
	}
}

// usage is what is in use after everything has ended.
type usage struct {
	goroutines     int
	heap, resident int64 // bytes
}

func leaks(t *testing.T, n int) usage {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir()) // where everything that is left is the engine's
	mark := footprint(t)
	w := newWorld(t, func(c *Config) { c.Logs = nil })
	starts := leakStarts(t, w)
	begin := w.engine.cfg.Clock.Now()
	var all sync.WaitGroup
	places := make(chan struct{}, 4)
	for i := range n {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			for _, s := range starts {
				if i%s.every == 0 {
					leakOnce(t, w, s, i)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d starts and more in %v", n, w.engine.cfg.Clock.Now().Sub(begin).Round(time.Millisecond))
	if err := w.engine.Close(); err != nil {
		t.Error(err)
	}
	mark.compare(t, footprint(t))
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("in the folder of temporary files: %v, %v", left, err)
	}
	w.code = nil // the test keeps the rest of its worlds
	return measure(t)
}

func leakOnce(t *testing.T, w *world, s start, i int) {
	fn := s.fn
	fn.ARN = fmt.Sprint(testARN, s.name, i)
	r, err := w.try(fn, "{}")
	if err != nil {
		t.Errorf("%s: %v", s.name, err)
		return
	}
	if s.failed == "" && r.FunctionError != "" || !strings.Contains(string(r.Payload), s.failed) {
		t.Errorf("%s: %s %.300s", s.name, r.FunctionError, r.Payload)
	}
	w.engine.Retire(fn.ARN)
}

func measure(t *testing.T) usage {
	t.Helper()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var kb int64
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			if _, err := fmt.Sscan(rest, &kb); err != nil {
				t.Fatal(err)
			}
		}
	}
	return usage{goroutines: runtime.NumGoroutine(), heap: int64(m.HeapAlloc), resident: kb << 10}
}

func leakStarts(t *testing.T, w *world) []start {
	hello := w.function("def handler(event, context): return 1\n")
	slow := w.function("import time\ndef handler(event, context): time.sleep(60)\n")
	slow.Timeout = 300 * time.Millisecond
	fresh := hello
	fresh.Env = map[string]string{"PYTHONDONTWRITEBYTECODE": "1"}
	crash := w.function("import os, subprocess, sys\ndef handler(event, context):\n    subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n    os._exit(1)\n")
	hog := w.function("def handler(event, context):\n    kept = []\n    while True: kept.append(b'x' * (1 << 20))\n")
	hog.MemoryMB = 128
	out := []start{
		{"hello", hello, 1, ""}, {"fresh", fresh, 40, ""}, {"timeout", slow, 40, "Sandbox.Timedout"},
		{"crash", crash, 40, "Runtime.ExitError"}, {"memory", hog, 40, "Runtime.OutOfMemory"},
		{"init", w.function("x = 1 / 0\n"), 40, "ZeroDivisionError"},
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Logf("NO NODE HERE, its processes are not tested: %v", err)
	} else {
		node := w.packed(hello, "app.js", []byte("exports.handler = async () => 1\n"))
		node.Runtime = "nodejs20.x"
		out = append(out, start{"node", node, 40, ""})
	}
	if program := plainProgram(t); program != nil {
		provided := w.packed(hello, "bootstrap", program)
		provided.Runtime = "provided.al2023"
		out = append(out, start{"provided", provided, 40, ""})
	}
	return out
}

// plainProgram builds a program that speaks to the Runtime API; nil where there is nothing to build it with.
func plainProgram(t *testing.T) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bootstrap")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", file, ".")
	cmd.Dir = filepath.Join("runtimes", "testdata", "provided", "plain")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("NOTHING TO BUILD GO PROGRAMS HERE, they are not tested: %v %s", err, out)
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// packed returns fn with a package of one executable file.
func (w *world) packed(fn Function, name string, content []byte) Function {
	w.t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(0o755)
	f, err := z.CreateHeader(h)
	if err == nil {
		_, err = f.Write(content)
	}
	if err != nil || z.Close() != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256(buf.Bytes())
	fn.CodeSHA = hex.EncodeToString(sum[:])
	fn.Revision = fn.CodeSHA
	w.mu.Lock()
	defer w.mu.Unlock()
	w.code[fn.CodeSHA] = buf.Bytes()
	return fn
}
