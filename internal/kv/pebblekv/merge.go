package pebblekv

import (
	"io"

	"github.com/cockroachdb/pebble/v2"

	"croft/internal/kv"
)

// counterMerger sums counters. Operands are eight big-endian bytes; anything else, such as a value that was Put, counts as zero. The
// sum wraps, so the order of operands does not matter. The name is written into every store and must not change.
func counterMerger() *pebble.Merger {
	return &pebble.Merger{
		Name: "croft.counter",
		Merge: func(_, value []byte) (pebble.ValueMerger, error) {
			return &counterSum{sum: kv.Int64(value)}, nil
		},
	}
}

type counterSum struct{ sum int64 }

// MergeNewer implements pebble.ValueMerger.
func (c *counterSum) MergeNewer(value []byte) error { c.sum += kv.Int64(value); return nil }

// MergeOlder implements pebble.ValueMerger.
func (c *counterSum) MergeOlder(value []byte) error { c.sum += kv.Int64(value); return nil }

// Finish implements pebble.ValueMerger.
func (c *counterSum) Finish(bool) ([]byte, io.Closer, error) {
	return kv.EncodeInt64(c.sum), nil, nil
}
