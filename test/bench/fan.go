package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// fans is how often the way of a message into three queues is measured.
const fans = 300

// fanOutTime measures from the beginning of a Publish until the last of three receivers, who wait in a long poll, has its message.
func (b *bench) fanOutTime(ctx context.Context, subject *server) error {
	t := newTarget(subject.endpoint, nil)
	defer t.close()
	urls, err := t.prepareTopic(ctx, "bench-fan")
	if err != nil {
		return err
	}
	var acknowledged, third []time.Duration
	for range fans {
		var wg sync.WaitGroup
		errs := make([]error, len(urls))
		ends := make([]time.Time, len(urls))
		handles := make([]*string, len(urls))
		for i := range urls {
			wg.Go(func() {
				out, err := t.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &urls[i], WaitTimeSeconds: 20})
				ends[i], errs[i] = b.clock.Now(), err
				if err == nil && len(out.Messages) != 1 {
					errs[i] = errors.New("a published message has not come")
				} else if err == nil {
					handles[i] = out.Messages[0].ReceiptHandle
				}
			})
		}
		begin := b.clock.Now()
		err := t.publish(ctx)
		acknowledged = append(acknowledged, b.clock.Now().Sub(begin))
		wg.Wait()
		if err = errors.Join(append(errs, err)...); err != nil {
			return err
		}
		third = append(third, slices.MaxFunc(ends, time.Time.Compare).Sub(begin))
		for i := range urls {
			if _, err := t.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &urls[i], ReceiptHandle: handles[i]}); err != nil {
				return err
			}
		}
	}
	slices.Sort(acknowledged)
	slices.Sort(third)
	fmt.Printf("SNS Publish to 3 queues with a receiver waiting at each: acknowledged %s; the third has its message %s\n", spread(acknowledged), spread(third))
	return nil
}
