package pebblekv

import (
	"bytes"
	"container/list"
	"sort"
	"sync"
	"sync/atomic"

	"croft/internal/kv"
)

// maxHistoryKeys bounds the write sets that are remembered for transactions under way. One that needs what has been dropped
// counts as conflicting: it runs again, on a newer snapshot.
const maxHistoryKeys = 1 << 16

// record is the write set of one commit.
type record struct {
	seq    uint64
	keys   [][]byte
	ranges []kv.Range
}

func (r *record) size() int { return len(r.keys) + len(r.ranges) }

// history remembers the write sets that transactions under way have to be held against, and no others.
type history struct {
	// last is the number of the last commit that every new snapshot contains.
	last atomic.Uint64

	mu sync.Mutex
	// forgotten is the number up to which write sets have been dropped although someone might ask for them.
	forgotten uint64
	records   []*record
	size      int
	// starts holds, for every transaction that has a snapshot, the value of last at its start; oldest first.
	starts list.List
}

// begin notes a transaction that is about to take its snapshot. Its place must be given to end.
func (h *history) begin() *list.Element {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.starts.PushBack(h.last.Load())
}

// end forgets a transaction.
func (h *history) end(place *list.Element) {
	h.mu.Lock()
	defer h.mu.Unlock()
	oldest := h.starts.Front() == place
	h.starts.Remove(place)
	if oldest {
		h.trim()
	}
}

// publish notes that commit seq can be seen by every snapshot from now on. writes is called only if someone may ask for
// them.
func (h *history) publish(seq uint64, writes func() *record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last.Store(seq)
	if h.starts.Len() == 0 {
		return
	}
	r := writes()
	r.seq = seq
	h.records = append(h.records, r)
	h.size += r.size()
	h.trim()
}

// trim drops the records that nobody can ask for, and the oldest ones while there are too many.
func (h *history) trim() {
	if h.starts.Len() == 0 {
		h.records, h.size = nil, 0
		return
	}
	oldest := h.starts.Front().Value.(uint64)
	n := 0
	for ; n < len(h.records); n++ {
		r := h.records[n]
		if r.seq > oldest {
			if h.size <= maxHistoryKeys {
				break
			}
			h.forgotten = r.seq
		}
		h.size -= r.size()
	}
	h.records = h.records[n:]
}

// since returns the records of the commits after start, and false when some have been forgotten.
func (h *history) since(start uint64) ([]*record, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.forgotten > start {
		return nil, false
	}
	i := sort.Search(len(h.records), func(i int) bool { return h.records[i].seq > start })
	return h.records[i:len(h.records):len(h.records)], true
}

// writeSet returns the record of a transaction's writes, or of a range around them when they are many.
func writeSet(log []*write) *record {
	if len(log) > maxHistoryKeys/4 {
		return &record{ranges: []kv.Range{around(log)}}
	}
	size := 0
	for _, w := range log {
		size += len(w.key)
		if w.op == opDeleteRange {
			size += len(w.arg)
		}
	}
	buf := make([]byte, 0, size)
	own := func(b []byte) []byte {
		buf = append(buf, b...)
		return buf[len(buf)-len(b) : len(buf) : len(buf)]
	}
	r := &record{keys: make([][]byte, 0, len(log))}
	for _, w := range log {
		if w.op != opDeleteRange {
			r.keys = append(r.keys, own(w.key))
			continue
		}
		gap := kv.Range{Start: own(w.key)}
		if w.arg != nil {
			gap.End = own(w.arg)
		}
		r.ranges = append(r.ranges, gap)
	}
	return r
}

// around returns a range that holds every key of log.
func around(log []*write) kv.Range {
	r := kv.Range{Start: bytes.Clone(log[0].key), End: []byte{}}
	for _, w := range log {
		if bytes.Compare(w.key, r.Start) < 0 {
			r.Start = bytes.Clone(w.key)
		}
		end := w.arg
		if w.op != opDeleteRange {
			end = append(bytes.Clone(w.key), 0)
		}
		if later(end, r.End) {
			r.End = bytes.Clone(end)
		}
	}
	return r
}
