package runtimes

import (
	"debug/elf"
	"errors"
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
	"croft/internal/engine/sandbox"
)

// nodeMachine is a made-up machine with interpreters that are shell scripts.
type nodeMachine struct {
	t        *testing.T
	home     string
	clock    *clock.Manual
	progress []string
	node     *node
	code     string
	layers   string
}

func newNodeMachine(t *testing.T) *nodeMachine {
	t.Helper()
	m := &nodeMachine{t: t, home: t.TempDir(), code: t.TempDir(), clock: clock.NewManual(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))}
	m.node = newNode(Host{
		Clock: m.clock, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Progress: func(s string) { m.progress = append(m.progress, s) },
	})
	getenv := func(name string) string {
		return map[string]string{"HOME": m.home, "PATH": m.home + "/bin"}[name]
	}
	m.node.places = func() []string {
		places := NodePlaces(getenv, func(p string) []string { found, _ := filepath.Glob(p); return found })
		return slices.DeleteFunc(places, func(p string) bool { return !strings.HasPrefix(p, m.home) })
	}
	return m
}

// add makes an interpreter, whose npm runs the shell commands in npm with $prefix set.
func (m *nodeMachine) add(dir, version, npm string) string {
	m.t.Helper()
	dir = filepath.Join(m.home, dir)
	path := filepath.Join(dir, "node")
	major, _, _ := strings.Cut(version, ".")
	m.script(path, fmt.Sprintf(`echo '{"major": %s, "version": "%s", "executable": "%s", "libraries": ["/usr/lib/libx.so", "/opt/libnode.so"], `+
		`"require_module": true, "detect_module": true, "hooks": true}'`, major, version, path))
	m.script(filepath.Join(dir, "npm"), fmt.Sprintf("echo \"$@\" >>%s/calls\nwhile [ \"$1\" != --prefix ]; do shift; done\nprefix=$2\n%s\n", m.home, npm))
	return path
}

func (m *nodeMachine) script(path, text string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *nodeMachine) calls() int {
	text, err := os.ReadFile(m.home + "/calls")
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}

func (m *nodeMachine) prepare(runtime string, env ...string) (*Launch, error) {
	r := Request{Runtime: runtime, Handler: "index.handler", Code: m.code, Layers: m.layers, Env: map[string]string{}}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		r.Env[name] = value
	}
	return m.node.Prepare(m.t.Context(), r)
}

func TestNodeIsFound(t *testing.T) {
	const nvm, asdf, fnm = ".nvm/versions/node/", ".asdf/installs/nodejs/", ".local/share/fnm/node-versions/"
	for _, c := range []struct{ have, want, gets, says string }{
		{"bin=20.1.0 " + nvm + "v22.1.0/bin=22.1.0", "nodejs20.x", "20.1.0", ""},
		{"bin=20.1.0 " + nvm + "v22.1.0/bin=22.1.0", "nodejs22.x", "22.1.0", ""},
		{nvm + "v22.9.0/bin=22.9.0 " + nvm + "v22.10.0/bin=22.10.0", "nodejs22.x", "22.10.0", ""},
		{asdf + "20.3.0/bin=20.3.0", "nodejs20.x", "20.3.0", ""},
		{fnm + "v18.3.0/installation/bin=18.3.0", "nodejs18.x", "18.3.0", ""},
		{"bin=20.1.0", "nodejs24.x", "20.1.0", "no Node.js 24"},
		{"bin=18.1.0 " + nvm + "v22.1.0/bin=22.1.0", "nodejs20.x", "22.1.0", "no Node.js 20"},
		{"bin=23.1.0", "nodejs22.x", "23.1.0", "no Node.js 22"},
		{"bin=16.1.0", "nodejs18.x", "", ""},
		{"", "nodejs22.x", "", ""},
	} {
		m := newNodeMachine(t)
		for in := range strings.FieldsSeq(c.have) {
			dir, version, _ := strings.Cut(in, "=")
			m.add(dir, version, "")
		}
		for range 2 {
			l, err := m.prepare(c.want)
			switch {
			case c.gets == "":
				if cloud.Code(err) != "ServiceException" || !strings.Contains(err.Error(), "nvm install "+c.want[6:8]) {
					t.Errorf("%+v: %v", c, err)
				}
			case err != nil || l.Version != c.gets:
				t.Errorf("%+v: %v, %v", c, l, err)
			}
		}
		if said := strings.Join(m.progress, "\n"); c.says == "" && said != "" || len(m.progress) > 1 || !strings.Contains(said, c.says) {
			t.Errorf("%+v: said %q", c, m.progress)
		}
	}
}

