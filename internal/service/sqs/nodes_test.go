package sqs_test

import (
	"fmt"
	"sync"
	"testing"

	api "croft/internal/awsapi/sqs"
	"croft/internal/kv/pebblekv"
	"croft/internal/service"
	"croft/internal/service/sqs"
	"croft/internal/wire"
)

// Two processes on one store, each with eight receivers on the same queue: their claims do not know of each other, every message is handed out
// once all the same, and those who collide do not keep colliding.
func TestReceiversOfTwoProcesses(t *testing.T) {
	const messages, receivers = 2000, 8
	env, client, url := cloudWithQueue(t, nil)
	for i := 0; i < messages; i += 10 {
		in := &api.SendMessageBatchInput{QueueUrl: url}
		for j := range 10 {
			in.Entries = append(in.Entries, api.SendMessageBatchRequestEntry{Id: fmt.Sprint(j), MessageBody: fmt.Sprint(i + j)})
		}
		if _, err := client.SendMessageBatch(env.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	other := service.NewDispatcher()
	other.Add(sqs.New(env.Deps).Descriptor())
	store := env.Deps.Store.(*pebblekv.Store)
	began, before := store.Stats()
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for _, c := range []api.Client{client, api.NewClient(other)} {
		for range receivers {
			group.Go(func() {
				for {
					got, err := c.ReceiveMessage(env.Context(), &api.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: wire.Ptr[int32](10)})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, m := range got.Messages {
						seen[*m.Body]++
					}
					done := len(seen) == messages
					mu.Unlock()
					if done {
						return
					}
				}
			})
		}
	}
	group.Wait()
	for body, n := range seen {
		if n != 1 {
			t.Errorf("message %s was handed out %d times", body, n)
		}
	}
	commits, after := store.Stats()
	commits, conflicts := commits-began, after-before
	t.Logf("%d conflicts in %d commits", conflicts, commits)
	if conflicts > commits {
		t.Errorf("%d conflicts in %d commits", conflicts, commits)
	}
}
