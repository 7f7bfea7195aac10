package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
)

// poolWorld is pools without processes.
type poolWorld struct {
	*pools
	clock *clock.Manual
	ended []string
	n     int
}

func newPoolWorld(max int) *poolWorld {
	w := &poolWorld{clock: clock.NewManual(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))}
	w.pools = newPools(w.clock, max, func(env *environment) {
		w.ended = append(w.ended, env.ID)
		env.process.cancel(errExited)
	})
	return w
}

func fnOf(name, revision string) Function {
	return Function{ARN: name, Name: name, Version: "$LATEST", Revision: revision, Timeout: time.Second}
}

// lease takes a place, and starts a made-up environment when there was none. It fails the test when it would have to wait.
func (w *poolWorld) lease(t *testing.T, fn Function) lease {
	t.Helper()
	l, wait, err := w.try(fn)
	if err != nil || wait != nil {
		t.Fatalf("lease %s: wait %v, %v", fn.Name, wait != nil, err)
	}
	if l.env == nil {
		w.n++
		ctx, cancel := context.WithCancelCause(context.Background())
		l.env = &environment{
			Environment: Environment{ID: fmt.Sprintf("%s-%s-%d", fn.Name, fn.Revision, w.n), Function: fn},
			process:     &process{ctx: ctx, cancel: cancel},
		}
	}
	return l
}

func (w *poolWorld) expectEnded(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(w.ended, want) {
		t.Errorf("ended %q, want %q", w.ended, want)
	}
	w.ended = nil
}

func TestPoolReusesTheLatest(t *testing.T) {
	w := newPoolWorld(10)
	a, b := w.lease(t, fnOf("f", "1")), w.lease(t, fnOf("f", "1"))
	w.release(a, true)
	w.release(b, true)
	if l := w.lease(t, fnOf("f", "1")); l.env != b.env {
		t.Error("not the one that was used last")
	}
	w.release(lease{b.pool, b.env}, false)
	w.expectEnded(t, "f-1-2")
	if w.live != 1 {
		t.Errorf("%d live", w.live)
	}
}

func TestPoolBounds(t *testing.T) {
	w := newPoolWorld(2)
	a, b := w.lease(t, fnOf("f", "1")), w.lease(t, fnOf("g", "1"))
	if _, wait, _ := w.try(fnOf("h", "1")); wait == nil {
		t.Error("a third place")
	}
	// The one that has been idle longest makes room.
	w.release(b, true)
	w.clock.Advance(time.Second)
	w.release(a, true)
	c := w.lease(t, fnOf("h", "1"))
	w.expectEnded(t, "g-1-2")
	limited := fnOf("f", "1")
	limited.MaxConcurrency = 1
	a = w.lease(t, limited)
	if _, wait, _ := w.try(limited); wait == nil {
		t.Error("more than the function may have")
	}
	w.release(a, false)
	w.release(c, false)
	if w.live != 0 || len(w.byKey) != 0 {
		t.Errorf("left: %d, %v", w.live, w.byKey)
	}
}

