// Package blobref knows who names the bodies of a blob store. The names lie in the transactional store, so that a body is named, and
// given up, in the same transaction as the change that needs it or does not need it any more.
//
// Bodies are counted: Retain and Release join the caller's transaction. When nobody names a body any more, a timer set in that transaction
// has it deleted, by an outbox message, after Linger. A body that was put and never named, because the process was killed in between or the transaction failed, is an
// orphan; the sweep finds it by its age. docs/architecture/bodies.md says why none of this can take a body away that somebody names.
//
// Key layout, below the space "!blob":
//
//	r id    how many name the body (counter); no row when nobody does
//	g id    when the body was given up (time): nobody may name it again
//	z       when the cloud was last reset (time): bodies that are older may not be named any more
//	o       the cloud's own name, by which places for bodies know it
//	a sha   an uploaded asset: a Ref (JSON)
//
// Outbox: "blobref.delete" and "blobref.sweep". Timers: "blobref.delete", when a body has lingered; "blobref.sweep", once an hour;
// "blobref.asset", the end of an asset.
package blobref

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"croft/internal/blob"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/outbox"
	"croft/internal/timer"
)

// Grace is the age at which the sweep takes a body that nobody names. A body must be named for the first time before it has half that age;
// the other half allows for the clocks of several machines and for the time that a transaction takes.
const Grace = time.Hour

// Linger is how long a body stays after the last name is given up: for those who have read the name and are about to open the body, and so
// that a loss of power, which may take back a commit of the last moments, does not bring back the name of a body that is gone.
const Linger = time.Minute

const (
	deleteMessage = "blobref.delete"
	deleteTimer   = "blobref.delete"
	sweepMessage  = "blobref.sweep"
	sweepTimer    = "blobref.sweep"
	assetTimer    = "blobref.asset"
)

var (
	// ErrNoTransaction is returned when ctx carries no transaction: a name without the change that needs it is a mistake.
	ErrNoTransaction = errors.New("blobref: not in a transaction")
	// ErrStale is returned by Retain for a body that nobody names and that may be gone, or soon will be: the caller must put it again.
	ErrStale = errors.New("blobref: nobody names the body any more, and it may be gone")
)

// Refs counts who names bodies. All methods are safe for concurrent use.
type Refs struct {
	store  kv.Store
	space  kv.Space
	blobs  blob.Store
	box    *outbox.Outbox
	timers *timer.Timers
	clock  clock.Clock
	log    *slog.Logger
}

// New returns the names that lie in store of the bodies that lie in blobs.
func New(store kv.Store, blobs blob.Store, box *outbox.Outbox, timers *timer.Timers, c clock.Clock, log *slog.Logger) *Refs {
	return &Refs{store: store, space: kv.NewSpace(store, "!blob"), blobs: blobs, box: box, timers: timers, clock: c, log: log}
}

func refKey(id string) kv.Key    { return kv.Key(nil).Raw('r').Str(id) }
func goneKey(id string) kv.Key   { return gonePrefix().Str(id) }
func gonePrefix() kv.Key         { return kv.Key(nil).Raw('g') }
func resetKey() kv.Key           { return kv.Key(nil).Raw('z') }
func assetKey(sha string) kv.Key { return kv.Key(nil).Raw('a').Str(sha) }

func ownerKey() kv.Key { return kv.Key(nil).Raw('o') }

// Owner returns the name by which places for bodies know the cloud that lies in store, the same for good.
func Owner(ctx context.Context, store kv.Store) (owner string, err error) {
	err = kv.NewSpace(store, "!blob").Update(ctx, func(_ context.Context, tx kv.Tx) error {
		v, err := tx.Get(ownerKey())
		if err == nil {
			owner = string(v)
			return nil
		}
		if !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		owner = cloud.NewRequestID()
		return tx.Put(ownerKey(), []byte(owner))
	})
	return owner, err
}

// update runs fn in the transaction that ctx carries, or returns ErrNoTransaction.
func (r *Refs) update(ctx context.Context, fn func(ctx context.Context, tx kv.Tx) error) error {
	if !kv.InTx(ctx, r.store) {
		return ErrNoTransaction
	}
	return r.space.Update(ctx, fn)
}

