package ric

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/clock"
	"croft/internal/sigv4"
	"croft/test/harness"
)

// project is the folder of an application with one function on its own runtime; code goes into its folder app.
func project(t *testing.T) (dir, app string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "clients")
	if err := os.CopyFS(dir, os.DirFS(testdata(t, "cloud"))); err != nil {
		t.Fatal(err)
	}
	app = filepath.Join(dir, "app")
	if err := os.Mkdir(app, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, app
}

// put copies a folder to a place in app.
func put(t *testing.T, from string, to ...string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(to...), os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// bootstrap makes the program with which a function starts.
func bootstrap(t *testing.T, app, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(app, "bootstrap"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// deployed is a function on a cloud.
type deployed struct {
	t    *testing.T
	c    *harness.Cloud
	name string
}

func deploy(t *testing.T, dir string) (f deployed, streams string) {
	t.Helper()
	c := harness.New(t, harness.Binary(t))
	c.Start()
	out := c.Deploy(dir)
	return deployed{t, c, out["Fn"]}, out["Streams"]
}

// call invokes the function as SDKs do, with a client context.
func (f deployed) call(payload string) (answer []byte, failed string) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.c.URL+"/2015-03-31/functions/"+f.name+"/invocations", strings.NewReader(payload))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("X-Amz-Client-Context", base64.StdEncoding.EncodeToString([]byte(`{"custom":{"k":"v"},"client":{},"env":{}}`)))
	sigv4.Sign(req, []byte(payload), sigv4.Credentials{AccessKey: "test", Secret: "test"}, "us-east-1", "lambda", clock.Real().Now())
	res, err := f.c.HTTP.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
		f.t.Fatalf("%s %v %s", res.Status, err, answer)
	}
	return answer, res.Header.Get("X-Amz-Function-Error")
}

// client takes a client inside a sandbox through what it does as a plain process, too.
func (f deployed) client() {
	f.t.Helper()
	for _, payload := range []string{`{"a":[1,2,{"ü":"€"}]}`, `"` + strings.Repeat("x", 5<<20) + `"`, `{"again":true}`} {
		text, failed := f.call(payload)
		var got struct {
			Event           json.RawMessage
			ID, ARN, Custom string
			Left            int64
		}
		var sent, back any
		if err := json.Unmarshal(text, &got); err != nil || failed != "" {
			f.t.Fatalf("%v %s %.300s", err, failed, text)
		}
		if json.Unmarshal([]byte(payload), &sent) != nil || json.Unmarshal(got.Event, &back) != nil || !equal(sent, back) || len(got.ID) != 36 ||
			!strings.HasSuffix(got.ARN, ":function:"+f.name) || got.Custom != "v" || got.Left < 1000 || got.Left > 30_000 {
			f.t.Errorf("%.300s", text)
		}
	}
	if text, failed := f.call(`{"fail":true}`); failed != "Unhandled" || !strings.Contains(string(text), `"as told"`) {
		f.t.Errorf("a failure: %q %s", failed, text)
	}
	if text, failed := f.call(`{"large":true}`); failed != "Unhandled" || !strings.Contains(string(text), "Function.ResponseSizeTooLarge") {
		f.t.Errorf("a response that is too large: %q %.200s", failed, text)
	}
}

// streamed gets a function URL, whose answer must be want in full.
func streamed(t *testing.T, url, want string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK || string(text) != want {
		t.Errorf("%s %v %q", res.Status, err, text)
	}
}

// TestGoInside has a function in Go on AWS's library.
func TestGoInside(t *testing.T) {
	dir, app := project(t)
	buildGo(t, filepath.Join(app, "bootstrap"))
	f, streams := deploy(t, dir)
	f.client()
	streamed(t, streams, "one two")
}

// TestPythonInside has AWS's client for Python as the runtime of a function, on the machine's /usr/bin/python3.
func TestPythonInside(t *testing.T) {
	const python = "/usr/bin/python3"
	version, err := exec.Command(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").Output()
	if err != nil {
		t.Skipf("SKIPPED: this test needs %s: %v", python, err)
	}
	target := install(t, "awslambdaric", "python3", "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--python-version", strings.TrimSpace(string(version)), "--target", ".", "awslambdaric==4.2.2")
	dir, app := project(t)
	put(t, target, app, "python")
	put(t, testdata(t, "python"), app)
	bootstrap(t, app, `PYTHONPATH=/var/task/python exec `+python+` -m awslambdaric "$_HANDLER"`)
	f, _ := deploy(t, dir)
	f.client()
}

// TestNodeInside has AWS's client for Node as the runtime of a function, on the machine's /usr/bin/node.
func TestNodeInside(t *testing.T) {
	const node = "/usr/bin/node"
	if found, err := exec.LookPath("node"); err != nil || found != node {
		t.Skipf("SKIPPED: this test needs the node on the PATH to be %s: %s %v", node, found, err)
	}
	client := installNode(t)
	dir, app := project(t)
	put(t, filepath.Join(filepath.Dir(client), ".."), app, "node_modules")
	put(t, testdata(t, "node"), app)
	bootstrap(t, app, `exec `+node+` node_modules/aws-lambda-ric/index.mjs "$_HANDLER"`)
	f, streams := deploy(t, dir)
	f.client()
	streamed(t, streams, "one two")
}
