package engine

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestStolenOutput runs a function that reads its own output, and with it what the engine writes there to tell when all is logged. Neither
// the invocation nor the engine's end waits for it.
func TestStolenOutput(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function(`
import os, threading
fd = os.open("/proc/self/fd/1", os.O_RDONLY)
def steal():
    while os.read(fd, 65536): pass
def handler(event, context):
    threading.Thread(target=steal, daemon=True).start()
    return 1
`)
	fn.Timeout = 20 * time.Second
	for range 2 {
		w.expect(w.invoke(fn, "{}"), "", "1")
	}
}

// TestForgedMark writes what the engine writes into the output, many times.
func TestForgedMark(t *testing.T) {
	w := newWorld(t, nil)
	fn := w.function(`
import os, threading
fd = os.open("/proc/self/fd/1", os.O_RDONLY)
def forge():
    seen = os.read(fd, 65536)
    for _ in range(100): os.write(1, seen)
def handler(event, context):
    threading.Thread(target=forge, daemon=True).start()
    return 1
`)
	fn.Timeout = 20 * time.Second
	for range 2 {
		w.expect(w.invoke(fn, "{}"), "", "1")
	}
}

// TestConnectionsAreBounded opens more connections than one function may: the server holds the allowed number of them.
func TestConnectionsAreBounded(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Endpoint = func(Environment) http.Handler { return http.NotFoundHandler() }
	})
	fn := w.function(`
import socket
kept = []
def handler(event, context):
    for _ in range(event["n"]):
        kept.append(socket.create_connection(("127.0.0.1", event["port"])))
    # The last that is accepted has been once the first is answered.
    kept[0].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return kept[0].recv(12).decode()
`)
	fn.Timeout = 20 * time.Second
	before := openFiles(t)
	w.expect(w.invoke(fn, `{"n": 600, "port": 4566}`), "", `"HTTP/1.1 404"`)
	if n := openFiles(t) - before; n > maxEndpointConns+100 { // sandboxes that were made ahead have some too
		t.Errorf("%d more descriptors", n)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestCodeIsPrivate: other people of the machine do not read the code of functions, wherever the data folder lies.
func TestCodeIsPrivate(t *testing.T) {
	w := newWorld(t, nil)
	for _, dir := range []string{"", "root"} {
		info, err := os.Stat(filepath.Join(w.engine.cfg.Dir, dir))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%q: %v, %v", dir, info.Mode(), err)
		}
	}
}
