package nodes

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	api "croft/internal/awsapi/sqs"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/kv/all"
	"croft/internal/kv/pgkv/pgtest"
	"croft/internal/lease"
	"croft/internal/outbox"
	"croft/internal/service"
	"croft/internal/service/sqs"
	"croft/internal/timer"
	"croft/internal/wire"
)

// node is what a process has on a database: a store, leases, timers, a queue service.
type node struct {
	store  kv.Store
	leases *lease.Shared
	timers *timer.Timers
	client api.Client
}

func newNode(t *testing.T, location, id string) *node {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := all.Open(location, all.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	c := clock.Real()
	n := &node{store: store, leases: lease.New(store, c, lease.Node{ID: id}, log), timers: timer.New(store, c, log)}
	t.Cleanup(n.leases.Close)
	d := service.NewDispatcher()
	d.Add(sqs.New(service.Deps{
		Clock: c, Store: store, Timers: n.timers, Outbox: outbox.New(store, n.timers, c, log), Leases: n.leases, Caller: d, Log: log,
	}).Descriptor())
	n.client = api.NewClient(d)
	return n
}

func call(t *testing.T) context.Context {
	return cloud.WithCall(t.Context(), cloud.InternalCall(cloud.DefaultAccount, cloud.DefaultRegion, clock.Real().Now()))
}

// Eight receivers on each of two nodes empty one queue: every message once, and those who collide get through.
func TestReceiversOfTwoNodes(t *testing.T) {
	const messages, receivers = 800, 8
	location := pgtest.Start(t).DB(t)
	nodes := []*node{newNode(t, location, "a"), newNode(t, location, "b")}
	made, err := nodes[0].client.CreateQueue(call(t), &api.CreateQueueInput{QueueName: "q"})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < messages; i += 10 {
		in := &api.SendMessageBatchInput{QueueUrl: *made.QueueUrl}
		for j := range 10 {
			in.Entries = append(in.Entries, api.SendMessageBatchRequestEntry{Id: fmt.Sprint(j), MessageBody: fmt.Sprint(i + j)})
		}
		if _, err := nodes[0].client.SendMessageBatch(call(t), in); err != nil {
			t.Fatal(err)
		}
	}
	began, before := stats(nodes)
	seen := drain(t, nodes, *made.QueueUrl, messages, receivers)
	for body, n := range seen {
		if n != 1 {
			t.Errorf("message %s was handed out %d times", body, n)
		}
	}
	commits, conflicts := stats(nodes)
	commits, conflicts = commits-began, conflicts-before
	t.Logf("%d messages by 2 x %d receivers: %d commits, %d conflicts", messages, receivers, commits, conflicts)
	if conflicts > 2*commits {
		t.Errorf("%d conflicts in %d commits", conflicts, commits)
	}
}

func stats(nodes []*node) (commits, conflicts uint64) {
	for _, n := range nodes {
		c, x := n.store.(interface {
			Stats() (commits, conflicts uint64)
		}).Stats()
		commits, conflicts = commits+c, conflicts+x
	}
	return commits, conflicts
}

func drain(t *testing.T, nodes []*node, queue string, messages, receivers int) map[string]int {
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for _, n := range nodes {
		for range receivers {
			group.Go(func() {
				for {
					got, err := n.client.ReceiveMessage(call(t), &api.ReceiveMessageInput{QueueUrl: queue, MaxNumberOfMessages: wire.Ptr[int32](10)})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, m := range got.Messages {
						seen[*m.Body]++
					}
					all := len(seen) == messages
					mu.Unlock()
					if all {
						return
					}
				}
			})
		}
	}
	group.Wait()
	return seen
}

// Timers of two nodes fire once, while the leases move: one of the nodes leaves in the middle.
func TestTimersFireOnce(t *testing.T) {
	const timers = 100
	location := pgtest.Start(t).DB(t)
	a, b := newNode(t, location, "a"), newNode(t, location, "b")
	for _, n := range []*node{a, b} {
		n.timers.Start(n.leases, map[string]timer.Handler{"test.h": func(ctx context.Context, due timer.Timer) error {
			// A handler may run several times: what counts is what it writes.
			return kv.NewSpace(n.store, "effects").Update(ctx, func(_ context.Context, tx kv.Tx) error {
				return tx.Add([]byte(due.ID), 1)
			})
		}})
	}
	t.Cleanup(b.timers.Close)
	now := clock.Real().Now()
	err := a.store.Update(call(t), func(ctx context.Context, _ kv.Tx) error {
		for i := range timers {
			due := now.Add(500*time.Millisecond + time.Duration(i)*10*time.Millisecond)
			err := a.timers.Set(ctx, timer.Timer{Handler: "test.h", ID: fmt.Sprint(i), Account: cloud.DefaultAccount, Region: cloud.DefaultRegion, Due: due})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, b, timers/2)
	a.timers.Close()
	a.leases.Close()
	await(t, b, timers)
}

// await waits until so many timers have had their effect, none of them twice.
func await(t *testing.T, n *node, want int) {
	t.Helper()
	space := kv.NewSpace(n.store, "effects")
	watch := space.Watch(nil)
	defer watch.Close()
	limit := clock.Real().NewTimer(soon)
	defer limit.Stop()
	for {
		count := 0
		err := space.View(t.Context(), func(_ context.Context, r kv.Reader) error {
			count = 0
			for e, err := range r.Scan(kv.Range{}, kv.ScanOptions{}) {
				if err != nil {
					return err
				}
				if times := kv.Int64(e.Value); times != 1 {
					return fmt.Errorf("timer %s fired %d times", e.Key, times)
				}
				count++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if count >= want {
			return
		}
		select {
		case <-watch.C():
		case <-limit.C():
			t.Fatalf("%d timers fired within %v, want %d", count, soon, want)
		}
	}
}
