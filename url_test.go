package croft_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"croft/crofttest"
	"croft/internal/clock"
)

const addressed = `
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: python3.11
    Handler: index.handler
Resources:
  Open:
    Type: AWS::Serverless::Function
    Properties:
      FunctionUrlConfig: {AuthType: NONE}
      InlineCode: |
        def handler(event, context):
            if event["rawPath"] == "/fail":
                raise ValueError("as asked")
            return {"statusCode": 201, "body": event["requestContext"]["http"]["method"] + " " + event["rawPath"], "cookies": ["a=b"]}
  Signed:
    Type: AWS::Serverless::Function
    Properties:
      FunctionUrlConfig: {AuthType: AWS_IAM}
      InlineCode: |
        def handler(event, context):
            return event["requestContext"]["authorizer"]["iam"]["accountId"]
Outputs:
  Open: {Value: !GetAtt OpenUrl.FunctionUrl}
  Signed: {Value: !GetAtt SignedUrl.FunctionUrl}
`

// TestFunctionURLs calls functions by the addresses that the outputs of their stack name.
func TestFunctionURLs(t *testing.T) {
	c := crofttest.New(t)
	file := t.TempDir() + "/template.yaml"
	if err := os.WriteFile(file, []byte(addressed), 0o600); err != nil {
		t.Fatal(err)
	}
	outputs := c.Deploy(file, "urls", nil)
	do := func(r *http.Request, err error) (int, string, http.Header) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body), res.Header
	}
	status, body, h := do(http.NewRequest(http.MethodPost, outputs["Open"]+"a%2Fb", strings.NewReader("x")))
	if status != 201 || body != "POST /a/b" || h.Get("Set-Cookie") != "a=b" || h.Get("Content-Security-Policy") == "" {
		t.Errorf("%d %s %v", status, body, h)
	}
	if status, body, _ := do(http.NewRequest(http.MethodGet, outputs["Open"]+"fail", nil)); status != 502 || body != "Internal Server Error" {
		t.Errorf("a failure: %d %s", status, body)
	}
	if status, body, _ := do(http.NewRequest(http.MethodGet, outputs["Signed"], nil)); status != 403 || !strings.Contains(body, "Forbidden") {
		t.Errorf("nobody: %d %s", status, body)
	}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for secret, want := range map[string]int{c.Credentials.SecretAccessKey: 200, "wrong": 403} {
		r, err := http.NewRequest(http.MethodGet, outputs["Signed"], nil)
		if err != nil {
			t.Fatal(err)
		}
		keys := aws.Credentials{AccessKeyID: c.Credentials.AccessKeyID, SecretAccessKey: secret}
		if err := v4.NewSigner().SignHTTP(t.Context(), keys, r, empty, "lambda", c.Region(), clock.Real().Now()); err != nil {
			t.Fatal(err)
		}
		if status, body, _ := do(r, nil); status != want || want == 200 && body != c.Account() {
			t.Errorf("signed: %d %s", status, body)
		}
	}
}