func TestNodeLaunch(t *testing.T) {
	m := newNodeMachine(t)
	node := m.add("bin", "22.1.0", "")
	l, err := m.prepare("nodejs22.x", "NODE_ENV=production", "X=y")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{node, "--no-experimental-require-module", "--no-experimental-detect-module", "/var/runtime/bootstrap.js"}
	if !slices.Equal(l.Args, args) || !l.Frames || l.SDK != "" || l.Boot == nil || !slices.Equal(l.Boot.Args, append(args, "ahead")) || l.Boot.Parent != nil {
		t.Errorf("%+v %+v", l, l.Boot)
	}
	want := "/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
	if l.Env["NODE_PATH"] != want || !slices.Contains(l.Boot.Env, "NODE_PATH="+want) || l.Env["AWS_EXECUTION_ENV"] != "AWS_Lambda_nodejs22.x" {
		t.Errorf("%v %v", l.Env, l.Boot.Env)
	}
	if !slices.Contains(l.Binds, sandbox.Bind{Source: "/opt/libnode.so", Target: "/opt/libnode.so", Optional: true}) || slices.Contains(l.Binds,
		sandbox.Bind{Source: "/usr/lib/libx.so", Target: "/usr/lib/libx.so", Optional: true}) {
		t.Errorf("%v", l.Binds)
	}
	last := l.Binds[len(l.Binds)-1]
	for _, name := range []string{"bootstrap.js", "node_modules"} {
		if _, err := os.Stat(filepath.Join(last.Source, name)); err != nil || last.Target != "/var/runtime" {
			t.Errorf("%+v: %v", last, err)
		}
	}
	for _, v := range []string{"NODE_OPTIONS=--experimental-require-module", "NODE_EXTRA_CA_CERTS=/x", "TZ=Europe/Berlin", "LD_PRELOAD=/x", "LC_ALL=C", "UV_THREADPOOL_SIZE=9",
		"AWS_LAMBDA_EXEC_WRAPPER=/opt/w"} {
		fresh, err := m.prepare("nodejs22.x", v)
		if err != nil || fresh.Boot != nil || fresh.Key != l.Key {
			t.Errorf("%s: %+v, %v", v, fresh, err)
		}
		if asked := strings.HasPrefix(v, "NODE_OPTIONS"); asked == slices.Contains(fresh.Args, "--no-experimental-require-module") {
			t.Errorf("%s: %v", v, fresh.Args)
		}
	}
	other, err := m.prepare("nodejs24.x")
	if err != nil || other.Key == l.Key || len(other.Args) != 2 {
		t.Errorf("%+v, %v", other, err)
	}
	m.node.host.Isolation = sandbox.Reduced
	if l, err = m.prepare("nodejs22.x"); err != nil || l.Boot != nil {
		t.Errorf("%+v, %v", l, err)
	}
}

const npmInstalls = `for p in "$@"; do case $p in @*) mkdir -p "$prefix/node_modules/$p"; echo {} >"$prefix/node_modules/$p/package.json";; esac; done`

func TestNodeSDKIsInstalledOnce(t *testing.T) {
	m := newNodeMachine(t)
	m.add("bin", "22.1.0", npmInstalls)
	writeFiles(t, m.code, "-- index.mjs --\nimport {S3Client} from '@aws-sdk/client-s3';\nconst x = require(\"@smithy/core/cbor\"); // see @aws-sdk/other\n"+
		"-- node_modules/tool/i.js --\nrequire('@aws-sdk/client-sqs')\n-- node_modules/@aws-sdk/lib-dynamodb/i.js --\nrequire('@aws-sdk/client-dynamodb')\n"+
		"-- lib/a.js --\nrequire('@aws-sdk/lib-dynamodb')\n")
	for range 2 {
		l, err := m.prepare("nodejs22.x")
		if err != nil || l.SDK != "/var/runtime/node_modules" || !strings.HasSuffix(strings.Join(l.Boot.Args, " "),
			" ahead /var/runtime/node_modules @aws-sdk/client-s3 @aws-sdk/client-sqs @smithy/core") {
			t.Fatalf("%+v, %v", l, err)
		}
		last := l.Binds[len(l.Binds)-1]
		found, err := filepath.Glob(filepath.Join(last.Source, "*", "*"))
		if err != nil || len(found) != 3 || last.Target != l.SDK || !strings.Contains(l.Key, filepath.Dir(last.Source)) {
			t.Errorf("%+v has %v", last, found)
		}
	}
	if m.calls() != 1 || len(m.progress) != 2 || !strings.Contains(m.progress[0], "Installing @aws-sdk/client-s3, @aws-sdk/client-sqs, @smithy/core for Node.js 22") {
		t.Errorf("%d calls, said %q", m.calls(), m.progress)
	}
	// What is there serves a function that needs less; one that needs nothing gets nothing; a layer brings it too.
	m.code = folderOf(t, "-- index.js --\nconst { SQSClient } = require('@aws-sdk/client-sqs')\n")
	if l, err := m.prepare("nodejs22.x"); err != nil || l.SDK == "" || m.calls() != 1 {
		t.Errorf("%+v, %v, %d calls", l, err, m.calls())
	}
	m.layers = folderOf(t, "-- nodejs/node22/node_modules/@aws-sdk/client-sqs/package.json --\n{}\n")
	if l, err := m.prepare("nodejs22.x"); err != nil || l.SDK != "" || m.calls() != 1 {
		t.Errorf("%+v, %v, %d calls", l, err, m.calls())
	}
}

