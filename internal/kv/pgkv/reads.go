package pgkv

import (
	"bytes"
	"math/big"
	"math/bits"
	"strconv"

	"croft/internal/kv"
)

// absent is the version of a key that is not there. Versions of rows are not negative.
const absent = -1

// readSet is what a transaction has read: keys with their versions, and parts of ranges with a fingerprint of the rows in them.
type readSet struct {
	points map[string]int64
	spans  []*span
	// bytes is the size of the keys, which is bounded like that of a transaction's writes.
	bytes int
	// guarded is set by Guard, whose ranges are checked even if nothing is written.
	guarded bool
}

func (s *readSet) empty() bool { return len(s.points) == 0 && len(s.spans) == 0 }

func (s *readSet) point(key []byte, ver int64) error {
	if _, ok := s.points[string(key)]; ok {
		return nil
	}
	if s.points == nil {
		s.points = map[string]int64{}
	}
	s.points[string(key)] = ver
	return s.grow(len(key))
}

// pointBytes is about what a note of a read takes beside its key.
const pointBytes = 48

func (s *readSet) grow(n int) error {
	if s.bytes += n + pointBytes; s.bytes > kv.MaxTxBytes {
		return kv.ErrTooLarge
	}
	return nil
}

// span is a piece that a scan goes through.
type span struct {
	// whole is the piece, and walked the part of it behind the scan.
	whole, walked piece
	// count and the 128 bits of sum say which rows were there: a row that comes, goes or changes brings or takes a random version.
	count int64
	sum   [2]uint64
	// known replaces sum where the database has added it up.
	known string
}

// pass takes in a row.
func (s *span) pass(ver int64) {
	lo, carry := bits.Add64(s.sum[0], uint64(ver), 0)
	s.count, s.sum = s.count+1, [2]uint64{lo, s.sum[1] + carry}
}

// total returns the sum of the versions in decimals.
func (s *span) total() string {
	if s.known != "" {
		return s.known
	}
	if s.sum[1] == 0 {
		return strconv.FormatUint(s.sum[0], 10)
	}
	var n, lo big.Int
	n.Lsh(n.SetUint64(s.sum[1]), 64)
	return n.Or(&n, lo.SetUint64(s.sum[0])).String()
}

// holds reports whether key lies in the whole piece.
func (s *span) holds(key []byte) bool {
	k, t := columns(key)
	if bytes.Compare(k, s.whole.start) < 0 || bytes.Compare(k, s.whole.end) >= 0 {
		return false
	}
	return !s.whole.deep || t != nil && bytes.Compare(t, s.whole.from) >= 0 && bytes.Compare(t, s.whole.to) < 0
}

// reach sets the walked part to that up to and with key, which the whole holds. A key that the table does not order with the
// others (see columns) takes its whole group with it: as long as the span is not deep, there is no row of that group.
func (s *span) reach(key []byte, reverse bool) {
	s.walked = s.whole
	switch {
	case s.whole.deep && reverse:
		s.walked.from = key[deepBytes:]
	case s.whole.deep:
		s.walked.to = successor(key[deepBytes:])
	case len(key) <= deepBytes && reverse:
		s.walked.start = key
	case len(key) <= deepBytes:
		s.walked.end = successor(key)
	case reverse:
		s.walked.start = group(key[:deepBytes]).start
	default:
		s.walked.end = group(key[:deepBytes]).end
	}
}

// walk puts a scan's spans into the conflict set as far as the scan gets. A nil walk does nothing.
type walk struct {
	reads *readSet
	// spans are those of the scan, in its order, of which the first known are in the conflict set.
	spans   []*span
	known   int
	reverse bool
}

// enter notes that the scan has come to s: everything before s lies behind it. A nil s means the end.
func (w *walk) enter(s *span) error {
	for w.known == 0 || w.spans[w.known-1] != s {
		if w.known > 0 {
			last := w.spans[w.known-1]
			last.walked = last.whole
		}
		if w.known == len(w.spans) {
			return nil
		}
		next := w.spans[w.known]
		w.known++
		// Nothing of it is walked yet.
		next.walked = next.whole
		next.walked.end = next.walked.start
		w.reads.spans = append(w.reads.spans, next)
		if err := w.reads.grow(len(next.whole.start) + len(next.whole.end) + len(next.whole.from)); err != nil {
			return err
		}
	}
	return nil
}

// pass notes that the scan has come past the row of key in s.
func (w *walk) pass(s *span, key []byte, ver int64) error {
	if w == nil {
		return nil
	}
	if err := w.enter(s); err != nil {
		return err
	}
	s.pass(ver)
	s.reach(key, w.reverse)
	return nil
}

// yield notes that the scan has come to a key that the transaction wrote, and that the next row is in s, nil for none.
func (w *walk) yield(s *span, key []byte) error {
	if w == nil {
		return nil
	}
	if err := w.enter(s); err != nil {
		return err
	}
	if s != nil && s.holds(key) {
		s.reach(key, w.reverse)
	}
	return nil
}

// finish notes that the scan has come to its end.
func (w *walk) finish() error {
	if w == nil {
		return nil
	}
	return w.enter(nil)
}
