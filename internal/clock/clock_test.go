package clock

import (
	"context"
	"errors"
	"testing"
	"time"
)

func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func TestManualFiresInOrderEachAtItsTime(t *testing.T) {
	m := NewManual(start())
	late, soon, never := m.NewTimer(3*time.Second), m.NewTimer(time.Second), m.NewTimer(2*time.Second)
	if !never.Stop() || never.Stop() {
		t.Error("Stop does not tell whether it was in time")
	}
	if next, ok := m.Next(); !ok || !next.Equal(start().Add(time.Second)) {
		t.Errorf("Next = %v, %v", next, ok)
	}
	m.Advance(5 * time.Second)
	if at := <-soon.C(); !at.Equal(start().Add(time.Second)) {
		t.Errorf("the first fired at %v", at)
	}
	if at := <-late.C(); !at.Equal(start().Add(3 * time.Second)) {
		t.Errorf("the second fired at %v", at)
	}
	select {
	case <-never.C():
		t.Error("a stopped timer fired")
	default:
	}
	if !m.Now().Equal(start().Add(5 * time.Second)) {
		t.Errorf("now %v", m.Now())
	}
	if _, ok := m.Next(); ok {
		t.Error("timers are left")
	}
}

func TestTimerOfZeroFiresAtOnce(t *testing.T) {
	for _, c := range []Clock{NewManual(start()), Real()} {
		timer := c.NewTimer(0)
		<-timer.C()
		timer.Stop()
	}
}

func TestSleepWakesByTimeOrContext(t *testing.T) {
	m := NewManual(start())
	done := make(chan error, 1)
	go func() { done <- Sleep(context.Background(), m, time.Minute) }()
	m.BlockUntil(1)
	m.Advance(time.Minute)
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- Sleep(ctx, m, time.Minute) }()
	m.BlockUntil(1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestWithTimeoutSaysWhy(t *testing.T) {
	m := NewManual(start())
	ctx, cancel := WithTimeout(context.Background(), m, time.Second)
	defer cancel()
	m.Advance(time.Second)
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, ErrTimeout) {
		t.Errorf("cause %v", cause)
	}
	ctx, cancel = WithTimeout(context.Background(), m, time.Second)
	cancel()
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		t.Errorf("cause %v", cause)
	}
}

func TestJitterStaysInItsBounds(t *testing.T) {
	for range 1000 {
		if d := Jitter(time.Second); d < time.Second/2 || d >= time.Second {
			t.Fatalf("%v", d)
		}
	}
	if Jitter(1) != 1 || Jitter(0) != 0 {
		t.Error("tiny pauses")
	}
}
