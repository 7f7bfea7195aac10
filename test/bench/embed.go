package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"croft"
)

// embeds is how many clouds are made, one after the other and then all at a time.
const embeds = 100

// embed measures clouds inside a process: from New to the first answered call, and a hundred that live at a time.
func (b *bench) embed(ctx context.Context, _ int) error {
	var times []time.Duration
	for range embeds {
		begin := b.clock.Now()
		c, err := firstCall(ctx)
		if err != nil {
			return err
		}
		times = append(times, b.clock.Now().Sub(begin))
		if err := c.Close(); err != nil {
			return err
		}
	}
	slices.Sort(times)
	fmt.Printf("\ncroft.New to the first answered ListQueues: p50 %v, slowest %v of %d\n", times[len(times)/2], times[len(times)-1], embeds)
	begin := b.clock.Now()
	var clouds []*croft.Cloud
	var err error
	for range embeds {
		c, first := firstCall(ctx)
		if first != nil {
			err = first
			break
		}
		clouds = append(clouds, c)
	}
	for _, c := range clouds {
		err = errors.Join(err, c.Close())
	}
	fmt.Printf("%d clouds at a time in one process, each asked once, all closed: %v\n", len(clouds), b.clock.Now().Sub(begin))
	return err
}

// firstCall makes a cloud in memory and asks it something.
func firstCall(ctx context.Context) (*croft.Cloud, error) {
	c, err := croft.New(ctx, croft.Options{})
	if err != nil {
		return nil, err
	}
	tr := transport()
	defer tr.CloseIdleConnections()
	if _, err := client(c.Endpoint(), tr).ListQueues(ctx, &sqs.ListQueuesInput{}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
