package walk

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

// TestNodeHandlers calls Node.js handlers of all kinds at their function URLs. The streaming one is told what to write next after its first line has come.
func TestNodeHandlers(t *testing.T) {
	need(t, "node")
	need(t, "npm")
	u := newUser(t)
	out, err := u.croft("deploy", "test/walk/testdata/node")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if status, body := u.post(output(t, out, "Module")+"some/path", ""); status != http.StatusCreated || body != "/some/path true" {
		t.Errorf("an ES module: %d %s", status, body)
	}
	if status, body := u.post(output(t, out, "Common"), ""); status != http.StatusOK || body != "/var/task/common.cjs POST" {
		t.Errorf("a CommonJS module: %d %s", status, body)
	}
	res, err := http.Get(output(t, out, "Stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusBadGateway && strings.Contains(u.Output(), "npm") {
		t.Skipf("SKIPPED: a streaming function that uses the SDK: npm cannot install it here:\n%s", u.Output())
	}
	lines := bufio.NewReader(res.Body)
	if first, err := lines.ReadString('\n'); err != nil || first != "one\n" || res.StatusCode != http.StatusNonAuthoritativeInfo || res.Header.Get("Content-Type") != "text/x-lines" {
		t.Fatalf("a stream: %s %q %v\n%s", res.Status, first, err, u.Output())
	}
	if err := u.Call("sqs", "AmazonSQS.SendMessage", map[string]any{"QueueUrl": output(t, out, "Go"), "MessageBody": "two"}, nil); err != nil {
		t.Fatal(err)
	}
	if second, err := lines.ReadString('\n'); err != nil || second != "two\n" {
		logs, _ := u.croft("logs")
		t.Errorf("the stream's second line: %q %v\n%s", second, err, logs)
	}
}
