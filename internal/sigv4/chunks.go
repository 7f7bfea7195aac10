package sigv4

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"croft/internal/cloud"
)

const (
	// maxTrailers and maxLine bound what follows a body in chunks, and the lines between them.
	maxTrailers = 16
	maxLine     = 4096
)

// emptySum is the SHA-256 of nothing, which stands for a chunk's headers in what its signature covers.
const emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// chunkReader reads a body in the encoding aws-chunked: chunks that begin with their length and, when they are signed, a signature that
// covers the one before. Whatever the length of a chunk, none of it is kept: a wrong signature shows when the chunk has been read, and
// the reader never returns io.EOF.
type chunkReader struct {
	payload *Payload
	r       *bufio.Reader
	left    int64  // of the chunk
	total   int64  // still to come, by what was declared
	began   bool   // a chunk is under way or has been
	given   string // the signature of the chunk
	last    string // the signature of the chunk before
	sum     hash.Hash
	trailer http.Header // nil when none may follow
	err     error
}

func newChunkReader(p *Payload, r io.Reader, total int64) *chunkReader {
	return &chunkReader{payload: p, r: bufio.NewReaderSize(r, maxLine), total: total, last: p.seed, sum: sha256.New()}
}

func (d *chunkReader) signed() bool { return d.payload.declared != plainChunksTrailer }

// Read implements io.Reader.
func (d *chunkReader) Read(b []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if len(b) == 0 {
		return 0, nil
	}
	if d.left == 0 {
		if d.err = d.next(); d.err != nil {
			return 0, d.err
		}
	}
	n, err := d.r.Read(b[:min(int64(len(b)), d.left)])
	d.left -= int64(n)
	d.total -= int64(n)
	if d.signed() && d.payload.verified {
		d.sum.Write(b[:n])
	}
	if err != nil {
		d.err = cutShort(err)
	}
	return n, d.err
}

// next ends the chunk that has been read and begins another. At the end of the body it reads what follows and returns io.EOF.
func (d *chunkReader) next() error {
	if d.began {
		if line, err := d.line(); err != nil {
			return unexpected(err)
		} else if line != "" {
			return badChunk("a chunk is longer than it says")
		}
		if err := d.checkChunk(); err != nil {
			return err
		}
	}
	line, err := d.line()
	if err != nil {
		return unexpected(err)
	}
	if err := d.header(line); err != nil {
		return err
	}
	switch {
	case d.left > d.total:
		return badChunk("there is more of it than X-Amz-Decoded-Content-Length says")
	case d.left > 0:
		return nil
	case d.total != 0:
		return cutShort(io.ErrUnexpectedEOF)
	}
	if err := d.checkChunk(); err != nil {
		return err
	}
	return d.end()
}

// header reads a chunk's first line: its length in hexadecimal and its signature.
func (d *chunkReader) header(line string) error {
	length, rest, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(length, 16, 63)
	if err != nil || len(length) > 16 {
		return badChunk("a chunk begins without its length")
	}
	d.left, d.began = int64(n), true
	if !d.signed() {
		return nil
	}
	given, ok := strings.CutPrefix(rest, "chunk-signature=")
	if !ok || len(given) != 2*sha256.Size {
		return badChunk("a chunk has no signature")
	}
	d.given = strings.ToLower(given)
	return nil
}

// checkChunk compares the signature of the chunk that has been read.
func (d *chunkReader) checkChunk() error {
	if !d.signed() || !d.payload.verified {
		return nil
	}
	want := d.payload.chain("AWS4-HMAC-SHA256-PAYLOAD", d.last, emptySum+"\n"+hex.EncodeToString(d.sum.Sum(nil)))
	if !equalHex(want, d.given) {
		return mismatch(&d.payload.scope)
	}
	d.last = want
	d.sum.Reset()
	return nil
}

// chain returns the signature of what follows something signed with last.
func (p *Payload) chain(kind, last, what string) string {
	sum := mac(p.key[:], kind+"\n"+p.rawTime+"\n"+p.scope.text()+"\n"+last+"\n"+what)
	return hex.EncodeToString(sum[:])
}

// end reads the trailing headers, the empty line behind them, and nothing more. It returns io.EOF when all is right.
func (d *chunkReader) end() error {
	covered, signature := sha256.New(), ""
	signedTrailer := d.payload.declared == signedChunksTrailer
	for lines := 0; ; lines++ {
		line, err := d.line()
		// Some clients leave out the last line's end, and so does a body without trailing headers.
		if errors.Is(err, errAtEnd) {
			return d.finish(covered, signature)
		}
		if err != nil {
			return err
		}
		if line == "" && (!signedTrailer || signature != "" || lines > maxTrailers) {
			break
		}
		if line == "" {
			continue // S3's own examples have an empty line before the signature
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		key := http.CanonicalHeaderKey(name)
		_, expected := d.trailer[key]
		switch {
		case name == "x-amz-trailer-signature" && signature == "" && signedTrailer:
			signature = strings.ToLower(value)
		case !ok || !expected || d.trailer[key] != nil || lines > maxTrailers || signature != "":
			return badTrailer()
		default:
			d.trailer[key] = []string{value}
			covered.Write([]byte(name + ":" + value + "\n"))
		}
	}
	if _, err := d.r.ReadByte(); err == nil {
		return badChunk("something follows its last chunk")
	} else if !errors.Is(err, io.EOF) {
		return cutShort(err)
	}
	return d.finish(covered, signature)
}

func (d *chunkReader) finish(covered hash.Hash, signature string) error {
	for _, values := range d.trailer {
		if values == nil {
			return badTrailer()
		}
	}
	if d.payload.declared == signedChunksTrailer && d.payload.verified {
		want := d.payload.chain("AWS4-HMAC-SHA256-TRAILER", d.last, hex.EncodeToString(covered.Sum(nil)))
		if !equalHex(want, signature) {
			return mismatch(&d.payload.scope)
		}
	}
	return io.EOF
}

// errAtEnd is returned by line when the body ends where a line would begin.
var errAtEnd = errors.New("sigv4: the body ends here")

// line reads one line without its end, which is CR LF or LF.
func (d *chunkReader) line() (string, error) {
	text, err := d.r.ReadSlice('\n')
	switch {
	case errors.Is(err, io.EOF) && len(text) == 0 && d.left == 0 && d.began:
		return "", errAtEnd
	case errors.Is(err, bufio.ErrBufferFull):
		return "", badChunk("one of its lines is too long")
	case err != nil:
		return "", cutShort(err)
	}
	return strings.TrimSuffix(string(text[:len(text)-1]), "\r"), nil
}

// unexpected is the answer to a body that ends where it may not.
func unexpected(err error) error {
	if errors.Is(err, errAtEnd) {
		return cutShort(io.ErrUnexpectedEOF)
	}
	return err
}

// badChunk says what is wrong with the encoding of a body.
func badChunk(what string) *cloud.Error {
	return cloud.Errorf("IncompleteBody", "The request body is not in the encoding aws-chunked: %s.", what)
}

func badTrailer() *cloud.Error {
	return cloud.Errorf("MalformedTrailerError", "The request contained trailing data that was not well-formed or did not conform to our published schema.")
}
