package dynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
)

// fillHandler is the timer that fills an index with the items from before it, one piece after the other. What a piece does and the timer of
// the next one commit together, so that a process which ends between two pieces leaves an index that the next process goes on with.
const fillHandler = serviceName + ".fill"

// Bounds of one piece: how many items it reads, and after how many of their bytes it ends.
const (
	fillItems = 512
	fillBytes = 4 << 20
)

// fillJob is the body of a fill timer.
type fillJob struct {
	Table   string `json:"table"`
	TableID string `json:"id"`
	Number  uint32 `json:"number"`
	// After is the key of the last item that has been entered; nil at the beginning.
	After []byte `json:"after,omitempty"`
}

// startFill sets the timer for the next piece of j. It joins the transaction of ctx.
func (s *Service) startFill(ctx context.Context, j *fillJob) error {
	body, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("dynamodb: index of table %s: %w", j.Table, err)
	}
	call := cloud.CallOf(ctx)
	return s.deps.Timers.Set(ctx, timer.Timer{Handler: fillHandler, ID: fmt.Sprintf("%s/%d", j.TableID, j.Number),
		Account: call.Account, Region: call.Region, Due: call.Now, Body: body})
}

// fill enters the next piece of a table into an index. The index may be gone by now, and so may the table.
func (s *Service) fill(ctx context.Context, tm timer.Timer) error {
	var j fillJob
	if err := json.Unmarshal(tm.Body, &j); err != nil {
		return fmt.Errorf("dynamodb: the body of a timer is damaged: %w", err)
	}
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := s.getTable(tx, j.Table)
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		at := -1
		for i, x := range t.Indexes {
			if t.ID == j.TableID && x.Number == j.Number && x.Filling {
				at = i
			}
		}
		if at < 0 {
			return nil
		}
		last, err := t.Indexes[at].fillPiece(ctx, tx, j.After)
		if err != nil {
			return err
		}
		if last != nil {
			return s.startFill(ctx, &fillJob{j.Table, j.TableID, j.Number, last})
		}
		changed := *t
		changed.changeIndex(at, func(x *index) { x.Filling = false })
		return putTable(tx, &changed)
	})
}

// fillPiece enters items after the one called after and returns the last of them, nil when there are no more. Items whose attributes cannot
// be a key of the index stay out of it, as on AWS.
func (x *index) fillPiece(ctx context.Context, tx kv.Tx, last []byte) ([]byte, error) {
	rng := x.table.items()
	if last != nil {
		rng.Start = after(last)
	}
	items, size := 0, 0
	for e, err := range tx.Scan(rng, kv.ScanOptions{Limit: fillItems}) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		items, size, last = items+1, size+len(e.Value), bytes.Clone(e.Key)
		if err := x.enter(tx, last, e.Value); err != nil {
			return nil, err
		}
		if size >= fillBytes {
			break
		}
	}
	if items == 0 || items < fillItems && size < fillBytes {
		return nil, nil
	}
	return last, nil
}

// enter makes the entry of an item that may have one already.
func (x *index) enter(tx kv.Tx, itemKey kv.Key, stored []byte) error {
	item, size, err := decodeItem(stored)
	if err != nil {
		return err
	}
	e, err := x.entry(item, itemKey, stored, size)
	if _, tooLong := refused(err); tooLong {
		return nil
	}
	if err != nil || e == nil {
		return err
	}
	// Whoever wrote the item since the index was made has entered it as well.
	_, err = tx.Get(e.key)
	if err == nil {
		return nil
	}
	if !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	_, err = x.replace(tx, nil, e)
	return err
}

// changeIndex puts a changed copy of an index into the place of it. Others may share the old one.
func (t *table) changeIndex(at int, change func(x *index)) {
	indexes := make([]*index, len(t.Indexes))
	copy(indexes, t.Indexes)
	x := *indexes[at]
	change(&x)
	indexes[at], t.Indexes = &x, indexes
}
