package sns_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	lambdaapi "croft/internal/awsapi/lambda"
	api "croft/internal/awsapi/sns"
	sqsapi "croft/internal/awsapi/sqs"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service"
	"croft/internal/service/servicetest"
	"croft/internal/service/sns"
	"croft/internal/service/sqs"
	"croft/internal/wire"
)

func newTopics(deps service.Deps) service.Descriptor { return sns.New(deps).Descriptor() }
func newQueues(deps service.Deps) service.Descriptor { return sqs.New(deps).Descriptor() }

func TestScripts(t *testing.T) {
	servicetest.Run(t, "testdata/*.txtar", newTopics, newQueues)
}

// functions is a Lambda that notes asynchronous invocations, and fails as often as it is told.
type functions struct {
	lambdaapi.Unimplemented
	mu       sync.Mutex
	failures []error
	events   []string
	caller   cloud.Call
}

func (f *functions) new(service.Deps) service.Descriptor {
	return service.Descriptor{API: lambdaapi.Service(), Impl: f}
}

func (f *functions) Invoke(ctx context.Context, in *lambdaapi.InvokeInput) (*lambdaapi.InvokeOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.failures) > 0 {
		err := f.failures[0]
		f.failures = f.failures[1:]
		return nil, err
	}
	f.events = append(f.events, wire.Value(in.InvocationType)+" "+in.FunctionName+" "+string(in.Payload))
	f.caller = *cloud.CallOf(ctx)
	return &lambdaapi.InvokeOutput{}, nil
}

func (f *functions) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.events
}

const function = "arn:aws:lambda:us-east-1:000000000000:function:f"

func subscribed(t *testing.T, f *functions) (*servicetest.Env, api.Client, string) {
	t.Helper()
	env := servicetest.New(t, newTopics, newQueues, f.new)
	client := api.NewClient(env.Dispatcher)
	topic, err := client.CreateTopic(env.Context(), &api.CreateTopicInput{Name: "t"})
	must(t, err)
	_, err = client.Subscribe(env.Context(), &api.SubscribeInput{TopicArn: *topic.TopicArn, Protocol: "lambda", Endpoint: wire.Ptr(function)})
	must(t, err)
	return env, client, *topic.TopicArn
}

func publish(t *testing.T, env *servicetest.Env, client api.Client, topic, message string) string {
	t.Helper()
	out, err := client.Publish(env.Context(), &api.PublishInput{TopicArn: &topic, Message: message, MessageAttributes: map[string]api.MessageAttributeValue{
		"a": {DataType: "String", StringValue: wire.Ptr("1")},
	}})
	must(t, err)
	return *out.MessageId
}

func TestFunction(t *testing.T) {
	f := &functions{}
	env, client, topic := subscribed(t, f)
	id := publish(t, env, client, topic, "hello")
	env.Settle()
	if len(f.seen()) != 1 {
		t.Fatalf("%d events", len(f.seen()))
	}
	kind, rest, _ := strings.Cut(f.seen()[0], " ")
	name, payload, _ := strings.Cut(rest, " ")
	if kind != "Event" || name != function {
		t.Errorf("invoked %s by %s", name, kind)
	}
	var event struct {
		Records []struct {
			EventSource string
			Sns         struct {
				MessageId, Message, TopicArn string
				Subject                      *string
				MessageAttributes            map[string]struct{ Type, Value string }
			}
		}
	}
	must(t, json.Unmarshal([]byte(payload), &event))
	got := event.Records[0].Sns
	if got.MessageId != id || got.Message != "hello" || got.TopicArn != topic || got.Subject != nil || got.MessageAttributes["a"].Value != "1" {
		t.Errorf("the event is %s", payload)
	}
	if f.caller.Principal.Service != "sns.amazonaws.com" || f.caller.SourceARN != topic {
		t.Errorf("called by %+v for %s", f.caller.Principal, f.caller.SourceARN)
	}
}

// A function that cannot be reached is tried again, one that is gone is not.
func TestRetries(t *testing.T) {
	f := &functions{}
	unreachable := cloud.Errorf("ServiceException", "later").WithStatus(500)
	f.failures = []error{unreachable, unreachable, unreachable, unreachable}
	env, client, topic := subscribed(t, f)
	publish(t, env, client, topic, "patience")
	env.Settle()
	if len(f.seen()) != 0 {
		t.Fatal("the fourth attempt was not waited for")
	}
	env.Advance(time.Second)
	if len(f.seen()) != 1 {
		t.Fatal("the notification was not delivered in the end")
	}
	f.failures = []error{cloud.Errorf("ResourceNotFoundException", "gone").WithStatus(404)}
	publish(t, env, client, topic, "dropped")
	env.Settle()
	env.Advance(time.Hour)
	if len(f.seen()) != 1 {
		t.Error("a notification for a function that is gone was delivered")
	}
}