func TestPoolWaits(t *testing.T) {
	w := newPoolWorld(1)
	l := w.lease(t, fnOf("f", "1"))
	got := make(chan error, 1)
	go func() {
		_, err := w.acquire(context.Background(), fnOf("f", "1"), time.Minute)
		got <- err
	}()
	w.clock.BlockUntil(1)
	w.release(l, true)
	if err := <-got; err != nil {
		t.Error(err)
	}
	go func() {
		_, err := w.acquire(context.Background(), fnOf("f", "1"), time.Minute)
		got <- err
	}()
	w.clock.BlockUntil(1)
	w.clock.Advance(time.Minute)
	if err := <-got; cloud.Code(err) != "TooManyRequestsException" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.acquire(ctx, fnOf("f", "1"), time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	go func() {
		_, err := w.acquire(context.Background(), fnOf("f", "1"), time.Minute)
		got <- err
	}()
	w.clock.BlockUntil(1)
	w.close()
	if err := <-got; cloud.Code(err) != "ServiceException" {
		t.Errorf("got %v", err)
	}
}

func TestPoolRevisions(t *testing.T) {
	w := newPoolWorld(10)
	busy, idle := w.lease(t, fnOf("f", "1")), w.lease(t, fnOf("f", "1"))
	w.release(idle, true)
	next := w.lease(t, fnOf("f", "2"))
	w.expectEnded(t, "f-1-2")
	w.release(busy, true)
	w.expectEnded(t, "f-1-1")
	w.release(next, true)
	w.retire("g")
	w.expectEnded(t)
	w.retire("f")
	w.expectEnded(t, "f-2-3")
	if w.live != 0 || len(w.byKey) != 0 {
		t.Errorf("left: %d, %v", w.live, w.byKey)
	}
}

func TestPoolSweep(t *testing.T) {
	w := newPoolWorld(10)
	a, b := w.lease(t, fnOf("f", "1")), w.lease(t, fnOf("f", "1"))
	w.release(a, true)
	w.clock.Advance(3 * time.Minute)
	w.release(b, true)
	w.clock.Advance(2 * time.Minute)
	w.sweep(5 * time.Minute)
	w.expectEnded(t, "f-1-1")
	b.env.Credentials.Expires = w.clock.Now().Add(time.Minute + time.Second)
	w.sweep(5 * time.Minute)
	w.expectEnded(t, "f-1-2")
}

func TestPoolFindsTheDead(t *testing.T) {
	w := newPoolWorld(10)
	a := w.lease(t, fnOf("f", "1"))
	w.release(a, true)
	a.env.process.cancel(errExited)
	b := w.lease(t, fnOf("f", "1"))
	w.expectEnded(t, "f-1-1")
	w.release(b, true)
	if c := w.lease(t, fnOf("f", "1")); c.env != b.env {
		t.Error("the new one is not found again")
	}
}

func TestPoolClose(t *testing.T) {
	w := newPoolWorld(10)
	busy, idle := w.lease(t, fnOf("f", "1")), w.lease(t, fnOf("g", "1"))
	w.release(idle, true)
	w.close()
	w.expectEnded(t, "g-1-2")
	w.release(busy, true)
	w.expectEnded(t, "f-1-1")
	if _, _, err := w.try(fnOf("f", "1")); cloud.Code(err) != "ServiceException" {
		t.Errorf("got %v", err)
	}
}

func TestLogLines(t *testing.T) {
	var mu sync.Mutex
	var got []string
	cfg := configDefaults(Config{
		Clock: clock.Real(),
		Logs: func(_ context.Context, b LogBatch) error {
			mu.Lock()
			defer mu.Unlock()
			for _, l := range b.Lines {
				got = append(got, l.Text)
			}
			return nil
		},
	})
	l := newLogStream(cfg, Environment{})
	o, err := newOutput(l)
	if err != nil {
		t.Fatal(err)
	}
	go o.run()
	long := strings.Repeat("x", maxLine)
	l.startTail(true)
	for _, text := range []string{"one\ntwo\r\n\n", "a\x1eb\n", "bad \xff\n", long + long + "y\n", "part"} {
		if _, err := o.write.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	o.drain()
	l.add("after")
	if tail := string(l.takeTail()); len(tail) != maxTail || !strings.HasSuffix(tail, "x\ny\npart\nafter\n") {
		t.Errorf("tail of %d: …%q", len(tail), tail[max(0, len(tail)-20):])
	}
	if _, err := o.write.WriteString("rest"); err != nil {
		t.Fatal(err)
	}
	o.drain()
	if _, err := o.write.WriteString("last"); err != nil {
		t.Fatal(err)
	}
	o.close()
	l.flush()
	want := []string{"one", "two", "a\nb", "bad \uFFFD", long, long, "y", "part", "after", "rest", "last"}
	if !slices.Equal(got, want) {
		for i, s := range got {
			t.Errorf("%d: %.20q of %d", i, s, len(s))
		}
	}
}

func TestLogStreamStoresInTime(t *testing.T) {
	manual := clock.NewManual(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	batches := make(chan LogBatch, 10)
	cfg := configDefaults(Config{Clock: manual, Logs: func(_ context.Context, b LogBatch) error {
		batches <- b
		return errors.New("full")
	}})
	l := newLogStream(cfg, Environment{LogStream: "s", Function: Function{LogGroup: "g", Region: "r", Account: "a"}})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { l.run(ctx) })
	l.add("one")
	manual.BlockUntil(1)
	l.add("two")
	manual.Advance(flushEvery)
	if b := <-batches; len(b.Lines) != 2 || b.Group != "g" || b.Stream != "s" || b.Region != "r" || b.Account != "a" {
		t.Errorf("got %+v", b)
	}
	cancel()
	group.Wait()
	for range maxPendingLines {
		l.add("x")
	}
	if b := <-batches; len(b.Lines) != maxPendingLines {
		t.Errorf("%d lines", len(b.Lines))
	}
}

func TestReportTexts(t *testing.T) {
	for got, want := range map[string]string{
		reportLine("id", 128, &Result{Duration: 1234567, Billed: 2 * time.Millisecond, MaxMemoryMB: 37}, "", ""):        "REPORT RequestId: id\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 37 MB\t",
		timeoutLine(time.Date(2026, 11, 1, 2, 3, 4, 5e6, time.UTC), "id", 2500*time.Millisecond):                        "2026-11-01T02:03:04.005Z id Task timed out after 2.50 seconds",
		initReport(10*time.Second, "init", "timeout", ""):                                                               "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout",
		string(platformError("T", "id", "a <b>")):                                                                       `{"errorType":"T","errorMessage":"RequestId: id Error: a <b>"}`,
		string(withRequestID([]byte(`{"errorMessage":"<m>","errorType":"T","requestId":"","stackTrace":["a"]}`), "id")): `{"errorMessage":"<m>","errorType":"T","requestId":"id","stackTrace":["a"]}`,
		string(withRequestID([]byte(`no JSON`), "id")):                                                                  `no JSON`,
		runtimeLabel("python3.12"): "python:3.12",
		runtimeLabel("provided"):   "provided",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	c := Credentials{AccessKeyID: "id", SecretAccessKey: "secret", SessionToken: "token"}
	if s := fmt.Sprintf("%v %s %+v", c, c, Environment{Credentials: c}); strings.Contains(s, "secret") || strings.Contains(s, "token") {
		t.Errorf("secrets in %s", s)
	}
}
