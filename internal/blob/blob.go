// Package blob keeps large bodies (deployment packages, later objects) outside the transactional store.
//
// Bodies are addressed by the SHA-256 of their content. A body is durable when Put returns, so a transaction that names
// it afterwards never names something that a crash can take away. Bodies are immutable: the same content is stored once.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
)

// ErrNotFound is returned for a body that is not there.
var ErrNotFound = errors.New("blob: no such body")

// ErrTooLarge is returned by Put for a body over its limit.
var ErrTooLarge = errors.New("blob: body too large")

// Ref names a body: the SHA-256 of its content in lower-case hexadecimal, and its size in bytes.
type Ref struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Body is an open body. The caller closes it.
type Body interface {
	io.ReaderAt
	io.Reader
	io.Closer
}

// Store keeps bodies. All methods are safe for concurrent use.
type Store interface {
	// Put stores what r yields, at most limit bytes, and returns once it survives a loss of power. On any error nothing is there.
	Put(ctx context.Context, r io.Reader, limit int64) (Ref, error)
	// Open opens the body with that SHA-256, or returns ErrNotFound.
	Open(ctx context.Context, sha string) (Body, int64, error)
	// Delete removes a body; one that is not there is no error. Bodies that are open stay readable.
	Delete(ctx context.Context, sha string) error
	// Clear removes every body.
	Clear(ctx context.Context) error
}

// Dir is a Store in a local folder.
type Dir struct{ path string }

// OpenDir returns the store in the folder path, which it makes if need be. Leftovers of an interrupted Put are removed.
func OpenDir(path string) (*Dir, error) {
	d := &Dir{path}
	if err := os.RemoveAll(d.temp()); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	if err := os.MkdirAll(d.temp(), 0o700); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return d, nil
}

func (d *Dir) temp() string { return filepath.Join(d.path, "tmp") }

func (d *Dir) file(sha string) string { return filepath.Join(d.path, sha[:2], sha) }

// Put implements Store.
func (d *Dir) Put(ctx context.Context, r io.Reader, limit int64) (ref Ref, err error) {
	f, err := os.CreateTemp(d.temp(), "put-*")
	if err != nil {
		return Ref{}, fmt.Errorf("blob: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), &ctxReader{ctx, io.LimitReader(r, limit+1)})
	if err == nil && n > limit {
		err = ErrTooLarge
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return Ref{}, fmt.Errorf("blob: %w", err)
	}
	ref = Ref{hex.EncodeToString(h.Sum(nil)), n}
	return ref, d.publish(f.Name(), d.file(ref.SHA256))
}

// publish moves a finished file to its place and makes the move durable.
func (d *Dir) publish(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	for _, dir := range []string{filepath.Dir(to), d.path} {
		if err := syncDir(dir); err != nil {
			return fmt.Errorf("blob: %w", err)
		}
	}
	return nil
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

var shaForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Open implements Store.
func (d *Dir) Open(_ context.Context, sha string) (Body, int64, error) {
	if !shaForm.MatchString(sha) {
		return nil, 0, ErrNotFound
	}
	f, err := os.Open(d.file(sha))
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, ErrNotFound
	}
	if err != nil {
		return nil, 0, fmt.Errorf("blob: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("blob: %w", err), f.Close())
	}
	return f, info.Size(), nil
}

// Delete implements Store.
func (d *Dir) Delete(_ context.Context, sha string) error {
	if !shaForm.MatchString(sha) {
		return nil
	}
	if err := os.Remove(d.file(sha)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

// Clear implements Store.
func (d *Dir) Clear(context.Context) error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	for _, e := range entries {
		if e.Name() == "tmp" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(d.path, e.Name())); err != nil {
			return fmt.Errorf("blob: %w", err)
		}
	}
	return nil
}
