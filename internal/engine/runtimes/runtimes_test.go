package runtimes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
)

// machine is a made-up machine with interpreters that are shell scripts.
type machine struct {
	t        *testing.T
	bin      string
	clock    *clock.Manual
	progress []string
	log      bytes.Buffer
	python   *python
	code     string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, bin: t.TempDir(), code: t.TempDir(), clock: clock.NewManual(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))}
	m.python = newPython(Host{
		Clock: m.clock, Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&m.log, nil)),
		Progress: func(s string) { m.progress = append(m.progress, s) },
	})
	m.python.places = func() []string { return []string{m.bin} }
	return m
}

// add makes an interpreter whose pip runs the shell commands in pip, with $target set.
func (m *machine) add(name string, minor int, sdk bool, pip string) string {
	m.t.Helper()
	path := filepath.Join(m.bin, name)
	script := fmt.Sprintf(`#!/bin/sh
if [ "$1" = -I ]; then
  printf x >>%[2]s.asked
  echo '{"minor": %[1]d, "version": "3.%[1]d.1", "executable": "%[2]s", "prefix": "%[3]s", "paths": [], "libraries": [], "sdk": %[4]v}'
  exit
fi
echo "$@" >>%[2]s.calls
while [ "$1" != --target ]; do shift; done
target=$2
%[5]s
`, minor, path, m.bin, sdk, pip)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		m.t.Fatal(err)
	}
	return path
}

func (m *machine) writeCode(text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.code, "app.py"), []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func TestUnknownRuntime(t *testing.T) {
	_, err := NewSet(Host{}).Prepare(t.Context(), Request{Runtime: "ruby3.3", Code: ""})
	if cloud.Code(err) != "InvalidRuntimeException" || !strings.Contains(err.Error(), "ruby3.3") || !strings.Contains(err.Error(), "python3.13") {
		t.Errorf("got %v", err)
	}
}

func TestInterpreterIsFound(t *testing.T) {
	m := newMachine(t)
	m.add("python3.10", 10, false, "")
	exact := m.add("python3.12", 12, false, "")
	l, err := m.python.Prepare(t.Context(), Request{Runtime: "python3.12", Code: m.code})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{exact, "-s", "/var/runtime/bootstrap.py"}; !slices.Equal(l.Args, want) || l.Version != "3.12.1" {
		t.Errorf("%v %s", l.Args, l.Version)
	}
	if l.Env["AWS_EXECUTION_ENV"] != "AWS_Lambda_python3.12" || !strings.HasPrefix(l.Env["PATH"], m.bin+":") {
		t.Errorf("%v", l.Env)
	}
	if len(m.progress) != 0 {
		t.Errorf("said %q", m.progress)
	}
	last := l.Binds[len(l.Binds)-1]
	if _, err := os.Stat(filepath.Join(last.Source, "bootstrap.py")); err != nil || last.Target != "/var/runtime" {
		t.Errorf("%+v: %v", last, err)
	}
}

// TestInterpreterIsRemembered: another server on the same data does not ask an interpreter again, until something of it has changed.
func TestInterpreterIsRemembered(t *testing.T) {
	m := newMachine(t)
	path := m.add("python3.12", 12, false, "")
	for i, want := range []int{1, 1, 2} {
		if i == 2 {
			m.add("python3.12", 12, false, "# changed")
		}
		p := newPython(m.python.host)
		p.places = m.python.places
		l, err := p.Prepare(t.Context(), Request{Runtime: "python3.12", Code: m.code})
		if err != nil || l.Args[0] != path {
			t.Fatalf("%v, %v", l, err)
		}
		if asked, err := os.ReadFile(path + ".asked"); err != nil || len(asked) != want {
			t.Errorf("server %d: asked %d times, %v", i, len(asked), err)
		}
	}
}

func TestInterpreterWithSDKIsPreferred(t *testing.T) {
	m := newMachine(t)
	dirs := []string{m.bin, t.TempDir(), "relative"}
	m.python.places = func() []string { return dirs }
	for i, dir := range dirs[:2] {
		path := filepath.Join(dir, "python3.12")
		if err := os.WriteFile(path, []byte("not a script"), 0o755); err != nil {
			t.Fatal(err)
		}
		m.python.probed[path] = &interpreter{Minor: 12, Executable: path, SDK: i == 1}
	}
	m.writeCode("import boto3")
	l, err := m.python.Prepare(t.Context(), Request{Runtime: "python3.12", Code: m.code})
	if err != nil || filepath.Dir(l.Args[0]) != dirs[1] || l.SDK != "" {
		t.Errorf("%v, %v", l, err)
	}
}

