package runtimes

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestHowAFunctionStarts: what may come from which fork server, and what must start fresh.
func TestHowAFunctionStarts(t *testing.T) {
	preloaded := func(module string) bool { return slices.Contains([]string{"json", "logging", "queue"}, module) }
	for _, c := range []struct{ env, code, layers, want string }{
		{"GREETING=1 HOME=/tmp TZ=:UTC LANG=en_US.UTF-8", "app.py pkg/__init__.py pkg/json.py pkg/six.py test/app.py", "python/mylib/a.py", startSDK},
		{"AWS_LAMBDA_EXEC_WRAPPER=/opt/wrap", "app.py", "", startFresh},
		{"PYTHONPATH=/opt", "app.py", "", startFresh},
		{"LD_PRELOAD=x", "app.py", "", startFresh},
		{"TZ=Europe/Rome", "app.py", "", startFresh},
		{"MALLOC_ARENA_MAX=1", "app.py", "", startFresh},
		{"HOME=/var/task", "app.py", "", startBare},
		{"HOME=/var/task", "json.py", "", startFresh},
		{"", "app.py botocore/__init__.py", "", startBare},
		{"", "app.py six.py", "", startBare},
		{"", "app.py vendored/six.py", "", startBare},
		{"", "app.py vendored/__init__.py vendored/boto3/__init__.py", "", startBare},
		{"", "app.py src/queue.py", "", startFresh},
		{"", "app.py", "python/urllib3/__init__.py", startBare},
		{"", "app.py", "python/lib/python3.11/site-packages/logging.py", startFresh},
		{"", "app.py sitecustomize.py", "", startFresh},
		{"", "app.py _cffi_backend.cpython-311-x86_64-linux-gnu.so", "", startSDK},
		{"", "app.py libfoo.so.3", "", startFresh},
		{"", "app.py lib/libfoo.so", "", startFresh},
		{"", "app.py", "lib/libpq.so.5", startFresh},
	} {
		env := map[string]string{}
		for kv := range strings.FieldsSeq(c.env) {
			name, value, _ := strings.Cut(kv, "=")
			env[name] = value
		}
		folder := func(names string) string {
			if names == "" {
				return ""
			}
			dir := t.TempDir()
			for name := range strings.FieldsSeq(names) {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			return dir
		}
		got, err := start(env, folder(c.code), folder(c.layers), preloaded)
		if err != nil || got != c.want {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
}

// TestPreloadedIsKnown: what a fork server has loaded, or looked for in vain, is known before one runs.
func TestPreloadedIsKnown(t *testing.T) {
	s := newStand(t)
	l := s.prepare(s.code(map[string]string{"app.py": hello}), "", "app.handler", nil)
	parent, err := l.Boot.Parent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in, _, err := s.python.ready(t.Context(), 11)
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ Modules []string }
	if err := json.Unmarshal(parent.Hello(), &said); err != nil || len(said.Modules) < 50 {
		t.Fatalf("%v: %s", err, parent.Hello())
	}
	for _, m := range said.Modules {
		if !slices.Contains(in.Modules, m) && !sdkModule(m) {
			t.Errorf("%s is not known: put it into standard.txt, or sdkModule", m)
		}
	}
	if m := parent.Memory(); m < 4<<20 || m > 64<<20 {
		t.Errorf("memory %d", m)
	}
}

// TestBrought: what a function brings wins over what is loaded ahead.
func TestBrought(t *testing.T) {
	s := newStand(t)
	in, _, err := s.python.ready(t.Context(), 11)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		files    map[string]string
		env      map[string]string
		boot     bool
		want     string
		printing string
	}{
		{"json.py", map[string]string{"json.py": shadowingJSON, "app.py": "import json\ndef handler(e, c): return json.mine"}, nil, false, "1", ""},
		{"queue.py", map[string]string{"queue.py": "mine = 1", "app.py": "import queue\ndef handler(e, c): return queue.mine"}, nil, false, "1", ""},
		{"six.py", map[string]string{"six.py": "mine = 2", "app.py": "import six\ndef handler(e, c): return six.mine"}, nil, true, "2", ""},
		{"vendored", map[string]string{"vendored/botocore/__init__.py": "mine = 3", "app.py": "import sys; sys.path.insert(0, '/var/task/vendored')\nimport botocore\ndef handler(e, c): return botocore.mine"}, nil, true, "3", ""},
		{"TZ", map[string]string{"app.py": "import time\ndef handler(e, c): return time.strftime('%H', time.localtime(0))"}, map[string]string{"TZ": "Asia/Tokyo"}, false, `"09"`, ""},
		{"PYTHONUTF8", map[string]string{"app.py": "import sys\ndef handler(e, c): return sys.flags.utf8_mode"}, map[string]string{"PYTHONUTF8": "1"}, false, "1", ""},
		{"wrapper", map[string]string{
			"wrap":   "#!" + in.Executable + "\nimport os, sys\nos.environ['_HANDLER'] = 'other.handler'\nos.closerange(3, 64)\nprint('wrapping', sys.argv[-1])\nsys.stdout.flush()\nos.execv(sys.argv[1], sys.argv[1:-1] + ['-X', 'utf8', sys.argv[-1]])\n",
			"app.py": "", "other.py": "import sys, os\ndef handler(e, c): return [sys.flags.utf8_mode, sorted(k for k in os.environ if 'CROFT' in k)]",
		}, map[string]string{wrapperVar: "/var/task/wrap"}, false, "[1, []]", "wrapping /var/runtime/bootstrap.py\n"},
	} {
		v, l, failure := s.function(false, c.files, "app.handler", c.env)
		if failure != "" {
			t.Errorf("%s: %s\n%s", c.name, failure, v.out)
			continue
		}
		if (l.Boot != nil) != c.boot {
			t.Errorf("%s: booted %v", c.name, l.Boot)
		}
		if answer, kind := v.invoke("{}"); answer != c.want {
			t.Errorf("%s: %s %s\n%s", c.name, answer, kind, v.out)
		}
		v.end()
		if !strings.Contains(v.out.String(), c.printing) {
			t.Errorf("%s printed %q", c.name, v.out)
		}
	}
}

// shadowingJSON is the json module, which it replaces while that is loaded, with something more.
const shadowingJSON = `
import importlib.util, os, sys
folder, me = os.path.join(os.path.dirname(os.__file__), "json"), sys.modules["json"]
spec = importlib.util.spec_from_file_location("json", folder + "/__init__.py", submodule_search_locations=[folder])
usual = sys.modules["json"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(usual)
sys.modules["json"] = me
globals().update({k: v for k, v in vars(usual).items() if not k.startswith("__")})
mine = 1
`

// TestBundledSDK: a botocore in the package wins, also over the one that is loaded ahead.
func TestBundledSDK(t *testing.T) {
	s := newStand(t)
	in, _, err := s.python.ready(t.Context(), 11)
	if err != nil {
		t.Fatal(err)
	}
	code := s.code(map[string]string{"app.py": "import botocore, botocore.session\ndef handler(e, c): return [botocore.__version__, botocore.__file__]"})
	cmd := exec.CommandContext(t.Context(), in.Executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", "--target", code, "botocore==1.34.0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, that a bundled SDK wins is not tested: it cannot be downloaded: %v\n%s", err, out)
	}
	l := s.prepare(code, "", "app.handler", nil)
	v := s.spare(t.Context(), l, false)
	v.start(t.Context(), l, code, "", "app.handler", nil)
	if failure := v.await(); failure != "" {
		t.Fatal(failure)
	}
	if answer, _ := v.invoke("{}"); answer != `["1.34.0", "/var/task/botocore/__init__.py"]` || l.Boot == nil {
		t.Errorf("%s, boot %v", answer, l.Boot)
	}
}

const aboutTheSDK = `
import os, sys, random, uuid, tempfile
loaded = "boto3" in sys.modules
import boto3, botocore.session, botocore.loaders, botocore.credentials
def handler(e, c):
    s = botocore.session.Session()
    client = boto3.client("dynamodb")
    other = boto3.session.Session(aws_access_key_id="x", aws_secret_access_key="y").client("dynamodb", region_name="us-west-2")
    return {
        "loaded": loaded, "key": client._request_signer._credentials.access_key, "other": other._request_signer._credentials.access_key,
        "region": client.meta.region_name, "endpoint": client.meta.endpoint_url, "default": boto3.DEFAULT_SESSION is not None, "file": boto3.__file__,
        "loader": botocore.loaders.__file__, "services": len(boto3.session.Session().get_available_services()), "waiters": client.waiter_names,
        "models": boto3.client("ec2").meta.service_model.service_name, "doc": client.put_item.__doc__[:60], "tempdir": tempfile.gettempdir(),
        "source": __import__("inspect").getsource(botocore.loaders.create_loader)[:30] if not loaded else "", "random": random.random(), "uuid": str(uuid.uuid4()),
        "table": boto3.resource("dynamodb").Table("t").name, "agent": client.meta.config.user_agent.split(" m/")[0],
    }
`

// TestSDKFromForkServer: the SDK that is loaded ahead belongs to the function as one that it has loaded itself.
func TestSDKFromForkServer(t *testing.T) {
	s := newStand(t)
	in, _, err := s.python.ready(t.Context(), 11)
	if err != nil {
		t.Fatal(err)
	}
	if !in.SDK {
		if os.Getenv(sdkDirVar) == "" {
			t.Skip("SKIPPED, the SDK from a fork server is not tested: the interpreter has no boto3")
		}
	}
	for _, where := range []string{"the interpreter's", "installed"} {
		if where == "installed" && in.SDK {
			// As if the interpreter had none, and the installer had put it elsewhere.
			copySDK(t, in, filepath.Join(s.stock, "python", "3.11"))
			in.SDK = false
			in.Paths = slices.DeleteFunc(slices.Clone(in.Paths), func(p string) bool { return strings.Contains(p, "-packages") })
		} else if !in.SDK && where != "installed" {
			continue
		}
		var answers []string
		for _, fresh := range []bool{true, false, false} {
			v, l, failure := s.function(fresh, map[string]string{"app.py": aboutTheSDK}, "app.handler", map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})
			if failure != "" {
				t.Fatalf("%s, fresh %v: %s\n%s", where, fresh, failure, v.out)
			}
			answer, kind := v.invoke("{}")
			if kind != "" || strings.Contains(answer, `"loaded": true`) == fresh || (l.SDK != "") != (where == "installed") {
				t.Fatalf("%s: %s %s, SDK %q", where, kind, answer, l.SDK)
			}
			answers = append(answers, answer)
			v.end()
		}
		if d := jsonDiff(t, answers[0], answers[1], "loaded", "random", "uuid", "source"); len(d) > 0 {
			t.Errorf("%s: fresh and forked differ:\n%s", where, strings.Join(d, "\n"))
		}
		if d := jsonDiff(t, answers[1], answers[2]); len(d) != 2 {
			t.Errorf("%s: two children share their random numbers, or more: %q", where, d)
		}
	}
}

