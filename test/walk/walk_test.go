// Package walk goes the way of a new user, with the stock AWS CLI and boto3: the orders example and the applications of the source
// article.
package walk

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"croft/test/harness"
)

// user is somebody at a terminal beside a running cloud.
type user struct {
	*harness.Cloud
	t      *testing.T
	binary string
}

func newUser(t *testing.T, args ...string) *user {
	t.Helper()
	binary := harness.Binary(t)
	u := &user{harness.New(t, binary, args...), t, binary}
	u.Start()
	return u
}

// need skips the test, loudly, when a tool is missing. CI installs them all.
func need(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("NOT TESTED: %s is not on the PATH", tool)
	}
}

// croft runs a croft command and returns what it printed.
func (u *user) croft(args ...string) (string, error) {
	cmd := exec.Command(u.binary, append([]string{"--endpoint", u.URL}, args...)...)
	cmd.Dir = harness.Root(u.t)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run runs a tool under croft exec, which must succeed, and returns what it printed.
func (u *user) run(args ...string) string {
	u.t.Helper()
	out, err := u.croft(append([]string{"exec", "--"}, args...)...)
	if err != nil {
		u.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (u *user) post(url, body string) (int, string) {
	u.t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		u.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		u.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestTheWalk(t *testing.T) {
	need(t, "aws")
	u := newUser(t)
	out, err := u.croft("deploy", "examples/orders")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	url := u.run("aws", "cloudformation", "describe-stacks", "--stack-name", "orders", "--output", "text",
		"--query", "Stacks[0].Outputs[?OutputKey=='OrdersUrl'].OutputValue")
	url = strings.TrimSpace(url)
	if !strings.Contains(out, url) {
		t.Errorf("deploy did not print the URL %s:\n%s", url, out)
	}
	status, body := u.post(url, `{"items": ["book", "pen"]}`)
	var answer struct{ OrderID string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusCreated || len(answer.OrderID) != 36 {
		t.Fatalf("POST: %d %s", status, body)
	}
	if items := u.run("aws", "dynamodb", "scan", "--table-name", "Orders"); !strings.Contains(items, answer.OrderID) {
		t.Errorf("the order is not in the table: %s", items)
	}
	message := u.run("aws", "sqs", "receive-message", "--wait-time-seconds", "20", "--queue-url", u.URL+"/000000000000/order-audit")
	if !strings.Contains(message, answer.OrderID) || !strings.Contains(message, "New order") {
		t.Errorf("the message is not in the audit queue: %s", message)
	}
	u.Until("the order is shipped", 30*time.Second, func() bool {
		return strings.Contains(u.run("aws", "dynamodb", "scan", "--table-name", "Shipments"), answer.OrderID)
	})
	u.seenByOthers(answer.OrderID)
	if status, body := u.post(url, `not json`); status != http.StatusBadRequest {
		t.Errorf("a bad order: %d %s", status, body)
	}
	if status, body := u.post(strings.TrimSuffix(url, "orders")+"nowhere", ""); status != http.StatusNotFound || !strings.Contains(body, "Not Found") {
		t.Errorf("an unknown path: %d %s", status, body)
	}
}

// seenByOthers looks at the order with boto3, croft logs and croft invoke.
func (u *user) seenByOthers(order string) {
	u.t.Helper()
	script := `import boto3, sys
item = boto3.resource("dynamodb").Table("Orders").get_item(Key={"orderId": sys.argv[1]})["Item"]
print(item["items"], boto3.client("sts").get_caller_identity()["Account"])`
	if out := u.run("python3", "-c", script, order); strings.TrimSpace(out) != `["book", "pen"] 000000000000` {
		u.t.Errorf("boto3 sees %s", out)
	}
	u.Until("croft logs shows both functions", 10*time.Second, func() bool {
		out, err := u.croft("logs")
		return err == nil && strings.Contains(out, "order "+order+" accepted") && strings.Contains(out, "order "+order+" shipped") && strings.Contains(out, "REPORT RequestId")
	})
	if out, err := u.croft("invoke", "CreateOrder", "--event", "examples/orders/event.json"); err != nil || !strings.Contains(out, `"statusCode": 201`) {
		u.t.Errorf("croft invoke: %v %s", err, out)
	}
}

func TestRedeployAndDelete(t *testing.T) {
	need(t, "aws")
	u := newUser(t)
	for _, want := range []string{"OrdersUrl", "nothing has changed"} {
		if out, err := u.croft("deploy", "examples/orders"); err != nil || !strings.Contains(out, want) {
			t.Fatalf("%v, want %q in\n%s", err, want, out)
		}
	}
	u.run("aws", "cloudformation", "delete-stack", "--stack-name", "orders")
	u.run("aws", "cloudformation", "wait", "stack-delete-complete", "--stack-name", "orders")
	for _, list := range [][]string{
		{"aws", "dynamodb", "list-tables", "--query", "TableNames", "--output", "text"},
		{"aws", "sqs", "list-queues", "--query", "QueueUrls", "--output", "text"},
		{"aws", "sns", "list-topics", "--query", "Topics", "--output", "text"},
		{"aws", "lambda", "list-functions", "--query", "Functions", "--output", "text"},
		{"aws", "iam", "list-roles", "--query", "Roles", "--output", "text"},
		{"aws", "apigatewayv2", "get-apis", "--query", "Items", "--output", "text"},
	} {
		if out := strings.TrimSpace(u.run(list...)); out != "" && out != "None" {
			t.Errorf("%s left %s", strings.Join(list[:3], " "), out)
		}
	}
	if out, err := u.croft("deploy", "examples/orders"); err != nil {
		t.Errorf("deployed again at once: %v\n%s", err, out)
	}
}

func TestNamesOfFunctions(t *testing.T) {
	u := newUser(t)
	if out, err := u.croft("invoke", "CreateOrder"); err == nil || !strings.Contains(out, "deploy an app with: croft deploy") {
		t.Errorf("without functions: %v %s", err, out)
	}
	for _, stack := range []string{"one", "two"} {
		file := filepath.Join(t.TempDir(), "template.yaml")
		if err := os.WriteFile(file, []byte(echo), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := u.croft("deploy", file, "--stack", stack, "-p", "Suffix="+stack); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	for _, c := range []struct{ name, want string }{
		{"Echo", "Several stacks have a function Echo; name one: "},
		{"Echoo", "There is no function Echoo"},
		{"fixed-one", "{}"},
		{"Fixed", "Several stacks"},
	} {
		if out, _ := u.croft("invoke", c.name); !strings.Contains(out, c.want) {
			t.Errorf("invoke %s: %s", c.name, out)
		}
	}
	if out, err := u.croft("logs", "Echoo"); err == nil || !strings.Contains(out, "There is no function Echoo") {
		t.Errorf("logs of an unknown function: %v %s", err, out)
	}
	if out, err := u.croft("logs", "fixed-two"); err != nil || strings.Contains(out, "RequestId") {
		t.Errorf("logs of a function that has not run: %v %s", err, out)
	}
}

// echo has a function that its stack names, and one that has a name of its own.
const echo = `Transform: AWS::Serverless-2016-10-31
Parameters:
  Suffix: {Type: String}
Globals:
  Function: {Runtime: python3.11, Handler: index.handler}
Resources:
  Echo: {Type: AWS::Serverless::Function, Properties: {InlineCode: "def handler(event, context): return event"}}
  Fixed: {Type: AWS::Serverless::Function, Properties: {FunctionName: !Sub "fixed-${Suffix}", InlineCode: "def handler(event, context): return event"}}
`

func TestFollowingLogsOverARestart(t *testing.T) {
	u := newUser(t)
	file := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(file, []byte(echo), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := u.croft("deploy", file, "--stack", "s", "-p", "Suffix=x"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	seen := filepath.Join(t.TempDir(), "logs")
	f, err := os.Create(seen)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	logs := exec.Command(u.binary, "--endpoint", u.URL, "logs", "-f", "Echo")
	logs.Stdout, logs.Stderr = f, f
	if err := logs.Start(); err != nil {
		t.Fatal(err)
	}
	shown := func(what string, n int) func() bool {
		return func() bool {
			text, err := os.ReadFile(seen)
			return err == nil && strings.Count(string(text), what) == n
		}
	}
	for n := range 2 {
		if out, err := u.croft("invoke", "Echo"); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		u.Until("the invocation is shown, each once", 20*time.Second, shown("  END RequestId", n+1))
		if n == 0 {
			u.Stop()
			u.Until("the end is told", 20*time.Second, shown("croft has stopped", 1))
			u.Start()
		}
	}
	if err := logs.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := logs.Wait(); err != nil {
		t.Errorf("Ctrl-C while following: %v", err)
	}
}

func TestTemplateThatCannotBeDeployed(t *testing.T) {
	u := newUser(t)
	for name, c := range map[string]struct{ template, want string }{
		"unknown type":     {`{"Resources":{"Q":{"Type":"AWS::SQS::Queue"},"X":{"Type":"AWS::Redshift::Cluster"}}}`, "AWS::Redshift::Cluster"},
		"unknown property": {`{"Resources":{"Q":{"Type":"AWS::SQS::Queue","Properties":{"Colour":"red"}}}}`, "Colour"},
		"fails on the way": {`{"Resources":{"Q":{"Type":"AWS::SQS::Queue","Properties":{"QueueName":"rolled-back"}},
			"S":{"Type":"AWS::SNS::Subscription","DependsOn":"Q","Properties":{"TopicArn":"arn:aws:sns:us-east-1:000000000000:nowhere","Protocol":"sqs","Endpoint":{"Fn::GetAtt":["Q","Arn"]}}}}}`, "S"},
	} {
		file := filepath.Join(t.TempDir(), "template.json")
		if err := os.WriteFile(file, []byte(c.template), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := u.croft("deploy", file, "--stack", "bad")
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v, want %q in\n%s", name, err, c.want, out)
		}
	}
	var queues struct{ QueueUrls []string }
	if err := u.Call("sqs", "AmazonSQS.ListQueues", map[string]any{}, &queues); err != nil || len(queues.QueueUrls) != 0 {
		t.Errorf("left behind: %v, %v", queues, err)
	}
}

func TestStartingAndStopping(t *testing.T) {
	u := newUser(t)
	dir := filepath.Join(t.TempDir(), "other")
	second := exec.Command(u.binary, "up", "--listen", strings.TrimPrefix(u.URL, "http://"), "--data", dir)
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "is in use") {
		t.Errorf("a busy port: %v %s", err, out)
	}
	if out, err := exec.Command(u.binary, "up", "--listen", "0.0.0.0:0", "--data", dir).CombinedOutput(); err == nil || !strings.Contains(string(out), "127.0.0.1:PORT") {
		t.Errorf("a public address: %v %s", err, out)
	}
	if out, err := u.croft("status"); err != nil || !strings.Contains(out, "functions are isolated") {
		t.Errorf("status: %v %s", err, out)
	}
	if out, err := u.croft("env"); err != nil || !strings.Contains(out, "export AWS_ENDPOINT_URL='"+u.URL+"'") {
		t.Errorf("env: %v %s", err, out)
	}
	if !u.Stop() {
		t.Errorf("Ctrl-C did not stop it cleanly: %s", u.Output())
	}
	if out, err := u.croft("status"); err == nil || !strings.Contains(out, "croft up") {
		t.Errorf("status without a server: %v %s", err, out)
	}
}

func TestDataFolderHasOneOwner(t *testing.T) {
	u := newUser(t)
	args := append([]string{"up", "--listen", "127.0.0.1:0"}, "--data", u.Data())
	if out, err := exec.Command(u.binary, args...).CombinedOutput(); err == nil || !strings.Contains(string(out), "in use") {
		t.Errorf("a second croft on the same folder: %v %s", err, out)
	}
}

func TestResetEmptiesEverything(t *testing.T) {
	u := newUser(t)
	u.Deploy("examples/orders")
	if out, err := u.croft("reset"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	out, err := u.croft("status")
	if err != nil || !strings.Contains(out, "none; deploy one") {
		t.Errorf("after reset: %v %s", err, out)
	}
	u.Deploy("examples/orders") // names are free again
}
