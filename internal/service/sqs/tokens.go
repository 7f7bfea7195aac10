package sqs

import (
	"errors"
	"time"

	"croft/internal/kv"
)

// remembered is how long a FIFO queue knows deduplication ids and receive attempts. Source: Amazon SQS Developer Guide, "Exactly-once
// processing in Amazon SQS".
const remembered = 5 * time.Minute

// putToken remembers value under key until expires. The queue's sweep takes it away some time later.
func putToken(tx kv.Tx, q *queue, key kv.Key, expires time.Time, value []byte) error {
	if err := tx.Put(key, kv.Key(nil).Time(expires).Raw(value...)); err != nil {
		return err
	}
	return tx.Put(expiriesPrefix(q.ID).Time(expires).Raw(key...), []byte{1})
}

// getToken returns what is remembered under key, or nil when that is nothing or its time is over.
func getToken(r kv.Reader, key kv.Key, now time.Time) ([]byte, error) {
	row, err := r.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k := kv.ReadKey(row, nil)
	if expires := k.Time(); k.Err() != nil || !expires.After(now) {
		return nil, k.Err()
	}
	return k.Rest(), nil
}

// sweepTokens removes tokens whose time is over.
func sweepTokens(tx kv.Tx, q *queue, now time.Time) (more bool, err error) {
	removed := 0
	over := kv.Range{Start: expiriesPrefix(q.ID), End: expiriesPrefix(q.ID).Time(now.Add(1))}
	for e, err := range tx.Loose().Scan(over, kv.ScanOptions{Limit: sweepBatch}) {
		if err != nil {
			return false, err
		}
		k := kv.ReadKey(e.Key, expiriesPrefix(q.ID))
		k.Time()
		if k.Err() != nil {
			return false, k.Err()
		}
		// The same token may have been put again since, and have its own entry.
		live, err := getToken(tx, k.Rest(), now)
		if err != nil {
			return false, err
		}
		if live == nil {
			if err := tx.Delete(k.Rest()); err != nil {
				return false, err
			}
		}
		if err := tx.Delete(e.Key); err != nil {
			return false, err
		}
		removed++
	}
	return removed == sweepBatch, nil
}
