package seed

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOrderHandler deploys the article's first code block: the order is stored and announced.
func TestOrderHandler(t *testing.T) {
	need(t, "aws", "zip")
	dir := app(t, "order-handler")
	u := newUser(t)
	u.copy(filepath.Join(dir, "lambda_function.py"), "lambda_function.py")
	u.zip("code.zip", "lambda_function.py")
	u.aws("dynamodb create-table --table-name Orders --billing-mode PAY_PER_REQUEST --attribute-definitions AttributeName=orderId,AttributeType=S --key-schema AttributeName=orderId,KeyType=HASH")
	u.aws("sns create-topic --name order-notifications")
	u.aws("sqs create-queue --queue-name seen")
	u.aws("sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:order-notifications --protocol sqs --notification-endpoint arn:aws:sqs:us-east-1:000000000000:seen")
	u.create("order-handler", "python3.11", "lambda_function.lambda_handler", "code.zip")
	if answer, _ := u.invoke("order-handler", `{"body":"{\"items\":[\"book\"]}"}`); !strings.Contains(answer, `\"success\": true`) {
		t.Fatalf("the handler answered %s\n%s", answer, u.Output())
	}
	if out := u.aws("dynamodb scan --table-name Orders"); !strings.Contains(out, "processed") || !strings.Contains(out, "book") {
		t.Errorf("the table holds %s", out)
	}
	// The block's topic ARN has an account of nine digits: it means the caller's own, with a warning.
	if out := u.aws("sqs receive-message --wait-time-seconds 10 --queue-url " + u.URL + "/123456789/seen"); !strings.Contains(out, "New Order Processed") {
		t.Errorf("the queue holds %s", out)
	}
	if !strings.Contains(u.Output(), "123456789") {
		t.Errorf("no warning about the short account: %s", u.Output())
	}
	// What the block does with what it cannot store: DynamoDB's resource takes no floats.
	if answer, _ := u.invoke("order-handler", `{"body":"{\"items\":[1.5]}"}`); !strings.Contains(answer, `"statusCode": 500`) {
		t.Errorf("an item that is a float: %s", answer)
	}
	u.log("order-handler", "Error processing request: Float types are not supported", "REPORT RequestId")
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
	dir := app(t, "unit-tests")
	if err := exec.Command("python3", "-c", "import requests, boto3").Run(); err != nil {
		t.Skip("NOT TESTED: the article's unit tests need the Python packages requests and boto3")
	}
	u := newUser(t)
	u.write("fake/moto.py", mocks, 0o600)
	out := u.run("python3", "-c", runner, filepath.Join(u.dir, "fake"), dir)
	if !strings.Contains(out, "Ran 5 tests") || !strings.Contains(out, "OK") {
		t.Errorf("%s", out)
	}
	if out := u.run("python3", "-c", `import boto3; print(boto3.client("s3").list_buckets()["Buckets"][0]["Name"])`); out != "test-bucket" {
		t.Errorf("the bucket that the tests made: %s", out)
	}
}
