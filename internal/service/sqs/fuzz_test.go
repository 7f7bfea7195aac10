package sqs

import (
	"testing"
	"time"

	"croft/internal/awsapi/sqs"
	"croft/internal/service"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

// Whatever a policy is, it is taken or refused; what was taken is taken again as it is given back.
func FuzzPolicies(f *testing.F) {
	f.Add(`{"maxReceiveCount":"3","deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:d"}`)
	f.Add(`{"redrivePermission":"byQueue","sourceQueueArns":["arn:aws:sqs:us-east-1:000000000000:a"]}`)
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"sqs:*","Resource":"*"}}`)
	f.Fuzz(func(t *testing.T, value string) {
		for _, name := range []string{"RedrivePolicy", "RedriveAllowPolicy", "Policy"} {
			a := defaultAttributes()
			if a.set(name, value) != nil {
				continue
			}
			again := defaultAttributes()
			if err := again.set(name, a.values()[name]); err != nil || again != a {
				t.Fatalf("%s: %v: %+v and %+v", name, err, a, again)
			}
			a.allows("arn:aws:sqs:us-east-1:000000000000:a")
		}
	})
}

func FuzzTaskHandle(f *testing.F) {
	f.Add(taskHandle{"id", "arn:aws:sqs:us-east-1:000000000000:a"}.String())
	f.Fuzz(func(t *testing.T, s string) {
		h, ok := parseTaskHandle(s)
		if !ok {
			return
		}
		if again, ok := parseTaskHandle(h.String()); !ok || again != h {
			t.Fatalf("%+v and %+v", h, again)
		}
	})
}

// A FIFO queue leaves nothing behind: expired messages, their groups and all deduplication ids go.
func TestSweepFIFO(t *testing.T) {
	env := servicetest.New(t, func(deps service.Deps) service.Descriptor { return New(deps).Descriptor() })
	client := sqs.NewClient(env.Dispatcher)
	made, err := client.CreateQueue(env.Context(), &sqs.CreateQueueInput{QueueName: "q.fifo",
		Attributes: map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true", "MessageRetentionPeriod": "120"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"1", "2", "3"} {
		in := &sqs.SendMessageInput{QueueUrl: *made.QueueUrl, MessageBody: body, MessageGroupId: wire.Ptr("g" + body)}
		if _, err := client.SendMessage(env.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	in := &sqs.ReceiveMessageInput{QueueUrl: *made.QueueUrl, ReceiveRequestAttemptId: wire.Ptr("a")}
	if _, err := client.ReceiveMessage(env.Context(), in); err != nil {
		t.Fatal(err)
	}
	if n := rows(t, env, 'g'); n != 3 {
		t.Fatalf("%d groups", n)
	}
	for range 20 {
		env.Advance(time.Minute)
	}
	for _, first := range []byte("mfgnex") {
		if n := rows(t, env, first); n != 0 {
			t.Errorf("%d rows of %c are left", n, first)
		}
	}
}
