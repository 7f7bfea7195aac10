package blobref_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"croft/internal/blob"
	"croft/internal/blobref"
	"croft/internal/clock"
	"croft/internal/kv"
	"croft/internal/kv/pebblekv"
	"croft/internal/lease"
	"croft/internal/outbox"
	"croft/internal/timer"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// rig is a process with a store and bodies, which can be killed: what it has not committed is gone then, and so is its outbox.
type rig struct {
	t     *testing.T
	clock *clock.Manual
	store kv.Store
	dir   string
	blobs *hooked
	refs  *blobref.Refs
	box   *outbox.Outbox
	times *timer.Timers
}

// hooked is a blob store whose deletions a test can refuse.
type hooked struct {
	blob.Store
	mu     sync.Mutex
	refuse error
}

func (h *hooked) Delete(ctx context.Context, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		return h.refuse
	}
	return h.Store.Delete(ctx, id)
}

func (h *hooked) set(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuse = err
}

func newRig(t *testing.T) *rig {
	t.Helper()
	store, err := pebblekv.Open(pebblekv.Options{Ephemeral: true})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	r := &rig{t: t, clock: clock.NewManual(begin), store: store, dir: t.TempDir()}
	r.boot()
	return r
}

// boot starts a process on what is there, which does no background work yet.
func (r *rig) boot() {
	r.t.Helper()
	dir, err := blob.OpenDir(r.dir, blob.DirOptions{Clock: r.clock, NoSync: true})
	must(r.t, err)
	r.t.Cleanup(func() { must(r.t, dir.Close()) })
	log := slog.New(slog.DiscardHandler)
	r.blobs = &hooked{Store: dir}
	r.times = timer.New(r.store, r.clock, log)
	r.box = outbox.New(r.store, r.times, r.clock, log)
	r.refs = blobref.New(r.store, r.blobs, r.box, r.times, r.clock, log)
}

// run starts the background work, and returns what kills it.
func (r *rig) run() (kill func()) {
	timers := r.box.Timers()
	maps.Copy(timers, r.refs.Timers())
	box, times := r.box, r.times
	times.Start(lease.Local(), timers)
	box.Start(lease.Local(), r.refs.Outbox())
	kill = sync.OnceFunc(func() { box.Close(); times.Close() })
	r.t.Cleanup(kill)
	return kill
}

// advance moves the clock and waits until the background work is done.
func (r *rig) advance(d time.Duration) {
	r.t.Helper()
	watch := r.store.Watch(nil)
	defer watch.Close()
	r.clock.Advance(d)
	for !r.idle() {
		<-watch.C()
	}
}

// idle looks at both in one snapshot: a timer that fires in between becomes a message.
func (r *rig) idle() (idle bool) {
	r.t.Helper()
	must(r.t, r.store.View(r.t.Context(), func(ctx context.Context, _ kv.Reader) (err error) {
		if idle, err = r.box.Idle(ctx); !idle || err != nil {
			return err
		}
		idle, err = r.times.Idle(ctx)
		return err
	}))
	return idle
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) put(content string) blob.Ref {
	r.t.Helper()
	ref, err := r.blobs.Put(r.t.Context(), strings.NewReader(content), 1<<20)
	must(r.t, err)
	return ref
}

