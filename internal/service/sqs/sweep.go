package sqs

import (
	"context"
	"time"

	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
)

// sweepHandler is the timer of each queue that removes what is past its retention. Of a deleted queue it removes the tombstone.
const sweepHandler = "sqs.sweep"

// sweepBatch bounds how many messages one sweep removes.
const sweepBatch = 500

// sweepInterval is how long expired messages that nobody meets may lie: they are neither delivered nor counted meanwhile.
func sweepInterval(q *queue) time.Duration {
	longest := time.Hour
	if q.Settings.FIFO {
		longest = remembered // deduplication ids are many
	}
	return min(max(q.Settings.retention()/4, time.Minute), longest)
}

func (s *Service) sweep(ctx context.Context, t timer.Timer) error {
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		now := cloud.CallOf(ctx).Now
		q, err := s.queue(tx, t.ID)
		if cloud.Code(err) == queueDoesNotExist().Code {
			return tx.Delete(tombstoneKey(t.ID))
		}
		if err != nil {
			return err
		}
		oldest := now.Add(-q.Settings.retention())
		var more [2]bool
		if q.Settings.FIFO {
			if more[0], err = sweepGroups(tx, q, oldest, now); err == nil {
				more[1], err = sweepTokens(tx, q, now)
			}
		} else if more[0], err = sweepLog(tx, q, oldest); err == nil {
			more[1], err = sweepFlights(tx, q, oldest)
		}
		if err != nil {
			return err
		}
		if more[0] || more[1] {
			return s.sweepAt(ctx, t.ID, now)
		}
		return s.sweepAt(ctx, t.ID, now.Add(sweepInterval(q)))
	})
}

// sweepLog removes expired messages from the start of the log. The log is in the order of commits, which is nearly that of sending.
func sweepLog(tx kv.Tx, q *queue, oldest time.Time) (more bool, err error) {
	removed := 0
	for e, err := range tx.Loose().Scan(kv.PrefixRange(waitingLog(q.ID)), kv.ScanOptions{Limit: sweepBatch}) {
		if err != nil {
			return false, err
		}
		sent, err := sentTime(e.Value)
		if err != nil {
			return false, err
		}
		if !sent.Before(oldest) {
			return false, nil
		}
		if err := tx.Delete(e.Key); err != nil {
			return false, err
		}
		removed++
	}
	return removed == sweepBatch, nil
}

// sweepFlights removes the flights that became visible before the oldest message allowed was sent: they have expired for certain. Others
// are found by a later sweep.
func sweepFlights(tx kv.Tx, q *queue, oldest time.Time) (more bool, err error) {
	removed := 0
	for e, err := range tx.Loose().Scan(visibleBy(q.ID, oldest), kv.ScanOptions{Limit: sweepBatch}) {
		if err != nil {
			return false, err
		}
		o, err := parseOrder(q.ID, e.Key)
		if err != nil {
			return false, err
		}
		if err := dropFlight(tx, q, o); err != nil {
			return false, err
		}
		removed++
	}
	return removed == sweepBatch, nil
}
