package clock

import (
	"container/heap"
	"sync"
	"time"
)

// Manual is a Clock that moves only by Advance. The zero value is not usable; call NewManual.
type Manual struct {
	mu     sync.Mutex
	now    time.Time
	timers timerHeap
	seq    uint64
	armed  chan struct{}
}

// NewManual returns a Manual that stands at start.
func NewManual(start time.Time) *Manual {
	return &Manual{now: start, armed: make(chan struct{})}
}

// Now returns where the clock stands.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// NewTimer arms a timer that Advance fires.
func (m *Manual) NewTimer(d time.Duration) Timer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.arm(m.now.Add(d))
}

func (m *Manual) timerAt(due time.Time) Timer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.arm(due)
}

// arm is called with mu held.
func (m *Manual) arm(due time.Time) Timer {
	t := &manualTimer{owner: m, c: make(chan time.Time, 1), due: due, seq: m.seq, index: -1}
	m.seq++
	if !due.After(m.now) {
		t.c <- m.now
		return t
	}
	heap.Push(&m.timers, t)
	close(m.armed)
	m.armed = make(chan struct{})
	return t
}

// Advance moves the clock by d, firing the timers that fall due on the way, in order, each at its own time.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	end := m.now.Add(d)
	for len(m.timers) > 0 && !m.timers[0].due.After(end) {
		t := heap.Pop(&m.timers).(*manualTimer)
		m.now = t.due
		t.c <- m.now
	}
	m.now = end
}

// Next returns when the earliest armed timer falls due, and false when none is armed.
func (m *Manual) Next() (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.timers) == 0 {
		return time.Time{}, false
	}
	return m.timers[0].due, true
}

// BlockUntil waits until at least n timers are armed: how a test knows that a goroutine has come to its wait.
func (m *Manual) BlockUntil(n int) {
	for {
		m.mu.Lock()
		count, armed := len(m.timers), m.armed
		m.mu.Unlock()
		if count >= n {
			return
		}
		<-armed
	}
}

type manualTimer struct {
	owner *Manual
	c     chan time.Time
	due   time.Time
	seq   uint64
	index int
}

func (t *manualTimer) C() <-chan time.Time { return t.c }

func (t *manualTimer) Stop() bool {
	t.owner.mu.Lock()
	defer t.owner.mu.Unlock()
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.owner.timers, t.index)
	return true
}

type timerHeap []*manualTimer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].seq < h[j].seq
	}
	return h[i].due.Before(h[j].due)
}
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap) Push(x any) {
	t := x.(*manualTimer)
	t.index = len(*h)
	*h = append(*h, t)
}
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
