package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"croft/internal/cloud"
)

// Payload is what a verified request says of its body: how it is protected, and with what. Its Body checks that while it is read.
type Payload struct {
	declared string // X-Amz-Content-Sha256, or UNSIGNED-PAYLOAD
	verified bool
	key      digest
	scope    Scope
	rawTime  string
	seed     string // the request's own signature, with which the chain of the chunks begins
}

// Body is the content of a request's body, without what protects it.
type Body struct {
	// Reader yields the content. Its last Read returns io.EOF only if the body is whole and what was declared of it is true; otherwise a
	// *cloud.Error.
	io.Reader
	// Size is the content's length as declared.
	Size int64
	// Trailer has the announced trailing headers as its keys, and their values once Reader has returned io.EOF. Nil for none.
	Trailer http.Header
}

// VerifyHead checks the signature of a request to S3 whose body has not been read. The caller reads it through the Payload's Body.
func (v *Verifier) VerifyHead(r *http.Request, now time.Time, keys Keys) (Identity, *Payload, *cloud.Error) {
	c, secret, known, cerr := identify(r, now, keys)
	if cerr != nil {
		return Identity{}, nil, cerr
	}
	p := &Payload{declared: r.Header.Get(hashHeader), scope: c.Scope, rawTime: c.rawTime, seed: strings.ToLower(c.signature), verified: known}
	if p.declared == "" && c.Presigned {
		p.declared = unsignedPayload
	}
	if cerr := p.check(); cerr != nil {
		return Identity{}, nil, cerr
	}
	if !known {
		return Identity{Scope: c.Scope}, p, nil
	}
	if p.key, cerr = v.compare(&c, r, secret, p.declared); cerr != nil {
		return Identity{}, nil, cerr
	}
	return Identity{Scope: c.Scope, Verified: true}, p, nil
}

// The ways in which S3 takes a body in chunks. Source: S3 API Reference, "Signature Calculations for the Authorization Header".
const (
	signedChunks        = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedChunksTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	plainChunksTrailer  = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

func (p *Payload) check() *cloud.Error {
	switch p.declared {
	case unsignedPayload, signedChunks, signedChunksTrailer, plainChunksTrailer:
		return nil
	case "":
		return cloud.Errorf("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	}
	if strings.HasPrefix(p.declared, "STREAMING-") {
		return cloud.Errorf("NotImplemented", "croft does not implement the payload mode %s.", short(p.declared)).WithStatus(http.StatusNotImplemented)
	}
	if sum, err := hex.DecodeString(p.declared); err != nil || len(sum) != sha256.Size {
		return cloud.Errorf("InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, %s, %s, %s or a valid sha256 value.",
			plainChunksTrailer, signedChunks, signedChunksTrailer)
	}
	return nil
}

// Body returns the content of r's body, of at most limit bytes.
func (p *Payload) Body(r *http.Request, limit int64) (*Body, *cloud.Error) {
	size, chunked := r.ContentLength, strings.HasPrefix(p.declared, "STREAMING-")
	if chunked {
		n, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		if err != nil || n < 0 {
			return nil, missingLength()
		}
		size = n
	}
	switch {
	case size < 0:
		return nil, missingLength()
	case size > limit:
		e := cloud.Errorf("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
		e.Fields = map[string]any{"ProposedSize": strconv.FormatInt(size, 10), "MaxSizeAllowed": strconv.FormatInt(limit, 10)}
		return nil, e
	}
	out := &Body{Size: size}
	if chunked {
		d := newChunkReader(p, r.Body, size)
		if p.declared != signedChunks {
			d.trailer = announced(r.Header)
			out.Trailer = d.trailer
		}
		out.Reader = d
		return out, nil
	}
	plain := &plainReader{r: r.Body, left: size}
	if p.declared != unsignedPayload {
		plain.sum, plain.want = sha256.New(), strings.ToLower(p.declared)
	}
	out.Reader = plain
	return out, nil
}

func missingLength() *cloud.Error {
	return cloud.Errorf("MissingContentLength", "You must provide the Content-Length HTTP header.").WithStatus(http.StatusLengthRequired)
}

// announced returns the trailing headers that X-Amz-Trailer names, without values.
func announced(h http.Header) http.Header {
	out := http.Header{}
	for _, list := range h["X-Amz-Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" && len(out) < maxTrailers {
				out[http.CanonicalHeaderKey(name)] = nil
			}
		}
	}
	return out
}

// plainReader reads a body that comes as it is, and compares its hash at the end.
type plainReader struct {
	r    io.Reader
	left int64
	sum  hash.Hash // nil for a body that is not signed
	want string
	err  error
}

// Read implements io.Reader.
func (p *plainReader) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.r.Read(b)
	p.left -= int64(n)
	if p.sum != nil {
		p.sum.Write(b[:n])
	}
	switch {
	case err == nil:
	case err != io.EOF:
		p.err = cutShort(err)
	case p.left != 0:
		p.err = cutShort(io.ErrUnexpectedEOF)
	case p.sum != nil && !equalHex(hex.EncodeToString(p.sum.Sum(nil)), p.want):
		e := cloud.Errorf(ContentSHA256Mismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.")
		e.Fields = map[string]any{"ClientComputedContentSHA256": p.want, "S3ComputedContentSHA256": hex.EncodeToString(p.sum.Sum(nil))}
		p.err = e
	default:
		p.err = io.EOF
	}
	return n, p.err
}

func equalHex(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// cutShort is the answer to a body that ends before its time, or does not come.
func cutShort(cause error) *cloud.Error {
	if errors.Is(cause, os.ErrDeadlineExceeded) {
		e := cloud.Errorf("RequestTimeout", "Your socket connection to the server was not read from or written to within the timeout period. "+
			"Idle connections will be closed.")
		e.Cause = cause
		return e
	}
	e := cloud.Errorf("IncompleteBody", "The request body terminated unexpectedly")
	e.Cause = errors.New(cause.Error()) // not the cause itself: nobody may take this for the end of a body
	return e
}
