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
	"strconv"
	"sync"
	"sync/atomic"

	"croft/internal/clock"
)

// DirOptions say how a Dir works.
type DirOptions struct {
	// Clock gives the times of new bodies; the machine's when nil.
	Clock clock.Clock
	// NoSync leaves it to the operating system when bodies reach the disk: for folders that nobody needs after a loss of power.
	NoSync bool
	// Owner is the cloud that the bodies belong to. The first one to open a folder makes it its own, and later ones of other names get
	// ErrForeign. When empty, nobody is asked.
	Owner string
}

// Dir is a Store in a local folder, or one that several machines mount. A body ID is the file XX/ID, XX being the id's last two digits,
// which are random. Files of former versions are XX/SHA with the first two. What is being put lies in tmp, under the time of its beginning.
type Dir struct {
	path string
	opts DirOptions
	ops  ops
	lock *os.File
	// made has the shards whose entry in the folder is known to be durable.
	made [256]atomic.Bool
}

// ops are the steps that durability depends on. Tests watch them, and make them fail.
type ops struct {
	sync    func(*os.File) error
	rename  func(from, to string) error
	mkdir   func(path string) error
	syncDir func(path string) error
}

func realOps(noSync bool) ops {
	o := ops{sync: (*os.File).Sync, rename: os.Rename, mkdir: mkdir, syncDir: syncDir}
	if noSync {
		o.sync = func(*os.File) error { return nil }
		o.syncDir = func(string) error { return nil }
	}
	return o
}

func mkdir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
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

// OpenDir returns the store in the folder path, which it makes if need be. When nobody else has it open, leftovers of
// interrupted Puts are removed.
func OpenDir(path string, o DirOptions) (_ *Dir, err error) {
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	d := &Dir{path: path, opts: o, ops: realOps(o.NoSync)}
	if err := os.MkdirAll(d.temp(), 0o700); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	if err := d.ops.syncDir(path); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	var alone bool
	if d.lock, alone, err = lockDir(filepath.Join(path, "lock")); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	if err := d.begin(alone); err != nil {
		return nil, errors.Join(err, d.lock.Close())
	}
	return d, nil
}

// begin claims the folder, and tidies it up for those who have it alone.
func (d *Dir) begin(alone bool) error {
	if d.opts.Owner != "" {
		if err := d.claim(d.opts.Owner); err != nil {
			return fmt.Errorf("blob: %w", err)
		}
	}
	if !alone {
		return nil
	}
	if err := errors.Join(removeIn(d.temp()), shareLock(d.lock)); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

func removeIn(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// Close gives the folder up. Open bodies stay readable.
func (d *Dir) Close() error { return d.lock.Close() }

func (d *Dir) temp() string { return filepath.Join(d.path, "tmp") }

// file returns where the body of an id is, and false for what is no id.
func (d *Dir) file(id string) (string, bool) {
	switch _, ok := Created(id); {
	case ok:
		return filepath.Join(d.path, id[len(id)-2:], id), true
	case IsFormer(id):
		return filepath.Join(d.path, id[:2], id), true
	default:
		return "", false
	}
}

// Put implements Store.
func (d *Dir) Put(ctx context.Context, r io.Reader, limit int64) (Ref, error) {
	temp := filepath.Join(d.temp(), NewID(d.opts.Clock.Now()))
	ref, err := d.write(temp, Limit(ctx, r, limit))
	if err == nil {
		ref.ID = NewID(d.opts.Clock.Now())
		err = d.publish(temp, ref.ID)
	}
	if err == nil {
		return ref, nil
	}
	if rest := os.Remove(temp); rest != nil && !errors.Is(rest, os.ErrNotExist) {
		err = errors.Join(err, rest)
	}
	return Ref{}, fmt.Errorf("blob: %w", err)
}

// write copies r into a new file and makes it durable.
func (d *Dir) write(path string, r io.Reader) (Ref, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return Ref{}, err
	}
	h := sha256.New()
	buf := buffers.Get().(*[]byte)
	n, err := io.CopyBuffer(io.MultiWriter(f, h), r, *buf)
	buffers.Put(buf)
	if err == nil {
		err = d.ops.sync(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return Ref{}, err
	}
	return Ref{SHA256: hex.EncodeToString(h.Sum(nil)), Size: n}, nil
}

// buffers are what bodies are copied through.
var buffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

// publish moves a finished file to its place and makes the move durable. After an error it is at neither.
func (d *Dir) publish(from, id string) error {
	to, _ := d.file(id)
	shard := filepath.Dir(to)
	number, err := strconv.ParseUint(filepath.Base(shard), 16, 8)
	if err != nil {
		return err
	}
	if !d.made[number].Load() {
		if err := d.ops.mkdir(shard); err != nil {
			return err
		}
		// Even if another process made it: that one may not have come to this yet.
		if err := d.ops.syncDir(d.path); err != nil {
			return err
		}
		d.made[number].Store(true)
	}
	if err := d.ops.rename(from, to); err != nil {
		return err
	}
	if err := d.ops.syncDir(shard); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

// Open implements Store. The body is the *os.File.
func (d *Dir) Open(ctx context.Context, id string) (Body, int64, error) {
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	path, ok := d.file(id)
	if !ok {
		return nil, 0, ErrNotFound
	}
	f, err := os.Open(path)
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
func (d *Dir) Delete(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	path, ok := d.file(id)
	if !ok {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}