func TestNodeSDKCannotBeInstalled(t *testing.T) {
	m := newNodeMachine(t)
	m.add("bin", "22.1.0", `echo "npm error code E404" >&2; echo "npm error 404 Not Found" >&2; echo "npm error A complete log" >&2; exit 1`)
	writeFiles(t, m.code, "-- node_modules/tool/i.js --\nrequire('@aws-sdk/client-sqs')\n")
	if l, err := m.prepare("nodejs22.x"); err != nil || l.SDK != "" {
		t.Errorf("a package that may need it: %+v, %v", l, err)
	}
	m.code = folderOf(t, "-- index.js --\nimport('@aws-sdk/client-sns')\n")
	for range 2 {
		_, err := m.prepare("nodejs22.x")
		if cloud.Code(err) != "ServiceException" || !strings.Contains(err.Error(), ": 404 Not Found. Bring") ||
			!strings.HasSuffix(err.Error(), "npm install --prefix FOLDER --ignore-scripts --omit=dev --before=2026-11-01 @aws-sdk/client-sns") {
			t.Errorf("got %v", err)
		}
	}
	if m.calls() != 2 {
		t.Errorf("%d calls", m.calls())
	}
	m.clock.Advance(retryAfter)
	if _, err := m.prepare("nodejs22.x"); err == nil || m.calls() != 3 {
		t.Errorf("%v, %d calls", err, m.calls())
	}
	if entries, err := os.ReadDir(filepath.Join(m.node.host.Dir, "node/22")); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestProvided(t *testing.T) {
	own, other := []byte("\x7fELF\x02\x01\x01"), byte(0xb7)
	own = append(own, make([]byte, 57)...)
	own[16], own[18], own[20], own[52], own[58] = 2, 62, 1, 64, 64
	if ownMachine() == "arm64" {
		own[18], other = 0xb7, 62
	}
	foreign := slices.Clone(own)
	foreign[18] = other
	for name, c := range map[string]struct {
		code, layers []byte
		mode         os.FileMode
		args, fails  string
	}{
		"package":        {own, own, 0o755, "/var/task/bootstrap", ""},
		"layer":          {nil, own, 0o755, "/opt/bootstrap", ""},
		"script":         {[]byte("#!/bin/sh\n"), nil, 0o755, "/var/task/bootstrap", ""},
		"neither":        {nil, nil, 0, "", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"},
		"not executable": {own, nil, 0o644, "", "fork/exec /var/task/bootstrap: permission denied"},
		"another machine": {foreign, nil, 0o755, "", "fork/exec /var/task/bootstrap: exec format error: it is built for " + machineName(elf.Machine(other)) +
			", and this machine is " + ownMachine()},
	} {
		r := Request{Runtime: "provided.al2023", Code: t.TempDir(), Layers: t.TempDir()}
		for dir, text := range map[string][]byte{r.Code: c.code, r.Layers: c.layers} {
			if text == nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, "bootstrap"), text, c.mode); err != nil {
				t.Fatal(err)
			}
		}
		l, err := NewSet(Host{}).Prepare(t.Context(), r)
		var entry *EntrypointError
		switch {
		case c.fails != "":
			if !errors.As(err, &entry) || entry.Message != c.fails {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil || l.Args[0] != c.args || l.Frames || l.Boot != nil || l.Env["AWS_EXECUTION_ENV"] != "":
			t.Errorf("%s: %+v, %v", name, l, err)
		case (len(l.Binds) == 2) != (name == "script") || (l.Key == "provided.al2023") != (name != "script"):
			t.Errorf("%s: %+v", name, l)
		}
	}
}
