package pebblekv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"croft/internal/clock"
	"croft/internal/kv"
)

// Errors of this store.
var (
	// ErrLocked is returned by Open when another process, or another store of this one, has the folder.
	ErrLocked = errors.New("pebblekv: the data folder is in use")
	// ErrFailed is returned by everything once the disk has failed, and by the calls that were waiting for it. A commit that was
	// under way at that moment may be there at the next Open or not; what had been acknowledged is.
	ErrFailed = errors.New("pebblekv: the store has stopped")
)

// The spaces of Pebble's keys.
const (
	userSpace    = 'k'
	userSpaceEnd = 'l'
	metaSpace    = 'm'
)

// appendBlock is how many numbers for Append are reserved by one write of the reservation row.
const appendBlock = 1 << 16

// Options say which store to open and how.
type Options struct {
	// Dir is the store's folder. It is created if needed.
	Dir string
	// Ephemeral keeps everything in memory; Dir is not used.
	Ephemeral bool
	// Fsync makes Update wait until its commit survives loss of power, and not only the death of the process.
	Fsync bool
	// Clock paces retries and the background fsync. Nil means the machine's, and that is right even for a cloud whose own
	// time is driven by hand: a store on a Manual clock waits for someone to advance it.
	Clock clock.Clock
	// Logger receives what operators should know. Nil means none.
	Logger *slog.Logger
	// NumbersAfter has Append number from above it, even if the store has used no number yet: for a copy of another store.
	NumbersAfter uint64
	// FS is the file system for tests; nil means the machine's.
	FS vfs.FS

	// tune changes Pebble's options: how the metamorphic test gets stores of different shape.
	tune func(*pebble.Options)
	// gapWork replaces the constant of that name.
	gapWork int
}

// Store implements kv.Store.
type Store struct {
	db    *pebble.DB
	lock  *pebble.Lock
	disk  *disk
	dir   string
	clock clock.Clock
	log   *slog.Logger
	inRAM bool
	// gapWork is the constant, but for tests.
	gapWork int
	hist    history
	gaps    gaps
	marks   watermark
	watch   kv.Watchers

	// commitMu orders commits. Below it is what a commit needs to know of those before it.
	commitMu sync.Mutex
	counters counters
	nextSeq  uint64
	reserved uint64
	// anchor is an old snapshot: whenever the oldest snapshot is closed, Pebble looks for compactions, which costs more than a small
	// transaction. So there is an older one than any transaction's, and it is renewed now and then.
	anchor *pebble.Snapshot
	// applying is the number of the last commit that a snapshot taken from now on may contain.
	applying atomic.Uint64

	commits, conflicts atomic.Uint64

	life   sync.Mutex
	closed bool
	copies int
	busy   sync.WaitGroup

	failOnce sync.Once
	failure  atomic.Pointer[error]
	failed   chan struct{}
	// wedged is set when Pebble panicked and may hold its locks for ever.
	wedged atomic.Bool

	stopSyncer context.CancelFunc
	syncerDone chan struct{}
}

var _ kv.Store = (*Store)(nil)

// Failed is closed when the store has stopped for good because of its disk. Err says why.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err returns why the store has stopped, or nil.
func (s *Store) Err() error {
	if p := s.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// Stats returns how many transactions with writes have been committed, and how many attempts were run again because of conflicts.
func (s *Store) Stats() (commits, conflicts uint64) {
	return s.commits.Load(), s.conflicts.Load()
}

// fail stops the store for good.
func (s *Store) fail(cause error) {
	s.failOnce.Do(func() {
		err := fmt.Errorf("%w because its disk failed (free space or repair the disk under %s, then start again; nothing acknowledged is lost): %w",
			ErrFailed, s.dir, cause)
		s.failure.Store(&err)
		close(s.failed)
		s.log.Error("the store has stopped", "dir", s.dir, "error", cause)
		s.marks.release()
	})
}

// enter begins a use of the store, which exit ends.
func (s *Store) enter() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return kv.ErrClosed
	}
	if err := s.Err(); err != nil {
		return err
	}
	s.busy.Add(1)
	return nil
}

func (s *Store) exit() { s.busy.Done() }

// View implements kv.Store.
func (s *Store) View(ctx context.Context, fn func(context.Context, kv.Reader) error) error {
	if joined, err := kv.JoinView(ctx, s, fn); joined {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.exit()
	r := &reader{store: s, ctx: ctx}
	defer r.close()
	if err := r.open(); err != nil {
		return err
	}
	err := fn(kv.WithReader(ctx, s, r), r)
	if failed := s.settled(r); failed != nil {
		return failed
	}
	return err
}

// settled waits until everything that r can have seen is as durable as promised.
func (s *Store) settled(r *reader) error {
	if r.snap != nil {
		s.marks.wait(r.newest, func() bool { return s.failure.Load() != nil })
	}
	return s.Err()
}

// Watch implements kv.Store.
func (s *Store) Watch(prefix []byte) kv.Watch { return s.watch.Open(prefix) }

// Close implements kv.Store. After a failure of the disk it returns the reason.
func (s *Store) Close() error {
	s.life.Lock()
	again := s.closed
	s.closed = true
	s.life.Unlock()
	if again {
		return nil
	}
	s.busy.Wait()
	var err error
	if !s.wedged.Load() {
		err = errors.Join(s.anchor.Close(), s.db.Close())
	}
	s.stopSyncer()
	<-s.syncerDone
	err = errors.Join(err, s.lock.Close())
	if failed := s.Err(); failed != nil {
		return failed
	}
	return err
}

// Checkpoint implements kv.Store. The copy is a folder for Options.Dir, on the machine's own file system even if the store is
// ephemeral.
func (s *Store) Checkpoint(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.exit()
	if err := s.checkpoint(dir); err != nil {
		return fmt.Errorf("pebblekv: checkpoint to %s: %w", dir, err)
	}
	return s.Err()
}