// copySDK puts the SDK of in where the installer would have put it.
func copySDK(t *testing.T, in *interpreter, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range in.Paths {
		if !installed(p) {
			continue
		}
		for _, name := range []string{"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py"} {
			if out, err := exec.CommandContext(t.Context(), "cp", "-r", filepath.Join(p, name), dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
	}
	if err := readable(dir); err != nil {
		t.Fatal(err)
	}
}

// TestAsOrdinaryUser runs the tests of Python in a sandbox again as a user without rights.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, the tests are not run again as an ordinary user: this is one")
	}
	s := newStand(t)
	in, _, err := s.python.ready(t.Context(), 11)
	if err != nil {
		t.Fatal(err)
	}
	dir := openDir(t)
	copySDK(t, in, filepath.Join(dir, "python", "3.11"))
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "runtimes.test")
	if err := os.WriteFile(copied, self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied, "-test.v", "-test.timeout=3m", "-test.run=^(TestForkedIsLikeFresh|TestHandlers|TestBrought|TestSDKFromForkServer|TestForkServerEnds|TestForksLeaveNothing|TestForksAtOnce|TestSignals|TestExecutable)$")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", sdkDirVar + "=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if bytes.Contains(out, []byte("--- SKIP")) {
		t.Skipf("SKIPPED, Python as an ordinary user is not tested in full:\n%s", out)
	}
}

// TestForkServerEnds: one that ends is started again, and none outlives the runtime.
func TestForkServerEnds(t *testing.T) {
	s := newStand(t)
	l := s.prepare(s.code(map[string]string{"app.py": hello}), "", "app.handler", nil)
	first, err := l.Boot.Parent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	<-first.Done()
	second, err := l.Boot.Parent(t.Context())
	if err != nil || second == first {
		t.Fatalf("%v", err)
	}
	s.python.Close()
	<-second.Done()
	if _, err := l.Boot.Parent(t.Context()); err == nil {
		t.Error("a closed runtime starts a fork server")
	}
}
