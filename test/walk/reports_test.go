package walk

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// output returns an output of the stack from what its deployment printed.
func output(t *testing.T, printed, name string) string {
	t.Helper()
	for line := range strings.Lines(printed) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == name {
			return words[1]
		}
	}
	t.Fatalf("no output %s in\n%s", name, printed)
	return ""
}

// TestReports goes the way of the README of the second example: layers, an alias, a function URL, destinations.
func TestReports(t *testing.T) {
	need(t, "aws")
	u := newUser(t)
	app := filepath.Join(t.TempDir(), "reports")
	if err := os.CopyFS(app, os.DirFS("../../examples/reports")); err != nil {
		t.Fatal(err)
	}
	out, err := u.croft("deploy", app)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ask := output(t, out, "AskUrl")
	res, err := http.Post(ask, "application/x-www-form-urlencoded", strings.NewReader("1 2 3.5")) // as curl does
	if err != nil {
		t.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != http.StatusAccepted {
		t.Errorf("POST: %s", res.Status)
	}
	if status, body := u.post(ask, "one"); status != http.StatusBadRequest || !strings.Contains(body, "could not convert") {
		t.Errorf("no numbers: %d %s", status, body)
	}
	if status, body := u.post(ask, ""); status != http.StatusAccepted {
		t.Errorf("nothing: %d %s", status, body)
	}
	receive := []string{"aws", "sqs", "receive-message", "--wait-time-seconds", "20", "--query", "Messages[0].Body", "--output", "text", "--queue-url"}
	if m := u.run(append(receive, output(t, out, "FinishedUrl"))...); !strings.Contains(m, `"mean":2.16`) && !strings.Contains(m, `"mean": 2.16`) {
		t.Errorf("the result: %s", m)
	}
	if m := u.run(append(receive, output(t, out, "FailedUrl"))...); !strings.Contains(m, "division by zero") || !strings.Contains(m, "RetriesExhausted") {
		t.Errorf("the failure: %s", m)
	}
	report := strings.TrimSpace(u.run("aws", "cloudformation", "describe-stack-resource", "--stack-name", "reports", "--logical-resource-id", "Report",
		"--query", "StackResourceDetail.PhysicalResourceId", "--output", "text"))
	if n := u.run("aws", "lambda", "get-function-concurrency", "--function-name", report, "--output", "text"); strings.TrimSpace(n) != "2" {
		t.Errorf("reserved: %s", n)
	}
	u.moved(app, report)
}

// moved deploys other code, which makes a version to which the alias moves.
func (u *user) moved(app, report string) {
	u.t.Helper()
	alias := func() string {
		return strings.TrimSpace(u.run("aws", "lambda", "get-alias", "--function-name", report, "--name", "live", "--query", "FunctionVersion", "--output", "text"))
	}
	if v := alias(); v != "1" {
		u.t.Errorf("the alias is at %s", v)
	}
	code := "def handler(event, context):\n    return 'of version ' + context.function_version\n"
	if err := os.WriteFile(filepath.Join(app, "report", "app.py"), []byte(code), 0o600); err != nil {
		u.t.Fatal(err)
	}
	if out, err := u.croft("deploy", app); err != nil {
		u.t.Fatalf("%v\n%s", err, out)
	}
	if v := alias(); v != "2" {
		u.t.Errorf("after another deployment the alias is at %s", v)
	}
	answer := filepath.Join(u.t.TempDir(), "answer.json")
	u.run("aws", "lambda", "invoke", "--function-name", report+":live", answer)
	if text, err := os.ReadFile(answer); err != nil || string(text) != `"of version 2"` {
		u.t.Errorf("the alias answers %s (%v)", text, err)
	}
}
