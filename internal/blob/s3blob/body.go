package s3blob

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/minio/minio-go/v7"

	"croft/internal/blob"
)

const (
	// blockSize is how much a short ReadAt fetches, and blocks how many of these a body keeps: those who read a zip file read a few bytes
	// here and there, and then on from there.
	blockSize = 1 << 20
	blocks    = 4
	// resumes bounds how often reading goes on after the connection broke.
	resumes = 4
)

// body is an open body, which is fetched in ranges.
type body struct {
	ctx  context.Context
	s    *Store
	key  string
	size int64
	// sha is the hash that was sent along; empty when the object has none.
	sha string

	// off is where Read goes on, stream what it reads from, and sum the hash of the first hashed bytes.
	off    int64
	stream io.ReadCloser
	sum    hash.Hash
	hashed int64

	mu     sync.Mutex
	cached []block // the last used comes first
}

type block struct {
	number int64
	data   []byte
}

// get asks for the bytes from off to end.
func (b *body) get(off, end int64) (io.ReadCloser, error) {
	var opts minio.GetObjectOptions
	if err := opts.SetRange(off, end-1); err != nil {
		return nil, err
	}
	r, info, _, err := b.s.core.GetObject(b.ctx, b.s.bucket, b.key, opts)
	switch {
	case isNotFound(err):
		return nil, blob.ErrNotFound
	case err != nil:
		return nil, failed(err)
	case info.Size != end-off:
		return nil, errors.Join(fmt.Errorf("%w: asked for %d bytes of %s, got %d", blob.ErrDamaged, end-off, b.key, info.Size), r.Close())
	}
	return r, nil
}

// Read implements blob.Body. The last bytes are withheld when the whole is not what was put.
func (b *body) Read(p []byte) (n int, err error) {
	if b.off >= b.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	for range resumes {
		if b.stream == nil {
			if b.stream, err = b.get(b.off, b.size); err != nil {
				return 0, err
			}
		}
		if n, err = b.stream.Read(p); n > 0 {
			return b.took(p[:n])
		}
		b.drop()
		if b.ctx.Err() != nil {
			return 0, b.ctx.Err()
		}
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return 0, fmt.Errorf("blob: %s was cut off at %d of %d bytes: %w", b.key, b.off, b.size, err)
}

// took accounts for bytes that were read.
func (b *body) took(p []byte) (int, error) {
	if b.hashed == b.off {
		b.sum.Write(p)
		b.hashed += int64(len(p))
	}
	b.off += int64(len(p))
	if b.hashed == b.size && b.sha != "" {
		if got := hex.EncodeToString(b.sum.Sum(nil)); got != b.sha {
			b.off -= int64(len(p))
			b.drop()
			return 0, fmt.Errorf("%w: %s has the SHA-256 %s, not %s", blob.ErrDamaged, b.key, got, b.sha)
		}
	}
	return len(p), nil
}

func (b *body) drop() {
	if b.stream != nil {
		_ = b.stream.Close() // what it would say has been said by Read
		b.stream = nil
	}
}

// Seek implements blob.Body.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.off
	case io.SeekEnd:
		offset += b.size
	}
	if offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, errors.New("blob: seek to nowhere")
	}
	if offset != b.off {
		b.drop()
	}
	b.off = offset
	return offset, nil
}

// ReadAt implements blob.Body.
func (b *body) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("blob: read from nowhere")
	}
	if off >= b.size {
		return 0, io.EOF
	}
	var short error
	if rest := b.size - off; int64(len(p)) > rest {
		p, short = p[:rest], io.EOF
	}
	if len(p) >= blockSize {
		n, err := b.fetch(p, off)
		if err == nil {
			err = short
		}
		return n, err
	}
	for n := 0; n < len(p); {
		at := off + int64(n)
		data, err := b.block(at / blockSize)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], data[at%blockSize:])
	}
	return len(p), short
}

// block returns one of the pieces that a body is fetched in for short reads.
func (b *body) block(number int64) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, c := range b.cached {
		if c.number == number {
			copy(b.cached[1:i+1], b.cached[:i])
			b.cached[0] = c
			return c.data, nil
		}
	}
	at := number * blockSize
	data := make([]byte, min(blockSize, b.size-at))
	if _, err := b.fetch(data, at); err != nil {
		return nil, err
	}
	if len(b.cached) < blocks {
		b.cached = append(b.cached, block{})
	}
	copy(b.cached[1:], b.cached)
	b.cached[0] = block{number, data}
	return data, nil
}

// fetch fills p from off, going on where a connection broke.
func (b *body) fetch(p []byte, off int64) (n int, err error) {
	for range resumes {
		r, err := b.get(off+int64(n), off+int64(len(p)))
		if err != nil {
			return n, err
		}
		more, err := io.ReadFull(r, p[n:])
		_ = r.Close() // everything asked for has been read, or the error says why not
		if n += more; n == len(p) {
			return n, nil
		}
		if b.ctx.Err() != nil {
			return n, b.ctx.Err()
		}
	}
	return n, fmt.Errorf("blob: %s was cut off at %d of %d bytes: %w", b.key, off+int64(n), b.size, io.ErrUnexpectedEOF)
}

// Close implements blob.Body.
func (b *body) Close() error {
	b.drop()
	return nil
}
