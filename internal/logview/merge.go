package logview

import (
	"container/heap"
	"context"
	"time"

	"croft/internal/clock"
	"croft/internal/control"
)

// Window is how long Merge keeps a line back: functions send theirs up to 200 ms late, each on its own.
const Window = 250 * time.Millisecond

// maxHeld bounds the lines that Merge keeps back; with more it shows the oldest early.
const maxHeld = 10_000

// Merge calls show for each line of in, in the order of their times as far as they come within Window of each other, until in closes or show fails;
// it returns show's error. When ctx ends it shows what it has and returns ctx's error. Lines of one time stay in the order in which they came.
func Merge(ctx context.Context, c clock.Clock, in <-chan control.LogLine, show func(control.LogLine) error) error {
	h := &held{}
	var due clock.Timer
	defer func() {
		if due != nil {
			due.Stop()
		}
	}()
	for {
		var wake <-chan time.Time
		if due != nil {
			wake = due.C()
		}
		select {
		case l, open := <-in:
			if !open {
				return h.drain(show, func(entry) bool { return true })
			}
			heap.Push(h, entry{line: l, at: c.Now(), number: h.number})
			h.number++
			if len(h.entries) > maxHeld {
				if err := show(heap.Pop(h).(entry).line); err != nil {
					return err
				}
			}
		case now := <-wake:
			due = nil
			if err := h.release(now, show); err != nil {
				return err
			}
		case <-ctx.Done():
			if err := h.drain(show, func(entry) bool { return true }); err != nil {
				return err
			}
			return ctx.Err()
		}
		if due == nil && len(h.entries) > 0 {
			due = clock.At(c, h.oldest().Add(Window))
		}
	}
}

type entry struct {
	line   control.LogLine
	at     time.Time // when it came
	number int
}

// held is a heap by the lines' times.
type held struct {
	entries []entry
	number  int
}

func (h *held) Len() int { return len(h.entries) }
func (h *held) Less(i, j int) bool {
	a, b := h.entries[i], h.entries[j]
	if !a.line.Time.Equal(b.line.Time) {
		return a.line.Time.Before(b.line.Time)
	}
	return a.number < b.number
}
func (h *held) Swap(i, j int) { h.entries[i], h.entries[j] = h.entries[j], h.entries[i] }
func (h *held) Push(x any)    { h.entries = append(h.entries, x.(entry)) }
func (h *held) Pop() any {
	last := h.entries[len(h.entries)-1]
	h.entries = h.entries[:len(h.entries)-1]
	return last
}

// oldest returns when the line came that has been held longest.
func (h *held) oldest() time.Time {
	first := h.entries[0].at
	for _, e := range h.entries[1:] {
		if e.at.Before(first) {
			first = e.at
		}
	}
	return first
}

// release shows every line that has been held for Window, and with it those of an earlier time.
func (h *held) release(now time.Time, show func(control.LogLine) error) error {
	due := 0
	for _, e := range h.entries {
		if now.Sub(e.at) >= Window {
			due++
		}
	}
	return h.drain(show, func(e entry) bool {
		if due == 0 {
			return false
		}
		if now.Sub(e.at) >= Window {
			due--
		}
		return true
	})
}

// drain shows the lines in order as long as next agrees.
func (h *held) drain(show func(control.LogLine) error, next func(entry) bool) error {
	for len(h.entries) > 0 && next(h.entries[0]) {
		if err := show(heap.Pop(h).(entry).line); err != nil {
			return err
		}
	}
	return nil
}
