// Package intercept runs real tools through croft exec, against a real cloud, and looks for what gets past it.
package intercept

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/test/harness"
)

// toolWithin bounds one run of a tool, on a busy machine.
const toolWithin = 2 * time.Minute

// world is a cloud and what is needed to run tools against it.
type world struct {
	binary string
	cloud  *harness.Cloud
	// recorder stands where the way out of the machine would be: tools' connections to other hosts go through it.
	recorder *recorder
}

// recorder is the user's own proxy. It notes who is asked for, and lets nobody out.
type recorder struct {
	*http.Server
	addr string
	mu   sync.Mutex
	seen []string
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{addr: l.Addr().String()}
	r.Server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = append(r.seen, req.Host)
		http.Error(w, "nobody gets out", http.StatusTeapot)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Serve(l) }()
	t.Cleanup(func() { _ = r.Close(); <-done })
	return r
}

// take returns who was asked for since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// command returns croft exec with a tool. Its temporary files go to a folder of its own, which is the second result.
func (w *world) command(t *testing.T, tool ...string) (*exec.Cmd, string) {
	t.Helper()
	ctx, cancel := clock.WithTimeout(context.Background(), clock.Real(), toolWithin)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, w.binary, append([]string{"exec", "--"}, tool...)...)
	tmp := t.TempDir()
	home := t.TempDir() // no profiles, no settings
	cmd.Env = append(os.Environ(), "CROFT_ENDPOINT="+w.cloud.URL, "TMPDIR="+tmp, "HOME="+home, "AWS_PROFILE=production",
		"HTTPS_PROXY=http://"+w.recorder.addr, "https_proxy=http://"+w.recorder.addr, "HTTP_PROXY=http://"+w.recorder.addr, "http_proxy=http://"+w.recorder.addr,
		"NO_PROXY=*", "no_proxy=corp.example,.amazonaws.com", "AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE=1", "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1")
	return cmd, tmp
}

