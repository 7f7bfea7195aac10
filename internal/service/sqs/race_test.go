package sqs_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	api "croft/internal/awsapi/sqs"
	"croft/internal/kv/pebblekv"
	"croft/internal/wire"
)

// Sixteen senders and sixteen receivers on one queue: every message arrives once, and the transactions hardly ever meet.
func TestManySendersAndReceivers(t *testing.T) {
	const workers, each = 16, 60
	env, client, url := cloudWithQueue(t, nil)
	store := env.Deps.Store.(*pebblekv.Store)
	_, before := store.Stats()
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	left := workers * each
	// A receiver that finds nothing this often in a row does not find what is missing.
	const patience = 20_000
	for w := range workers {
		group.Go(func() {
			for i := range each {
				in := &api.SendMessageInput{QueueUrl: url, MessageBody: fmt.Sprintf("%d-%d", w, i)}
				if _, err := client.SendMessage(env.Context(), in); err != nil {
					t.Error(err)
					return
				}
			}
		})
		group.Go(func() {
			for empty := 0; empty < patience; empty++ {
				mu.Lock()
				done := left <= 0
				mu.Unlock()
				if done {
					return
				}
				got, err := client.ReceiveMessage(env.Context(), &api.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: wire.Ptr[int32](3)})
				if err != nil {
					t.Error(err)
					return
				}
				for _, m := range got.Messages {
					empty = 0
					if _, err := client.DeleteMessage(env.Context(), &api.DeleteMessageInput{QueueUrl: url, ReceiptHandle: *m.ReceiptHandle}); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					seen[*m.Body]++
					left--
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	if len(seen) != workers*each {
		t.Errorf("%d different messages arrived, want %d", len(seen), workers*each)
	}
	for body, n := range seen {
		if n != 1 {
			t.Errorf("message %s arrived %d times", body, n)
		}
	}
	commits, after := store.Stats()
	if conflicts := after - before; conflicts > commits/10 {
		t.Errorf("%d conflicts in %d commits", conflicts, commits)
	}
}

// One receiver sees messages in the order in which they were sent.
func TestOrder(t *testing.T) {
	env, client, url := cloudWithQueue(t, nil)
	for i := range 25 {
		send(t, env, client, url, fmt.Sprint(i), 0)
	}
	next := 0
	for next < 25 {
		got, err := client.ReceiveMessage(env.Context(), &api.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: wire.Ptr[int32](10)})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got.Messages {
			if *m.Body != fmt.Sprint(next) {
				t.Fatalf("got %s, want %d", *m.Body, next)
			}
			next++
		}
	}
}

func TestSizes(t *testing.T) {
	env, client, url := cloudWithQueue(t, map[string]string{"MaximumMessageSize": "2048"})
	attributes := map[string]api.MessageAttributeValue{"k": {DataType: "String", StringValue: wire.Ptr("x")}}
	body := strings.Repeat("a", 2048-len("kStringx"))
	in := &api.SendMessageInput{QueueUrl: url, MessageBody: body, MessageAttributes: attributes}
	if _, err := client.SendMessage(env.Context(), in); err != nil {
		t.Error(err)
	}
	in.MessageBody += "a"
	_, err := client.SendMessage(env.Context(), in)
	refused(t, err, "InvalidParameterValueException: One or more parameters are invalid. Reason: Message must be shorter than 2048 bytes.")

	half := strings.Repeat("a", 1<<19)
	_, err = client.SendMessageBatch(env.Context(), &api.SendMessageBatchInput{QueueUrl: url, Entries: []api.SendMessageBatchRequestEntry{
		{Id: "1", MessageBody: half}, {Id: "2", MessageBody: half + "a"},
	}})
	refused(t, err, "BatchRequestTooLong: Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.")
}

func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
