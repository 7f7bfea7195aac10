package pebblekv

import (
	"github.com/cockroachdb/pebble/v2"

	"croft/internal/kv"
)

// A counter that is added to again and again would be a long chain of operands, to be summed up by each read until compaction does
// it. So the values of busy counters are kept, in commit order, and their Adds are written as values.

const (
	// maxCounters bounds the counters that are watched.
	maxCounters = 1024
	// busyCounter is how many Adds make a counter busy.
	busyCounter = 8
)

// counter is one watched counter.
type counter struct {
	adds  int
	known bool
	value int64
}

// counters are the watched ones, and those whose values are to be read after the commit under way. commitMu guards them.
type counters struct {
	all map[string]*counter
	due []string
}

// add writes an Add to key, which physically is phys.
func (cs *counters) add(batch *pebble.Batch, key, phys, operand []byte) error {
	c := cs.all[string(key)]
	if c == nil {
		if cs.all == nil || len(cs.all) >= maxCounters {
			cs.all = make(map[string]*counter)
		}
		c = new(counter)
		cs.all[string(key)] = c
	}
	if c.known {
		c.value += kv.Int64(operand)
		return batch.Set(phys, kv.EncodeInt64(c.value), nil)
	}
	if c.adds++; c.adds == busyCounter {
		cs.due = append(cs.due, string(key))
	}
	return batch.Merge(phys, operand, nil)
}

// forget ends the watch of key, which is written in another way.
func (cs *counters) forget(key []byte) {
	if len(cs.all) > 0 {
		delete(cs.all, string(key))
	}
}

// forgetRange ends the watch of the keys in r.
func (cs *counters) forgetRange(r kv.Range) {
	for key := range cs.all {
		if r.Contains([]byte(key)) {
			delete(cs.all, key)
		}
	}
}

// learn reads the counters that are due. The commit that made them so has been applied, and no later one. What cannot be read is
// watched no longer.
func (cs *counters) learn(db *pebble.DB) {
	for _, key := range cs.due {
		c := cs.all[key]
		if c == nil || c.known {
			continue
		}
		value, closer, err := db.Get(physical([]byte(key)))
		if err != nil {
			delete(cs.all, key)
			continue
		}
		c.known, c.value = true, kv.Int64(value)
		_ = closer.Close()
	}
	cs.due = cs.due[:0]
}
