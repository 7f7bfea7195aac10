// Package browser lets a hostile page in a real browser try to reach a cloud.
package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/test/harness"
)

// answerWithin bounds how long the browser may take.
const answerWithin = 90 * time.Second

// page tries everything that a page can, and reports what it could read. CLOUD is the cloud's origin.
const page = `<!doctype html><script type="module">
const cloud = "CLOUD", results = {};
async function attempt(name, url, options) {
  try {
    const r = await fetch(url, options);
    results[name] = r.type + " " + r.status + " " + (await r.text());
  } catch (e) {
    results[name] = "failed: " + e;
  }
}
const form = {"Content-Type": "application/x-www-form-urlencoded"};
const create = "Action=CreateQueue&QueueName=from-the-web&Version=2012-11-05";
await attempt("read health", cloud + "/_croft/health");
await attempt("simple reset", cloud + "/_croft/reset", {method: "POST", mode: "no-cors"});
await attempt("reset with header", cloud + "/_croft/reset", {method: "POST", headers: {"X-Croft-Control": "1"}});
await attempt("simple query call", cloud + "/", {method: "POST", mode: "no-cors", headers: form, body: create});
await attempt("signed query call", cloud + "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=anything/20261123/us-east-1/sqs/aws4_request", {method: "POST", mode: "no-cors", headers: form, body: create});
await attempt("call with authorization", cloud + "/", {method: "POST", headers: {...form, "Authorization": "AWS4-HMAC-SHA256 Credential=a/20261123/us-east-1/sqs/aws4_request"}, body: create});
await attempt("GET call", cloud + "/?" + create, {mode: "no-cors"});
const image = new Image();
await new Promise(done => { image.onload = image.onerror = done; image.src = cloud + "/?" + create; });
await fetch("/report", {method: "POST", body: JSON.stringify(results)});
</script>`

func browserPath(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("NOT TESTED: no chromium on the PATH")
	return ""
}

// profile returns a new folder for the browser. What its processes still write while they end is no concern of the test.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "croft-browser-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// visit opens url in a headless browser and returns what the page reports to its own server.
func visit(t *testing.T, url string, reports <-chan map[string]string, flags ...string) map[string]string {
	t.Helper()
	args := append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir=" + profile(t),
	}, flags...)
	cmd := exec.Command(browserPath(t), append(args, "--remote-debugging-port=0", url)...)
	if testing.Verbose() {
		cmd.Stderr = os.Stderr
	}
	// The browser is many processes: a group of their own lets them all be ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	timer := clock.Real().NewTimer(answerWithin)
	defer timer.Stop()
	select {
	case r := <-reports:
		return r
	case <-timer.C():
		t.Fatal("the page did not report")
		return nil
	}
}

// host serves the page and takes its report.
func host(t *testing.T, cloud string) (*httptest.Server, <-chan map[string]string) {
	reports := make(chan map[string]string, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, strings.ReplaceAll(page, "CLOUD", cloud))
		case "/report":
			text, err := io.ReadAll(r.Body)
			var out map[string]string
			if err == nil {
				err = json.Unmarshal(text, &out)
			}
			if err != nil {
				t.Error(err)
			}
			reports <- out
		}
	}))
	t.Cleanup(s.Close)
	return s, reports
}

// prepare starts a cloud that holds one queue.
func prepare(t *testing.T) *harness.Cloud {
	t.Helper()
	c := harness.New(t, harness.Binary(t))
	c.Start()
	if err := c.Call("sqs", "AmazonSQS.CreateQueue", map[string]any{"QueueName": "kept"}, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

// check holds the cloud's state against what it was, and what the page could read against nothing.
func check(t *testing.T, c *harness.Cloud, report map[string]string) {
	t.Helper()
	for name, got := range report {
		t.Logf("%-24s %s", name, got)
		if strings.Contains(got, " 200 ") || strings.Contains(got, "ok") {
			t.Errorf("the page could %s: %s", name, got)
		}
	}
	if len(report) < 7 {
		t.Errorf("only %d attempts reported", len(report))
	}
	var out struct{ QueueUrls []string }
	if err := c.Call("sqs", "AmazonSQS.ListQueues", map[string]any{}, &out); err != nil {
		t.Fatal(err)
	}
	if len(out.QueueUrls) != 1 || !strings.HasSuffix(out.QueueUrls[0], "/kept") {
		t.Errorf("the page changed the cloud: %v", out.QueueUrls)
	}
}

func TestForeignPage(t *testing.T) {
	browserPath(t)
	c := prepare(t)
	s, reports := host(t, c.URL)
	check(t, c, visit(t, s.URL, reports))
}

// TestRebinding lets the page's own name resolve to the cloud, as an attacker's name server would.
func TestRebinding(t *testing.T) {
	browserPath(t)
	c := prepare(t)
	s, reports := host(t, "http://evil.example:"+c.URL[strings.LastIndex(c.URL, ":")+1:])
	check(t, c, visit(t, s.URL, reports, "--host-resolver-rules=MAP evil.example 127.0.0.1"))
}