// Retain names the body once more, in the transaction that ctx carries. It returns ErrStale when nobody has named it before and it is older than
// half of Grace, or somebody has and gave it up. Whether the body exists is not looked at.
func (r *Refs) Retain(ctx context.Context, id string) error {
	return r.update(ctx, func(_ context.Context, tx kv.Tx) error {
		n, err := count(tx, id)
		if err != nil {
			return err
		}
		if n == 0 {
			if blob.IsFormer(id) {
				return nil
			}
			if err := r.fresh(tx, id); err != nil {
				return err
			}
		}
		return tx.Put(refKey(id), kv.EncodeInt64(n+1))
	})
}

// count returns how many name a body. Its row joins the conflict set.
func count(tx kv.Reader, id string) (int64, error) {
	v, err := tx.Get(refKey(id))
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	return kv.Int64(v), err
}

// fresh checks that a body that nobody names is not one that may be deleted at any time.
func (r *Refs) fresh(tx kv.Reader, id string) error {
	created, ok := blob.Created(id)
	if !ok {
		return fmt.Errorf("blobref: %.80q is not the id of a body", id)
	}
	if r.clock.Now().Sub(created) > Grace/2 {
		return ErrStale
	}
	if _, err := tx.Get(goneKey(id)); !errors.Is(err, kv.ErrNotFound) {
		return errors.Join(ErrStale, err)
	}
	v, err := tx.Get(resetKey())
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err == nil && created.Before(kv.ReadKey(v, nil).Time().Truncate(time.Millisecond)) {
		err = ErrStale
	}
	return err
}

// Release gives up one name, in the transaction that ctx carries. When it was the last, the body is deleted after Linger. A body of a former
// version stays: others may name it without being counted.
func (r *Refs) Release(ctx context.Context, id string) error {
	return r.update(ctx, func(ctx context.Context, tx kv.Tx) error {
		n, err := count(tx, id)
		switch {
		case err != nil:
			return err
		case n == 0:
			if !blob.IsFormer(id) {
				// Refusing would make what holds the name undeletable; if the body is there, the sweep takes it.
				r.log.Error("a body is given up that nobody names", "body", id)
			}
			return nil
		case n > 1:
			return tx.Put(refKey(id), kv.EncodeInt64(n-1))
		}
		now := r.clock.Now()
		if err := errors.Join(tx.Delete(refKey(id)), tx.Put(goneKey(id), kv.Key(nil).Time(now))); err != nil {
			return err
		}
		return r.setTimer(ctx, deleteTimer, id, Linger)
	})
}

// tell writes a message of the cloud's own: it belongs to no account.
func (r *Refs) tell(ctx context.Context, m outbox.Message) error {
	m.Account, m.Region = cloud.DefaultAccount, cloud.DefaultRegion
	return r.box.Put(ctx, m)
}

// Reset gives up every body: it runs clear, which removes what names them, and notes the time in the same transaction; then it removes the bodies
// that were created before. What is put and named meanwhile stays.
func (r *Refs) Reset(ctx context.Context, clear func(ctx context.Context, tx kv.Tx) error) error {
	var now time.Time
	err := r.store.Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		now = r.clock.Now()
		owner, err := Owner(ctx, r.store) // the bodies stay this cloud's
		if err != nil {
			return err
		}
		if err := clear(ctx, tx); err != nil {
			return err
		}
		if err := r.space.Update(ctx, func(_ context.Context, tx kv.Tx) error {
			return errors.Join(tx.Put(resetKey(), kv.Key(nil).Time(now)), tx.Put(ownerKey(), []byte(owner)))
		}); err != nil {
			return err
		}
		return r.Arm(ctx)
	})
	if err != nil {
		return err
	}
	return r.blobs.Clear(ctx, now.Truncate(time.Millisecond))
}

// Outbox returns the handlers of its messages.
func (r *Refs) Outbox() map[string]outbox.Handler {
	return map[string]outbox.Handler{
		// A body that cannot be deleted at the last attempt is an orphan.
		deleteMessage: {Deliver: func(ctx context.Context, m outbox.Message) error { return r.blobs.Delete(ctx, string(m.Body)) }},
		sweepMessage: {Attempts: 3, Deliver: func(ctx context.Context, _ outbox.Message) error {
			_, err := r.Sweep(ctx)
			return err
		}},
	}
}
