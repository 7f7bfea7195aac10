package sqs

import (
	"context"
	"errors"
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
	return min(max(q.Settings.retention()/4, time.Minute), time.Hour)
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
		// What became visible before the oldest message allowed was sent has expired for certain; what was delayed or in
		// flight is found by a later sweep.
		oldest := now.Add(-q.Settings.retention())
		more, err := sweepWaiting(tx, q, oldest)
		if err != nil {
			return err
		}
		moreFlights, err := sweepFlights(tx, q, oldest)
		if err != nil {
			return err
		}
		if more || moreFlights {
			return s.sweepAt(ctx, t.ID, now)
		}
		return s.sweepAt(ctx, t.ID, now.Add(sweepInterval(q)))
	})
}

func sweepWaiting(tx kv.Tx, q *queue, oldest time.Time) (more bool, err error) {
	removed := 0
	for e, err := range tx.Loose().Scan(visibleBefore(waitingPrefix(q.ID), oldest), kv.ScanOptions{Limit: sweepBatch}) {
		if err != nil {
			return false, err
		}
		if err := tx.Delete(e.Key); err != nil {
			return false, err
		}
		removed++
	}
	return removed == sweepBatch, nil
}

func sweepFlights(tx kv.Tx, q *queue, oldest time.Time) (more bool, err error) {
	removed := 0
	for e, err := range tx.Loose().Scan(visibleBefore(orderPrefix(q.ID), oldest), kv.ScanOptions{Limit: sweepBatch}) {
		if err != nil {
			return false, err
		}
		if err := dropFlight(tx, q, e.Key); err != nil {
			return false, err
		}
		removed++
	}
	return removed == sweepBatch, nil
}

// dropFlight removes an order row, and the flight that it belongs to unless that has moved on.
func dropFlight(tx kv.Tx, q *queue, order []byte) error {
	id, err := idInOrder(order)
	if err != nil {
		return err
	}
	if err := tx.Delete(order); err != nil {
		return err
	}
	row, err := tx.Get(flightKey(q.ID, id))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	f, _, err := splitFlight(row)
	if err != nil {
		return err
	}
	if string(orderKey(q.ID, f.visible, id)) != string(order) {
		return nil
	}
	return tx.Delete(flightKey(q.ID, id))
}
