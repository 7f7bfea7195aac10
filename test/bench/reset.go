package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"croft/internal/control"
)

// resets is how often the cloud is filled and emptied; fill is how many messages it holds each time.
const (
	resets = 9
	fill   = 2000
)

// reset measures POST /_croft/reset of a cloud with messages in it.
func (b *bench) reset(ctx context.Context, _ int) (err error) {
	s, err := b.startCroft(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	c, ctl := client(s.endpoint, transport()), control.NewClient(s.endpoint)
	var times []time.Duration
	for range resets {
		if _, err := c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("bench")}); err != nil {
			return err
		}
		for range fill {
			if err := sendOne(ctx, c); err != nil {
				return err
			}
		}
		begin := b.clock.Now()
		if err := ctl.Reset(ctx); err != nil {
			return err
		}
		times = append(times, b.clock.Now().Sub(begin))
	}
	slices.Sort(times)
	fmt.Printf("\nreset of a cloud with %d messages: p50 %v, slowest %v of %d\n", fill, times[len(times)/2], times[len(times)-1], resets)
	return nil
}
