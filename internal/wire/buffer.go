package wire

import (
	"net/http"
	"strconv"
	"sync"
)

// maxPooled is the largest buffer that is kept for reuse.
const maxPooled = 1 << 20

// buffer gathers one answer.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 1024)} }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

func putBuffer(b *buffer) {
	if cap(b.b) <= maxPooled {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// Header keys in the form in which net/http keeps them, so that setting them needs no conversion.
const (
	headerRequestID   = "X-Amzn-Requestid"
	headerType        = "Content-Type"
	headerLength      = "Content-Length"
	headerCRC32       = "X-Amz-Crc32"
	headerErrorType   = "X-Amzn-Errortype"
	headerQueryError  = "X-Amzn-Query-Error"
	headerTarget      = "X-Amz-Target"
	headerSmithyProto = "Smithy-Protocol"
)

// send writes one answer. Its length is known, so that nothing is chunked.
func send(w http.ResponseWriter, status int, requestID, contentType string, body []byte) error {
	h := w.Header()
	h[headerRequestID] = []string{requestID}
	if contentType != "" {
		h[headerType] = []string{contentType}
	}
	if status != http.StatusNoContent {
		h[headerLength] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(status)
	if len(body) == 0 {
		return nil
	}
	_, err := w.Write(body)
	return err
}
