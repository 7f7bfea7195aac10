package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
)

// trimHandler is the timer that removes a stream's old records, and in the end the stream. What a piece removes and the timer of the next one
// commit together.
const trimHandler = serviceName + ".trim"

const (
	// streamRetention is how long records are kept. Source: DynamoDB Developer Guide, "Data retention limit for DynamoDB Streams".
	streamRetention = 24 * time.Hour
	// trimPause is the least time between two looks at a stream of which nothing is due: records are removed together, not one by one.
	trimPause = 10 * time.Minute
	// trimRecords and trimBytes bound one piece.
	trimRecords = 1000
	trimBytes   = 8 << 20
)

// trimJob is the body of a trim timer: the stream.
type trimJob struct {
	Table string `json:"table"`
	Label string `json:"label"`
}

// trimAt sets the timer for the next look at a stream. It joins the transaction of ctx.
func (s *Service) trimAt(ctx context.Context, j *trimJob, id string, due time.Time) error {
	body, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("dynamodb: stream of table %s: %w", j.Table, err)
	}
	call := cloud.CallOf(ctx)
	return s.deps.Timers.Set(ctx, timer.Timer{Handler: trimHandler, ID: id, Account: call.Account, Region: call.Region, Due: due, Body: body})
}

// trim removes records that are too old, and a stream that has ended once nothing of it is left to read.
func (s *Service) trim(ctx context.Context, tm timer.Timer) error {
	var j trimJob
	if err := json.Unmarshal(tm.Body, &j); err != nil {
		return fmt.Errorf("dynamodb: the body of a timer is damaged: %w", err)
	}
	now := cloud.CallOf(ctx).Now
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		d, err := getStreamDef(tx, j.Table, j.Label)
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		next, err := d.trim(ctx, tx, now)
		if err != nil {
			return err
		}
		if next.IsZero() {
			return d.drop(tx)
		}
		return s.trimAt(ctx, &j, d.ID, next)
	})
}

// trim removes a piece of the records that are older than the retention and returns when to look again: zero when the stream has no more use.
func (d *streamDef) trim(ctx context.Context, tx kv.Tx, now time.Time) (next time.Time, err error) {
	id, err := d.id()
	if err != nil {
		return next, err
	}
	log, until := streamLogKey(id), now.Add(-streamRetention)
	records, size, last := 0, 0, uint64(0)
	// Appends must not make this run again, and what is removed changes no more.
	for e, err := range tx.Loose().Scan(kv.LogRange(log, 0), kv.ScanOptions{Limit: trimRecords + 1}) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return next, err
		}
		r, err := decodeRecord(e.Value)
		if err != nil {
			return next, err
		}
		if r.at.After(until) {
			next = r.at.Add(streamRetention)
			break
		}
		if records == trimRecords || size >= trimBytes {
			next = now
			break
		}
		if last, err = kv.LogSeq(log, e.Key); err != nil {
			return next, err
		}
		records, size = records+1, size+len(e.Value)
	}
	if last > 0 {
		if err := tx.DeleteRange(kv.Range{Start: kv.LogKey(log, 0), End: kv.LogKey(log, last+1)}); err != nil {
			return next, err
		}
		if err := tx.Put(trimmedKey(id), kv.Key(nil).Uint(last)); err != nil {
			return next, err
		}
	}
	return d.nextTrim(next, now), nil
}

// nextTrim returns when to look at the stream again, where next is when its oldest record is too old, or zero when it has none.
func (d *streamDef) nextTrim(next, now time.Time) time.Time {
	switch {
	case next.Equal(now):
		return now
	case !next.IsZero():
		if soon := now.Add(trimPause); next.Before(soon) {
			return soon
		}
		return next
	case d.Closed.IsZero():
		// Whatever is written from now on is not too old before then.
		return now.Add(streamRetention)
	}
	if end := d.Closed.Add(streamRetention); end.After(now) {
		return end
	}
	return time.Time{}
}

// drop removes the stream.
func (d *streamDef) drop(tx kv.Tx) error {
	id, err := d.id()
	if err != nil {
		return err
	}
	for _, key := range []kv.Key{streamDefKey(d.Table, d.Label), trimmedKey(id)} {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	return tx.DeleteRange(kv.PrefixRange(streamLogKey(id)))
}
