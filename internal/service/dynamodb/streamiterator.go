package dynamodb

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"
)

// Values of ShardIteratorType.
const (
	iteratorOldest = "TRIM_HORIZON"
	iteratorLatest = "LATEST"
	iteratorAt     = "AT_SEQUENCE_NUMBER"
	iteratorAfter  = "AFTER_SEQUENCE_NUMBER"
)

// iteratorLife is how long an iterator can be used. Source: API reference, GetShardIterator.
const iteratorLife = 15 * time.Minute

// iterator is what a ShardIterator says: a place in a stream's shard, and since when it counts. It grants nothing: whoever uses it is asked for
// the stream it names.
type iterator struct {
	arn    string
	stream [16]byte
	place  position
	issued time.Time
}

// iteratorFormat stands between the stream's ARN and the rest, which is in base64.
const iteratorFormat = "|1|"

// String returns the iterator as clients have it.
func (i iterator) String() string {
	b := append(make([]byte, 0, 32), i.stream[:]...)
	b = binary.BigEndian.AppendUint64(b, i.place.after)
	b = binary.BigEndian.AppendUint64(b, uint64(i.issued.UnixMilli()))
	return i.arn + iteratorFormat + base64.StdEncoding.EncodeToString(b)
}

// parseIterator reads what String wrote.
func parseIterator(text string) (i iterator, ok bool) {
	arn, rest, ok := strings.Cut(text, iteratorFormat)
	if !ok {
		return i, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(rest)
	if err != nil || len(b) != 32 {
		return i, false
	}
	i.arn = arn
	copy(i.stream[:], b)
	i.place.after = binary.BigEndian.Uint64(b[16:])
	i.issued = time.UnixMilli(int64(binary.BigEndian.Uint64(b[24:]))).UTC()
	return i, true
}
