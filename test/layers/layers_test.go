// Package layers runs functions with layers, and what becomes of their events, on a whole cloud and with the AWS CLI.
package layers

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"croft/test/harness"
)

// tool runs the AWS CLI against a cloud.
type tool struct {
	t      *testing.T
	croft  string
	cloud  *harness.Cloud
	folder string
}

// try runs a command of the CLI and returns what it wrote.
func (w *tool) try(command ...string) (string, error) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), w.croft, append([]string{"exec", "--endpoint", w.cloud.URL, "--", "aws", "--output", "text"}, command...)...)
	cmd.Dir = w.folder
	cmd.Env = append(os.Environ(), "HOME="+w.folder, "AWS_PAGER=")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

func (w *tool) aws(command ...string) string {
	w.t.Helper()
	out, err := w.try(command...)
	if err != nil {
		w.t.Fatalf("aws %s: %v\n%s", strings.Join(command, " "), err, out)
	}
	return out
}

// invoke runs a function and returns its answer.
func (w *tool) invoke(function, payload string, more ...string) string {
	w.t.Helper()
	file := filepath.Join(w.folder, "answer.json")
	w.aws(append([]string{"lambda", "invoke", "--function-name", function, "--payload", payload, file}, more...)...)
	b, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// receive returns the body of the next message of a queue.
func (w *tool) receive(queue string) (body string) {
	w.t.Helper()
	w.cloud.Until("a message in "+queue, time.Minute, func() bool {
		body = w.aws("sqs", "receive-message", "--queue-url", queue, "--wait-time-seconds", "5", "--query", "Messages[0].Body")
		return body != "None"
	})
	return body
}

func TestLayers(t *testing.T) {
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("SKIPPED: layers with the AWS CLI: there is no aws")
	}
	croft := harness.Binary(t)
	c := harness.New(t, croft)
	c.Start()
	w := &tool{t, croft, c, t.TempDir()}
	out := c.Deploy("test/layers/testdata/app")

	if got := w.invoke(out["Fn"], `{"name":"x"}`); got != `{"said": "hello x"}` {
		t.Errorf("a local layer: %s", got)
	}
	w.invoke(out["Fn"], `{"name":"y"}`, "--invocation-type", "Event")
	if got := w.receive(out["Done"]); !strings.Contains(got, `"condition":"Success"`) || !strings.Contains(got, `"responsePayload":{"said":"hello y"}`) {
		t.Errorf("the destination got %s", got)
	}
	w.invoke(out["Fn"], `{"fail":true}`, "--invocation-type", "Event")
	if got := w.receive(out["Dead"]); got != `{"fail":true}` {
		t.Errorf("the dead-letter queue got %s", got)
	}
	w.aws("sqs", "send-message", "--queue-url", out["Loop"], "--message-body", "start")
	c.Until("the end of the loop", time.Minute, func() bool { return strings.Contains(c.Output(), "recursive loop") })
}
