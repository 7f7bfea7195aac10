package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// The major types of CBOR (RFC 8949, section 3.1).
const (
	cborUint byte = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborOther
)

// The values of major type 7 that this package knows, and the mark of an indefinite length.
const (
	cborFalse      = 20
	cborTrue       = 21
	cborNull       = 22
	cborUndefined  = 23
	cborHalf       = 25
	cborSingle     = 26
	cborDouble     = 27
	cborIndefinite = 31
	cborBreak      = 0xff
	cborEpoch      = 1 // the tag of a time in seconds since 1970
)

// cborScanner reads CBOR (RFC 8949) from a buffer, one item at a time. It never reads beyond the buffer and keeps nothing of it.
type cborScanner struct {
	data []byte
	pos  int
}

// cborFault is malformed CBOR.
type cborFault struct {
	pos  int
	what string
}

func (e *cborFault) Error() string {
	return fmt.Sprintf("The request body is not valid CBOR: %s at byte %d", e.what, e.pos+1)
}

func (s *cborScanner) fail(what string) error { return &cborFault{s.pos, what} }

// cborHead is the beginning of an item: its major type, its additional information, and the number that these say.
type cborHead struct {
	major, info byte
	arg         uint64
}

func (h cborHead) indefinite() bool { return h.info == cborIndefinite }

// peek returns the major type of the next item without consuming it; at the end it is one that no item has.
func (s *cborScanner) peek() byte {
	if s.pos >= len(s.data) {
		return cborOther + 1
	}
	return s.data[s.pos] >> 5
}

// head consumes an item's head.
func (s *cborScanner) head() (cborHead, error) {
	if s.pos >= len(s.data) {
		return cborHead{}, s.fail("unexpected end")
	}
	c := s.data[s.pos]
	h := cborHead{major: c >> 5, info: c & 31}
	n := 0
	switch {
	case h.info < 24:
		h.arg = uint64(h.info)
	case h.info <= 27:
		n = 1 << (h.info - 24)
	case h.info < cborIndefinite:
		return h, s.fail("reserved additional information")
	case h.major < cborBytes || h.major == cborTag:
		return h, s.fail("an indefinite length where there can be none")
	}
	if len(s.data)-s.pos-1 < n {
		return h, s.fail("unexpected end")
	}
	var wide [8]byte
	copy(wide[8-n:], s.data[s.pos+1:s.pos+1+n])
	if n > 0 {
		h.arg = binary.BigEndian.Uint64(wide[:])
	}
	if h.major == cborOther && h.info == 24 && h.arg < 32 {
		return h, s.fail("malformed simple value")
	}
	s.pos += 1 + n
	return h, nil
}

// chunk returns the bytes of a string whose head has been consumed and whose length is definite.
func (s *cborScanner) chunk(h cborHead) ([]byte, error) {
	if h.arg > uint64(len(s.data)-s.pos) {
		return nil, s.fail("a string longer than the body")
	}
	raw := s.data[s.pos : s.pos+int(h.arg)]
	if h.major == cborText && !utf8.Valid(raw) {
		return nil, s.fail("invalid UTF-8")
	}
	s.pos += len(raw)
	return raw, nil
}

// bytes returns the value of a text or byte string whose head has been consumed. It lies in the buffer unless the string came in chunks.
func (s *cborScanner) bytes(h cborHead) ([]byte, error) {
	if !h.indefinite() {
		return s.chunk(h)
	}
	var out []byte
	for {
		part, err := s.head()
		if err != nil {
			return nil, err
		}
		if part.major == cborOther && part.indefinite() {
			return out, nil
		}
		if part.major != h.major || part.indefinite() {
			return nil, s.fail("a chunk of another type than its string")
		}
		raw, err := s.chunk(part)
		if err != nil {
			return nil, err
		}
		out = append(out, raw...)
	}
}

// cborItems counts the entries of an array or a map.
type cborItems struct {
	left       uint64
	indefinite bool
}

// items begins an array or a map, whose head has been consumed. Every entry takes a byte at least, so that a length beyond the body's is
// refused before anything is made of it.
func (s *cborScanner) items(h cborHead) (cborItems, error) {
	if !h.indefinite() && h.arg > uint64(len(s.data)-s.pos) {
		return cborItems{}, s.fail("more entries than the body has bytes")
	}
	return cborItems{left: h.arg, indefinite: h.indefinite()}, nil
}

// more reports whether there is another entry, and consumes the end of a container of indefinite length.
func (s *cborScanner) more(it *cborItems) (bool, error) {
	if !it.indefinite {
		it.left--
		return it.left != math.MaxUint64, nil
	}
	if s.pos >= len(s.data) {
		return false, s.fail("unexpected end")
	}
	if s.data[s.pos] == cborBreak {
		s.pos++
		return false, nil
	}
	return true, nil
}

// null consumes null or undefined, if that is next.
func (s *cborScanner) null() bool {
	if s.pos < len(s.data) && (s.data[s.pos] == cborOther<<5|cborNull || s.data[s.pos] == cborOther<<5|cborUndefined) {
		s.pos++
		return true
	}
	return false
}

// skip consumes an item of any type.
func (s *cborScanner) skip(depth int) error {
	if depth > maxDepth {
		return s.fail("nesting too deep")
	}
	h, err := s.head()
	if err != nil {
		return err
	}
	switch h.major {
	case cborBytes, cborText:
		_, err := s.bytes(h)
		return err
	case cborArray, cborMap:
		return s.skipItems(h, depth)
	case cborTag:
		return s.skip(depth + 1)
	case cborOther:
		if h.indefinite() {
			return s.fail("unexpected break")
		}
	}
	return nil
}

func (s *cborScanner) skipItems(h cborHead, depth int) error {
	it, err := s.items(h)
	if err != nil {
		return err
	}
	for {
		more, err := s.more(&it)
		if err != nil || !more {
			return err
		}
		if err := s.skip(depth + 1); err != nil {
			return err
		}
		if h.major == cborMap {
			if err := s.skip(depth + 1); err != nil {
				return err
			}
		}
	}
}

// float returns the number that a head of major type 7 holds.
func (h cborHead) float() (float64, bool) {
	switch h.info {
	case cborHalf:
		return halfFloat(uint16(h.arg)), true
	case cborSingle:
		return float64(math.Float32frombits(uint32(h.arg))), true
	case cborDouble:
		return math.Float64frombits(h.arg), true
	}
	return 0, false
}

// halfFloat widens an IEEE 754 number of 16 bits.
func halfFloat(h uint16) float64 {
	fraction, exponent := float64(h&0x3ff), int(h>>10&31)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(fraction, -24)
	case 31:
		if fraction != 0 {
			return math.NaN()
		}
		f = math.Inf(1)
	default:
		f = math.Ldexp(fraction+1024, exponent-25)
	}
	if h>>15 == 1 {
		return -f
	}
	return f
}

// whole returns the number that a head of major type 0 or 1 holds, if an int64 can.
func (h cborHead) whole() (int64, bool) {
	if h.arg > math.MaxInt64 {
		return 0, false
	}
	if h.major == cborNegative {
		return -1 - int64(h.arg), true
	}
	return int64(h.arg), true
}
