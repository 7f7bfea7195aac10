// Package network tests what functions reach, from a real cloud.
package network

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"croft/internal/control"
	"croft/test/harness"
)

// start starts a cloud whose functions have a network device.
func start(t *testing.T, args ...string) *harness.Cloud {
	t.Helper()
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("NOT TESTED: functions have no network device here: %v", err)
	}
	c := harness.New(t, harness.Binary(t), append(args, "--no-proactive-init")...)
	t.Cleanup(func() { c.Stop() }) // what it has started ends before its folder goes
	c.Start()
	return c
}

// call invokes a function by its name in the template, and skips the test where croft could not install what the function needs.
func call(t *testing.T, c *harness.Cloud, function, event string) map[string]any {
	t.Helper()
	r, err := c.Control.Invoke(t.Context(), control.InvokeRequest{Function: function}, []byte(event))
	if err != nil {
		t.Fatal(err)
	}
	if r.FunctionError != "" && (strings.Contains(string(r.Payload), "No module named") || strings.Contains(string(r.Payload), "Cannot find package")) {
		t.Skipf("NOT TESTED: an SDK cannot be installed here: %s\n%s", r.Payload, c.Output())
	}
	if r.FunctionError != "" {
		t.Fatalf("%s: %s", function, r.Payload)
	}
	var out map[string]any
	if err := json.Unmarshal(r.Payload, &out); err != nil {
		t.Fatalf("%s: %v", r.Payload, err)
	}
	return out
}

func check(t *testing.T, got, want map[string]any) {
	t.Helper()
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: %v, not %v", name, got[name], w)
		}
	}
}

// TestNamesOfAWSFromPython has a function that does not look at AWS_ENDPOINT_URL reach the cloud, with the credentials of its role and over TLS.
func TestNamesOfAWSFromPython(t *testing.T) {
	c := start(t)
	c.Deploy("test/network/testdata/names")
	got := call(t, c, "Python", "{}")
	check(t, got, map[string]any{
		"urllib": "403 MissingAuthenticationToken", "context": "403 MissingAuthenticationToken", "system": "403 MissingAuthenticationToken",
		"alpn": "http/1.1", "control": 403.0, "messages": 1.0, "object": "v",
	})
	if arn, _ := got["sdk"].(string); !strings.Contains(arn, ":assumed-role/") {
		t.Errorf("the caller is %v", got["sdk"])
	}
	if got["requests"] == "no requests" {
		t.Log("NOT TESTED: the interpreter has no requests")
	} else if got["requests"] != "403" {
		t.Errorf("requests: %v", got["requests"])
	}
}

// TestNamesOfAWSFromNode is the same for Node.js.
func TestNamesOfAWSFromNode(t *testing.T) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TESTED: %s is not on the PATH", tool)
		}
	}
	c := start(t)
	c.Deploy("test/network/testdata/names")
	check(t, call(t, c, "Node", "{}"), map[string]any{"https": 403.0, "fetch": 400.0, "queues": 1.0, "endpoint": "by region"})
}

// TestClosedNetworks has a function connect to a private network that it must not reach, and to a port of this machine that it may.
func TestClosedNetworks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, "--close-networks", "--allow-host", "localhost:"+port)
	c.Deploy("test/network/testdata/closed")
	for _, host := range []string{"10.255.255.1", "192.168.213.7", "172.31.255.1", "100.64.3.3", "::ffff:10.255.255.1"} {
		if got := call(t, c, "Connect", `{"host": "`+host+`", "port": 9}`); got["errno"] != float64(syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", host, got)
		}
	}
	if !strings.Contains(c.Output(), "10.255.255.1:9") {
		t.Error("the server's log does not say what it refused")
	}
	if got := call(t, c, "Connect", `{"host": "localhost", "port": `+port+`}`); got["errno"] != 0.0 {
		t.Errorf("what is allowed: %v", got)
	}
}

// TestXRay runs the article's application with the X-Ray SDK, and looks at the segments that it sends.
func TestXRay(t *testing.T) {
	shared := os.Getenv("CROFT_SHARED")
	if shared == "" {
		shared = filepath.Join(harness.Root(t), "..", "shared")
	}
	source, err := os.ReadFile(filepath.Join(shared, "seed-apps", "xray-app", "lambda_function.completed.py"))
	if err != nil {
		t.Skipf("NOT TESTED: the article's application is not here (set CROFT_SHARED): %v", err)
	}
	dir := t.TempDir()
	app := filepath.Join(dir, "app")
	install := exec.Command("python3", "-m", "pip", "install", "--quiet", "--target", app, "aws-xray-sdk", "requests")
	if text, err := install.CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: the X-Ray SDK cannot be installed here: %v\n%s", err, text)
	}
	template, err := os.ReadFile("testdata/xray/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	answered, err := os.ReadFile("testdata/xray/answered.py")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"template.yaml": template, "app/answered.py": answered, "app/lambda_function.py": source} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := start(t)
	c.Deploy(dir)
	if got := call(t, c, "Traced", `{"customerId": "c-1"}`); got["statusCode"] != 200.0 {
		t.Errorf("%v", got)
	}
	var text string
	c.Until("the segments are there", time.Minute, func() bool {
		traces, err := c.Control.Traces(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text = ""
		for _, s := range traces.Segments {
			text += s.Function + " " + string(s.Document) + "\n"
		}
		return strings.Contains(text, `"lambda_handler"`)
	})
	for _, want := range []string{"process_request", "dynamodb_query", "external_api", `"customer_id": "c-1"`, `"operation": "Query"`, "trace_id"} {
		if !strings.Contains(strings.ReplaceAll(text, `":"`, `": "`), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}
