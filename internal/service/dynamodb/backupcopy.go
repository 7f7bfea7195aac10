package dynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
)

// The timers that copy items, one piece after the other: copyHandler into a backup, restoreHandler out of one. What a piece does and the timer of the
// next one commit together.
const (
	copyHandler    = serviceName + ".backup"
	restoreHandler = serviceName + ".restore"
)

// Bounds of one piece of a restore, smaller than those of a copy since the items go into the table's indexes as well.
const (
	restoreItems = 256
	restoreBytes = 1 << 20
)

// copyJob is the body of both timers.
type copyJob struct {
	Table   string `json:"table"`
	TableID string `json:"id"`
	Backup  string `json:"backup"`
	// After is the key of the last item that was read; nil at the beginning.
	After []byte `json:"after,omitempty"`
}

// startCopy sets the timer for the next piece of j. It joins the transaction of ctx.
func (s *Service) startCopy(ctx context.Context, handler string, j *copyJob) error {
	body, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("dynamodb: backup of table %s: %w", j.Table, err)
	}
	call := cloud.CallOf(ctx)
	return s.deps.Timers.Set(ctx, timer.Timer{Handler: handler, ID: j.TableID + "/" + j.Backup,
		Account: call.Account, Region: call.Region, Due: call.Now, Body: body})
}

// preserve keeps an item as it was when the backups that are being made began, if this write is the first to change it since.
func (t *table) preserve(tx kv.Tx, c *change) error {
	for _, id := range t.copyingIDs {
		place := c.key[1+len(t.id):]
		kept, absent := keptPrefix(id).Raw(place...), absentPrefix(id).Raw(place...)
		known, err := there(tx, kept, absent)
		switch {
		case known:
		case err != nil:
		case c.oldStored == nil:
			err = tx.Put(absent, nil)
		default:
			err = tx.Put(kept, c.oldStored)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// there reports whether one of the keys has a value.
func there(r kv.Reader, keys ...kv.Key) (bool, error) {
	for _, key := range keys {
		_, err := r.Get(key)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, kv.ErrNotFound) {
			return false, err
		}
	}
	return false, nil
}

// copying returns the table and the backup of a job, nil when one of them is not there: it was the job of a cloud that has been reset.
func (s *Service) copying(r kv.Reader, j *copyJob) (*table, *backup, error) {
	t, err := s.getTable(r, j.Table)
	if errors.Is(err, kv.ErrNotFound) || err == nil && t.ID != j.TableID {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	b, err := loadBackup(r, j.Backup)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil, nil
	}
	return t, b, err
}

// copyItems copies the next piece of a table into its backup.
func (s *Service) copyItems(ctx context.Context, tm timer.Timer) error {
	var j copyJob
	if err := json.Unmarshal(tm.Body, &j); err != nil {
		return fmt.Errorf("dynamodb: the body of a timer is damaged: %w", err)
	}
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		j := j
		t, b, err := s.copying(tx, &j)
		if err != nil || b == nil || b.Copied {
			return err
		}
		id, err := uuidBytes(b.UUID)
		if err != nil {
			return err
		}
		more, err := t.copyPiece(ctx, tx, id, &j)
		if err != nil {
			return err
		}
		if more {
			return s.startCopy(ctx, copyHandler, &j)
		}
		b.Copied = true
		if err := putBackup(tx, b); err != nil {
			return err
		}
		changed := *t
		changed.Copying = slices.DeleteFunc(slices.Clone(t.Copying), func(other string) bool { return other == b.UUID })
		if err := putTable(tx, &changed); err != nil {
			return err
		}
		return tx.DeleteRange(kv.PrefixRange(absentPrefix(id)))
	})
}

// copyPiece copies items after j.After, which it moves, and reports whether there may be more. Items that were written since the backup began are in it as
// they were, or known not to have been there.
func (t *table) copyPiece(ctx context.Context, tx kv.Tx, id [16]byte, j *copyJob) (more bool, err error) {
	rng := t.items()
	if j.After != nil {
		rng.Start = after(j.After)
	}
	items, size := 0, 0
	for e, err := range tx.Scan(rng, kv.ScanOptions{Limit: fillItems}) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return false, err
		}
		items, size, j.After = items+1, size+len(e.Value), bytes.Clone(e.Key)
		place := j.After[1+len(t.id):]
		kept := keptPrefix(id).Raw(place...)
		known, err := there(tx, kept, absentPrefix(id).Raw(place...))
		if err != nil {
			return false, err
		}
		if !known {
			if err := tx.Put(kept, e.Value); err != nil {
				return false, err
			}
		}
		if size >= fillBytes {
			return true, nil
		}
	}
	return items == fillItems, nil
}

// restoreItems copies the next piece of a backup into the table that is made of it.
func (s *Service) restoreItems(ctx context.Context, tm timer.Timer) error {
	var j copyJob
	if err := json.Unmarshal(tm.Body, &j); err != nil {
		return fmt.Errorf("dynamodb: the body of a timer is damaged: %w", err)
	}
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		j := j
		t, b, err := s.copying(tx, &j)
		if err != nil || b == nil || !t.restoring() {
			return err
		}
		more, err := t.restorePiece(ctx, tx, b, &j)
		if err != nil {
			return err
		}
		if more {
			return s.startCopy(ctx, restoreHandler, &j)
		}
		b.Restoring = ""
		if err := putBackup(tx, b); err != nil {
			return err
		}
		changed, done := *t, *t.Restored
		done.Going, changed.Restored = false, &done
		return putTable(tx, &changed)
	})
}

// restorePiece puts items after j.After, which it moves, into the table, and reports whether there may be more.
func (t *table) restorePiece(ctx context.Context, tx kv.Tx, b *backup, j *copyJob) (more bool, err error) {
	id, err := uuidBytes(b.UUID)
	if err != nil {
		return false, err
	}
	prefix := keptPrefix(id)
	rng := kv.PrefixRange(prefix)
	if j.After != nil {
		rng.Start = after(j.After)
	}
	items, size := 0, 0
	for e, err := range tx.Scan(rng, kv.ScanOptions{Limit: restoreItems}) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return false, err
		}
		items, size, j.After = items+1, size+len(e.Value), bytes.Clone(e.Key)
		w := write{kind: writePut, table: t.Name, stored: bytes.Clone(e.Value)}
		if w.item, w.size, err = decodeItem(e.Value); err != nil {
			return false, err
		}
		if _, err := w.apply(tx, t, t.itemPrefix().Raw(j.After[len(prefix):]...)); err != nil {
			return false, err
		}
		if size >= restoreBytes {
			return true, nil
		}
	}
	return items == restoreItems, nil
}
