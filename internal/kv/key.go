package kv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// Key builds keys whose byte order is the order of their parts. Each method returns the key with a part appended; the receiver is
// left as it was, so a prefix can be kept and shared.
type Key []byte

// Raw appends b as it is. Only a key's last part, or one of fixed length, may be raw.
func (k Key) Raw(b ...byte) Key { return append(k[:len(k):len(k)], b...) }

// Str appends a string of any bytes: a zero byte is written as 00 FF, and 00 01 ends the part, so that no part is a prefix of another.
func (k Key) Str(s string) Key {
	out := make([]byte, len(k), len(k)+len(s)+10)
	copy(out, k)
	for i := 0; i < len(s); i++ {
		if s[i] == 0 {
			out = append(out, 0, 0xff)
			continue
		}
		out = append(out, s[i])
	}
	return append(out, 0, 1)
}

// Bytes appends b in the form of Str.
func (k Key) Bytes(b []byte) Key { return k.Str(string(b)) }

// Uint appends u in eight bytes.
func (k Key) Uint(u uint64) Key { return binary.BigEndian.AppendUint64(k[:len(k):len(k)], u) }

// Int appends i in eight bytes, negative numbers first.
func (k Key) Int(i int64) Key { return k.Uint(uint64(i) ^ 1<<63) }

// Time appends t in nanoseconds since 1970, which holds from 1678 to 2262.
func (k Key) Time(t time.Time) Key { return k.Int(t.UnixNano()) }

// ErrBadKey is returned by KeyReader for a key that does not have the part asked for.
var ErrBadKey = errors.New("kv: malformed key")

// KeyReader takes a key apart, in the order in which it was built. The first failure sticks: check Err at the end.
type KeyReader struct {
	rest []byte
	err  error
}

// ReadKey starts reading key after prefix.
func ReadKey(key, prefix []byte) *KeyReader {
	rest, ok := bytes.CutPrefix(key, prefix)
	if !ok {
		return &KeyReader{err: ErrBadKey}
	}
	return &KeyReader{rest: rest}
}

// Str reads a part that Str or Bytes wrote.
func (r *KeyReader) Str() string {
	if r.err != nil {
		return ""
	}
	var out []byte
	for i := 0; i < len(r.rest); i++ {
		if r.rest[i] != 0 {
			out = append(out, r.rest[i])
			continue
		}
		i++
		if i == len(r.rest) {
			break
		}
		switch r.rest[i] {
		case 1:
			r.rest = r.rest[i+1:]
			return string(out)
		case 0xff:
			out = append(out, 0)
		default:
			r.err = ErrBadKey
			return ""
		}
	}
	r.err = ErrBadKey
	return ""
}

// Uint reads a part that Uint wrote.
func (r *KeyReader) Uint() uint64 {
	if r.err != nil || len(r.rest) < 8 {
		r.err = ErrBadKey
		return 0
	}
	u := binary.BigEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return u
}

// Int reads a part that Int wrote.
func (r *KeyReader) Int() int64 { return int64(r.Uint() ^ 1<<63) }

// Time reads a part that Time wrote, in UTC.
func (r *KeyReader) Time() time.Time { return time.Unix(0, r.Int()).UTC() }

// Rest returns what has not been read.
func (r *KeyReader) Rest() []byte { return r.rest }

// Err returns ErrBadKey if any read failed.
func (r *KeyReader) Err() error { return r.err }

// Int64 decodes a counter's value. Anything but eight bytes counts as zero.
func Int64(value []byte) int64 {
	if len(value) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(value))
}

// EncodeInt64 encodes a counter's value: how back ends store it.
func EncodeInt64(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// LogKey returns the key of the entry with number seq in log.
func LogKey(log []byte, seq uint64) []byte { return Key(log).Uint(seq) }

// LogSeq returns the number of the entry at key, which lies in log.
func LogSeq(log, key []byte) (uint64, error) {
	r := ReadKey(key, log)
	seq := r.Uint()
	if r.Err() != nil || len(r.Rest()) != 0 {
		return 0, ErrBadKey
	}
	return seq, nil
}

// LogRange returns the range of log's entries with numbers greater than after; after 0 gives all, since numbers start at 1.
func LogRange(log []byte, after uint64) Range {
	if after == math.MaxUint64 {
		return Range{Start: log, End: log}
	}
	return Range{Start: LogKey(log, after+1), End: PrefixRange(log).End}
}