// A topic with more subscriptions than one transaction writes for reaches them all, and lists them in pages.
func TestManySubscriptions(t *testing.T) {
	const queues = 230
	env := servicetest.New(t, newTopics, newQueues)
	client, q := api.NewClient(env.Dispatcher), sqsapi.NewClient(env.Dispatcher)
	made, err := client.CreateTopic(env.Context(), &api.CreateTopicInput{Name: "t"})
	must(t, err)
	urls := map[string]string{}
	for i := range queues {
		name := fmt.Sprintf("q%d", i)
		out, err := q.CreateQueue(env.Context(), &sqsapi.CreateQueueInput{QueueName: name})
		must(t, err)
		urls[name] = *out.QueueUrl
		_, err = client.Subscribe(env.Context(), &api.SubscribeInput{
			TopicArn: *made.TopicArn, Protocol: "sqs", Endpoint: wire.Ptr("arn:aws:sqs:us-east-1:000000000000:" + name),
		})
		must(t, err)
	}
	publish(t, env, client, *made.TopicArn, "hello")
	env.Settle()
	for name, url := range urls {
		out, err := q.ReceiveMessage(env.Context(), &sqsapi.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: wire.Ptr[int32](10)})
		must(t, err)
		if len(out.Messages) != 1 {
			t.Errorf("%s got %d messages", name, len(out.Messages))
		}
	}
	seen, pages := map[string]bool{}, 0
	for in := (&api.ListSubscriptionsInput{}); ; pages++ {
		out, err := client.ListSubscriptions(env.Context(), in)
		must(t, err)
		for _, sub := range out.Subscriptions {
			seen[*sub.Endpoint] = true
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	byTopic := &api.ListSubscriptionsByTopicInput{TopicArn: *made.TopicArn}
	first, err := client.ListSubscriptionsByTopic(env.Context(), byTopic)
	must(t, err)
	if len(seen) != queues || pages != 2 || len(first.Subscriptions) != 100 || first.NextToken == nil {
		t.Errorf("%d subscriptions on %d pages, %d on the first of the topic", len(seen), pages+1, len(first.Subscriptions))
	}
}

func TestListTopics(t *testing.T) {
	env := servicetest.New(t, newTopics)
	client := api.NewClient(env.Dispatcher)
	for i := range 101 {
		_, err := client.CreateTopic(env.Context(), &api.CreateTopicInput{Name: fmt.Sprintf("t%d", i)})
		must(t, err)
	}
	first, err := client.ListTopics(env.Context(), &api.ListTopicsInput{})
	must(t, err)
	second, err := client.ListTopics(env.Context(), &api.ListTopicsInput{NextToken: first.NextToken})
	must(t, err)
	if len(first.Topics) != 100 || len(second.Topics) != 1 || second.NextToken != nil {
		t.Errorf("%d and %d topics", len(first.Topics), len(second.Topics))
	}
	_, err = client.ListTopics(env.Context(), &api.ListTopicsInput{NextToken: wire.Ptr("~")})
	if cloud.Code(err) != "InvalidParameter" {
		t.Errorf("a bad token gives %v", err)
	}
}

// Publishing is part of the caller's transaction: nothing is sent when it fails.
func TestPublishInTransaction(t *testing.T) {
	f := &functions{}
	env, client, topic := subscribed(t, f)
	failed := fmt.Errorf("changed my mind")
	err := env.Deps.Store.Update(env.Context(), func(ctx context.Context, _ kv.Tx) error {
		if _, err := client.Publish(ctx, &api.PublishInput{TopicArn: &topic, Message: "x"}); err != nil {
			return err
		}
		return failed
	})
	if err != failed {
		t.Fatal(err)
	}
	env.Settle()
	if len(f.seen()) != 0 {
		t.Error("the message of a failed transaction was delivered")
	}
}

func TestSizes(t *testing.T) {
	f := &functions{}
	env, client, topic := subscribed(t, f)
	in := &api.PublishInput{TopicArn: &topic, Message: strings.Repeat("x", 256<<10)}
	_, err := client.Publish(env.Context(), in)
	must(t, err)
	in.Message += "x"
	if _, err = client.Publish(env.Context(), in); err == nil || err.Error() != "InvalidParameter: Invalid parameter: Message too long" {
		t.Error(err)
	}
}

func TestResources(t *testing.T) {
	env := servicetest.New(t, newTopics, newQueues)
	client := api.NewClient(env.Dispatcher)
	topic, sub, policy := env.Resource("AWS::SNS::Topic"), env.Resource("AWS::SNS::Subscription"), env.Resource("AWS::SNS::TopicPolicy")
	const one, two = "arn:aws:sqs:us-east-1:000000000000:one", "arn:aws:sqs:us-east-1:000000000000:two"
	inline := func(endpoint string) []any { return []any{map[string]any{"Protocol": "sqs", "Endpoint": endpoint}} }
	create := func(rt cfn.ResourceType, properties map[string]any) *cfn.Request {
		request := &cfn.Request{GeneratedName: "stack-R-1", Tags: map[string]string{"stack": "s"}}
		must(t, env.Update(func(ctx context.Context) error {
			result, err := rt.Create(ctx, request, properties)
			if err == nil {
				request.PhysicalID, request.Attributes = result.PhysicalID, result.Attributes
			}
			return err
		}))
		return request
	}
	before, after := map[string]any{"DisplayName": "A", "Subscription": inline(one), "SignatureVersion": "2"}, map[string]any{"DisplayName": "B",
		"Subscription": inline(two), "DeliveryPolicy": map[string]any{"http": map[string]any{"disableSubscriptionOverrides": true}}}
	made := create(topic, before)
	arn := made.PhysicalID
	must(t, env.Update(func(ctx context.Context) error {
		_, err := topic.Update(ctx, made, before, after)
		return err
	}))
	subProperties := map[string]any{"TopicArn": arn, "Protocol": "sqs", "Endpoint": one, "RawMessageDelivery": "true"}
	subscription := create(sub, subProperties)
	filtered := map[string]any{
		"TopicArn": arn, "Protocol": "sqs", "Endpoint": one, "FilterPolicyScope": "MessageBody",
		"FilterPolicy": map[string]any{"a": map[string]any{"b": []any{"c"}}}, "RedrivePolicy": map[string]any{"deadLetterTargetArn": two},
	}
	for _, step := range [][2]map[string]any{{subProperties, filtered}, {filtered, subProperties}, {subProperties, filtered}} {
		must(t, env.Update(func(ctx context.Context) error {
			_, err := sub.Update(ctx, subscription, step[0], step[1])
			return err
		}))
	}
	is, err := client.GetSubscriptionAttributes(env.Context(), &api.GetSubscriptionAttributesInput{SubscriptionArn: subscription.PhysicalID})
	must(t, err)
	if a := is.Attributes; a["FilterPolicy"] != `{"a":{"b":["c"]}}` || a["FilterPolicyScope"] != "MessageBody" || a["RedrivePolicy"] == "" || a["RawMessageDelivery"] != "false" {
		t.Errorf("the subscription is %v", a)
	}
	policyProperties := map[string]any{"PolicyDocument": map[string]any{"Version": "2012-10-17"}, "Topics": []any{arn}}
	topicPolicy := create(policy, policyProperties)
	attributes, err := client.GetTopicAttributes(env.Context(), &api.GetTopicAttributesInput{TopicArn: arn})
	must(t, err)
	if a := attributes.Attributes; a["DisplayName"] != "B" || a["SignatureVersion"] != "" || a["DeliveryPolicy"] != `{"http":{"disableSubscriptionOverrides":true}}` || a["SubscriptionsConfirmed"] != "2" || a["Policy"] != `{"Version":"2012-10-17"}` {
		t.Errorf("the topic is %v", a)
	}
	tags, err := client.ListTagsForResource(env.Context(), &api.ListTagsForResourceInput{ResourceArn: arn})
	must(t, err)
	if len(tags.Tags) != 1 || tags.Tags[0].Key != "stack" {
		t.Errorf("the tags are %v", tags.Tags)
	}
	for range 2 { // a resource that is gone is no error
		must(t, env.Update(func(ctx context.Context) error { return policy.Delete(ctx, topicPolicy, policyProperties) }))
		must(t, env.Update(func(ctx context.Context) error { return sub.Delete(ctx, subscription, subProperties) }))
		must(t, env.Update(func(ctx context.Context) error { return topic.Delete(ctx, made, after) }))
	}
	left, err := client.ListSubscriptions(env.Context(), &api.ListSubscriptionsInput{})
	must(t, err)
	if len(left.Subscriptions) != 0 {
		t.Errorf("%d subscriptions are left", len(left.Subscriptions))
	}
	ordered := create(topic, map[string]any{"FifoTopic": true, "ContentBasedDeduplication": true, "FifoThroughputScope": "MessageGroup"})
	if !strings.HasSuffix(ordered.PhysicalID, ":stack-R-1.fifo") {
		t.Errorf("the FIFO topic is %s", ordered.PhysicalID)
	}
	create(topic, map[string]any{})
	webhook := create(sub, map[string]any{"TopicArn": arn, "Protocol": "https", "Endpoint": "https://example.invalid/", "DeliveryPolicy": map[string]any{}})
	if !strings.HasPrefix(webhook.PhysicalID, arn+":") {
		t.Errorf("the subscription is %s", webhook.PhysicalID)
	}
	if err := topic.Check(map[string]any{"KmsMasterKeyId": "k"}); err == nil {
		t.Error("KmsMasterKeyId was accepted")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
