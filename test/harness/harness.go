// Package harness starts the real croft binary for tests that look at it from outside, and talks to it as clients do.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/control"
	"croft/internal/iac"
	"croft/internal/sigv4"
)

// startWithin bounds how long a cloud may take to serve, on a busy machine.
const startWithin = 60 * time.Second

// Root returns the module's root folder.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}

// Binary builds croft as users have it and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "croft")
	cmd := exec.Command("make", "build", "BIN="+path)
	cmd.Dir = Root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building croft: %v\n%s", err, out)
	}
	return path
}

// Cloud is one data folder with, most of the time, a croft process on it.
type Cloud struct {
	t      testing.TB
	binary string
	args   []string
	addr   string
	// URL is the cloud's endpoint: the same after each start.
	URL     string
	Control *control.Client
	HTTP    *http.Client
	cmd     *exec.Cmd
	output  lockedBuffer
}

// New returns a cloud on a new data folder and a free port. It is not started; it is killed at the end of the test.
func New(t testing.TB, binary string, args ...string) *Cloud {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &Cloud{t: t, binary: binary, addr: l.Addr().String(), URL: "http://" + l.Addr().String()}
	c.args = append([]string{"up", "--listen", c.addr, "--data", filepath.Join(t.TempDir(), "data")}, args...)
	c.Control = control.NewClient(c.URL)
	c.HTTP = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(func() {
		c.Kill()
		if t.Failed() {
			t.Logf("croft said:\n%s", c.output.String())
		}
	})
	return c
}

// Start starts the process and waits until it serves.
func (c *Cloud) Start() {
	c.t.Helper()
	c.cmd = exec.Command(c.binary, c.args...)
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.Until("the cloud serves", startWithin, func() bool {
		_, err := c.Control.Health(context.Background())
		return err == nil
	})
}

// Kill ends the process with SIGKILL and waits until it is gone. It does nothing when no process runs.
func (c *Cloud) Kill() { c.end(syscall.SIGKILL) }

// Stop ends the process as Ctrl-C does, and returns whether it ended without an error.
func (c *Cloud) Stop() bool { return c.end(syscall.SIGINT) }

func (c *Cloud) end(sig syscall.Signal) bool {
	if c.cmd == nil {
		return true
	}
	_ = c.cmd.Process.Signal(sig)
	err := c.cmd.Wait()
	c.cmd = nil
	c.HTTP.CloseIdleConnections()
	return err == nil
}

// Args replaces the arguments that New was given, from the next start on.
func (c *Cloud) Args(args ...string) { c.args = append(c.args[:5:5], args...) }

// Data returns the data folder.
func (c *Cloud) Data() string { return c.args[4] }

// PID returns the process's id.
func (c *Cloud) PID() int { return c.cmd.Process.Pid }

// Output returns what the process has printed so far.
func (c *Cloud) Output() string { return c.output.String() }

// Until waits until cond holds, and fails the test when it does not within limit.
func (c *Cloud) Until(what string, limit time.Duration, cond func() bool) {
	c.t.Helper()
	clk := clock.Real()
	for end := clk.Now().Add(limit); ; {
		if cond() {
			return
		}
		if clk.Now().After(end) {
			c.t.Fatalf("not within %v: %s\ncroft said:\n%s", limit, what, c.output.String())
		}
		if err := clock.Sleep(context.Background(), clk, 5*time.Millisecond); err != nil {
			c.t.Fatal(err)
		}
	}
}

// Deploy deploys a project folder, given relative to the module's root or absolutely, and returns the stack's outputs.
func (c *Cloud) Deploy(project string) map[string]string {
	c.t.Helper()
	if !filepath.IsAbs(project) {
		project = filepath.Join(Root(c.t), project)
	}
	p, err := iac.Open(project)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx := context.Background()
	text, err := p.Build(ctx, c.Control.Upload, func(s string) { c.t.Log(s) })
	if err != nil {
		c.t.Fatal(err)
	}
	end, err := c.Control.Deploy(ctx, control.DeployRequest{Stack: p.Name, Template: text}, func(control.DeployEvent) {})
	if err != nil {
		c.t.Fatal(err)
	}
	out := map[string]string{}
	for _, o := range end.Outputs {
		out[o.Key] = o.Value
	}
	return out
}

// Call makes one call in the JSON protocol, target as in X-Amz-Target, and decodes the answer into out. The service is the one
// whose scope signs.
func (c *Cloud) Call(service, target string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, c.URL+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	sigv4.Sign(req, body, sigv4.Credentials{AccessKey: "test", Secret: "test"}, "us-east-1", service, clock.Real().Now())
	res, err := c.HTTP.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", target, res.Status, strings.TrimSpace(string(text)))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// lockedBuffer is a buffer that a process writes while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
