package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"croft/internal/clock"
)

const (
	// maxLine bounds one log event in bytes, as CloudWatch Logs did for long; what is longer becomes several.
	maxLine = 256 << 10
	// maxPending bounds the lines, and their bytes, that wait to be stored. A function that writes faster than that waits.
	maxPendingLines = 5000
	maxPendingBytes = 1 << 20
	// flushEvery is how long a line waits while an invocation runs. The end of an invocation does not wait.
	flushEvery = 200 * time.Millisecond
	maxTail    = 4 << 10
	// drainTime bounds the wait for what a function has written before it answered.
	drainTime = 3 * time.Second
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
	text = strings.TrimRight(strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), separator, "\n"), "\r\n")
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

// output reads the standard output of an environment's processes into its log stream.
type output struct {
	to   *logStream
	read *os.File
	// write is the end that the processes have too.
	write *os.File
	// mark is a text that no process knows. Written into the pipe it tells, when it comes out, that all that was written before is logged.
	mark    []byte
	marked  chan struct{} // has a token when the mark has come out
	marking sync.WaitGroup
	done    chan struct{}
	rest    []byte
}

func newOutput(to *logStream) (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	o := &output{
		to: to, read: r, write: w, mark: []byte("\x00" + hex.EncodeToString(nonce)), marked: make(chan struct{}, 1), done: make(chan struct{}),
	}
	return o, nil
}

// run reads until every writer has closed the pipe.
func (o *output) run() {
	defer close(o.done)
	defer o.read.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := o.read.Read(buf)
		o.take(buf[:n])
		if err != nil {
			if err != io.EOF {
				o.to.log.Warn("the output of an environment cannot be read", "stream", o.to.batch.Stream, "error", err)
			}
			o.add(o.rest)
			return
		}
	}
}

// take splits what came into lines.
func (o *output) take(p []byte) {
	for len(p) > 0 {
		line, after, ended := bytes.Cut(p, []byte{'\n'})
		o.rest = append(o.rest, line...)
		p = after
		if ended {
			text, isMark := bytes.CutSuffix(o.rest, o.mark)
			o.add(text)
			o.rest = o.rest[:0]
			if isMark {
				select {
				case o.marked <- struct{}{}:
				default: // nobody waits: a function has repeated it
				}
			}
			continue
		}
		// Not a byte of what may be the beginning of the mark.
		for len(o.rest) >= maxLine+len(o.mark) {
			n := cut(o.rest)
			o.to.add(string(o.rest[:n]))
			o.rest = append(o.rest[:0], o.rest[n:]...)
		}
	}
}

// add logs one line, in pieces if need be.
func (o *output) add(line []byte) {
	for len(line) > maxLine {
		n := cut(line)
		o.to.add(string(line[:n]))
		line = line[n:]
	}
	o.to.add(string(line))
}

// cut returns where a line longer than maxLine is cut, which is not within a character.
func cut(line []byte) int {
	for n := maxLine; n > maxLine-utf8.UTFMax; n-- {
		if utf8.RuneStart(line[n]) {
			return n
		}
	}
	return maxLine
}

// drain returns when everything that was written before is in the log stream, or when that takes too long: a function can open its output
// for reading and take the mark out of it. It reports which of both it was. It is called by one goroutine at a time, while run runs.
func (o *output) drain() bool {
	select {
	case <-o.marked: // one too many, or too late
	default:
	}
	limit := o.to.clock.NewTimer(drainTime)
	defer limit.Stop()
	o.marking.Go(func() {
		// When the pipe is broken nothing comes out of it any more, and done tells.
		_, _ = o.write.Write(append(bytes.Clone(o.mark), '\n'))
	})
	select {
	case <-o.marked:
		return true
	case <-o.done:
		return true
	case <-limit.C():
		return false
	}
}

// close gives up the server's write end once the processes are gone; run then ends.
func (o *output) close() {
	o.marking.Wait()
	o.write.Close()
	<-o.done
}
