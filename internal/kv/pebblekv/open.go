package pebblekv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"croft/internal/clock"
	"croft/internal/kv"
)

// Sizes of the store in memory. Pebble's memtables start at 256 KiB and double up to memtableBytes; their memory counts against the cache.
const (
	memtableBytes = 8 << 20
	cacheBytes    = 24 << 20
	maxOpenFiles  = 256
)

// Open opens the store that o describes, and creates it if it does not exist.
func Open(o Options) (*Store, error) {
	s, err := newStore(o)
	if err != nil {
		return nil, err
	}
	if err := s.disk.FS.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("pebblekv: cannot create the data folder: %w", err)
	}
	s.lock, err = pebble.LockDirectory(s.dir, s.disk.FS)
	if err != nil {
		if isLockHeld(err) {
			return nil, fmt.Errorf("%w: %s: stop the croft that runs on it, or choose another folder (croft up --data DIR)", ErrLocked, s.dir)
		}
		return nil, fmt.Errorf("pebblekv: cannot lock the data folder: %w", err)
	}
	if err := s.openPebble(o); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stopSyncer = cancel
	go func() {
		defer close(s.syncerDone)
		s.syncer(ctx)
	}()
	return s, nil
}

func newStore(o Options) (*Store, error) {
	s := &Store{
		dir: o.Dir, clock: o.Clock, log: o.Logger, inRAM: o.Ephemeral, gapWork: gapWork,
		failed: make(chan struct{}), syncerDone: make(chan struct{}),
	}
	if s.clock == nil {
		s.clock = clock.Real()
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	base := o.FS
	switch {
	case o.Ephemeral:
		s.dir = "memory"
		if base == nil {
			base = vfs.NewMem()
		}
	case o.Dir == "":
		return nil, errors.New("pebblekv: no data folder given")
	case base == nil:
		base = vfs.Default
		// The lock knows a folder by its name, so a folder must have one name only.
		abs, err := filepath.Abs(o.Dir)
		if err != nil {
			return nil, fmt.Errorf("pebblekv: %w", err)
		}
		if real, err := filepath.EvalSymlinks(abs); err == nil {
			abs = real
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("pebblekv: %w", err)
		}
		s.dir = abs
	default:
		s.dir = base.PathJoin(o.Dir)
	}
	if o.gapWork > 0 {
		s.gapWork = o.gapWork
	}
	s.disk = newDisk(base, s.dir, !o.Fsync, s.fail)
	s.marks.moved.L = &s.marks.mu
	return s, nil
}

func (s *Store) openPebble(o Options) (err error) {
	opts := s.pebbleOptions()
	if o.tune != nil {
		o.tune(opts)
	}
	if s.db, err = pebble.Open(s.dir, opts); err != nil {
		// What the disk said is nearer to the cause than what Pebble made of it.
		if failed := s.Err(); failed != nil {
			return failed
		}
		return fmt.Errorf("pebblekv: cannot open the store in %s, which may be damaged: %w; put a copy of the folder in its place, or begin anew in another folder "+
			"(croft up --data DIR)", s.dir, err)
	}
	err = s.Err()
	if err == nil {
		err = s.readReservation()
	}
	if err == nil {
		err = s.numberAfter(o.NumbersAfter)
	}
	if err != nil {
		return errors.Join(err, s.db.Close())
	}
	s.anchor = s.db.NewSnapshot()
	return nil
}

// pebbleOptions are the same for every way to open a store, so that all can open what any of them has written.
func (s *Store) pebbleOptions() *pebble.Options {
	opts := &pebble.Options{
		FS:     s.disk,
		Lock:   s.lock,
		Merger: counterMerger(),
		Logger: pebbleLog{s},
		// The next format marks in the WAL how far it has been synced, and Open then takes a hole before such a mark for
		// corruption. Here Sync answers before the data is on the disk, so after a loss of power such a hole is nothing but the
		// end of the log, and this is the newest format that reads it so.
		FormatMajorVersion:          pebble.FormatColumnarBlocks,
		CacheSize:                   cacheBytes,
		MemTableSize:                memtableBytes,
		MemTableStopWritesThreshold: 4,
		MaxOpenFiles:                maxOpenFiles,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		// Starts the write-back of long WALs early, so that closing one has little left to wait for.
		WALBytesPerSync: 512 << 10,
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return opts
}

// reservationKey is the row with the highest number that Append may have used.
func reservationKey() []byte { return []byte{metaSpace, 's'} }

func (s *Store) readReservation() error {
	value, closer, err := s.db.Get(reservationKey())
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pebblekv: cannot read the store in %s: %w", s.dir, err)
	}
	s.nextSeq = uint64(kv.Int64(value))
	s.reserved = s.nextSeq
	return closer.Close()
}

// numberAfter reserves the numbers up to n.
func (s *Store) numberAfter(n uint64) error {
	if n <= s.nextSeq {
		return nil
	}
	s.nextSeq, s.reserved = n, n
	return s.db.Set(reservationKey(), kv.EncodeInt64(int64(n)), pebble.Sync)
}

// pebbleLog passes on what Pebble reports.
type pebbleLog struct{ s *Store }

// Infof implements pebble.Logger.
func (l pebbleLog) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (l pebbleLog) Errorf(format string, args ...any) {
	l.s.log.Error("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger. Pebble expects it to end the process; here it ends the store.
func (l pebbleLog) Fatalf(format string, args ...any) {
	l.s.disk.fail(fmt.Errorf("pebble: "+format, args...))
}

// checkpoint writes a copy to dir. What is in memory goes by way of a copy in memory.
func (s *Store) checkpoint(dir string) error {
	if !s.inRAM {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		return s.db.Checkpoint(abs, pebble.WithFlushedWAL())
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(&os.PathError{Op: "checkpoint", Path: dir, Err: os.ErrExist}, err)
	}
	s.life.Lock()
	s.copies++
	inside := fmt.Sprintf("copy-%d", s.copies)
	s.life.Unlock()
	if err := s.db.Checkpoint(inside, pebble.WithFlushedWAL()); err != nil {
		return err
	}
	_, err := vfs.Clone(s.disk.FS, vfs.Default, inside, dir, vfs.CloneSync)
	return errors.Join(err, s.disk.FS.RemoveAll(inside))
}
