package pebblekv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"croft/internal/clock"
	"croft/internal/kv"
)

// load is writers at work. Each commit of writer w sets a/w and b/w to its number, counts n and appends to the log, so that
// what a store holds after a crash can be checked for being whole, in order and complete.
type load struct {
	s  *Store
	wg sync.WaitGroup

	mu sync.Mutex
	// acked is the last acknowledged number of each writer.
	acked [4]int64
	total int
	moved chan struct{}
	errs  []error
}

// startLoad runs writers until their first error, or until stop is closed.
func startLoad(s *Store, stop <-chan struct{}) *load {
	l := &load{s: s, moved: make(chan struct{}, 1)}
	for w := range l.acked {
		l.wg.Go(func() {
			for i := int64(1); ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				err := l.write(w, i)
				l.mu.Lock()
				if err != nil {
					l.errs = append(l.errs, err)
				} else {
					l.acked[w] = i
					l.total++
				}
				l.mu.Unlock()
				select {
				case l.moved <- struct{}{}:
				default:
				}
				if err != nil {
					return
				}
			}
		})
	}
	return l
}

func (l *load) write(w int, i int64) error {
	return l.s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error {
		n := kv.EncodeInt64(i)
		return errors.Join(
			tx.Put(kv.Key("a").Int(int64(w)), n),
			tx.Put(kv.Key("padding").Int(int64(w)), make([]byte, 700)),
			tx.Put(kv.Key("b").Int(int64(w)), n),
			tx.Add([]byte("n"), 1),
			tx.Append([]byte("log"), fmt.Appendf(nil, "%d/%d", w, i)),
		)
	})
}

// await waits until n commits have been acknowledged and returns what is.
func (l *load) await(n int) [4]int64 {
	for {
		l.mu.Lock()
		acked, total, failed := l.acked, l.total, len(l.errs) > 0
		l.mu.Unlock()
		if total >= n || failed {
			return acked
		}
		<-l.moved
	}
}

