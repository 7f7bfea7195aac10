package sqs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	api "croft/internal/awsapi/sqs"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

// cloudWithQueue returns a cloud with one queue.
func cloudWithQueue(t testing.TB, attributes map[string]string) (*servicetest.Env, api.Client, string) {
	t.Helper()
	env := servicetest.New(t, newService)
	client := api.NewClient(env.Dispatcher)
	out, err := client.CreateQueue(env.Context(), &api.CreateQueueInput{QueueName: "q", Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	env.Settle()
	return env, client, *out.QueueUrl
}

func send(t testing.TB, env *servicetest.Env, client api.Client, url, body string, delay int32) {
	t.Helper()
	if _, err := client.SendMessage(env.Context(), &api.SendMessageInput{QueueUrl: url, MessageBody: body, DelaySeconds: &delay}); err != nil {
		t.Fatal(err)
	}
}

type answer struct {
	bodies []string
	err    error
}

// poll starts a ReceiveMessage that waits, and returns once it does.
func poll(env *servicetest.Env, client api.Client, ctx context.Context, in *api.ReceiveMessageInput) <-chan answer {
	out := make(chan answer, 1)
	timers := 1 + 1 // the queue's sweep and the wait
	go func() {
		got, err := client.ReceiveMessage(ctx, in)
		a := answer{err: err}
		if err == nil {
			for _, m := range got.Messages {
				a.bodies = append(a.bodies, *m.Body)
			}
		}
		out <- a
	}()
	env.Clock.BlockUntil(timers)
	return out
}

func want(t *testing.T, got <-chan answer, bodies ...string) {
	t.Helper()
	a := <-got
	if a.err != nil || len(a.bodies) != len(bodies) {
		t.Fatalf("got %q, %v; want %q", a.bodies, a.err, bodies)
	}
	for i := range bodies {
		if a.bodies[i] != bodies[i] {
			t.Fatalf("got %q; want %q", a.bodies, bodies)
		}
	}
}

func TestLongPoll(t *testing.T) {
	t.Run("ends when a message is sent", func(t *testing.T) {
		env, client, url := cloudWithQueue(t, nil)
		got := poll(env, client, env.Context(), &api.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: wire.Ptr[int32](20)})
		send(t, env, client, url, "hello", 0)
		want(t, got, "hello")
	})
	t.Run("ends when a delayed message becomes visible", func(t *testing.T) {
		env, client, url := cloudWithQueue(t, map[string]string{"ReceiveMessageWaitTimeSeconds": "20"})
		send(t, env, client, url, "late", 7)
		got := poll(env, client, env.Context(), &api.ReceiveMessageInput{QueueUrl: url})
		env.Clock.Advance(7 * time.Second)
		want(t, got, "late")
	})
	t.Run("ends when a message's timeout is over", func(t *testing.T) {
		env, client, url := cloudWithQueue(t, nil)
		send(t, env, client, url, "again", 0)
		in := &api.ReceiveMessageInput{QueueUrl: url, VisibilityTimeout: wire.Ptr[int32](5), WaitTimeSeconds: wire.Ptr[int32](20)}
		if _, err := client.ReceiveMessage(env.Context(), in); err != nil {
			t.Fatal(err)
		}
		got := poll(env, client, env.Context(), in)
		env.Clock.Advance(5 * time.Second)
		want(t, got, "again")
	})
	t.Run("ends empty after its time", func(t *testing.T) {
		env, client, url := cloudWithQueue(t, nil)
		send(t, env, client, url, "too late", 21)
		got := poll(env, client, env.Context(), &api.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: wire.Ptr[int32](20)})
		env.Clock.Advance(20 * time.Second)
		want(t, got)
	})
	t.Run("ends with its caller", func(t *testing.T) {
		env, client, url := cloudWithQueue(t, nil)
		ctx, cancel := context.WithCancel(env.Context())
		got := poll(env, client, ctx, &api.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: wire.Ptr[int32](20)})
		cancel()
		if a := <-got; !errors.Is(a.err, context.Canceled) {
			t.Fatal(a.err)
		}
	})
	t.Run("ends with its queue", func(t *testing.T) {
		env, client, url := cloudWithQueue(t, nil)
		got := poll(env, client, env.Context(), &api.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: wire.Ptr[int32](20)})
		if _, err := client.DeleteQueue(env.Context(), &api.DeleteQueueInput{QueueUrl: url}); err != nil {
			t.Fatal(err)
		}
		if a := <-got; a.err == nil {
			t.Fatal("the poll of a deleted queue succeeded")
		}
	})
	t.Run("does not wait inside a transaction", func(t *testing.T) {
		env, client, url := cloudWithQueue(t, nil)
		err := env.Update(func(ctx context.Context) error {
			_, err := client.ReceiveMessage(ctx, &api.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: wire.Ptr[int32](20)})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
