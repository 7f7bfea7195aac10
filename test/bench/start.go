package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"croft/internal/clock"
)

// starts is how often croft is started for the start-up figure.
const starts = 21

// start measures from the launch of the process to its first successful ListQueues, and the memory that it then holds when idle.
func (b *bench) start(ctx context.Context, _ int) error {
	var times []time.Duration
	var memory []int64
	for i := range starts {
		took, err := b.startOnce(ctx, &memory, i)
		if err != nil {
			return err
		}
		times = append(times, took)
	}
	slices.Sort(times)
	slices.Sort(memory)
	fmt.Printf("\nstart to first successful ListQueues, new data folder: p50 %v, fastest %v, slowest %v of %d\n",
		times[len(times)/2], times[0], times[len(times)-1], starts)
	fmt.Printf("idle resident memory of the server: %.1f MB (largest of %d, two seconds after the first answer)\n",
		float64(memory[len(memory)-1])/1e6, len(memory))
	return nil
}

func (b *bench) startOnce(ctx context.Context, memory *[]int64, i int) (took time.Duration, err error) {
	addr, err := freeAddr()
	if err != nil {
		return 0, err
	}
	tr := transport()
	defer tr.CloseIdleConnections()
	c := client("http://"+addr, tr)
	begin := b.clock.Now()
	s, err := launch(addr, b.croft, "up", "--listen", addr, "--data", b.dir+"/start"+strconv.Itoa(i))
	if err != nil {
		return 0, err
	}
	for range 10000 {
		if _, err = c.ListQueues(ctx, &sqs.ListQueuesInput{}); err == nil {
			break
		}
		if err := clock.Sleep(ctx, b.clock, time.Millisecond/2); err != nil {
			return 0, err
		}
	}
	took = b.clock.Now().Sub(begin)
	if err == nil && i < 5 {
		err = clock.Sleep(ctx, b.clock, 2*time.Second)
		n, rerr := s.resident()
		if rerr != nil {
			return 0, rerr
		}
		*memory = append(*memory, n)
	}
	if stopErr := s.stop(); stopErr != nil {
		return 0, stopErr
	}
	return took, err
}