// checkLoad checks what a store holds: at least what was acknowledged, no transaction in part, and nothing without what came before it.
func checkLoad(t *testing.T, s *Store, acked [4]int64) {
	t.Helper()
	err := s.View(context.Background(), func(_ context.Context, r kv.Reader) error {
		var logged [4]int64
		last, entries := uint64(0), int64(0)
		for e, err := range r.Scan(kv.LogRange([]byte("log"), 0), kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			var w, i int64
			if _, err := fmt.Sscanf(string(e.Value), "%d/%d", &w, &i); err != nil {
				return err
			}
			if i != logged[w]+1 {
				t.Errorf("writer %d: %d is logged after %d", w, i, logged[w])
			}
			logged[w] = i
			n, err := kv.LogSeq([]byte("log"), e.Key)
			if err != nil || n <= last {
				t.Errorf("number %d after %d, %v", n, last, err)
			}
			last = n
			entries++
		}
		number := func(key []byte) int64 {
			v, err := r.Get(key)
			if err != nil && !errors.Is(err, kv.ErrNotFound) {
				t.Error(err)
			}
			return kv.Int64(v)
		}
		for w, want := range acked {
			a, b := number(kv.Key("a").Int(int64(w))), number(kv.Key("b").Int(int64(w)))
			if a != b || a != logged[w] || a < want {
				t.Errorf("writer %d: a %d, b %d, logged %d, acknowledged %d", w, a, b, logged[w], want)
			}
		}
		if n := number([]byte("n")); n != entries {
			t.Errorf("counted %d, logged %d", n, entries)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	more := &load{s: s}
	if err := more.write(0, 1); err != nil {
		t.Errorf("the store takes no more: %v", err)
	}
}

// crash opens what is left of fs and checks it.
func crash(t *testing.T, fs *vfs.MemFS, o Options, cfg vfs.CrashCloneCfg, acked [4]int64) {
	t.Helper()
	o.FS = fs.CrashClone(cfg)
	s, err := Open(o)
	if err != nil {
		t.Fatalf("after the crash: %v", err)
	}
	checkLoad(t, s, acked)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestCrash(t *testing.T) {
	for _, c := range []struct {
		name  string
		fsync bool
		// kept is the percentage of the data without sync that the crash leaves. The death of the process leaves all.
		kept int
		// mayLose says that only what was synced on purpose has to be there.
		mayLose bool
	}{
		{"kill", false, 100, false},
		{"kill, fsync", true, 100, false},
		{"power, fsync", true, 0, false},
		{"power with leftovers, fsync", true, 50, false},
		{"power", false, 0, true},
		{"power with leftovers", false, 50, true},
		{"power with many leftovers", false, 90, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			o := Options{FS: fs, Dir: "db", Fsync: c.fsync, tune: tiny}
			s := open(t, o)
			stop := make(chan struct{})
			l := startLoad(s, stop)
			for i := range 20 {
				acked := l.await(30 * (i + 1))
				if c.mayLose {
					s.disk.syncWALs()
				}
				crash(t, fs, o, vfs.CrashCloneCfg{UnsyncedDataPercent: c.kept, RNG: clock.Random(uint64(i))}, acked)
			}
			close(stop)
			l.wg.Wait()
			if len(l.errs) > 0 {
				t.Error(l.errs)
			}
		})
	}
}

// TestLongLogAfterPowerLoss: holes far from the end of a log that was not synced are its end, and no corruption.
func TestLongLogAfterPowerLoss(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := Options{FS: fs, Dir: "db", Clock: clock.NewManual(clock.Real().Now())}
	// The log of a new store is begun before the store has its format.
	if err := open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	l := &load{s: open(t, o)}
	for i := range int64(200) {
		if err := l.write(0, i+1); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		crash(t, fs, o, vfs.CrashCloneCfg{UnsyncedDataPercent: 80, RNG: clock.Random(uint64(i))}, [4]int64{})
	}
}

// TestDiskErrors lets the disk fail at every kind of operation, early and late, once or from then on.
func TestDiskErrors(t *testing.T) {
	writes := func(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsWrite }
	only := func(kinds ...errorfs.OpKind) func(errorfs.Op) bool {
		return func(op errorfs.Op) bool {
			for _, k := range kinds {
				if op.Kind == k {
					return true
				}
			}
			return false
		}
	}
	for name, match := range map[string]func(errorfs.Op) bool{
		"any":    writes,
		"log":    func(op errorfs.Op) bool { return writes(op) && strings.HasSuffix(op.Path, ".log") },
		"table":  func(op errorfs.Op) bool { return writes(op) && strings.HasSuffix(op.Path, ".sst") },
		"sync":   only(errorfs.OpFileSync, errorfs.OpFileSyncData),
		"create": only(errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpRename),
		"manifest": func(op errorfs.Op) bool {
			return writes(op) && strings.Contains(op.Path, "MANIFEST")
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, fsync := range []bool{false, true} {
				for at := 0; at < 200; at = at*5/4 + 1 {
					diskErrorCase(t, match, int64(at), fsync, at%2 == 0)
				}
			}
		})
	}
}

func diskErrorCase(t *testing.T, match func(errorfs.Op) bool, at int64, fsync, once bool) {
	t.Helper()
	var seen, injected atomic.Int64
	mem := vfs.NewCrashableMem()
	o := Options{Dir: "db", Fsync: fsync, tune: tiny}
	o.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !match(op) {
			return nil
		}
		n := seen.Add(1) - 1
		if n == at || n > at && !once {
			injected.Add(1)
			return errorfs.ErrInjected
		}
		return nil
	}))
	acked, ok := failingLoad(t, o)
	if !ok && injected.Load() == 0 {
		t.Fatalf("operation %d: an error came from nowhere", at)
	}
	kept := 100
	if fsync {
		kept = 0
	}
	crash(t, mem, Options{Dir: "db", Fsync: fsync, tune: tiny}, vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: clock.Random(1)}, acked)
}

// failingLoad works on a store until the disk fails or it has done enough.
func failingLoad(t *testing.T, o Options) (acked [4]int64, ok bool) {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		return acked, false
	}
	stop := make(chan struct{})
	l := startLoad(s, stop)
	l.await(80)
	close(stop)
	l.wg.Wait()
	for _, err := range l.errs {
		if !errors.Is(err, ErrFailed) || !errors.Is(err, errorfs.ErrInjected) {
			t.Errorf("a writer got %v", err)
		}
	}
	if len(l.errs) > 0 {
		<-s.Failed()
		if err := l.write(0, 1); !errors.Is(err, ErrFailed) {
			t.Errorf("a write after the failure got %v", err)
		}
		err := s.View(context.Background(), func(context.Context, kv.Reader) error { return nil })
		if !errors.Is(err, ErrFailed) {
			t.Errorf("a read after the failure got %v", err)
		}
	}
	failed := s.Err() != nil
	if err := s.Close(); errors.Is(err, ErrFailed) != (s.Err() != nil) {
		t.Errorf("Close returned %v", err)
	}
	return l.acked, !failed && s.Err() == nil
}

