package engine

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"unicode/utf8"
)

// maxDrain bounds what one drain reads: more than a pipe holds, so that only a process that goes on writing is left with some.
const maxDrain = 1 << 20

// output reads the standard output of an environment's processes into its log stream.
type output struct {
	read *os.File
	raw  syscall.RawConn
	// write is the end that the processes have too.
	write *os.File
	done  chan struct{}

	mu sync.Mutex
	// to is who gets the lines; nil discards them: nothing of a function has run yet.
	to   func(line string)
	rest []byte
	end  bool
}

func newOutput() (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	raw, err := r.SyscallConn()
	if err != nil {
		r.Close()
		w.Close()
		return nil, err
	}
	return &output{read: r, raw: raw, write: w, done: make(chan struct{})}, nil
}

// connect gives what is written from now on to a log stream.
func (o *output) connect(to func(line string)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to = to
}

// run reads until every writer has closed the pipe.
func (o *output) run() {
	defer close(o.done)
	defer o.read.Close()
	for !o.ended() {
		// The error is that of a descriptor which is closed, and then the end has been seen.
		if o.raw.Read(func(fd uintptr) bool { return o.some(fd) != errAgain }) != nil {
			return
		}
	}
}

func (o *output) ended() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.end
}

var errAgain = errors.New("engine: nothing to read now")

const readSize = 32 << 10

// readBuffers are shared by all environments: most of them have nothing to say.
var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// some reads what is there, up to the size of one buffer. The error is errAgain when nothing is, and io.EOF at the end.
func (o *output) some(fd uintptr) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.end {
		return io.EOF
	}
	buf := readBuffers.Get().(*[readSize]byte)
	defer readBuffers.Put(buf)
	for {
		n, err := syscall.Read(int(fd), buf[:])
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return errAgain
		case err != nil || n == 0:
			o.end = true
			o.log(o.rest)
			o.rest = nil
			return io.EOF
		}
		o.take(buf[:n])
		return nil
	}
}

// drain returns when everything that was written before is in the log stream.
func (o *output) drain() {
	left := maxDrain / readSize
	// The error is that of a closed descriptor: there is nothing more to read.
	_ = o.raw.Control(func(fd uintptr) {
		for ; left > 0 && o.some(fd) == nil; left-- {
		}
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.rest) > 0 { // a line that has no end belongs to what wrote it
		o.log(o.rest)
		o.rest = o.rest[:0]
	}
}

// take splits what came into lines.
func (o *output) take(p []byte) {
	for len(p) > 0 {
		line, after, ended := bytes.Cut(p, []byte{'\n'})
		if ended && len(o.rest) == 0 {
			o.log(line)
			p = after
			continue
		}
		o.rest = append(o.rest, line...)
		p = after
		if ended {
			o.log(o.rest)
			o.rest = o.rest[:0]
			continue
		}
		for len(o.rest) > maxLine {
			n := cut(o.rest)
			o.log(o.rest[:n])
			o.rest = append(o.rest[:0], o.rest[n:]...)
		}
	}
}

// log logs one line, in pieces if need be.
func (o *output) log(line []byte) {
	if o.to == nil {
		return
	}
	for len(line) > maxLine {
		n := cut(line)
		o.to(string(line[:n]))
		line = line[n:]
	}
	if len(line) > 0 {
		o.to(string(line))
	}
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

// abandon ends the reading though somebody may go on writing.
func (o *output) abandon() {
	o.drain()
	o.read.Close()
}

// close gives up the server's write end once the processes are gone; run then ends.
func (o *output) close() {
	o.write.Close()
	<-o.done
}
