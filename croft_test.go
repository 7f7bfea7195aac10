package croft_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"croft"
	"croft/crofttest"
)

func TestMain(m *testing.M) {
	croft.Main()
	os.Exit(m.Run())
}

// queues returns the names of the queues that the account of c has.
func queues(t testing.TB, c *crofttest.Cloud) []string {
	t.Helper()
	out, err := sqs.NewFromConfig(c.Config()).ListQueues(t.Context(), &sqs.ListQueuesInput{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, u := range out.QueueUrls {
		names = append(names, u[strings.LastIndex(u, "/")+1:])
	}
	return names
}

func makeQueue(t testing.TB, c *crofttest.Cloud, name string) {
	t.Helper()
	if _, err := sqs.NewFromConfig(c.Config()).CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(name)}); err != nil {
		t.Fatal(err)
	}
}

func TestCloudsAndAccountsAreApart(t *testing.T) {
	first, second := crofttest.New(t), crofttest.New(t)
	other := crofttest.In(t, first.Cloud)
	makeQueue(t, first, "first")
	makeQueue(t, other, "other")
	for _, c := range []struct {
		cloud *crofttest.Cloud
		want  string
	}{{first, "[first]"}, {second, "[]"}, {other, "[other]"}} {
		if got := fmt.Sprint(queues(t, c.cloud)); got != c.want {
			t.Errorf("account %s at %s has %s, want %s", c.cloud.Account(), c.cloud.Endpoint(), got, c.want)
		}
	}
	// The credentials of one account and of one cloud are nothing to another.
	stolen := *second
	stolen.Credentials = first.Credentials
	if _, err := sqs.NewFromConfig(stolen.Config()).ListQueues(t.Context(), &sqs.ListQueuesInput{}); err != nil {
		// A loopback cloud takes keys that it does not know: they are its own account's, and that has no queues.
		t.Errorf("unknown keys: %v", err)
	}
	if err := first.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := queues(t, first); len(got) > 0 {
		t.Errorf("after a reset: %v", got)
	}
}

func TestDurable(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 {
		c, err := croft.New(t.Context(), croft.Options{Dir: dir, Account: "123456789012"})
		if err != nil {
			t.Fatal(err)
		}
		creds, err := c.Credentials(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		view := &crofttest.Cloud{Cloud: c, Credentials: creds}
		if i == 0 {
			makeQueue(t, view, "kept")
		} else if got := fmt.Sprint(queues(t, view)); got != "[kept]" {
			t.Errorf("after a restart: %s", got)
		}
		if _, err := croft.New(t.Context(), croft.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("a folder that is in use: %v", err)
		}
		for range 2 { // a test's own Close, and its cleanup's
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	c := crofttest.New(t)
	for _, o := range []croft.Options{
		{Account: "12"}, {Listen: "nonsense"}, {Listen: "0.0.0.0:0"}, {Listen: strings.TrimPrefix(c.Endpoint(), "http://")},
	} {
		if again, err := croft.New(t.Context(), o); err == nil {
			t.Errorf("%+v was taken", o)
			_ = again.Close()
		}
	}
	if _, err := c.In("12").Credentials(t.Context()); err == nil {
		t.Error("an account of two digits was taken")
	}
	if _, err := c.Cloud.Deploy(t.Context(), "nowhere", "", nil); err == nil {
		t.Error("a folder that is not there was deployed")
	}
	if _, err := c.Cloud.Invoke(t.Context(), "nobody", nil); err == nil || errors.Is(err, croft.ErrFunction) {
		t.Errorf("a function that is not there: %v", err)
	}
}

const failing = `
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]}
  Fail:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Code:
        ZipFile: |
          def handler(event, context):
              if event.get("fail"):
                  raise ValueError("as asked")
              return {"account": context.invoked_function_arn.split(":")[4]}
`

func TestFunctions(t *testing.T) {
	shared := crofttest.New(t)
	c := crofttest.In(t, shared.Cloud)
	file := t.TempDir() + "/template.yaml"
	if err := os.WriteFile(file, []byte(failing), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Deploy(file, "fails", nil)
	if got := c.Invoke("Fail", map[string]any{}); fmt.Sprint(got) != "map[account:"+c.Account()+"]" {
		t.Errorf("it answered %v", got)
	}
	text, err := c.Cloud.Invoke(t.Context(), "Fail", []byte(`{"fail": true}`))
	var document struct{ ErrorMessage, ErrorType string }
	if !errors.Is(err, croft.ErrFunction) || json.Unmarshal(text, &document) != nil || document.ErrorType != "ValueError" {
		t.Errorf("it failed with %s, %v", text, err)
	}
	if _, err := shared.Cloud.Invoke(t.Context(), "Fail", nil); err == nil {
		t.Error("another account's function was found")
	}
}

// A hundred clouds at a time in one process, each with its own state.
func TestHundredClouds(t *testing.T) {
	for i := range 100 {
		c := crofttest.New(t)
		makeQueue(t, c, fmt.Sprint("q", i))
		if got := queues(t, c); len(got) != 1 || got[0] != fmt.Sprint("q", i) {
			t.Fatalf("cloud %d has %v", i, got)
		}
	}
}

// BenchmarkNew is the time from New to the first answered call.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		c, err := croft.New(b.Context(), croft.Options{})
		if err != nil {
			b.Fatal(err)
		}
		creds, err := c.Credentials(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		client := sqs.NewFromConfig((&crofttest.Cloud{Cloud: c, Credentials: creds}).Config())
		if _, err := client.ListQueues(b.Context(), &sqs.ListQueuesInput{}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		http.DefaultClient.CloseIdleConnections()
		b.StartTimer()
	}
}
