package engine

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"croft/internal/clock"
)

const (
	// maxLine bounds one log event in bytes, as CloudWatch Logs did for long; what is longer becomes several.
	maxLine = 256 << 10
	// maxPending bounds the lines, and their bytes, that wait to be stored. A function that writes faster than that waits.
	maxPendingLines = 5000
	maxPendingBytes = 1 << 20
	// flushEvery is how long a line waits to be stored. Who reads logs does not wait: see FlushLogs.
	flushEvery = 100 * time.Millisecond
	maxTail    = 4 << 10
	// separator stands for a line break inside one event: bootstraps write it.
	separator = "\x1e"
)

// logStream collects the log events of one environment. It is safe for concurrent use.
type logStream struct {
	clock clock.Clock
	log   *slog.Logger
	store func(context.Context, LogBatch) error
	batch LogBatch // without lines

	mu      sync.Mutex
	pending []LogLine
	bytes   int
	tailing bool
	tail    []byte

	storing sync.Mutex    // keeps batches in order
	waiting chan struct{} // has a token when something is pending
}

func newLogStream(cfg Config, env Environment) *logStream {
	fn := env.Function
	return &logStream{
		clock: cfg.Clock, log: cfg.Log, store: cfg.Logs,
		batch:   LogBatch{Account: fn.Account, Region: fn.Region, Group: fn.LogGroup, Stream: env.LogStream},
		waiting: make(chan struct{}, 1),
	}
}

// run stores what is pending every now and then until ctx ends.
func (l *logStream) run(ctx context.Context) {
	for {
		select {
		case <-l.waiting:
		case <-ctx.Done():
			return
		}
		if clock.Sleep(ctx, l.clock, flushEvery) != nil {
			return
		}
		l.flush()
	}
}

// add appends an event. Events without text are left out: CloudWatch Logs has none.
func (l *logStream) add(text string) {
	text = strings.TrimRight(clean(text), "\r\n")
	if text == "" {
		return
	}
	l.mu.Lock()
	l.pending = append(l.pending, LogLine{Time: l.clock.Now(), Text: text})
	l.bytes += len(text)
	if l.tailing {
		l.tail = append(append(l.tail, text[max(0, len(text)-maxTail):]...), '\n')
		l.tail = l.tail[max(0, len(l.tail)-maxTail):]
	}
	full := len(l.pending) >= maxPendingLines || l.bytes >= maxPendingBytes
	l.mu.Unlock()
	if full {
		l.flush()
		return
	}
	select {
	case l.waiting <- struct{}{}:
	default:
	}
}

// clean makes text valid and puts line breaks where a bootstrap wanted them.
func clean(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if strings.Contains(text, separator) {
		text = strings.ReplaceAll(text, separator, "\n")
	}
	return text
}

// flush stores what is pending, and returns when it is stored.
func (l *logStream) flush() {
	l.storing.Lock()
	defer l.storing.Unlock()
	l.mu.Lock()
	batch := l.batch
	batch.Lines = l.pending
	l.pending, l.bytes = nil, 0
	l.mu.Unlock()
	if len(batch.Lines) == 0 {
		return
	}
	// Not the caller's context: log lines outlive the invocation that wrote them, and the engine that stops.
	if err := l.store(context.Background(), batch); err != nil {
		l.log.Warn("log lines are lost", "group", batch.Group, "stream", batch.Stream, "lines", len(batch.Lines), "error", err)
	}
}

// startTail begins to keep the end of what is logged, if wanted.
func (l *logStream) startTail(wanted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tailing, l.tail = wanted, nil
}

// takeTail returns what was kept, in whole characters.
func (l *logStream) takeTail() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.tail
	l.tailing, l.tail = false, nil
	for len(out) == maxTail && len(out) > 0 && out[0]&0xC0 == 0x80 {
		out = out[1:]
	}
	return out
}

// logStreams is every stream of a living environment.
type logStreams struct {
	mu  sync.Mutex
	all map[*logStream]struct{}
}

func newLogStreams() *logStreams { return &logStreams{all: map[*logStream]struct{}{}} }

func (s *logStreams) add(l *logStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[l] = struct{}{}
}

func (s *logStreams) remove(l *logStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, l)
}

// flush stores what is pending in any of them.
func (s *logStreams) flush() {
	s.mu.Lock()
	var busy []*logStream
	for l := range s.all {
		busy = append(busy, l)
	}
	s.mu.Unlock()
	for _, l := range busy {
		l.flush()
	}
}