// run runs a tool and returns its outputs and exit code.
func (w *world) run(t *testing.T, tool ...string) (out, errs string, code int) {
	t.Helper()
	cmd, tmp := w.command(t, tool...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	empty(t, tmp)
	return stdout.String(), stderr.String(), code
}

// empty checks that no certificate is left over. Tools may leave things of their own.
func empty(t *testing.T, tmp string) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(tmp, "croft-exec-*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}

func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: this test needs %s, which is not installed", tool)
		}
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{binary: harness.Binary(t), recorder: newRecorder(t)}
	w.cloud = harness.New(t, w.binary, "--account", "111122223333")
	w.cloud.Start()
	if err := w.cloud.Call("sqs", "AmazonSQS.CreateQueue", map[string]any{"QueueName": "orders"}, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestExec shares one cloud among its parts.
func TestExec(t *testing.T) {
	w := newWorld(t)
	for name, part := range map[string]func(*testing.T, *world){
		"Curl": testCurl, "CLI": testCLI, "Python": testPython, "Node": testNode, "NodeSDKs": testNodeSDKs, "Java": testJava, "Go": testGo,
		"NothingGetsOut": testNothingGetsOut, "Process": testProcess, "Signals": testSignals, "Killed": testKilled, "OtherUsers": testOtherUsers,
		"Nested": testNested, "NoIntercept": testNoIntercept, "Terminal": testTerminal,
	} {
		t.Run(name, func(t *testing.T) {
			part(t, w)
			for _, host := range w.recorder.take() {
				if strings.Contains(host, "amazonaws") || strings.Contains(host, "croft.internal") {
					t.Errorf("asked for outside: %s", host)
				}
			}
		})
	}
}

// expect runs a tool that must succeed and print each of want.
func (w *world) expect(t *testing.T, want []string, tool ...string) {
	t.Helper()
	out, errs, code := w.run(t, tool...)
	if code != 0 {
		t.Errorf("%q: exit %d\n%s%s", tool, code, out, errs)
		return
	}
	for _, text := range want {
		if !strings.Contains(out, text) {
			t.Errorf("%q: no %q in\n%s%s", tool, text, out, errs)
		}
	}
}

// hosts is a tool without the variables that name the endpoint: it has to go by AWS's own names.
func hosts(tool ...string) []string {
	return append([]string{"env", "-u", "AWS_ENDPOINT_URL", "-u", "AWS_ENDPOINT_URL_SFN", "-u", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"}, tool...)
}

func testCurl(t *testing.T, w *world) {
	need(t, "curl")
	const query = "?Action=ListQueues&Version=2012-11-05"
	for _, host := range []string{"https://sqs.us-east-1.amazonaws.com/", "http://queue.amazonaws.com/", "https://sqs.cn-north-1.amazonaws.com.cn/", "https://sqs.us-east-1.api.aws/"} {
		w.expect(t, []string{"MissingAuthenticationToken"}, "curl", "-sS", host+query)
	}
	w.expect(t, []string{"AccessDenied"}, "curl", "-sS", "https://my.bucket.s3.amazonaws.com/key")
	_, errs, code := w.run(t, "curl", "-sS", "https://signin.aws.amazon.com/")
	if code == 0 || !strings.Contains(errs, "signin.aws.amazon.com:443\" was refused") {
		t.Errorf("exit %d: %s", code, errs)
	}
	w.expect(t, []string{"no instance metadata"}, "curl", "-sS", "http://169.254.169.254/latest/meta-data/")
}

func testCLI(t *testing.T, w *world) {
	need(t, "aws")
	queue := []string{w.cloud.URL + "/111122223333/orders"}
	w.expect(t, queue, "aws", "sqs", "list-queues") // version 1 goes to queue.amazonaws.com, endpoint or not
	w.expect(t, queue, hosts("aws", "sqs", "list-queues")...)
	w.expect(t, []string{"111122223333"}, hosts("aws", "sts", "get-caller-identity")...)
	machine := "arn:aws:states:us-east-1:111122223333:stateMachine:none"
	sync := []string{"aws", "stepfunctions", "start-sync-execution", "--state-machine-arn", machine}
	for _, tool := range [][]string{sync, hosts(sync...)} {
		if _, errs, code := w.run(t, tool...); code == 0 || !strings.Contains(errs, "StartSyncExecution operation") {
			t.Errorf("%q: exit %d: %s", tool, code, errs)
		}
	}
	for _, tool := range [][]string{{"aws", "ec2", "describe-instances"}, hosts("aws", "ec2", "describe-instances")} {
		if _, errs, code := w.run(t, tool...); code == 0 || !strings.Contains(errs, `"ec2"`) || !strings.Contains(errs, "Nothing was sent to AWS") {
			t.Errorf("%q: exit %d: %s", tool, code, errs)
		}
	}
}

func testPython(t *testing.T, w *world) {
	need(t, "python3")
	if exec.Command("python3", "-c", "import boto3").Run() != nil {
		t.Skip("SKIPPED: this test needs boto3, which is not installed")
	}
	w.expect(t, []string{"sqs 1\n", "plain 1\n", "europe 0\n", "sts 111122223333\n", "urllib 403\n"}, hosts("python3", testdata(t, "hosts.py"))...)
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func testNode(t *testing.T, w *world) {
	need(t, "node")
	w.expect(t, []string{"https 403\n", "http 403\n", "agent 403\n", "fetch 403\n", "worker 403\n", "lookup ENOTFOUND\n", "port ECONNREFUSED\n"},
		"node", testdata(t, "hosts.js"))
}

func testNodeSDKs(t *testing.T, w *world) {
	need(t, "node", "npm")
	dir := packages(t)
	w.expect(t, []string{"v2 sqs 1\n", "v2 sts 111122223333\n", "v3 sqs 1\n", "v3 host 1\n", "v3 sync "}, "env", "NODE_PATH="+filepath.Join(dir, "node_modules"),
		"node", testdata(t, "sdks.js"))
}

// packages installs the SDKs for JavaScript, once for all runs, outside the tree.
func packages(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("SKIPPED: no place for the SDKs for JavaScript: %v", err)
	}
	dir := filepath.Join(cache, "croft-test", "aws-sdk-js-2.1693.0-3.1169.0")
	if _, err := os.Stat(filepath.Join(dir, "done")); err == nil {
		return dir
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts", "aws-sdk@2.1693.0", "@aws-sdk/client-sqs@3.1169.0", "@aws-sdk/client-sfn@3.1164.0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this test needs the AWS SDKs for JavaScript, which npm cannot install here: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "done"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func testJava(t *testing.T, w *world) {
	need(t, "java", "javac")
	w.expect(t, []string{"url 403\n", "client 403\n"}, "java", testdata(t, "Hosts.java"))
}

// testGo runs this test binary as the tool: it has the AWS SDK for Go in it.
func testGo(t *testing.T, w *world) {
	w.expect(t, []string{"queues 1\n"}, tool(t, "go")...)
}