func TestNearestInterpreter(t *testing.T) {
	for _, c := range []struct{ want, have, gets string }{
		{"python3.12", "9 11 13", "3.13.1"}, {"python3.12", "9 11", "3.11.1"}, {"python3.9", "11 13", "3.11.1"}, {"python3.11", "7", ""},
	} {
		m := newMachine(t)
		for minor := range strings.FieldsSeq(c.have) {
			var n int
			if _, err := fmt.Sscan(minor, &n); err != nil {
				t.Fatal(err)
			}
			m.add("python3."+minor, n, false, "")
		}
		for range 2 {
			l, err := m.python.Prepare(t.Context(), Request{Runtime: c.want, Code: m.code})
			if c.gets == "" {
				if cloud.Code(err) != "ServiceException" || !strings.Contains(err.Error(), "pyenv install 3.11") {
					t.Errorf("%+v: %v", c, err)
				}
				continue
			}
			if err != nil || l.Version != c.gets {
				t.Errorf("%+v: %v, %v", c, l, err)
				continue
			}
			if len(m.progress) != 1 || !strings.Contains(m.progress[0], c.want) || !strings.Contains(m.progress[0], c.gets) {
				t.Errorf("%+v: said %q", c, m.progress)
			}
		}
	}
}

func TestSDKIsInstalledOnce(t *testing.T) {
	m := newMachine(t)
	path := m.add("python3.12", 12, false, `mkdir -p "$target/boto3" && umask 077 && touch "$target/boto3/__init__.py"`)
	m.writeCode("print('no SDK here')")
	l, err := m.python.Prepare(t.Context(), Request{Runtime: "python3.12", Code: m.code})
	if err != nil || l.SDK != "" || len(m.progress) != 0 {
		t.Fatalf("without need: %v, %v, %q", l, err, m.progress)
	}
	m.writeCode("def f():\n  import boto3")
	for range 2 {
		l, err = m.python.Prepare(t.Context(), Request{Runtime: "python3.12", Code: m.code})
		if err != nil || l.SDK != sdkPath || l.Env[sdkVar] != sdkPath {
			t.Fatalf("%v, %v", l, err)
		}
	}
	source := l.Binds[len(l.Binds)-1].Source
	if info, err := os.Stat(filepath.Join(source, "boto3/__init__.py")); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	if calls, err := os.ReadFile(path + ".calls"); err != nil || bytes.Count(calls, []byte("\n")) != 1 {
		t.Errorf("pip ran: %s, %v", calls, err)
	}
	if len(m.progress) != 2 || !strings.Contains(m.progress[0], "Installing boto3") {
		t.Errorf("said %q", m.progress)
	}
	// Once it is there, every function has it, as on Lambda.
	m.writeCode("print('no SDK here')")
	if l, err = m.python.Prepare(t.Context(), Request{Runtime: "python3.12", Code: m.code}); err != nil || l.SDK == "" {
		t.Errorf("%v, %v", l, err)
	}
	entries, err := os.ReadDir(filepath.Dir(source))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestSDKCannotBeInstalled(t *testing.T) {
	m := newMachine(t)
	path := m.add("python3.12", 12, false, `mkdir -p "$target/half"; echo "No matching distribution" >&2; exit 1`)
	m.writeCode("import botocore")
	for range 2 {
		_, err := m.python.Prepare(t.Context(), Request{Runtime: "python3.12", Code: m.code})
		want := path + " -m pip install --only-binary=:all: --target " + filepath.Join(m.python.host.Dir, "python/3.12") + " boto3"
		if cloud.Code(err) != "ServiceException" || !strings.Contains(err.Error(), "No matching distribution") || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	}
	m.clock.Advance(retryAfter)
	if _, err := m.python.Prepare(t.Context(), Request{Runtime: "python3.12", Code: m.code}); err == nil {
		t.Error("no error")
	}
	if calls, err := os.ReadFile(path + ".calls"); err != nil || bytes.Count(calls, []byte("\n")) != 2 {
		t.Errorf("pip ran: %s, %v", calls, err)
	}
}

func TestFunctionThatBringsTheSDK(t *testing.T) {
	m := newMachine(t)
	m.add("python3.12", 12, false, "exit 1")
	m.writeCode("import boto3")
	if err := os.Mkdir(filepath.Join(m.code, "boto3"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.code, "boto3/__init__.py"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if l, err := m.python.Prepare(t.Context(), Request{Runtime: "python3.12", Code: m.code}); err != nil || l.SDK != "" {
		t.Errorf("%v, %v", l, err)
	}
}

// TestThisMachine takes whatever interpreter there is.
func TestThisMachine(t *testing.T) {
	p := newPython(Host{Clock: clock.Real(), Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Progress: func(string) {}})
	l, err := p.Prepare(t.Context(), Request{Runtime: "python3.11", Code: t.TempDir()})
	if err != nil {
		t.Skipf("NO PYTHON HERE: %v", err)
	}
	for _, b := range l.Binds {
		if _, err := os.Stat(b.Source); err != nil && !b.Optional {
			t.Errorf("%+v: %v", b, err)
		}
	}
}

func decode(t testing.TB, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %.500s", err, text)
	}
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
