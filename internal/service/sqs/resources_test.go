package sqs_test

import (
	"context"
	"testing"

	api "croft/internal/awsapi/sqs"
	"croft/internal/cfn"
	"croft/internal/service/servicetest"
)

func TestQueueResource(t *testing.T) {
	env := servicetest.New(t, newService)
	client := api.NewClient(env.Dispatcher)
	queue := env.Resource("AWS::SQS::Queue")
	request := &cfn.Request{GeneratedName: "stack-Queue-ABC", Tags: map[string]string{"stack": "s"}}
	first := map[string]any{"DelaySeconds": "5", "VisibilityTimeout": 60, "Tags": []any{map[string]any{"Key": "a", "Value": "1"}}}
	must(t, env.Update(func(ctx context.Context) error {
		result, err := queue.Create(ctx, request, first)
		if err == nil {
			request.PhysicalID, request.Attributes = result.PhysicalID, result.Attributes
		}
		return err
	}))
	if got := request.Attributes["Arn"]; got != "arn:aws:sqs:us-east-1:000000000000:stack-Queue-ABC" {
		t.Errorf("Arn is %v", got)
	}
	second := map[string]any{"VisibilityTimeout": 61}
	must(t, env.Update(func(ctx context.Context) error {
		_, err := queue.Update(ctx, request, first, second)
		return err
	}))
	attributes, err := client.GetQueueAttributes(env.Context(), &api.GetQueueAttributesInput{QueueUrl: request.PhysicalID, AttributeNames: []string{"All"}})
	must(t, err)
	if attributes.Attributes["DelaySeconds"] != "0" || attributes.Attributes["VisibilityTimeout"] != "61" {
		t.Errorf("attributes are %v", attributes.Attributes)
	}
	tags, err := client.ListQueueTags(env.Context(), &api.ListQueueTagsInput{QueueUrl: request.PhysicalID})
	must(t, err)
	if len(tags.Tags) != 1 || tags.Tags["stack"] != "s" {
		t.Errorf("tags are %v", tags.Tags)
	}
	for range 2 { // a resource that is gone is no error
		must(t, env.Update(func(ctx context.Context) error { return queue.Delete(ctx, request, second) }))
	}
	must(t, env.Update(func(ctx context.Context) error { // the name is free at once
		_, err := queue.Create(ctx, request, first)
		return err
	}))
	if err := queue.Check(map[string]any{"KmsMasterKeyId": "alias/aws/sqs"}); err == nil {
		t.Error("KmsMasterKeyId was accepted")
	}
	if !queue.Replaces(map[string]any{"QueueName": "a"}, map[string]any{"QueueName": "b"}) {
		t.Error("another name does not replace the queue")
	}
}

func TestQueuePolicyResource(t *testing.T) {
	env, client, one := cloudWithQueue(t, nil)
	made, err := client.CreateQueue(env.Context(), &api.CreateQueueInput{QueueName: "two"})
	must(t, err)
	two := *made.QueueUrl
	policy := env.Resource("AWS::SQS::QueuePolicy")
	request := &cfn.Request{GeneratedName: "stack-Policy-ABC"}
	document := map[string]any{"Version": "2012-10-17"}
	before := map[string]any{"PolicyDocument": document, "Queues": []any{one}}
	after := map[string]any{"PolicyDocument": document, "Queues": []any{two}}
	check := func(url, want string) {
		t.Helper()
		out, err := client.GetQueueAttributes(env.Context(), &api.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []string{"Policy"}})
		must(t, err)
		if got := out.Attributes["Policy"]; got != want {
			t.Errorf("the policy of %s is %q, want %q", url, got, want)
		}
	}
	must(t, env.Update(func(ctx context.Context) error {
		_, err := policy.Create(ctx, request, before)
		return err
	}))
	check(one, `{"Version":"2012-10-17"}`)
	must(t, env.Update(func(ctx context.Context) error {
		_, err := policy.Update(ctx, request, before, after)
		return err
	}))
	check(one, "")
	check(two, `{"Version":"2012-10-17"}`)
	must(t, env.Update(func(ctx context.Context) error { return policy.Delete(ctx, request, after) }))
	check(two, "")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFIFOQueueResource(t *testing.T) {
	env := servicetest.New(t, newService)
	client := api.NewClient(env.Dispatcher)
	queue := env.Resource("AWS::SQS::Queue")
	dead := &cfn.Request{GeneratedName: "stack-Dead-ABC"}
	properties := map[string]any{"FifoQueue": true}
	create := func(request *cfn.Request, properties map[string]any) {
		t.Helper()
		must(t, env.Update(func(ctx context.Context) error {
			result, err := queue.Create(ctx, request, properties)
			if err == nil {
				request.PhysicalID, request.Attributes = result.PhysicalID, result.Attributes
			}
			return err
		}))
	}
	create(dead, properties)
	if got := dead.Attributes["QueueName"]; got != "stack-Dead-ABC.fifo" {
		t.Errorf("the queue is called %v", got)
	}
	request := &cfn.Request{GeneratedName: "stack-Queue-ABC"}
	first := map[string]any{"FifoQueue": "true", "ContentBasedDeduplication": true, "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId",
		"RedrivePolicy": map[string]any{"deadLetterTargetArn": dead.Attributes["Arn"], "maxReceiveCount": 7}}
	create(request, first)
	check := func(want map[string]string) {
		t.Helper()
		out, err := client.GetQueueAttributes(env.Context(), &api.GetQueueAttributesInput{QueueUrl: request.PhysicalID, AttributeNames: []string{"All"}})
		must(t, err)
		for name, value := range want {
			if out.Attributes[name] != value {
				t.Errorf("%s is %q, want %q", name, out.Attributes[name], value)
			}
		}
	}
	check(map[string]string{"ContentBasedDeduplication": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId",
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:stack-Dead-ABC.fifo","maxReceiveCount":7}`})
	must(t, env.Update(func(ctx context.Context) error {
		_, err := queue.Update(ctx, request, first, properties)
		return err
	}))
	check(map[string]string{"ContentBasedDeduplication": "false", "DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue", "RedrivePolicy": ""})
	if !queue.Replaces(map[string]any{}, properties) {
		t.Error("another type does not replace the queue")
	}
}

func TestInlinePolicyResource(t *testing.T) {
	env, client, url := cloudWithQueue(t, nil)
	policy := env.Resource("AWS::SQS::QueueInlinePolicy")
	request := &cfn.Request{GeneratedName: "x"}
	properties := map[string]any{"PolicyDocument": map[string]any{"Version": "2012-10-17"}, "Queue": url}
	must(t, env.Update(func(ctx context.Context) error {
		_, err := policy.Create(ctx, request, properties)
		return err
	}))
	before, err := client.GetQueueAttributes(env.Context(), &api.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []string{"Policy"}})
	must(t, err)
	if got := before.Attributes["Policy"]; got != `{"Version":"2012-10-17"}` {
		t.Errorf("the policy is %q", got)
	}
	must(t, env.Update(func(ctx context.Context) error { return policy.Delete(ctx, request, properties) }))
	out, err := client.GetQueueAttributes(env.Context(), &api.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []string{"Policy"}})
	must(t, err)
	if out.Attributes["Policy"] != "" {
		t.Errorf("the policy is %q after its removal", out.Attributes["Policy"])
	}
}
