package telemetry

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"croft/internal/clock"
)

// A batch is tried maxTries times, with a pause after each that doubles from firstPause: about three seconds in all.
const (
	maxTries   = 6
	firstPause = 100 * time.Millisecond
)

const (
	reasonSlow  = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."
	reasonError = "Consumer could not be reached, or has refused the logs."
)

// subscriber is an extension that is told of events.
type subscriber struct {
	*subscription
	opt    Options
	ctx    context.Context
	cancel context.CancelFunc
	to     destination
	// wake has room for one: there is something to do.
	wake chan struct{}

	mu      sync.Mutex
	queue   [][]byte
	bytes   int
	sending bool
	// dropped is what did not fit since the subscriber was last told.
	dropped LogsDropped
	// flushed are those who wait until everything is sent.
	flushed []chan struct{}
}

func newSubscriber(ctx context.Context, o Options, sub *subscription) *subscriber {
	s := &subscriber{subscription: sub, opt: o, wake: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.to = newDestination(o, sub)
	return s
}

// tell puts e into the queue, or drops it. It never waits.
func (s *subscriber) tell(e *event) {
	if !s.wants(e.kind) {
		return
	}
	record := e.record
	if e.object != nil && s.objects() {
		record = e.object
	}
	b := encode(e.at, e.kind, record)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) >= 2*s.maxItems || s.bytes+len(b) > 2*s.maxBytes {
		s.drop(reasonSlow, 1, len(b))
		return
	}
	s.queue, s.bytes = append(s.queue, b), s.bytes+len(b)
	if len(s.queue) == 1 || s.full() {
		s.poke()
	}
}

func encode(at time.Time, kind string, record []byte) []byte {
	b := make([]byte, 0, len(record)+len(kind)+64)
	b = append(b, `{"time":"`...)
	b = append(b, Time(at)...)
	b = append(b, `","type":"`...)
	b = append(b, kind...)
	b = append(b, `","record":`...)
	b = append(b, record...)
	return append(b, '}')
}

// drop, full and poke are called with mu held.
func (s *subscriber) drop(reason string, records, bytes int) {
	s.dropped.Reason = reason
	s.dropped.Records += records
	s.dropped.Bytes += bytes
}

func (s *subscriber) full() bool { return len(s.queue) >= s.maxItems || s.bytes >= s.maxBytes }

func (s *subscriber) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// flush asks for everything to be sent, and returns what closes when it is.
func (s *subscriber) flush() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{})
	if len(s.queue) == 0 && !s.sending || s.ctx.Err() != nil {
		close(c)
		return c
	}
	s.flushed = append(s.flushed, c)
	s.poke()
	return c
}

// run sends until the subscription ends.
func (s *subscriber) run() {
	defer s.to.close()
	defer func() {
		s.mu.Lock()
		s.endFlushes()
		s.mu.Unlock()
	}()
	for s.await() {
		batch, size := s.take()
		if len(batch) > 0 {
			s.deliver(batch, size)
		}
		s.sent()
	}
}

// await returns when it is time to send: true, or when the subscription has ended: false.
func (s *subscriber) await() bool {
	var timer clock.Timer
	var due <-chan time.Time
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	for {
		s.mu.Lock()
		waits, now := len(s.queue) > 0, s.full() || len(s.flushed) > 0
		s.mu.Unlock()
		if now {
			return s.ctx.Err() == nil
		}
		if waits && timer == nil {
			timer = s.opt.Clock.NewTimer(s.timeout)
			due = timer.C()
		}
		select {
		case <-s.wake:
		case <-due:
			return s.ctx.Err() == nil
		case <-s.ctx.Done():
			return false
		}
	}
}

// take takes a batch out of the queue; the first event may say what was dropped.
func (s *subscriber) take() (batch [][]byte, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending = true
	n := 0
	for n < len(s.queue) && n < s.maxItems && size < s.maxBytes {
		size += len(s.queue[n])
		n++
	}
	batch = s.queue[:n:n]
	s.queue, s.bytes = append([][]byte(nil), s.queue[n:]...), s.bytes-size
	if s.dropped.Records > 0 {
		if record, err := json.Marshal(s.dropped); err == nil && s.wants(KindLogsDropped) {
			batch = append([][]byte{encode(s.opt.Clock.Now(), KindLogsDropped, record)}, batch...)
		}
		s.dropped = LogsDropped{}
	}
	return batch, size
}

// deliver sends a batch, again and again while it fails, and drops it in the end.
func (s *subscriber) deliver(batch [][]byte, size int) {
	pause := firstPause
	for try := 1; ; try++ {
		err := s.to.send(s.ctx, batch)
		if err == nil || s.ctx.Err() != nil {
			return
		}
		if try == maxTries {
			s.opt.Log.Debug("telemetry could not be delivered", "extension", s.name, "error", err)
			s.mu.Lock()
			s.drop(reasonError, len(batch), size)
			s.mu.Unlock()
			return
		}
		if clock.Sleep(s.ctx, s.opt.Clock, pause) != nil {
			return
		}
		pause *= 2
	}
}

// sent tells those who wait for it that nothing is left.
func (s *subscriber) sent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending = false
	if len(s.queue) == 0 {
		s.endFlushes()
	}
}

// endFlushes is called with mu held.
func (s *subscriber) endFlushes() {
	for _, c := range s.flushed {
		close(c)
	}
	s.flushed = nil
}
