package sqs_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	api "croft/internal/awsapi/sqs"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

// fifoQueue returns a cloud with one FIFO queue.
func fifoQueue(t testing.TB) (*servicetest.Env, api.Client, string) {
	t.Helper()
	env := servicetest.New(t, newService)
	client := api.NewClient(env.Dispatcher)
	out, err := client.CreateQueue(env.Context(), &api.CreateQueueInput{QueueName: "q.fifo",
		Attributes: map[string]string{"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}})
	if err != nil {
		t.Fatal(err)
	}
	env.Settle()
	return env, client, *out.QueueUrl
}

func sendTo(env *servicetest.Env, client api.Client, url, group, body string) error {
	_, err := client.SendMessage(env.Context(), &api.SendMessageInput{QueueUrl: url, MessageBody: body, MessageGroupId: &group, MessageDeduplicationId: &body})
	return err
}

// Senders, one per group, and receivers, of which several take from any group: each group arrives in order, and never in two places at once.
func TestGroupsStayInOrder(t *testing.T) {
	const groups, each, receivers = 4, 40, 4
	env, client, url := fifoQueue(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	next := make([]int, groups)
	busy := make([]bool, groups)
	left := groups * each
	for g := range groups {
		group.Go(func() {
			for i := range each {
				if err := sendTo(env, client, url, fmt.Sprint(g), fmt.Sprintf("%d-%d", g, i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	// take notes what has arrived, and says how to note that it is about to be deleted.
	take := func(messages []api.Message) (release func()) {
		mu.Lock()
		defer mu.Unlock()
		mine := map[int]bool{}
		for _, m := range messages {
			var g, i int
			if _, err := fmt.Sscanf(*m.Body, "%d-%d", &g, &i); err != nil {
				t.Error(err)
				continue
			}
			if busy[g] && !mine[g] {
				t.Errorf("group %d is in flight twice", g)
			}
			if i != next[g] {
				t.Errorf("group %d: got %d, want %d", g, i, next[g])
			}
			busy[g], mine[g] = true, true
			next[g] = i + 1
			left--
		}
		return func() {
			mu.Lock()
			defer mu.Unlock()
			for g := range mine {
				busy[g] = false
			}
		}
	}
	for range receivers {
		group.Go(func() {
			for tries := 0; tries < 20_000; tries++ {
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
				release := take(got.Messages)
				runtime.Gosched() // the others have a chance to get it wrong
				release()
				for _, m := range got.Messages {
					if _, err := client.DeleteMessage(env.Context(), &api.DeleteMessageInput{QueueUrl: url, ReceiptHandle: *m.ReceiptHandle}); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	group.Wait()
	if left != 0 {
		t.Errorf("%d messages have not arrived", left)
	}
}

// A long poll ends when a group is unlocked.
func TestLongPollOfGroup(t *testing.T) {
	env, client, url := fifoQueue(t)
	for _, body := range []string{"1", "2"} {
		if err := sendTo(env, client, url, "g", body); err != nil {
			t.Fatal(err)
		}
	}
	first, err := client.ReceiveMessage(env.Context(), &api.ReceiveMessageInput{QueueUrl: url})
	if err != nil || len(first.Messages) != 1 {
		t.Fatal(err)
	}
	got := poll(env, client, env.Context(), &api.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: wire.Ptr[int32](20)})
	if _, err := client.DeleteMessage(env.Context(), &api.DeleteMessageInput{QueueUrl: url, ReceiptHandle: *first.Messages[0].ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
	want(t, got, "2")
}

// BenchmarkFIFO takes one message out of a queue per round, behind it many messages of a locked group and many free groups.
func BenchmarkFIFO(b *testing.B) {
	for _, waiting := range []int{0, 5000} {
		b.Run(fmt.Sprint(waiting), func(b *testing.B) {
			env, client, url := fifoQueue(b)
			for i := range waiting {
				g := "locked"
				if i%2 == 0 {
					g = fmt.Sprint("free", i)
				}
				if err := sendTo(env, client, url, g, fmt.Sprint(i)); err != nil {
					b.Fatal(err)
				}
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				if err := sendTo(env, client, url, "own", fmt.Sprint("own", n)); err != nil {
					b.Fatal(err)
				}
				got, err := client.ReceiveMessage(env.Context(), &api.ReceiveMessageInput{QueueUrl: url})
				if err != nil || len(got.Messages) != 1 {
					b.Fatal(err)
				}
				if _, err := client.DeleteMessage(env.Context(), &api.DeleteMessageInput{QueueUrl: url, ReceiptHandle: *got.Messages[0].ReceiptHandle}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
