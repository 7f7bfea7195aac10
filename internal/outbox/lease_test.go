package outbox_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/lease"
	"croft/internal/outbox"
)

// grants are leases that the test gives and takes.
type grants struct {
	mu    sync.Mutex
	held  bool
	cause error
	turn  chan struct{}
	busy  sync.WaitGroup
}

func newGrants() *grants { return &grants{turn: make(chan struct{})} }

func (g *grants) set(held bool, cause error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held, g.cause = held, cause
	close(g.turn)
	g.turn = make(chan struct{})
}

// begin reports whether there is a lease to work under; if so, the caller counts as busy.
func (g *grants) begin() (bool, chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held {
		g.busy.Add(1)
	}
	return g.held, g.turn
}

func (g *grants) why() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cause
}

func (g *grants) Run(ctx context.Context, _ string, work func(context.Context)) {
	for ctx.Err() == nil {
		held, turn := g.begin()
		if held {
			working, end := context.WithCancelCause(ctx)
			go func() {
				select {
				case <-turn:
					end(g.why())
				case <-working.Done():
				}
			}()
			work(working)
			end(nil)
			g.busy.Done()
			continue
		}
		select {
		case <-turn:
		case <-ctx.Done():
		}
	}
}

// Two processes on one store: what the first was delivering when its lease went is neither lost nor, when there was time to finish, delivered
// again; what it had taken up and not begun is delivered by the second.
func TestShardsMove(t *testing.T) {
	for _, c := range []struct {
		cause error
		again int
	}{{lease.ErrHandOver, 0}, {lease.ErrLost, 16}} {
		t.Run(c.cause.Error(), func(t *testing.T) {
			const messages = 40 // of one key, hence of one shard, which delivers sixteen at a time
			store, timers, clk, log := parts(t)
			var mu sync.Mutex
			delivered := map[string]int{}
			began, release := make(chan struct{}, messages), make(chan struct{})
			first, second := outbox.New(store, timers, clk, log), outbox.New(store, timers, clk, log)
			here, there := newGrants(), newGrants()
			note := func(m outbox.Message) {
				mu.Lock()
				defer mu.Unlock()
				delivered[string(m.Body)]++
			}
			first.Start(here, map[string]outbox.Handler{"test.slow": {Deliver: func(ctx context.Context, m outbox.Message) error {
				note(m)
				began <- struct{}{}
				select {
				case <-release:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}}})
			second.Start(there, map[string]outbox.Handler{"test.slow": {Deliver: func(_ context.Context, m outbox.Message) error {
				note(m)
				return nil
			}}})
			t.Cleanup(func() { first.Close(); second.Close() })
			here.set(true, nil)
			ctx := cloud.WithCall(t.Context(), cloud.InternalCall("000000000000", "us-east-1", clk.Now()))
			must(t, store.Update(ctx, func(ctx context.Context, _ kv.Tx) error {
				for i := range messages {
					if err := first.Put(ctx, outbox.Message{Handler: "test.slow", Key: "k", Body: fmt.Append(nil, i)}); err != nil {
						return err
					}
				}
				return nil
			}))
			for range 16 {
				<-began
			}
			here.set(false, c.cause)
			if c.again == 0 {
				close(release)
			}
			here.busy.Wait()
			there.set(true, nil)
			settle(t, store, second, timers)
			twice := 0
			for i := range messages {
				switch delivered[fmt.Sprint(i)] {
				case 0:
					t.Errorf("message %d is lost", i)
				case 2:
					twice++
				}
			}
			if twice != c.again {
				t.Errorf("%d messages were delivered twice, want %d", twice, c.again)
			}
		})
	}
}
