package pebblekv

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"croft/internal/kv"
)

// cursor walks a range of a snapshot, leaping over known gaps when it goes forward.
type cursor struct {
	it      *pebble.Iterator
	rng     kv.Range
	reverse bool
	// gaps are those ahead, in order.
	gaps  []kv.Range
	valid bool
	// work is what the last move cost beyond one step: entries that are no more, and leaps.
	work  int
	limit []byte
}

func newCursor(from pebble.Reader, rng kv.Range, reverse bool, gaps []kv.Range) (*cursor, error) {
	var o pebble.IterOptions
	o.LowerBound, o.UpperBound = physicalRange(rng)
	it, err := from.NewIter(&o)
	if err != nil {
		return nil, fmt.Errorf("pebblekv: scan: %w", err)
	}
	return &cursor{it: it, rng: rng, reverse: reverse, gaps: gaps}, nil
}

// key returns the key under a valid cursor, until the next move.
func (c *cursor) key() []byte { return c.it.Key()[1:] }

// first moves to where the walk begins.
func (c *cursor) first() {
	if c.reverse {
		c.valid = c.it.Last()
		return
	}
	c.seek(c.rng.Start)
}

// next moves on by one key.
func (c *cursor) next() {
	if c.reverse {
		c.valid = c.it.Prev()
		return
	}
	before := c.steps()
	state := c.it.NextWithLimit(c.nextGap())
	c.work = c.steps() - before - 1
	c.arrive(state)
}

// over moves to the first key behind the hole, in the direction of the walk.
func (c *cursor) over(hole kv.Range) {
	switch {
	case c.reverse:
		c.valid = c.it.SeekLT(physical(hole.Start))
	case hole.End == nil:
		c.valid = false
	default:
		c.seek(hole.End)
	}
}

// seek moves forward to the first key at or behind pos.
func (c *cursor) seek(pos []byte) {
	c.work, c.valid = 0, false
	for {
		for len(c.gaps) > 0 && c.gaps[0].End != nil && bytes.Compare(c.gaps[0].End, pos) <= 0 {
			c.gaps = c.gaps[1:]
		}
		if len(c.gaps) > 0 && bytes.Compare(c.gaps[0].Start, pos) <= 0 {
			c.work += hopWork
			if pos = c.gaps[0].End; pos == nil || c.rng.End != nil && bytes.Compare(pos, c.rng.End) >= 0 {
				return
			}
			continue
		}
		before := c.steps()
		state := c.it.SeekGEWithLimit(physical(pos), c.nextGap())
		c.work += c.steps() - before
		if state != pebble.IterAtLimit {
			c.valid = state == pebble.IterValid
			return
		}
		pos = c.gaps[0].Start
	}
}

// arrive notes the end of a step, which may be the next gap.
func (c *cursor) arrive(state pebble.IterValidityState) {
	if state != pebble.IterAtLimit {
		c.valid = state == pebble.IterValid
		return
	}
	work := c.work
	c.seek(c.gaps[0].Start)
	c.work += work
}

// nextGap returns where the next gap begins, as a limit for Pebble, or nil.
func (c *cursor) nextGap() []byte {
	for len(c.gaps) > 0 && c.valid && c.gaps[0].End != nil && bytes.Compare(c.gaps[0].End, c.key()) <= 0 {
		c.gaps = c.gaps[1:]
	}
	if len(c.gaps) == 0 {
		return nil
	}
	c.limit = append(append(c.limit[:0], userSpace), c.gaps[0].Start...)
	return c.limit
}

// steps returns how many entries Pebble has looked at.
func (c *cursor) steps() int {
	stats := c.it.Stats()
	return stats.ForwardStepCount[pebble.InternalIterCall]
}
