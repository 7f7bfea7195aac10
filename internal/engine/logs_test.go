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
)

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
	o, err := newOutput()
	if err != nil {
		t.Fatal(err)
	}
	o.connect(l.add)
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
