package main

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/control"
	"croft/internal/engine/sandbox"
)

const watchedTemplate = `Transform: AWS::Serverless-2016-10-31
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: fn, Handler: app.handler, Runtime: python3.11, Timeout: 20}
`

// started is croft up --watch in a process of its own.
type started struct {
	t      *testing.T
	dir    string
	client *control.Client
	lines  chan string
}

func upWatching(t *testing.T, flags ...string) *started {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &started{t: t, dir: filepath.Join(t.TempDir(), "app"), lines: make(chan string, 1000)}
	s.write("template.yaml", watchedTemplate)
	s.write("fn/app.py", "def handler(event, context): return 0")
	args := append([]string{"up", "--watch", "--ephemeral", "--listen", "127.0.0.1:0"}, flags...)
	cmd := exec.Command(self, append(args, s.dir)...)
	cmd.Args[0] = "croft" // TestMain
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		for range s.lines {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("croft up ended with %v", err)
		}
	})
	go func() {
		defer close(s.lines)
		for text := bufio.NewScanner(out); text.Scan(); {
			s.lines <- text.Text()
		}
	}()
	banner := s.await(`http://\S+`)
	s.client = control.NewClient(banner)
	s.await("running; what you save is redeployed")
	return s
}

func (s *started) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// await reads lines until one fits, and returns what did.
func (s *started) await(pattern string) string {
	s.t.Helper()
	exp := regexp.MustCompile(pattern)
	limit, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for {
		select {
		case l, open := <-s.lines:
			if !open {
				s.t.Fatalf("croft ended before it said %s", pattern)
			}
			if m := exp.FindString(l); m != "" {
				return m
			}
		case <-limit.Done():
			s.t.Fatalf("croft did not say %s", pattern)
		}
	}
}

func (s *started) invoke() string {
	s.t.Helper()
	r, err := s.client.Invoke(s.t.Context(), control.InvokeRequest{Function: "Hello"}, []byte("{}"))
	if err != nil {
		if strings.Contains(err.Error(), "Python interpreter") {
			s.t.Skipf("NO PYTHON HERE, NOTHING IS TESTED: %v", err)
		}
		s.t.Fatal(err)
	}
	return string(r.Payload)
}

// TestUpWatch saves files under a running cloud and calls the function until the new code answers.
func TestUpWatch(t *testing.T) {
	if err := sandbox.Check(t.Context()); err != nil {
		t.Skipf("NO SANDBOX HERE, NOTHING IS TESTED: %v", err)
	}
	s := upWatching(t)
	s.invoke()
	var took []time.Duration
	for i := 1; i <= 5; i++ {
		begin := clock.Real().Now()
		s.write("fn/app.py", fmt.Sprintf("def handler(event, context): return %d", i))
		for s.invoke() != fmt.Sprint(i) {
			if clock.Real().Now().Sub(begin) > time.Minute {
				t.Fatal("the new code does not come")
			}
		}
		took = append(took, clock.Real().Now().Sub(begin))
		s.await(`fn/app.py changed: Hello redeployed in \d+ ms`)
	}
	slices.Sort(took)
	t.Logf("from a save to the new code's answer: median %v", took[len(took)/2])
	s.write("fn/app.py", "def handler(event, context)\n  return 1")
	s.await(`fn/app.py: .*, line 1`)
	s.write("template.yaml", "Resources: [")
	s.await(`template.yaml changed, and is not deployed: .*template.yaml:`)
	s.write("fn/app.py", "def handler(event, context): return 'again'")
	s.write("template.yaml", watchedTemplate)
	s.await(`changed: (Hello redeployed|the cloud has it so already)`)
	for s.invoke() != `"again"` {
		s.await(`changed: Hello redeployed`)
	}
	names, err := s.client.Names(t.Context())
	if err != nil || !slices.Contains(names.Functions, "Hello") || !slices.Equal(names.Stacks, []string{"app"}) {
		t.Errorf("%+v, %v", names, err)
	}
}

// TestReducedIsolationIsSaid looks for the words everywhere that they belong.
func TestReducedIsolationIsSaid(t *testing.T) {
	s := upWatching(t, "--isolation=none")
	status, err := s.client.Status(t.Context())
	if err != nil || status.Reduced != sandbox.Reduction || status.Isolation != "" {
		t.Errorf("%+v, %v", status, err)
	}
	if got := s.invoke(); got != "0" {
		t.Errorf("answered %s", got)
	}
	s.await("REPORT .*Reduced isolation: " + sandbox.Reduction)
	said := false
	err = s.client.Logs(t.Context(), url.Values{}, func(l control.LogLine) error {
		said = said || strings.Contains(l.Text, "Reduced isolation: ")
		return nil
	})
	if err != nil || !said {
		t.Errorf("the log does not say it: %v", err)
	}
}
