package runtimeapi

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Frames are described in docs/architecture/engine.md.

// Kinds of frames.
const (
	frameAssign    = 'A'
	frameEvent     = 'N'
	frameReady     = 'R'
	frameInitError = 'I'
	frameResponse  = 'O'
	frameError     = 'E'
	frameStream    = 'S'
	frameChunk     = 'C'
	frameEnd       = 'Z'
)

const (
	framePrefix = 4 + 1 + 4 // length, kind, length of the header
	maxHeader   = 64 << 10
	maxChunk    = 64 << 10
	// maxInline is the size up to which an event is copied behind its header, instead of being written beside it.
	maxInline = 16 << 10
)

// errFrame says that a peer does not speak the protocol.
var errFrame = errors.New("runtimeapi: not a frame")

// frameHeader is what the frames of a runtime may say in their headers.
type frameHeader struct {
	Type  string `json:"type"`
	Error []byte `json:"error"`
}

// frameReader reads frames from a peer that may be hostile. It keeps little memory when nothing comes.
type frameReader struct {
	r      *bufio.Reader
	header []byte
	// left is what has not been read of the current frame's body.
	left int64
}

func newFrameReader(r io.Reader) *frameReader { return &frameReader{r: bufio.NewReaderSize(r, 4096)} }

// next reads the start of a frame, whose body is then the reader's to take: by body, or discard.
func (f *frameReader) next() (kind byte, h frameHeader, err error) {
	var prefix [framePrefix]byte
	if _, err = io.ReadFull(f.r, prefix[:]); err != nil {
		return 0, h, err
	}
	length, header := int64(binary.LittleEndian.Uint32(prefix[:])), int64(binary.LittleEndian.Uint32(prefix[5:]))
	kind = prefix[4]
	if header > maxHeader || header > length-(framePrefix-4) {
		return 0, h, fmt.Errorf("%w: %d bytes with a header of %d", errFrame, length, header)
	}
	f.left = length - (framePrefix - 4) - header
	if header == 0 {
		return kind, h, nil
	}
	if int64(cap(f.header)) < header {
		f.header = make([]byte, header)
	}
	b := f.header[:header]
	if header > 4096 {
		f.header = nil
	}
	if _, err = io.ReadFull(f.r, b); err != nil {
		return 0, h, err
	}
	if err = json.Unmarshal(b, &h); err != nil {
		return 0, h, fmt.Errorf("%w: %w", errFrame, err)
	}
	return kind, h, nil
}

// body reads what is left of the frame into memory of its own.
func (f *frameReader) body() ([]byte, error) {
	b, err := readSized(f.r, f.left)
	f.left = 0
	return b, err
}

// into reads what is left of the frame into buf, which is large enough.
func (f *frameReader) into(buf []byte) ([]byte, error) {
	n, err := io.ReadFull(f.r, buf[:f.left])
	f.left = 0
	return buf[:n], err
}

func (f *frameReader) discard() error {
	_, err := io.CopyN(io.Discard, f.r, f.left)
	f.left = 0
	return err
}

// readSized reads n bytes. It takes memory as they come, not as they are promised.
func readSized(r io.Reader, n int64) ([]byte, error) {
	const step = 64 << 10
	b := make([]byte, min(n, step))
	for read := 0; ; {
		m, err := io.ReadFull(r, b[read:])
		if read += m; err != nil || int64(read) == n {
			return b[:read], err
		}
		grown := make([]byte, min(n, int64(2*len(b))))
		copy(grown, b)
		b = grown
	}
}

// appendPrefix starts a frame; endHeader completes it when its header is there.
func appendPrefix(b []byte, kind byte) []byte {
	return append(b, 0, 0, 0, 0, kind, 0, 0, 0, 0)
}

// endHeader writes the lengths of a frame that starts at b's beginning and whose header is complete.
func endHeader(b []byte, body int) error {
	header := len(b) - framePrefix
	if header > maxHeader || int64(header)+int64(body) > 1<<31 {
		return fmt.Errorf("runtimeapi: a header of %d bytes and a body of %d are too large for a frame", header, body)
	}
	binary.LittleEndian.PutUint32(b, uint32(framePrefix-4+header+body))
	binary.LittleEndian.PutUint32(b[5:], uint32(header))
	return nil
}

// appendEvent appends the frame of e without its body.
func appendEvent(b []byte, e *exchange) ([]byte, error) {
	b = appendPrefix(b, frameEvent)
	b = append(b, `{"deadline":`...)
	b = strconv.AppendInt(b, e.Deadline.UnixMilli(), 10)
	for _, m := range [...]struct{ name, value string }{
		{`,"id":`, e.RequestID}, {`,"arn":`, e.FunctionARN}, {`,"trace":`, e.TraceID}, {`,"context":`, e.ClientContext},
		{`,"identity":`, e.Identity}, {`,"tenant":`, e.Tenant},
	} {
		if m.value == "" {
			continue
		}
		b = append(b, m.name...)
		b = appendString(b, m.value)
	}
	b = append(b, '}')
	return b, endHeader(b, len(e.Payload))
}

// appendString appends s as JSON.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil {
				return append(b, `""`...) // a string always encodes
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// Assignment turns a process that waits into one of a function.
type Assignment struct {
	// Env is the complete environment; nil for a process that has had it from its start.
	Env     map[string]string
	Handler string
	// SDK is a folder that the runtime puts behind the function's own modules; may be empty.
	SDK string
	// Restore asks for SnapStart's hooks. Snapshot asks for a process that forks once the first of them have run.
	Restore, Snapshot bool
}

func (a Assignment) frame() ([]byte, error) {
	h, err := json.Marshal(struct {
		Env     map[string]string `json:"env,omitempty"`
		Handler string            `json:"handler"`
		SDK     string            `json:"sdk"`
		Restore bool              `json:"restore"`
		Snap    bool              `json:"snapshot,omitempty"`
	}{a.Env, a.Handler, a.SDK, a.Restore, a.Snapshot})
	if err != nil {
		return nil, err
	}
	b := append(appendPrefix(nil, frameAssign), h...)
	return b, endHeader(b, 0)
}
