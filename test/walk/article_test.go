package walk

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"croft/test/harness"
)

// seedApp returns the folder of one of the article's applications, and skips the test, loudly, where they are not at hand.
func seedApp(t *testing.T, name string) string {
	t.Helper()
	shared := os.Getenv("CROFT_SHARED")
	if shared == "" {
		shared = filepath.Join(harness.Root(t), "..", "shared")
	}
	dir := filepath.Join(shared, "seed-apps", name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("NOT TESTED: the article's application %s is not here: %v", name, err)
	}
	return dir
}

// TestOrderHandler deploys the article's first code block, untouched, with the AWS CLI.
func TestOrderHandler(t *testing.T) {
	need(t, "aws")
	dir := seedApp(t, "order-handler")
	u := newUser(t)
	zip := filepath.Join(t.TempDir(), "code.zip")
	pack := exec.Command("python3", "-m", "zipfile", "-c", zip, filepath.Join(dir, "lambda_function.py"))
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	u.run("aws", "dynamodb", "create-table", "--table-name", "Orders", "--billing-mode", "PAY_PER_REQUEST",
		"--attribute-definitions", "AttributeName=orderId,AttributeType=S", "--key-schema", "AttributeName=orderId,KeyType=HASH")
	u.run("aws", "sns", "create-topic", "--name", "order-notifications")
	u.run("aws", "sqs", "create-queue", "--queue-name", "seen")
	u.run("aws", "sns", "subscribe", "--topic-arn", "arn:aws:sns:us-east-1:000000000000:order-notifications", "--protocol", "sqs",
		"--notification-endpoint", "arn:aws:sqs:us-east-1:000000000000:seen")
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	u.run("aws", "iam", "create-role", "--role-name", "handler", "--assume-role-policy-document", trust)
	u.run("aws", "lambda", "create-function", "--function-name", "order-handler", "--runtime", "python3.11", "--timeout", "30",
		"--role", "arn:aws:iam::000000000000:role/handler", "--handler", "lambda_function.lambda_handler", "--zip-file", "fileb://"+zip)
	u.run("aws", "lambda", "wait", "function-active-v2", "--function-name", "order-handler")
	answer := filepath.Join(t.TempDir(), "answer.json")
	event := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(event, []byte(`{"body":"{\"items\":[\"book\"]}"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	u.run("aws", "lambda", "invoke", "--function-name", "order-handler", "--payload", "file://"+event, answer)
	text, err := os.ReadFile(answer)
	if err != nil || !strings.Contains(string(text), `\"success\": true`) {
		t.Fatalf("the handler answered %s (%v)\n%s", text, err, u.Output())
	}
	if out := u.run("aws", "dynamodb", "scan", "--table-name", "Orders"); !strings.Contains(out, `"processed"`) {
		t.Errorf("the table holds %s", out)
	}
	// The block's topic ARN has an account of nine digits: it means the caller's own, with a warning.
	if out := u.run("aws", "sqs", "receive-message", "--wait-time-seconds", "10", "--queue-url", u.URL+"/123456789/seen"); !strings.Contains(out, "New Order Processed") {
		t.Errorf("the queue holds %s", out)
	}
	if !strings.Contains(u.Output(), "123456789") {
		t.Errorf("no warning about the short account: %s", u.Output())
	}
}

// mocks stands in for moto in the article's unit tests: its decorators do nothing, so that the tests' own calls reach the cloud.
const mocks = `
def mock_aws(f):
    return f
mock_dynamodb = mock_s3 = mock_sqs = mock_aws
`

// setUp of the article's tests makes the same table for each test; moto forgets it in between, a cloud does not.
const runner = `
import boto3, sys, unittest
sys.path[:0] = sys.argv[1:3]
import test_lambda_function as m
def tear_down(self):
    boto3.client("dynamodb").delete_table(TableName="test-table")
m.TestLambdaFunction.tearDown = tear_down
unittest.main(module=m, argv=["unit-tests"])
`

// TestUnitTests runs the article's unit tests with the cloud in place of mocks.
func TestUnitTests(t *testing.T) {
	dir := seedApp(t, "unit-tests")
	if err := exec.Command("python3", "-c", "import requests, boto3").Run(); err != nil {
		t.Skip("NOT TESTED: the article's unit tests need the Python packages requests and boto3")
	}
	u := newUser(t)
	fake := t.TempDir()
	if err := os.WriteFile(filepath.Join(fake, "moto.py"), []byte(mocks), 0o600); err != nil {
		t.Fatal(err)
	}
	out := u.run("python3", "-c", runner, fake, dir)
	if !strings.Contains(out, "Ran 5 tests") || !strings.Contains(out, "OK") {
		t.Errorf("%s", out)
	}
	if out := u.run("python3", "-c", `import boto3; print(boto3.client("s3").list_buckets()["Buckets"][0]["Name"])`); strings.TrimSpace(out) != "test-bucket" {
		t.Errorf("the bucket that the tests made: %s", out)
	}
}
