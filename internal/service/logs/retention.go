package logs

import (
	"context"
	"slices"
	"time"

	"croft/internal/awsapi/logs"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
)

const (
	retentionTimer = "logs.retention"
	sweepInterval  = 6 * time.Hour
	// sweepBatch bounds how many events one sweep removes in its transaction.
	sweepBatch = 5000
)

// retentions are the periods in days that the service allows. Source: API Reference, PutRetentionPolicy.
func retentions() []int32 {
	return []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
}

// setRetention gives a group a retention period in days; zero keeps its events for ever.
func (s *Service) setRetention(ctx context.Context, name string, days int32) error {
	if days != 0 && !slices.Contains(retentions(), days) {
		return logs.NewInvalidParameterException("%d is not a retention period in days: use one of %v.", days, retentions())
	}
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		g, err := loadGroup(tx, name)
		if err != nil {
			return err
		}
		g.Retention = days
		if err := store(tx, groupKey(name), g); err != nil {
			return err
		}
		return s.scheduleSweep(ctx, name, days != 0, sweepInterval)
	})
}

func (s *Service) scheduleSweep(ctx context.Context, name string, on bool, in time.Duration) error {
	call := cloud.CallOf(ctx)
	t := timer.Timer{Handler: retentionTimer, ID: name, Account: call.Account, Region: call.Region, Due: call.Now.Add(in)}
	if !on {
		return s.deps.Timers.Cancel(ctx, t)
	}
	return s.deps.Timers.Set(ctx, t)
}

// expire removes the rows of a group's expired events and sets the timer for the next time. It only reclaims space: expired events
// are not shown either way.
func (s *Service) expire(ctx context.Context, t timer.Timer) error {
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		g := new(group)
		found, err := load(tx, groupKey(t.ID), g)
		if err != nil || !found || g.Retention == 0 {
			return err
		}
		left, err := sweepGroup(tx, t.ID, g.oldest(nowMillis(ctx)))
		if err != nil {
			return err
		}
		again := sweepInterval
		if left {
			again = 0
		}
		return s.scheduleSweep(ctx, t.ID, true, again)
	})
}

// sweepGroup removes events older than oldest, and reports whether some are left.
func sweepGroup(tx kv.Tx, name string, oldest int64) (left bool, err error) {
	streams, err := listStreams(tx.Loose(), name, "")
	if err != nil {
		return false, err
	}
	budget, bytes := sweepBatch, int64(0)
	for _, st := range streams {
		if st.Events == 0 || max(st.First, st.Swept) >= oldest {
			continue
		}
		if budget == 0 {
			break
		}
		removed, size, err := sweepStream(tx, name, st.name, oldest, budget)
		if err != nil {
			return false, err
		}
		budget -= removed
		bytes += size
	}
	left = budget == 0
	if bytes > 0 {
		err = tx.Add(bytesKey(name), -bytes)
	}
	return left, err
}

func sweepStream(tx kv.Tx, groupName, name string, oldest int64, budget int) (removed int, bytes int64, err error) {
	prefix := eventsKey(groupName, name)
	within := kv.Range{Start: prefix, End: position{time: oldest}.key(prefix)}
	var keys [][]byte
	for e, err := range tx.Loose().Scan(within, kv.ScanOptions{Limit: budget}) {
		if err != nil {
			return 0, 0, err
		}
		keys = append(keys, slices.Clone(e.Key))
		bytes += int64(len(e.Value)) - 8 + eventOverhead
	}
	for _, k := range keys {
		if err := tx.Delete(k); err != nil {
			return 0, 0, err
		}
	}
	if len(keys) == budget {
		return len(keys), bytes, nil
	}
	st := new(stream)
	if _, err := load(tx, streamKey(groupName, name), st); err != nil {
		return 0, 0, err
	}
	st.Swept = oldest
	return len(keys), bytes, store(tx, streamKey(groupName, name), st)
}
