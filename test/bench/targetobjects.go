package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// fanOut is how many queues stand behind the topic.
const fanOut = 3

// prepareTopic makes a topic with three queues, and returns the queues' URLs.
func (t *target) prepareTopic(ctx context.Context, name string) (urls []string, err error) {
	topic, err := t.sns.CreateTopic(ctx, &sns.CreateTopicInput{Name: &name})
	if err != nil {
		return nil, err
	}
	t.topic = *topic.TopicArn
	for i := range fanOut {
		q, err := t.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(fmt.Sprintf("%s%d", name, i))})
		if err != nil {
			return nil, err
		}
		urls = append(urls, *q.QueueUrl)
		const arn = sqstypes.QueueAttributeNameQueueArn
		a, err := t.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: q.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{arn}})
		if err != nil {
			return nil, err
		}
		_, err = t.sns.Subscribe(ctx, &sns.SubscribeInput{TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: aws.String(a.Attributes[string(arn)])})
		if err != nil {
			return nil, err
		}
	}
	return urls, nil
}

func (t *target) publish(ctx context.Context) error {
	_, err := t.sns.Publish(ctx, &sns.PublishInput{TopicArn: &t.topic, Message: aws.String(strings.Repeat("m", 200))})
	return err
}

func (t *target) prepareObjects(ctx context.Context) error {
	_, err := t.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(benchName)})
	var there *s3types.BucketAlreadyOwnedByYou
	if err != nil && !errors.As(err, &there) {
		return err
	}
	for i := range objects {
		if err := t.putObject(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func objectName(i int) *string { return aws.String(fmt.Sprintf("object-%d", i%objects)) }

func (t *target) putObject(ctx context.Context, i int) error {
	_, err := t.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(benchName), Key: objectName(i), Body: bytes.NewReader(bytes.Repeat([]byte("o"), 4096))})
	return err
}

func (t *target) getObject(ctx context.Context, i int) error {
	out, err := t.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(benchName), Key: objectName(i)})
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, out.Body)
	if err == nil && n != 4096 {
		err = fmt.Errorf("GetObject has answered %d bytes", n)
	}
	return errors.Join(err, out.Body.Close())
}
