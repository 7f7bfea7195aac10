package sns_test

import (
	"fmt"
	"strings"
	"testing"

	api "croft/internal/awsapi/sns"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

// BenchmarkPublish is a message to three queues, from the call until it lies in all of them.
func BenchmarkPublish(b *testing.B) {
	env := servicetest.New(b, newTopics, newQueues)
	client := api.NewClient(env.Dispatcher)
	topic, err := client.CreateTopic(env.Context(), &api.CreateTopicInput{Name: "t"})
	must(b, err)
	for i := range 3 {
		name := fmt.Sprintf("q%d", i)
		_, err := env.Call("sqs.CreateQueue", `{"QueueName": "`+name+`"}`)
		must(b, err)
		_, err = client.Subscribe(env.Context(), &api.SubscribeInput{
			TopicArn: *topic.TopicArn, Protocol: "sqs", Endpoint: wire.Ptr("arn:aws:sqs:us-east-1:000000000000:" + name),
		})
		must(b, err)
	}
	in := &api.PublishInput{TopicArn: topic.TopicArn, Message: strings.Repeat("x", 1024)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Publish(env.Context(), in); err != nil {
			b.Fatal(err)
		}
		env.Settle()
	}
}
