package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

const (
	// sequential and parallel are requests per round and side, at one and at sixteen connections.
	sequential  = 2000
	parallel    = 8000
	connections = 16
	queueURL    = "http://127.0.0.1:4566/000000000000/bench"
)

func client(endpoint string, transport http.RoundTripper) *sqs.Client {
	return sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient: &http.Client{Transport: transport}, RetryMaxAttempts: 1,
	})
}

func transport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}
}

// figures are what one side gives in one round.
type figures struct {
	p50 time.Duration
	cpu time.Duration
	rps float64
}

func (b *bench) send(ctx context.Context, rounds int) error {
	return b.sendTo(ctx, rounds, "SQS SendMessage, 200 bytes, durable (survives kill -9)")
}

func (b *bench) sendFsync(ctx context.Context, rounds int) error {
	return b.sendTo(ctx, rounds, "SQS SendMessage, 200 bytes, --fsync (survives loss of power)", "--fsync")
}

func (b *bench) sendTo(ctx context.Context, rounds int, title string, args ...string) (err error) {
	subject, err := b.startCroft(ctx, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, subject.stop()) }()
	rec := &recorder{next: transport()}
	c := client(subject.endpoint, rec)
	if _, err := c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("bench")}); err != nil {
		return err
	}
	if err := sendOne(ctx, c); err != nil {
		return err
	}
	floor, err := b.startFloor(rec.last)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	if err := b.await(ctx, floor); err != nil {
		return err
	}
	return b.compare(ctx, rounds, title, floor, subject)
}

func sendOne(ctx context.Context, c *sqs.Client) error {
	_, err := c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(queueURL), MessageBody: aws.String(strings.Repeat("m", 200))})
	return err
}

// compare lets both sides take turns; who begins changes from round to round.
func (b *bench) compare(ctx context.Context, rounds int, title string, floor, subject *server) error {
	fmt.Printf("\n%s\n%-6s %14s %14s %7s %12s %12s %7s %10s %10s %7s\n", title, "round", "floor p50", "croft p50", "ratio",
		"floor CPU", "croft CPU", "ratio", "floor/s", "croft/s", "share")
	var p50, cpu, rps []float64
	for round := range rounds + 1 {
		sides := []*server{floor, subject}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		got := map[*server]figures{}
		for _, s := range sides {
			f, err := b.measure(ctx, s)
			if err != nil {
				return err
			}
			got[s] = f
		}
		if round == 0 {
			continue // warms both up
		}
		f, s := got[floor], got[subject]
		p50 = append(p50, float64(s.p50)/float64(f.p50))
		cpu = append(cpu, float64(s.cpu)/float64(f.cpu))
		rps = append(rps, s.rps/f.rps)
		i := round - 1
		fmt.Printf("%-6d %14v %14v %6.2fx %12v %12v %6.2fx %10.0f %10.0f %6.0f%%\n", round, f.p50, s.p50, p50[i], f.cpu, s.cpu, cpu[i], f.rps, s.rps, 100*rps[i])
	}
	fmt.Printf("median: p50 %.2fx the floor, server CPU per request %.2fx, requests/s at %d connections %.0f%%\n",
		median(p50), median(cpu), connections, 100*median(rps))
	return nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func (b *bench) measure(ctx context.Context, s *server) (f figures, err error) {
	tr := transport()
	defer tr.CloseIdleConnections()
	c := client(s.endpoint, tr)
	before, err := s.cpu()
	if err != nil {
		return f, err
	}
	times := make([]time.Duration, sequential)
	for i := range times {
		begin := b.clock.Now()
		if err := sendOne(ctx, c); err != nil {
			return f, err
		}
		times[i] = b.clock.Now().Sub(begin)
	}
	after, err := s.cpu()
	if err != nil {
		return f, err
	}
	slices.Sort(times)
	f.p50, f.cpu = times[len(times)/2], (after-before)/sequential
	f.rps, err = b.throughput(ctx, c)
	return f, err
}

func (b *bench) throughput(ctx context.Context, c *sqs.Client) (float64, error) {
	var wg sync.WaitGroup
	errs := make([]error, connections)
	begin := b.clock.Now()
	for i := range connections {
		wg.Go(func() {
			for range parallel / connections {
				if errs[i] = sendOne(ctx, c); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return parallel / b.clock.Now().Sub(begin).Seconds(), errors.Join(errs...)
}
