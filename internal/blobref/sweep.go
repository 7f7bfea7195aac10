package blobref

import (
	"context"
	"errors"
	"fmt"
	"time"

	"croft/internal/blob"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/outbox"
	"croft/internal/timer"
)

const (
	sweepEvery = time.Hour
	// sweepAfterStart is short enough for a cloud that lives for minutes, and out of the way of its first requests.
	sweepAfterStart = time.Minute
	// leftoverAge is how long a single Put may take: what an older one left is removed, whether it goes on or not.
	leftoverAge = 24 * time.Hour
	// sweepBatch is how many bodies are looked up in one snapshot, sweepReport after how many the log is told.
	sweepBatch  = 256
	sweepReport = 100_000
)

// Timers returns the handlers of its timers.
func (r *Refs) Timers() map[string]timer.Handler {
	return map[string]timer.Handler{
		// The sweep itself takes too long for a transaction.
		sweepTimer: func(ctx context.Context, _ timer.Timer) error {
			return errors.Join(r.tell(ctx, outbox.Message{Handler: sweepMessage, Key: "sweep"}), r.setTimer(ctx, sweepTimer, "sweep", sweepEvery))
		},
		deleteTimer: func(ctx context.Context, t timer.Timer) error {
			return r.tell(ctx, outbox.Message{Handler: deleteMessage, Key: t.ID, Body: []byte(t.ID)})
		},
		assetTimer: func(ctx context.Context, t timer.Timer) error { return r.dropAsset(ctx, t.ID) },
	}
}

// Arm sees to it that the sweep runs soon, and every hour from then on: called when a cloud starts. It joins the transaction that ctx
// carries, if any.
func (r *Refs) Arm(ctx context.Context) error {
	return r.setTimer(ctx, sweepTimer, "sweep", sweepAfterStart)
}

// setTimer sets a timer of the cloud's own: it belongs to no account.
func (r *Refs) setTimer(ctx context.Context, handler, id string, after time.Duration) error {
	return r.timers.Set(ctx, timer.Timer{
		Handler: handler, ID: id, Account: cloud.DefaultAccount, Region: cloud.DefaultRegion, Due: r.clock.Now().Add(after),
	})
}

// Sweep removes the bodies that are older than Grace and that nobody names, and what Puts have left that were cut off a day ago. It returns
// how many bodies it removed. Its memory is bounded; two at once do no harm.
func (r *Refs) Sweep(ctx context.Context) (removed int, err error) {
	now := r.clock.Now()
	removed, err = r.sweepBodies(ctx, now.Add(-Grace))
	if err != nil {
		return removed, fmt.Errorf("blobref: sweep, after %d bodies removed: %w", removed, err)
	}
	if err := r.sweepNotes(ctx, now); err != nil {
		return removed, fmt.Errorf("blobref: sweep: %w", err)
	}
	left, err := r.blobs.Tidy(ctx, now.Add(-leftoverAge))
	if err != nil {
		return removed, fmt.Errorf("blobref: sweep: %w", err)
	}
	if removed+left > 0 {
		r.log.Info("swept", "bodies", removed, "leftovers", left)
	}
	return removed, nil
}

func (r *Refs) sweepBodies(ctx context.Context, before time.Time) (removed int, err error) {
	seen, batch := 0, make([]string, 0, sweepBatch)
	flush := func() error {
		n, err := r.sweepOrphans(ctx, batch, before)
		removed, batch = removed+n, batch[:0]
		return err
	}
	for info, err := range r.blobs.List(ctx, before) {
		if err != nil {
			return removed, err
		}
		if blob.IsFormer(info.ID) {
			continue
		}
		if batch = append(batch, info.ID); len(batch) == sweepBatch {
			if err := flush(); err != nil {
				return removed, err
			}
		}
		if seen++; seen%sweepReport == 0 {
			r.log.Info("sweeping", "seen", seen, "removed", removed)
		}
	}
	return removed, flush()
}

// sweepOrphans deletes those of the bodies that nobody names, unless they were given up after that time: their deletion is on its way. They are
// so old that nobody can name them from now on.
func (r *Refs) sweepOrphans(ctx context.Context, ids []string, after time.Time) (removed int, err error) {
	var orphans []string
	err = r.space.View(ctx, func(_ context.Context, rd kv.Reader) error {
		orphans = orphans[:0]
		for _, id := range ids {
			n, err := count(rd, id)
			if err != nil {
				return err
			}
			gone, err := givenUp(rd, id)
			if err != nil {
				return err
			}
			if n == 0 && !gone.After(after) {
				orphans = append(orphans, id)
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, id := range orphans {
		if err := r.blobs.Delete(ctx, id); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// givenUp returns when a body was given up, zero if it was not.
func givenUp(rd kv.Reader, id string) (time.Time, error) {
	v, err := rd.Get(goneKey(id))
	if errors.Is(err, kv.ErrNotFound) {
		return time.Time{}, nil
	}
	return kv.ReadKey(v, nil).Time(), err
}

// sweepNotes removes the notes about bodies that were given up, once the bodies are too old to be named again and were given up long ago.
func (r *Refs) sweepNotes(ctx context.Context, now time.Time) error {
	from, end := gonePrefix(), gonePrefix().Raw([]byte(blob.IDPrefix(now.Add(-Grace)))...)
	for from != nil {
		var next kv.Key
		err := r.space.Update(ctx, func(_ context.Context, tx kv.Tx) error {
			n := 0
			next = nil
			for e, err := range tx.Loose().Scan(kv.Range{Start: from, End: end}, kv.ScanOptions{Limit: sweepBatch}) {
				if err != nil {
					return err
				}
				if n++; n == sweepBatch {
					next = kv.Key(nil).Raw(e.Key...).Raw(0)
				}
				if kv.ReadKey(e.Value, nil).Time().After(now.Add(-Grace)) {
					continue
				}
				if err := tx.Delete(kv.Key(nil).Raw(e.Key...)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		from = next
	}
	return nil
}
