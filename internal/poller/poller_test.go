package poller_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/lease"
	"croft/internal/poller"
)

// queue is a source whose messages the test puts in by hand. Receive waits as a long poll on the manual clock does.
type queue struct {
	clock    *clock.Manual
	messages chan poller.Message
	refuse   chan error
	removed  chan string
}

func newQueue(c *clock.Manual) *queue {
	return &queue{c, make(chan poller.Message, 100), make(chan error, 100), make(chan string, 100)}
}

func (q *queue) put(ids ...string) {
	for _, id := range ids {
		q.messages <- poller.Message{ID: id, Handle: "h" + id, Record: []byte(`"` + id + `"`)}
	}
}

func (q *queue) Receive(ctx context.Context, limit int, wait time.Duration) (out []poller.Message, err error) {
	select {
	case err := <-q.refuse:
		return nil, err
	default:
	}
	t := q.clock.NewTimer(wait)
	defer t.Stop()
	select {
	case m := <-q.messages:
		out = append(out, m)
	case <-t.C():
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for len(out) < limit {
		select {
		case m := <-q.messages:
			out = append(out, m)
		default:
			return out, nil
		}
	}
	return out, nil
}

func (q *queue) Remove(_ context.Context, handled []poller.Message) error {
	for _, m := range handled {
		q.removed <- m.Handle
	}
	return nil
}

type fixture struct {
	*poller.Set
	clock *clock.Manual
	queue *queue
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	c := clock.NewManual(time.Unix(1e9, 0))
	ctx, stop := context.WithCancel(t.Context())
	f := &fixture{poller.New(ctx, lease.Local(), c, slog.New(slog.DiscardHandler)), c, newQueue(c)}
	t.Cleanup(func() {
		stop()
		f.Close()
	})
	return f
}

func (f *fixture) mapping(send poller.Send) poller.Mapping {
	return poller.Mapping{
		Key: "m", Revision: "1", BatchSize: 10, Concurrency: 2, MaxBytes: 1 << 20, Source: f.queue, Send: send,
	}
}

func ids(batch []poller.Message) string {
	var out []string
	for _, m := range batch {
		out = append(out, m.ID)
	}
	return strings.Join(out, " ")
}

// echo tells of each batch and handles all of it.
func echo(seen chan<- string) poller.Send {
	return func(_ context.Context, batch []poller.Message) ([]poller.Message, error) {
		seen <- ids(batch)
		return batch, nil
	}
}

func TestBatches(t *testing.T) {
	f, seen := newFixture(t), make(chan string, 10)
	f.queue.put("a", "b", "c")
	f.Apply([]poller.Mapping{f.mapping(echo(seen))})
	if got := <-seen; got != "a b c" {
		t.Errorf("got %q", got)
	}
	for _, want := range []string{"ha", "hb", "hc"} {
		if got := <-f.queue.removed; got != want {
			t.Errorf("removed %s, want %s", got, want)
		}
	}
}

func TestWindow(t *testing.T) {
	f, seen := newFixture(t), make(chan string, 10)
	m := f.mapping(echo(seen))
	m.BatchSize, m.Window = 3, 5*time.Second
	f.Apply([]poller.Mapping{m})
	f.clock.BlockUntil(1)
	f.queue.put("a", "b", "c", "d")
	if got := <-seen; got != "a b c" {
		t.Errorf("a full batch does not wait: got %q", got)
	}
	f.clock.BlockUntil(1) // d is there and waits for more
	f.clock.Advance(5 * time.Second)
	if got := <-seen; got != "d" {
		t.Errorf("the window is over: got %q", got)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	f := newFixture(t)
	started, release := make(chan string), make(chan struct{})
	m := f.mapping(func(_ context.Context, batch []poller.Message) ([]poller.Message, error) {
		started <- ids(batch)
		<-release
		return batch, nil
	})
	m.BatchSize = 1
	f.queue.put("a", "b", "c")
	f.Apply([]poller.Mapping{m})
	got := []string{<-started, <-started}
	slices.Sort(got)
	if !slices.Equal(got, []string{"a", "b"}) || len(f.queue.messages) != 1 {
		t.Errorf("under way %v, waiting %d", got, len(f.queue.messages))
	}
	release <- struct{}{}
	if got := <-started; got != "c" {
		t.Errorf("then %s", got)
	}
	close(release)
}

func TestPartsOfLargeBatches(t *testing.T) {
	f, seen := newFixture(t), make(chan string, 10)
	m := f.mapping(echo(seen))
	m.MaxBytes = 9 // two records and their commas
	f.queue.put("a", "b", "c", "d", "e")
	f.Apply([]poller.Mapping{m})
	for _, want := range []string{"a b", "c d", "e"} {
		if got := <-seen; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestChangesAndStops(t *testing.T) {
	f := newFixture(t)
	first, second := make(chan string, 10), make(chan string, 10)
	m := f.mapping(echo(first))
	f.Apply([]poller.Mapping{m})
	f.queue.put("a")
	if got := <-first; got != "a" {
		t.Errorf("got %q", got)
	}
	f.Apply([]poller.Mapping{m}) // unchanged: the same runner
	m.Revision, m.Send = "2", echo(second)
	f.Apply([]poller.Mapping{m})
	f.Apply(nil)
	f.Close()
	f.queue.put("b")
	f.Apply([]poller.Mapping{m})
	if got := <-second; got != "b" || len(first) > 0 {
		t.Errorf("got %q after the change, and %d by the old mapping", got, len(first))
	}
}

func TestBatchesUnderWayAreFinished(t *testing.T) {
	f := newFixture(t)
	started, release := make(chan struct{}), make(chan struct{})
	f.queue.put("a")
	f.Apply([]poller.Mapping{f.mapping(func(ctx context.Context, batch []poller.Message) ([]poller.Message, error) {
		close(started)
		<-release
		return batch, ctx.Err()
	})})
	<-started
	f.Apply(nil)
	close(release)
	if got := <-f.queue.removed; got != "ha" {
		t.Errorf("removed %s", got)
	}
}

func TestFailuresSlowDown(t *testing.T) {
	f := newFixture(t)
	seen := make(chan string, 10)
	var mu sync.Mutex
	failing := true
	m := f.mapping(func(_ context.Context, batch []poller.Message) ([]poller.Message, error) {
		mu.Lock()
		defer mu.Unlock()
		seen <- ids(batch)
		if failing {
			return nil, errors.New("no")
		}
		return batch, nil
	})
	f.queue.refuse <- errors.New("no such queue")
	f.Apply([]poller.Mapping{m})
	f.clock.BlockUntil(1)
	f.queue.put("a")
	if len(seen) > 0 {
		t.Error("a source that refuses is read at once again")
	}
	f.clock.Advance(time.Second)
	if got := <-seen; got != "a" || len(f.queue.removed) > 0 {
		t.Errorf("got %q, %d removed", got, len(f.queue.removed))
	}
	mu.Lock()
	failing = false
	mu.Unlock()
	f.queue.put("b")
	for {
		f.clock.BlockUntil(1)
		f.clock.Advance(time.Second)
		select {
		case <-f.queue.removed:
			return
		default:
		}
	}
}

func TestHandled(t *testing.T) {
	batch := []poller.Message{{ID: "a"}, {ID: "b"}, {ID: "c"}}
	for answer, want := range map[string]string{
		``: "a b c", `null`: "a b c", `{}`: "a b c", `[]`: "a b c", `""`: "a b c",
		`{"batchItemFailures":[]}`: "a b c", `{"batchItemFailures":null}`: "a b c",
		`{"batchItemFailures":[{"itemIdentifier":"b"}]}`:                        "a c",
		`{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"b"}]}`: "c",
		`{"batchItemFailures":[{"itemIdentifier":""}]}`:                         "",
		`{"batchItemFailures":[{"itemIdentifier":null}]}`:                       "",
		`{"batchItemFailures":[{"foo":"a"}]}`:                                   "",
		`{"batchItemFailures":[{"itemIdentifier":"z"}]}`:                        "",
		`{"batchItemFailures":7}`:                                               "",
		`"text"`:                                                                "",
		`{`:                                                                     "",
	} {
		if got := ids(poller.Handled([]byte(answer), batch)); got != want {
			t.Errorf("%s: handled %q, want %q", answer, got, want)
		}
	}
}

func FuzzHandled(f *testing.F) {
	f.Add([]byte(`{"batchItemFailures":[{"itemIdentifier":"b"}]}`))
	batch := []poller.Message{{ID: "a"}, {ID: "b"}}
	f.Fuzz(func(t *testing.T, answer []byte) {
		if got := poller.Handled(answer, batch); len(got) > len(batch) {
			t.Error(fmt.Sprint(got))
		}
	})
}

// once are leases that are given for as long as held is open, and only then.
type once struct{ given, gone chan struct{} }

func (o once) Run(ctx context.Context, _ string, work func(context.Context)) {
	select {
	case <-o.given:
	case <-ctx.Done():
		return
	}
	working, end := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-o.gone:
			end(lease.ErrHandOver)
		case <-working.Done():
		}
	}()
	work(working)
	end(nil)
	<-stopped
}

// Without its lease a mapping receives nothing, but what it has received it finishes.
func TestLease(t *testing.T) {
	c := clock.NewManual(time.Unix(1e9, 0))
	leases := once{make(chan struct{}), make(chan struct{})}
	f := &fixture{poller.New(t.Context(), leases, c, slog.New(slog.DiscardHandler)), c, newQueue(c)}
	t.Cleanup(f.Close)
	started, release := make(chan string), make(chan struct{})
	m := f.mapping(func(_ context.Context, batch []poller.Message) ([]poller.Message, error) {
		started <- ids(batch)
		<-release
		return batch, nil
	})
	f.Apply([]poller.Mapping{m})
	f.queue.put("a")
	if len(f.queue.messages) != 1 {
		t.Error("received without a lease")
	}
	close(leases.given)
	<-started
	close(leases.gone)
	close(release)
	if got := <-f.queue.removed; got != "ha" {
		t.Errorf("removed %s", got)
	}
}