// gate is a disk whose syncs of the WAL wait.
type gate struct {
	shut    atomic.Bool
	open    chan struct{}
	arrived chan struct{}
}

func (g *gate) fs(base vfs.FS) vfs.FS {
	return errorfs.Wrap(base, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData && strings.HasSuffix(op.Path, ".log") && g.shut.Load() {
			g.arrived <- struct{}{}
			<-g.open
		}
		return nil
	}))
}

// TestNothingUndurableIsSeen: a View that met a commit which is not durable yet does not return before it is.
func TestNothingUndurableIsSeen(t *testing.T) {
	g := &gate{open: make(chan struct{}), arrived: make(chan struct{}, 10)}
	s := open(t, Options{FS: g.fs(vfs.NewMem()), Dir: "db", Fsync: true})
	release := sync.OnceFunc(func() { g.shut.Store(false); close(g.open) })
	t.Cleanup(release)
	g.shut.Store(true)
	ctx := context.Background()
	written := make(chan error, 1)
	go func() {
		written <- s.Update(ctx, func(_ context.Context, tx kv.Tx) error { return tx.Put([]byte("a"), []byte("1")) })
	}()
	<-g.arrived
	// The commit stands before the disk. Now it can be read, but not returned.
	seen, returned := make(chan string, 2), make(chan error, 2)
	look := func(_ context.Context, r kv.Reader) error {
		v, err := r.Get([]byte("a"))
		seen <- string(v)
		return err
	}
	go func() { returned <- s.View(ctx, look) }()
	go func() {
		returned <- s.Update(ctx, func(ctx context.Context, tx kv.Tx) error { return look(ctx, tx) })
	}()
	for range 2 {
		if v := <-seen; v != "1" {
			t.Fatalf("saw %q", v)
		}
	}
	select {
	case err := <-returned:
		t.Fatalf("returned before the commit was durable, with %v", err)
	default:
	}
	release()
	for range 2 {
		if err := <-returned; err != nil {
			t.Error(err)
		}
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// TestBackgroundSync: without Fsync, what was acknowledged is on the disk before 100 ms have passed.
func TestBackgroundSync(t *testing.T) {
	var synced atomic.Bool
	done := make(chan struct{}, 100)
	fs := vfs.NewCrashableMem()
	hook := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData && strings.HasSuffix(op.Path, ".log") {
			synced.Store(true)
			done <- struct{}{}
		}
		return nil
	}))
	c := clock.NewManual(clock.Real().Now())
	s := open(t, Options{FS: hook, Dir: "db", Clock: c})
	for i := range 3 {
		synced.Store(false)
		put(t, s, "a", fmt.Sprint(i))
		if synced.Load() {
			t.Fatal("synced at once")
		}
		c.BlockUntil(1)
		c.Advance(100 * time.Millisecond)
		<-done
		// The hook runs before the sync; the next turn of the file's lock is after it.
		s.disk.syncWALs()
		left := open(t, Options{FS: fs.CrashClone(vfs.CrashCloneCfg{}), Dir: "db"})
		if got := get(t, left, "a"); got != fmt.Sprint(i) {
			t.Fatalf("%q was on the disk, want %d", got, i)
		}
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	_, err := Open(Options{Dir: dir + "/../" + dir[strings.LastIndex(dir, "/")+1:]})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, Options{Dir: dir})
}

// TestPebblePanics: when Pebble panics inside a commit, the store stops in order.
func TestPebblePanics(t *testing.T) {
	s, err := Open(Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.anchor.Close(), s.db.Close()); err != nil {
		t.Fatal(err)
	}
	l := &load{s: s}
	for range 2 {
		if err := l.write(0, 1); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), pebble.ErrClosed.Error()) {
			t.Fatalf("got %v", err)
		}
	}
	if err := s.Close(); !errors.Is(err, ErrFailed) {
		t.Fatalf("got %v", err)
	}
}
