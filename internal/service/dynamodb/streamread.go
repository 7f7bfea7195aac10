package dynamodb

import (
	"context"
	"errors"

	"croft/internal/cloud"
	"croft/internal/kv"
)

// shardBounds are the places in a shard between which there are records.
type shardBounds struct {
	// trimmed is the number of the last record that was removed, last that of the last one written; equal when there is none to read.
	trimmed, last uint64
}

// bounds returns where the stream's shard begins and ends.
func (d *streamDef) bounds(r kv.Reader) (b shardBounds, err error) {
	id, err := d.id()
	if err != nil {
		return b, err
	}
	stored, err := r.Get(trimmedKey(id))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return b, err
	}
	b.trimmed = uint64(kv.Int64(stored))
	b.last = b.trimmed
	log := streamLogKey(id)
	for e, err := range r.Scan(kv.LogRange(log, b.trimmed), kv.ScanOptions{Reverse: true, Limit: 1}) {
		if err != nil {
			return b, err
		}
		if b.last, err = kv.LogSeq(log, e.Key); err != nil {
			return b, err
		}
	}
	return b, nil
}

// ended reports whether nothing follows p, now or later.
func (d *streamDef) ended(r kv.Reader, p position) (bool, error) {
	if d.Closed.IsZero() {
		return false, nil
	}
	b, err := d.bounds(r)
	return p.after >= b.last, err
}

// errTrimmed is for a place in a shard whose next record is no longer there.
func errTrimmed() error {
	return cloud.Errorf("TrimmedDataAccessException", "The data you are trying to access has been trimmed")
}

// read returns records that follow p: at most max of them, and no more than maxBytes of their sizes unless a single one has more. next is the
// place behind them. The records share no memory with the store.
func (d *streamDef) read(ctx context.Context, r kv.Reader, p position, max, maxBytes int) (out []*streamRecord, next position, err error) {
	id, err := d.id()
	if err != nil {
		return nil, p, err
	}
	stored, err := r.Get(trimmedKey(id))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return nil, p, err
	}
	if p.after < uint64(kv.Int64(stored)) {
		return nil, p, errTrimmed()
	}
	log, total := streamLogKey(id), 0
	for e, err := range r.Scan(kv.LogRange(log, p.after), kv.ScanOptions{Limit: max}) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, p, err
		}
		rec, err := decodeRecord(append([]byte(nil), e.Value...))
		if err != nil {
			return nil, p, err
		}
		if rec.seq, err = kv.LogSeq(log, e.Key); err != nil {
			return nil, p, err
		}
		size, err := rec.size()
		if err != nil {
			return nil, p, err
		}
		if total += size; total > maxBytes && len(out) > 0 {
			return out, p, nil
		}
		out, p = append(out, rec), position{rec.seq}
	}
	return out, p, nil
}

// start returns the place that a type of iterator means. Places from which something would be missing are refused.
func (d *streamDef) start(r kv.Reader, kind string, sequence *string) (position, error) {
	b, err := d.bounds(r)
	if err != nil {
		return position{}, err
	}
	switch kind {
	case iteratorOldest:
		return position{b.trimmed}, nil
	case iteratorLatest:
		return position{b.last}, nil
	}
	p, ok := parseSequence(*sequence, kind == iteratorAt)
	if !ok || p.after > b.last {
		return position{}, validation("Invalid SequenceNumber: %s is not in shard %s", *sequence, d.shardID())
	}
	if p.after < b.trimmed {
		return position{}, errTrimmed()
	}
	return p, nil
}