// tx runs steps in one transaction.
func (r *rig) tx(steps ...func(ctx context.Context) error) error {
	return r.store.Update(r.t.Context(), func(ctx context.Context, _ kv.Tx) error {
		for _, step := range steps {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *rig) retain(id string) func(context.Context) error {
	return func(ctx context.Context) error { return r.refs.Retain(ctx, id) }
}

func (r *rig) release(id string) func(context.Context) error {
	return func(ctx context.Context) error { return r.refs.Release(ctx, id) }
}

func (r *rig) there(id string, want bool) {
	r.t.Helper()
	body, _, err := r.blobs.Open(r.t.Context(), id)
	switch {
	case err == nil:
		must(r.t, body.Close())
	case !errors.Is(err, blob.ErrNotFound):
		r.t.Fatal(err)
	}
	if (err == nil) != want {
		r.t.Errorf("the body %s is there: %v, want %v", id, err == nil, want)
	}
}

func (r *rig) sweep(want int) {
	r.t.Helper()
	if n, err := r.refs.Sweep(r.t.Context()); n != want || err != nil {
		r.t.Errorf("Sweep = %d, %v, want %d", n, err, want)
	}
}

func TestNeedsATransaction(t *testing.T) {
	r := newRig(t)
	ref := r.put("x")
	for _, err := range []error{
		r.refs.Retain(t.Context(), ref.ID), r.refs.Release(t.Context(), ref.ID), r.refs.Keep(t.Context(), ref),
	} {
		if !errors.Is(err, blobref.ErrNoTransaction) {
			t.Error(err)
		}
	}
}

func TestTheLastReleaseDeletes(t *testing.T) {
	r := newRig(t)
	r.run()
	ref := r.put("x")
	must(t, r.tx(r.retain(ref.ID)))
	must(t, r.tx(r.retain(ref.ID), r.release(ref.ID), r.retain(ref.ID)))
	must(t, r.tx(r.release(ref.ID)))
	r.advance(0)
	r.there(ref.ID, true)
	must(t, r.tx(r.release(ref.ID)))
	r.advance(blobref.Linger - time.Millisecond)
	r.there(ref.ID, true) // for those who are about to open it
	r.advance(time.Millisecond)
	r.there(ref.ID, false)
	must(t, r.tx(r.release(ref.ID))) // once too often: logged
}

func TestNothingOfAFailedTransaction(t *testing.T) {
	r := newRig(t)
	r.run()
	ref := r.put("x")
	must(t, r.tx(r.retain(ref.ID)))
	failed := errors.New("no")
	if err := r.tx(r.release(ref.ID), func(context.Context) error { return failed }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	r.advance(2 * time.Hour)
	r.sweep(0)
	r.there(ref.ID, true)
}

// Killed between Put and the transaction, or in the transaction: the sweep finds the body once nobody can name it any more.
func TestOrphans(t *testing.T) {
	r := newRig(t)
	orphan, kept := r.put("orphan"), r.put("kept")
	must(t, r.tx(r.retain(kept.ID)))
	r.boot()
	r.clock.Advance(blobref.Grace)
	r.sweep(0)
	r.there(orphan.ID, true)
	r.clock.Advance(time.Millisecond)
	r.sweep(1)
	r.there(orphan.ID, false)
	r.there(kept.ID, true)
}

// Killed between the commit of a Release and the deletion: the outbox finishes it after the start.
func TestReleaseSurvivesAKill(t *testing.T) {
	r := newRig(t)
	ref := r.put("x")
	must(t, r.tx(r.retain(ref.ID)))
	must(t, r.tx(r.release(ref.ID))) // nothing fires timers or delivers messages: the process is killed here
	r.clock.Advance(blobref.Linger)
	r.there(ref.ID, true)
	r.boot()
	r.run()
	r.advance(0)
	r.there(ref.ID, false)
}

// Killed in the middle of the deletion, or a store of bodies that is away: tried again.
func TestDeletionIsTriedAgain(t *testing.T) {
	r := newRig(t)
	r.blobs.set(errors.New("away"))
	kill := r.run()
	ref := r.put("x")
	must(t, r.tx(r.retain(ref.ID)))
	must(t, r.tx(r.release(ref.ID)))
	r.advance(blobref.Linger)
	kill()
	r.there(ref.ID, true)
	r.boot()
	r.run()
	r.advance(time.Minute)
	r.there(ref.ID, false)
}

// A body that could not be deleted for longer than messages are tried is the sweep's.
func TestDeletionThatIsGivenUp(t *testing.T) {
	r := newRig(t)
	r.blobs.set(errors.New("away"))
	r.run()
	ref := r.put("x")
	must(t, r.tx(r.retain(ref.ID)))
	must(t, r.tx(r.release(ref.ID)))
	for range 120 {
		r.advance(time.Minute)
	}
	r.there(ref.ID, true)
	r.blobs.set(nil)
	r.sweep(1)
	r.there(ref.ID, false)
}

// Whoever comes too late is refused, so that the sweep can never take what a transaction is about to name.
func TestStale(t *testing.T) {
	r := newRig(t)
	ref, other := r.put("x"), r.put("y")
	r.clock.Advance(blobref.Grace / 2)
	must(t, r.tx(r.retain(ref.ID)))
	r.clock.Advance(time.Millisecond)
	if err := r.tx(r.retain(other.ID)); !errors.Is(err, blobref.ErrStale) {
		t.Errorf("old and never named: %v", err)
	}
	must(t, r.tx(r.retain(ref.ID))) // who is named may be named again at any age
	r.clock.Advance(100 * time.Hour)
	must(t, r.tx(r.retain(ref.ID)))
	r.sweep(1)
	r.there(ref.ID, true)
}

// A young body that was given up has a message on its way that deletes it: it cannot be named again in the meantime.
func TestGivenUpYoung(t *testing.T) {
	r := newRig(t)
	ref := r.put("x")
	must(t, r.tx(r.retain(ref.ID)))
	must(t, r.tx(r.release(ref.ID)))
	if err := r.tx(r.retain(ref.ID)); !errors.Is(err, blobref.ErrStale) {
		t.Errorf("before the deletion: %v", err)
	}
	r.clock.Advance(blobref.Grace - time.Millisecond)
	r.sweep(0)
	r.clock.Advance(time.Millisecond)
	r.sweep(0)
	r.clock.Advance(time.Millisecond)
	r.sweep(1)
	if n := r.rows(); n != 2 { // the timer of the deletion
		t.Errorf("%d rows are left", n)
	}
	if err := r.tx(r.retain(ref.ID)); !errors.Is(err, blobref.ErrStale) {
		t.Errorf("after the sweep: %v", err)
	}
}

// rows counts everything in the store.
func (r *rig) rows() (n int) {
	r.t.Helper()
	must(r.t, r.store.View(r.t.Context(), func(_ context.Context, rd kv.Reader) error {
		n = 0
		for _, err := range rd.Scan(kv.Range{}, kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	}))
	return n
}

func TestRetainRefusesWhatIsNoID(t *testing.T) {
	r := newRig(t)
	for _, id := range []string{"", "x", "../x", strings.Repeat("z", 44)} {
		if err := r.tx(r.retain(id)); err == nil {
			t.Errorf("%q was named", id)
		}
	}
	former := strings.Repeat("a", 64)
	must(t, r.tx(r.retain(former), r.release(former)))
	if n := r.rows(); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestSweepRunsByItself(t *testing.T) {
	r := newRig(t)
	r.run()
	must(t, r.refs.Arm(t.Context()))
	first := r.put("x")
	r.advance(time.Minute) // the one after the start
	r.there(first.ID, true)
	r.advance(time.Hour)
	r.there(first.ID, false)
	second := r.put("y")
	r.advance(time.Hour)
	r.there(second.ID, true)
	r.advance(time.Hour)
	r.there(second.ID, false)
}

func TestSweepOfMany(t *testing.T) {
	r := newRig(t)
	named := map[string]bool{}
	for i := range 600 {
		ref := r.put(fmt.Sprint(i))
		if i%3 == 0 {
			must(t, r.tx(r.retain(ref.ID)))
			named[ref.ID] = true
		}
	}
	r.clock.Advance(2 * time.Hour)
	r.sweep(400)
	r.sweep(0)
	for id := range named {
		r.there(id, true)
	}
}

// Reset takes what was there before, and nothing that is put while it goes on.
func TestReset(t *testing.T) {
	r := newRig(t)
	r.run()
	named, late := r.put("named"), r.put("late")
	must(t, r.tx(r.retain(named.ID)))
	r.clock.Advance(time.Second)
	owner, err := blobref.Owner(t.Context(), r.store)
	must(t, err)
	var young blob.Ref
	must(t, r.refs.Reset(t.Context(), func(_ context.Context, tx kv.Tx) error {
		if young.ID == "" {
			young = r.put("young")
		}
		return tx.DeleteRange(kv.Range{})
	}))
	must(t, r.tx(r.retain(young.ID)))
	r.there(named.ID, false)
	r.there(young.ID, true)
	if err := r.tx(r.retain(late.ID)); !errors.Is(err, blobref.ErrStale) {
		t.Errorf("a body from before the reset was named: %v", err)
	}
	if again, err := blobref.Owner(t.Context(), r.store); again != owner || owner == "" || err != nil {
		t.Errorf("the cloud was %q and is %q, %v", owner, again, err)
	}
	orphan := r.put("orphan")
	r.advance(3 * time.Hour) // the sweep is armed again
	r.there(orphan.ID, false)
	r.there(young.ID, true)
}

func TestAssets(t *testing.T) {
	r := newRig(t)
	r.run()
	upload := func() blob.Ref {
		t.Helper()
		ref, err := r.refs.Upload(t.Context(), strings.NewReader("zip"), 10)
		must(t, err)
		return ref
	}
	find := func(sha string) error {
		_, err := r.refs.Asset(t.Context(), sha)
		return err
	}
	ref := upload()
	r.advance(20 * time.Hour)
	if again := upload(); again != ref {
		t.Errorf("uploaded again: %+v, first %+v", again, ref)
	}
	r.sweep(0) // the second copy is gone already
	r.advance(20 * time.Hour)
	if got, err := r.refs.Asset(t.Context(), ref.SHA256); got != ref || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	must(t, r.tx(r.retain(ref.ID))) // a function
	r.advance(4*time.Hour + time.Second)
	if err := find(ref.SHA256); !errors.Is(err, blobref.ErrNoAsset) {
		t.Errorf("after its time: %v", err)
	}
	r.there(ref.ID, true)
	must(t, r.tx(func(ctx context.Context) error { return r.refs.Keep(ctx, ref) }, r.release(ref.ID)))
	must(t, find(ref.SHA256)) // for a way back
	r.advance(blobref.AssetLife)
	r.advance(blobref.Linger)
	r.there(ref.ID, false)
	if err := r.tx(r.retain(ref.ID)); !errors.Is(err, blobref.ErrStale) {
		t.Errorf("named after its end: %v", err)
	}
	if _, err := r.refs.Upload(t.Context(), strings.NewReader(strings.Repeat("x", 11)), 10); !errors.Is(err, blob.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// Puts, names, releases and sweeps at once: what is named is there, and in the end nothing else is.
func TestConcurrently(t *testing.T) {
	r := newRig(t)
	r.run()
	var wg sync.WaitGroup
	var kept sync.Map
	for worker := range 6 {
		wg.Go(func() {
			for i := range 30 {
				ref := r.put(fmt.Sprint(worker, i))
				err := r.tx(r.retain(ref.ID))
				switch {
				case errors.Is(err, blobref.ErrStale):
					continue // the clock has moved on meanwhile
				case err != nil:
					t.Error(err)
					return
				}
				body, _, err := r.blobs.Open(t.Context(), ref.ID)
				if err != nil {
					t.Errorf("a body that is named: %v", err)
					return
				}
				if _, err := io.Copy(io.Discard, body); err != nil {
					t.Error(err)
				}
				if err := body.Close(); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					kept.Store(ref.ID, true)
				} else if err := r.tx(r.release(ref.ID)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 40 {
			r.clock.Advance(4 * time.Minute)
			if _, err := r.refs.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	r.advance(3 * time.Hour)
	if _, err := r.refs.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	left := map[string]bool{}
	for info, err := range r.blobs.List(t.Context(), r.clock.Now()) {
		must(t, err)
		left[info.ID] = true
	}
	kept.Range(func(id, _ any) bool {
		if !left[id.(string)] {
			t.Errorf("%v is named and gone", id)
		}
		delete(left, id.(string))
		return true
	})
	if len(left) != 0 {
		t.Errorf("%d bodies are left that nobody names", len(left))
	}
}

// A body that was given up a moment ago is not the sweep's, however old it is: a loss of power may yet bring its name back.
func TestGivenUpOld(t *testing.T) {
	r := newRig(t)
	ref := r.put("x")
	must(t, r.tx(r.retain(ref.ID)))
	r.clock.Advance(100 * time.Hour)
	must(t, r.tx(r.release(ref.ID)))
	r.sweep(0)
	r.there(ref.ID, true)
	if err := r.tx(r.retain(ref.ID)); !errors.Is(err, blobref.ErrStale) {
		t.Errorf("named again: %v", err)
	}
	r.run()
	r.advance(0)
	r.advance(blobref.Linger)
	r.there(ref.ID, false)
	r.advance(2 * time.Hour)
	r.sweep(0)
	if n := r.rows(); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// The notes about bodies that were given up do not gather.
func TestNotesGo(t *testing.T) {
	r := newRig(t)
	r.run()
	for i := range 600 {
		ref := r.put(fmt.Sprint(i))
		must(t, r.tx(r.retain(ref.ID)))
		must(t, r.tx(r.release(ref.ID)))
	}
	r.advance(blobref.Linger)
	if n := r.rows(); n != 600 {
		t.Errorf("%d rows while they are young", n)
	}
	r.advance(2 * blobref.Grace)
	r.sweep(0)
	if n := r.rows(); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}
