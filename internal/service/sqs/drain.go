package sqs

import (
	"bytes"
	"errors"
	"time"

	"croft/internal/kv"
)

// drain gives take the visible messages of a queue, and removes those that it takes. It ends with the first error of take.
func drain(tx kv.Tx, q *queue, now time.Time, take func(*record) error) error {
	if q.Settings.FIFO {
		return drainGroups(tx, q, now, take)
	}
	oldest := now.Add(-q.Settings.retention())
	for e, err := range tx.Loose().Scan(kv.PrefixRange(waitingLog(q.ID)), kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		key := bytes.Clone(e.Key)
		if err := drainRow(tx, key, 0, oldest, take, func() error { return tx.Delete(key) }); err != nil {
			return err
		}
	}
	for e, err := range tx.Loose().Scan(visibleBy(q.ID, now), kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		o, err := parseOrder(q.ID, e.Key)
		if err != nil {
			return err
		}
		if err := drainRow(tx, flightKey(q.ID, o.id), flightHead, oldest, take, func() error { return dropFlight(tx, q, o) }); err != nil {
			return err
		}
	}
	return nil
}

// drainRow gives one message to take and removes it; one that was sent before oldest is removed alone. The record begins at head of the row.
func drainRow(tx kv.Tx, key []byte, head int, oldest time.Time, take func(*record) error, remove func() error) error {
	row, err := tx.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(row) < head {
		return errMalformed
	}
	r, err := decodeRecord(row[head:])
	if err != nil {
		return err
	}
	if r.sent.Before(oldest) {
		return remove()
	}
	if err = take(r); err != nil && !errors.Is(err, errStop) {
		return err
	}
	return errors.Join(remove(), err)
}

// drainGroups is drain for a FIFO queue: group by group, each from its start, up to what is not visible.
func drainGroups(tx kv.Tx, q *queue, now time.Time, take func(*record) error) error {
	for e, err := range tx.Loose().Scan(visibleBy(q.ID, now), kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		k := kv.ReadKey(e.Key, orderPrefix(q.ID))
		k.Time()
		name := string(k.Rest())
		if _, found, err := getGroup(tx, q, name); err != nil || !found {
			return err
		}
		// What was taken before an error is gone all the same.
		err = drainGroup(tx, q, name, now, take)
		if err := errors.Join(err, regroup(tx, q, name, now)); err != nil {
			return err
		}
	}
	return nil
}

func drainGroup(tx kv.Tx, q *queue, name string, now time.Time, take func(*record) error) error {
	oldest := now.Add(-q.Settings.retention())
	for e, err := range tx.Loose().Scan(kv.PrefixRange(membersOf(q.ID, name)), kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		m, err := decodeMember(e.Value)
		if err != nil || m.visible.After(now) {
			return err
		}
		member, flight := bytes.Clone(e.Key), flightKey(q.ID, m.id)
		remove := func() error { return errors.Join(tx.Delete(member), tx.Delete(flight)) }
		if err := drainRow(tx, flight, flightHead, oldest, take, remove); err != nil {
			return err
		}
	}
	return nil
}
