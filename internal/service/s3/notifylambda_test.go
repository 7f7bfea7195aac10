package s3_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	lambdaapi "croft/internal/awsapi/lambda"
	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

// functions is a Lambda that notes who invokes what, and knows one function.
type functions struct {
	lambdaapi.Unimplemented
	mu   sync.Mutex
	seen []string
}

const functionARN = "arn:aws:lambda:us-east-1:000000000000:function:told"

func (f *functions) new(service.Deps) service.Descriptor {
	return service.Descriptor{API: lambdaapi.Service(), Impl: f}
}

func (f *functions) Invoke(ctx context.Context, in *lambdaapi.InvokeInput) (*lambdaapi.InvokeOutput, error) {
	if in.FunctionName != functionARN {
		return nil, lambdaapi.NewResourceNotFoundException("Function not found: %s", in.FunctionName)
	}
	call := cloud.CallOf(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, strings.Join([]string{*in.InvocationType, call.Principal.Service, call.SourceARN, string(in.Payload)}, " "))
	return &lambdaapi.InvokeOutput{StatusCode: wire.Ptr(int32(202))}, nil
}

func TestFunctionsAreToldForTheBucket(t *testing.T) {
	f := new(functions)
	e := servicetest.New(t, descriptor, f.new)
	c := api.NewClient(e.Dispatcher)
	if _, err := c.CreateBucket(e.Context(), &api.CreateBucketInput{Bucket: "telling"}); err != nil {
		t.Fatal(err)
	}
	configure := func(arn string) error {
		_, err := c.PutBucketNotificationConfiguration(e.Context(), &api.PutBucketNotificationConfigurationInput{
			Bucket: "telling", NotificationConfiguration: &api.NotificationConfiguration{
				LambdaFunctionConfigurations: []api.LambdaFunctionConfiguration{{LambdaFunctionArn: arn, Events: []string{"s3:ObjectCreated:*"}}},
			},
		})
		return err
	}
	if err := configure(functionARN + "-none"); cloud.Code(err) != "InvalidArgument" {
		t.Errorf("got %v", err)
	}
	if err := configure(functionARN); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutObject(e.Context(), &api.PutObjectInput{Bucket: "telling", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	e.Settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	const by = " s3.amazonaws.com arn:aws:s3:::telling "
	if len(f.seen) != 2 || f.seen[0] != "DryRun"+by || !strings.HasPrefix(f.seen[1], "Event"+by+`{"Records":[{"eventVersion":"2.1"`) {
		t.Errorf("invoked %q", f.seen)
	}
}
