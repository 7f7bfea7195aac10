package bundle

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// maxKept is how many unpacked packages a Store keeps that nobody uses.
const maxKept = 128

// Opener opens a zip file. The Closer is closed once it has been read.
type Opener func(ctx context.Context) (io.ReaderAt, int64, io.Closer, error)

// Store keeps unpacked packages in a folder, each under the hash of its zip file, and unpacks each once. It is safe for concurrent use by
// one process; what it holds is a cache.
type Store struct {
	dir string

	mu       sync.Mutex
	packages map[string]*unpacked
	clock    uint64 // counts uses, to tell which is the oldest
}

type unpacked struct {
	refs int
	used uint64
	// ready closes when err is set and, without an error, the folder is there.
	ready chan struct{}
	err   error
}

// NewStore opens the store in dir, which is created when missing. Remains of an unpacking that was cut short are removed.
func NewStore(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, packages: map[string]*unpacked{}}
	done := make(chan struct{})
	close(done)
	for _, e := range entries {
		if !isHash(e.Name()) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
			continue
		}
		s.packages[e.Name()] = &unpacked{ready: done}
	}
	return s, nil
}

func isHash(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// Acquire returns the folder with the unpacked package whose zip file has the SHA-256 sha in hexadecimal, and unpacks it with open if
// need be. The folder stays until release is called.
func (s *Store) Acquire(ctx context.Context, sha string, open Opener) (dir string, release func(), err error) {
	if !isHash(sha) {
		return "", nil, fmt.Errorf("bundle: %.80q is not a SHA-256 in hexadecimal", sha)
	}
	return s.acquire(ctx, sha, func(ctx context.Context, dir string) error {
		r, size, closer, err := open(ctx)
		if err != nil {
			return err
		}
		defer closer.Close()
		return Unpack(ctx, r, size, dir)
	})
}

// acquire returns the folder of that name, which fill fills if need be.
func (s *Store) acquire(ctx context.Context, name string, fill func(ctx context.Context, dir string) error) (dir string, release func(), err error) {
	s.mu.Lock()
	p, ok := s.packages[name]
	if !ok {
		p = &unpacked{ready: make(chan struct{})}
		s.packages[name] = p
	}
	s.clock++
	p.refs, p.used = p.refs+1, s.clock
	s.mu.Unlock()
	if !ok {
		p.err = s.make(ctx, name, fill)
		close(p.ready)
	}
	select {
	case <-p.ready:
		err = p.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.release(name, p)
		return "", nil, err
	}
	return filepath.Join(s.dir, name), sync.OnceFunc(func() { s.release(name, p) }), nil
}

// release gives up one use. A failed unpacking is forgotten with its last use, so that the next caller tries anew, and
// the oldest unused package goes when there are too many.
func (s *Store) release(name string, p *unpacked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.refs--
	if p.refs == 0 && p.err != nil {
		delete(s.packages, name)
	}
	if len(s.packages) <= maxKept {
		return
	}
	oldest := ""
	for other, q := range s.packages {
		if q.refs == 0 && (oldest == "" || q.used < s.packages[oldest].used) {
			oldest = other
		}
	}
	if oldest == "" {
		return
	}
	// A folder that cannot be removed stays known and is tried again later.
	if os.RemoveAll(filepath.Join(s.dir, oldest)) == nil {
		delete(s.packages, oldest)
	}
}

// make fills a folder beside the others and gives it its name once it is complete.
func (s *Store) make(ctx context.Context, name string, fill func(ctx context.Context, dir string) error) error {
	tmp, err := os.MkdirTemp(s.dir, "unpacking-")
	if err != nil {
		return err
	}
	err = fill(ctx, tmp)
	if err == nil {
		err = os.Rename(tmp, filepath.Join(s.dir, name))
	}
	if err != nil {
		// What cannot be removed now is removed at the next start.
		_ = os.RemoveAll(tmp)
	}
	return err
}
