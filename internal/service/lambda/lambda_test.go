package lambda_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"testing"

	"croft/internal/awsapi/iam"
	api "croft/internal/awsapi/lambda"
	"croft/internal/awsapi/s3"
	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/service"
	"croft/internal/service/lambda"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

const roleARN = "arn:aws:iam::000000000000:role/r"

// roles is an IAM that has two roles.
type roles struct{ iam.Unimplemented }

func (roles) GetRole(ctx context.Context, in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	if p := cloud.CallOf(ctx).Principal; p.Service != "lambda.amazonaws.com" {
		return nil, cloud.Errorf("AccessDenied", "asked by %s", p.ARN)
	}
	who := map[string]string{"r": "lambda.amazonaws.com", "other": "ec2.amazonaws.com"}[in.RoleName]
	if who == "" {
		return nil, iam.NewNoSuchEntityException("The role with name %s cannot be found.", in.RoleName)
	}
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["` + who + `"]},"Action":"sts:AssumeRole"}]}`
	return &iam.GetRoleOutput{Role: &iam.Role{
		RoleName: in.RoleName, Arn: "arn:aws:iam::000000000000:role/" + in.RoleName, AssumeRolePolicyDocument: &trust,
	}}, nil
}

// buckets is an S3 with the bucket "packages".
type buckets struct{ s3.Unimplemented }

func (buckets) GetObject(_ context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	if in.Bucket != "packages" {
		return nil, s3.NewNoSuchBucket("The specified bucket does not exist")
	}
	// The package of the scripts: a.py, "x=1".
	zipped, err := base64.StdEncoding.DecodeString("UEsDBBQAAAAAAAAAIQAAz/SFBAAAAAQAAAAEAAAAYS5weXg9MQpQSwECFAMUAAAAAAAAACEAAM/0hQQAAAAEAAAABAAAAAAAAAAAAAAAgAEAAAAAYS5weVBLBQYAAAAAAQABADIAAAAmAAAAAAA=")
	switch in.Key {
	case "a.txt":
		zipped = []byte("text")
	case "a.zip":
	default:
		return nil, s3.NewNoSuchKey("The specified key does not exist.")
	}
	return &s3.GetObjectOutput{Body: wire.NewStream(bytes.NewReader(zipped), int64(len(zipped)))}, err
}

// queues is an SQS with the queues "q" and "slow", whose messages a test puts in by hand.
type queues struct {
	sqs.Unimplemented
	waiting chan sqs.Message
	removed chan string
}

func (q *queues) GetQueueUrl(_ context.Context, in *sqs.GetQueueUrlInput) (*sqs.GetQueueUrlOutput, error) {
	if in.QueueName != "q" && in.QueueName != "slow" {
		return nil, sqs.NewQueueDoesNotExist("The specified queue does not exist.")
	}
	return &sqs.GetQueueUrlOutput{QueueUrl: wire.Ptr("http://x/000000000000/" + in.QueueName)}, nil
}

func (q *queues) GetQueueAttributes(_ context.Context, in *sqs.GetQueueAttributesInput) (*sqs.GetQueueAttributesOutput, error) {
	timeout := "30"
	if strings.HasSuffix(in.QueueUrl, "/slow") {
		timeout = "300"
	}
	return &sqs.GetQueueAttributesOutput{Attributes: map[string]string{"VisibilityTimeout": timeout}}, nil
}

func (q *queues) ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput) (*sqs.ReceiveMessageOutput, error) {
	if wire.Value(in.WaitTimeSeconds) == 0 || len(in.MessageAttributeNames) == 0 || len(in.MessageSystemAttributeNames) == 0 {
		return nil, cloud.Errorf("InvalidParameterValue", "not a long poll for everything")
	}
	select {
	case m := <-q.waiting:
		return &sqs.ReceiveMessageOutput{Messages: []sqs.Message{m}}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (q *queues) DeleteMessageBatch(_ context.Context, in *sqs.DeleteMessageBatchInput) (*sqs.DeleteMessageBatchOutput, error) {
	for _, e := range in.Entries {
		q.removed <- e.ReceiptHandle
	}
	return &sqs.DeleteMessageBatchOutput{}, nil
}

// engineFake is an engine that answers by the function's handler: a.echo with the event, a.fail with a failure, a.busy not at all.
type engineFake struct {
	mu      sync.Mutex
	calls   []call
	busy    int
	answer  []byte
	failure []byte // what a.fail answers, when it is not the usual
	invoked chan call
	// provisioned is what was asked for, by the ARN of the version; told receives a value each time, if it is set.
	provisioned map[string]int
	told        chan struct{}
}

type call struct {
	fn  engine.Function
	inv engine.Invocation
}

func (e *engineFake) Invoke(_ context.Context, fn engine.Function, inv engine.Invocation) (*engine.Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, call{fn, inv})
	select {
	case e.invoked <- call{fn, inv}:
	default:
	}
	if e.busy > 0 {
		e.busy--
		return nil, cloud.Errorf("TooManyRequestsException", "Rate Exceeded.").WithStatus(429)
	}
	if fn.Handler == "a.fail" && e.failure != nil {
		return &engine.Result{Payload: e.failure, FunctionError: "Unhandled"}, nil
	}
	if fn.Handler == "a.fail" {
		return &engine.Result{Payload: []byte(`{"errorMessage":"no","errorType":"Exception"}`), FunctionError: "Unhandled", LogTail: []byte("log")}, nil
	}
	payload := inv.Payload
	if e.answer != nil {
		payload = e.answer
	}
	return &engine.Result{Payload: payload, LogTail: []byte("log")}, nil
}

func (e *engineFake) Retire(string) {}

func (e *engineFake) Ahead(engine.Function) {}

func (e *engineFake) Provision(fn engine.Function, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.provisioned == nil {
		e.provisioned = map[string]int{}
	}
	e.provisioned[fn.ARN+":"+fn.Version] = n
	if e.told != nil {
		e.told <- struct{}{}
	}
}

func (e *engineFake) Provisioned(arn, version string) engine.Provision {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.provisioned[arn+":"+version]
	return engine.Provision{Requested: n, Allocated: n, Available: n}
}

func (e *engineFake) taken() []call {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.calls
	e.calls = nil
	return out
}

type world struct {
	*servicetest.Env
	engine *engineFake
	queues *queues
	client api.Client
}

func services(e *engineFake, q *queues) []func(service.Deps) service.Descriptor {
	return []func(service.Deps) service.Descriptor{
		func(d service.Deps) service.Descriptor { return lambda.New(d, e).Descriptor() },
		func(service.Deps) service.Descriptor {
			return service.Descriptor{API: iam.Service(), Impl: roles{}}
		},
		func(service.Deps) service.Descriptor { return service.Descriptor{API: sqs.Service(), Impl: q} },
		func(service.Deps) service.Descriptor { return service.Descriptor{API: s3.Service(), Impl: buckets{}} },
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		engine: &engineFake{invoked: make(chan call, 100)},
		queues: &queues{waiting: make(chan sqs.Message, 100), removed: make(chan string, 100)},
	}
	w.Env = servicetest.New(t, services(w.engine, w.queues)...)
	w.client = api.NewClient(w.Dispatcher)
	return w
}

func zipOf(t *testing.T, name, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create(name)
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// function makes a function and returns its ARN.
func (w *world) function(t *testing.T, name, handler string) string {
	t.Helper()
	out, err := w.client.CreateFunction(w.Context(), &api.CreateFunctionInput{
		FunctionName: name, Runtime: wire.Ptr("python3.11"), Role: roleARN, Handler: &handler,
		Code: &api.FunctionCode{ZipFile: zipOf(t, "a.py", "x = 1")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.FunctionArn
}

func TestScripts(t *testing.T) {
	servicetest.Run(t, "testdata/*.txtar", services(&engineFake{}, &queues{})...)
}

func check(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case err == nil && want != "":
		t.Errorf("%s is accepted", what)
	case err != nil && err.Error() != want:
		t.Errorf("%s:\ngot  %v\nwant %s", what, err, want)
	}
}
