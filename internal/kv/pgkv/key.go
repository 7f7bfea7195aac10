package pgkv

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"croft/internal/kv"
)

// An index entry of PostgreSQL holds about 2,700 bytes, a key of the contract up to kv.MaxKeyBytes. So the column k of a row is its key
// if that has at most flatBytes, and else the key's first deepBytes, a hash of the rest, and its last eight bytes: unique, and as short
// as an index takes. Column t is what a key has behind its first deepBytes, and NULL for keys that are not longer.
//
// Rows in the order of k are in the order of their keys, but for those with the same first deepBytes and something behind: a group,
// which has to be read in the order of t. Everything else needs k alone.
const (
	deepBytes = 1992
	flatBytes = 2000
	hashBytes = 24
)

// maxBoundBytes bounds the ends of ranges: the successor of the longest key is a legal end.
const maxBoundBytes = kv.MaxKeyBytes + 1

// columns returns what key is in the columns k and t. The results may share key's memory; t is nil for a key that needs none.
func columns(key []byte) (k, t []byte) {
	if len(key) <= deepBytes {
		return key, nil
	}
	if len(key) <= flatBytes {
		return key, key[deepBytes:]
	}
	k = append(appendPrefix(make([]byte, 0, deepBytes+hashBytes+8), key[:len(key)-8]), key[len(key)-8:]...)
	return k, key[deepBytes:]
}

// appendPrefix appends what column k holds of a key before its last eight bytes, given the key, longer than flatBytes, without these.
func appendPrefix(out, key []byte) []byte {
	h := sha256.New()
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(key))))
	_, _ = h.Write(key[deepBytes:])
	return append(append(out, key[:deepBytes]...), h.Sum(nil)[:hashBytes]...)
}

// keyOf is the inverse of columns. It may share the memory of k.
func keyOf(k, t []byte) []byte {
	if len(k) <= flatBytes {
		return k
	}
	return append(k[:deepBytes:deepBytes], t...)
}

// piece is a part of a range as the table sees it: the rows with start <= k < end, and of those, in a deep piece, the ones with from <= t < to.
type piece struct {
	start, end []byte
	deep       bool
	from, to   []byte
}

// lastK and lastT are above every k and t.
func lastK() []byte { return bytes.Repeat([]byte{0xff}, deepBytes+hashBytes+8+1) }
func lastT() []byte { return bytes.Repeat([]byte{0xff}, maxBoundBytes) }

// group returns the piece of the rows whose keys are g, of deepBytes, and something behind it.
func group(g []byte) piece {
	p := piece{start: append(bytes.Clone(g), 0), end: kv.PrefixRange(g).End, deep: true, to: lastT()}
	if p.end == nil {
		p.end = lastK()
	}
	return p
}

// pieces returns r, which is not empty, as pieces in the order of their keys.
func pieces(r kv.Range) []piece {
	flat := piece{start: r.Start, end: r.End}
	if r.End == nil {
		flat.end = lastK()
	}
	var out []piece
	if len(r.Start) > deepBytes {
		first := group(r.Start[:deepBytes])
		first.from = r.Start[deepBytes:]
		if len(r.End) > deepBytes && bytes.HasPrefix(r.End, r.Start[:deepBytes]) {
			first.to = r.End[deepBytes:]
			return []piece{first}
		}
		out = append(out, first)
		flat.start = first.end
	}
	var last []piece
	if len(r.End) > deepBytes {
		end := group(r.End[:deepBytes])
		end.to = r.End[deepBytes:]
		last = []piece{end}
		flat.end = end.start
	}
	if bytes.Compare(flat.start, flat.end) < 0 {
		out = append(out, flat)
	}
	return append(out, last...)
}

// prefix returns the longest prefix that all of the piece's keys are known to share.
func (p piece) prefix() []byte {
	n := 0
	for n < len(p.start) && n < len(p.end) && p.start[n] == p.end[n] {
		n++
	}
	// With an end that is the successor of a prefix, the keys share that prefix, and every 0xff that the start has behind it.
	if len(p.end) == n+1 && n < len(p.start) && p.start[n]+1 == p.end[n] {
		n++
		for n < len(p.start) && p.start[n] == 0xff {
			n++
		}
	}
	return p.start[:min(n, deepBytes)]
}

// isEmpty reports whether no key can lie in r.
func isEmpty(r kv.Range) bool { return r.End != nil && bytes.Compare(r.Start, r.End) >= 0 }

// copyRange returns r with memory of its own.
func copyRange(r kv.Range) kv.Range {
	out := kv.Range{Start: append([]byte{}, r.Start...)}
	if r.End != nil {
		out.End = append([]byte{}, r.End...)
	}
	return out
}

// successor returns the least byte string above b.
func successor(b []byte) []byte { return append(b[:len(b):len(b)], 0) }
