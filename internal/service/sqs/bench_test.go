package sqs_test

import (
	"strings"
	"testing"

	api "croft/internal/awsapi/sqs"
)

// BenchmarkSendMessage is the service's part of a request: checks, transaction and commit, without HTTP and signature.
func BenchmarkSendMessage(b *testing.B) {
	env, client, url := cloudWithQueue(b, nil)
	in := &api.SendMessageInput{QueueUrl: url, MessageBody: strings.Repeat("x", 1024)}
	ctx := env.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.SendMessage(ctx, in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceiveDelete takes one message out of a queue per round.
func BenchmarkReceiveDelete(b *testing.B) {
	env, client, url := cloudWithQueue(b, nil)
	in := &api.SendMessageInput{QueueUrl: url, MessageBody: strings.Repeat("x", 1024)}
	ctx := env.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.SendMessage(ctx, in); err != nil {
			b.Fatal(err)
		}
		got, err := client.ReceiveMessage(ctx, &api.ReceiveMessageInput{QueueUrl: url})
		if err != nil || len(got.Messages) != 1 {
			b.Fatal(err)
		}
		if _, err := client.DeleteMessage(ctx, &api.DeleteMessageInput{QueueUrl: url, ReceiptHandle: *got.Messages[0].ReceiptHandle}); err != nil {
			b.Fatal(err)
		}
	}
}
