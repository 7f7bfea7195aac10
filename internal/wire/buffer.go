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
	headerS3RequestID = "X-Amz-Request-Id"
	headerS3HostID    = "X-Amz-Id-2"
	headerType        = "Content-Type"
	headerLength      = "Content-Length"
	headerRange       = "Content-Range"
	headerCRC32       = "X-Amz-Crc32"
	headerErrorType   = "X-Amzn-Errortype"
	headerQueryError  = "X-Amzn-Query-Error"
	headerTarget      = "X-Amz-Target"
	headerSmithyProto = "Smithy-Protocol"
)

// bodiless is the answer to a HEAD request: it has no body.
type bodiless struct{ http.ResponseWriter }

func (bodiless) Write(p []byte) (int, error) { return len(p), nil }

// headOnly returns what an answer to r is written to.
func headOnly(r *http.Request, w http.ResponseWriter) http.ResponseWriter {
	if r != nil && r.Method == http.MethodHead {
		return bodiless{w}
	}
	return w
}

// send writes one answer. Its length is known, so that nothing is chunked. An answer without a body may have set a length of its own:
// that of the body that a GET would have.
func send(w http.ResponseWriter, status int, requestID, contentType string, body []byte) error {
	h := w.Header()
	// A client that finds the usual header looks for S3's no more.
	if h[headerS3RequestID] == nil {
		h[headerRequestID] = []string{requestID}
	}
	if contentType != "" {
		h[headerType] = []string{contentType}
	}
	if status != http.StatusNoContent && (len(body) > 0 || h[headerLength] == nil) {
		h[headerLength] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(status)
	if len(body) == 0 {
		return nil
	}
	_, err := w.Write(body)
	return err
}
