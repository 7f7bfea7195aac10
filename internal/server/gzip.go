package server

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"strings"
	"sync"

	"croft/internal/cloud"
	"croft/internal/wire"
)

// unpackBody returns a body without the compression that its Content-Encoding names: SDKs compress what PutMetricData sends. The signature
// is over the body as it came. The header means something else where a body may be anything: in S3 and Lambda it belongs to what is
// stored or passed on, so that it is looked at in the RPC protocols alone. The caller calls release once the body is no longer used.
func unpackBody(svc *wire.Service, r *request, body []byte) (plain []byte, release func(), cerr *cloud.Error) {
	encoding := strings.ToLower(strings.TrimSpace(strings.Join(r.Header.Values("Content-Encoding"), ",")))
	if encoding == "" || encoding == "identity" || !svc.SpeaksRPC() {
		return body, func() {}, nil
	}
	if encoding != "gzip" {
		return nil, func() {}, cloud.Errorf("UnsupportedMediaTypeException", "croft does not unpack the content encoding %.64q, only gzip.", encoding).
			WithStatus(http.StatusUnsupportedMediaType)
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, func() {}, badGzip()
	}
	b := &budgetedBody{ReadCloser: z, memory: r.memory}
	plain, err = readLarge(b, -1)
	switch {
	case err == nil:
		return plain, sync.OnceFunc(b.release), nil
	case errors.Is(err, errTooLarge) || errors.Is(err, errBusy):
		cerr = unreadable(err)
	default: // what is in memory fails only for what it is
		cerr = badGzip()
	}
	b.release()
	return nil, func() {}, cerr
}

func badGzip() *cloud.Error {
	return cloud.Errorf("SerializationException", "The request's body is not what its Content-Encoding says, gzip.")
}
