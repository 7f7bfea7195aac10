package sns_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	api "croft/internal/awsapi/sns"
	sqsapi "croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

// inbox is an SQS that notes what it is sent, and has no queues whose names begin with "gone".
type inbox struct {
	sqsapi.Unimplemented
	mu   sync.Mutex
	sent []sqsapi.SendMessageInput
}

func (q *inbox) new(service.Deps) service.Descriptor {
	return service.Descriptor{API: sqsapi.Service(), Impl: q}
}

func (q *inbox) SendMessage(_ context.Context, in *sqsapi.SendMessageInput) (*sqsapi.SendMessageOutput, error) {
	if strings.Contains(in.QueueUrl, "/gone") {
		return nil, cloud.Errorf("QueueDoesNotExist", "gone").WithStatus(400)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent = append(q.sent, *in)
	return &sqsapi.SendMessageOutput{MD5OfMessageBody: wire.Ptr("x"), MessageId: wire.Ptr("x")}, nil
}

func (q *inbox) take() []sqsapi.SendMessageInput {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := q.sent
	q.sent = nil
	return out
}

func orderedTopic(t *testing.T, attributes map[string]string) (*inbox, *servicetest.Env, api.Client, string) {
	t.Helper()
	q := &inbox{}
	env := servicetest.New(t, newTopics, q.new)
	client := api.NewClient(env.Dispatcher)
	attributes["FifoTopic"] = "true"
	made, err := client.CreateTopic(env.Context(), &api.CreateTopicInput{Name: "t.fifo", Attributes: attributes})
	must(t, err)
	return q, env, client, *made.TopicArn
}

func subscribe(t *testing.T, env *servicetest.Env, client api.Client, topic, queue string, attributes map[string]string) string {
	t.Helper()
	out, err := client.Subscribe(env.Context(), &api.SubscribeInput{
		TopicArn: topic, Protocol: "sqs", Endpoint: wire.Ptr("arn:aws:sqs:us-east-1:000000000000:" + queue), Attributes: attributes,
	})
	must(t, err)
	return *out.SubscriptionArn
}

// Messages reach FIFO queues with group, deduplication id and in the order of their sequence numbers, and standard queues without them.
func TestOrder(t *testing.T) {
	q, env, client, topic := orderedTopic(t, map[string]string{"ContentBasedDeduplication": "true"})
	raw := map[string]string{"RawMessageDelivery": "true"}
	subscribe(t, env, client, topic, "a.fifo", raw)
	subscribe(t, env, client, topic, "b", nil)
	var last string
	for _, message := range []string{"one", "two", "three"} {
		out, err := client.Publish(env.Context(), &api.PublishInput{TopicArn: &topic, Message: message, MessageGroupId: wire.Ptr("g")})
		must(t, err)
		if n := wire.Value(out.SequenceNumber); len(n) != 20 || n <= last {
			t.Errorf("sequence number %q after %q", n, last)
		}
		last = *out.SequenceNumber
	}
	sent := q.take()
	if len(sent) != 6 {
		t.Fatalf("%d messages were sent", len(sent))
	}
	for i, want := range []string{"one", "two", "three"} {
		ordered, plain := sent[2*i], sent[2*i+1]
		if ordered.MessageBody != want || wire.Value(ordered.MessageGroupId) != "g" || len(wire.Value(ordered.MessageDeduplicationId)) != 64 {
			t.Errorf("the FIFO queue got %+v", ordered)
		}
		if plain.MessageGroupId != nil || plain.MessageDeduplicationId != nil || !strings.Contains(plain.MessageBody, `"SequenceNumber" : "`) {
			t.Errorf("the standard queue got %+v", plain)
		}
	}
}

func TestDeduplication(t *testing.T) {
	for scope, want := range map[string]int{"Topic": 2, "MessageGroup": 4} {
		q, env, client, topic := orderedTopic(t, map[string]string{"FifoThroughputScope": scope})
		subscribe(t, env, client, topic, "a.fifo", nil)
		send := func(group string) *api.PublishOutput {
			out, err := client.Publish(env.Context(), &api.PublishInput{
				TopicArn: &topic, Message: "m", MessageGroupId: &group, MessageDeduplicationId: wire.Ptr("d"),
			})
			must(t, err)
			return out
		}
		first, second := send("g"), send("g")
		if *first.MessageId != *second.MessageId || *first.SequenceNumber != *second.SequenceNumber {
			t.Error("a duplicate is answered differently")
		}
		send("h")
		env.Advance(5*time.Minute - time.Millisecond)
		send("g")
		env.Advance(time.Millisecond)
		if again := send("g"); *again.MessageId == *first.MessageId {
			t.Error("a deduplication id is remembered for too long")
		}
		send("h")
		if n := len(q.take()); n != want {
			t.Errorf("%s: %d messages, want %d", scope, n, want)
		}
	}
}

// What a FIFO queue does not take goes to its dead-letter queue, with its group.
func TestOrderedDeadLetters(t *testing.T) {
	q, env, client, topic := orderedTopic(t, map[string]string{})
	subscribe(t, env, client, topic, "gone.fifo", map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead.fifo"}`, "RawMessageDelivery": "true",
	})
	out, err := client.PublishBatch(env.Context(), &api.PublishBatchInput{TopicArn: topic, PublishBatchRequestEntries: []api.PublishBatchRequestEntry{
		{Id: "1", Message: "a", MessageGroupId: wire.Ptr("g"), MessageDeduplicationId: wire.Ptr("1")},
		{Id: "2", Message: "b", MessageGroupId: wire.Ptr("g"), MessageDeduplicationId: wire.Ptr("2")},
		{Id: "3", Message: "b", MessageGroupId: wire.Ptr("g"), MessageDeduplicationId: wire.Ptr("2")},
	}})
	must(t, err)
	sent := q.take()
	if len(sent) != 2 || sent[0].MessageBody != "a" || sent[1].MessageBody != "b" || wire.Value(sent[1].MessageGroupId) != "g" ||
		sent[0].QueueUrl != "/000000000000/dead.fifo" {
		t.Errorf("the dead-letter queue got %+v", sent)
	}
	if len(out.Successful) != 3 || *out.Successful[1].SequenceNumber != *out.Successful[2].SequenceNumber {
		t.Errorf("the answer is %+v", out)
	}
}

func TestBatchSizes(t *testing.T) {
	f := &functions{}
	env, client, topic := subscribed(t, f)
	half := strings.Repeat("x", 128<<10)
	in := &api.PublishBatchInput{TopicArn: topic, PublishBatchRequestEntries: []api.PublishBatchRequestEntry{{Id: "1", Message: half}, {Id: "2", Message: half}}}
	_, err := client.PublishBatch(env.Context(), in)
	must(t, err)
	in.PublishBatchRequestEntries[1].Message += "x"
	if _, err = client.PublishBatch(env.Context(), in); cloud.Code(err) != "BatchRequestTooLongException" && cloud.Code(err) != "BatchRequestTooLong" {
		t.Error(err)
	}
	in.PublishBatchRequestEntries = make([]api.PublishBatchRequestEntry, 11)
	for i := range in.PublishBatchRequestEntries {
		in.PublishBatchRequestEntries[i] = api.PublishBatchRequestEntry{Id: string(rune('a' + i)), Message: "m"}
	}
	if _, err = client.PublishBatch(env.Context(), in); !strings.Contains(err.Error(), "more entries than permissible") {
		t.Error(err)
	}
}
