package dynamodb

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/service/dynamodb/expression"
)

// recordFormat is the first byte of a stored record, and eventExpired a bit of the second: the item was deleted because its time had come.
const (
	recordFormat = 1
	eventExpired = 0x80
)

// eventKind is what happened to an item.
type eventKind byte

const (
	eventInsert eventKind = iota
	eventModify
	eventRemove
)

// String returns the event's name in the API.
func (k eventKind) String() string {
	switch k {
	case eventInsert:
		return "INSERT"
	case eventModify:
		return "MODIFY"
	default:
		return "REMOVE"
	}
}

// streamRecord is one change of an item: its key and, as the stream's view has them, the item after and before. All are in the stored form of
// items, nil where there is none.
type streamRecord struct {
	kind     eventKind
	expired  bool
	at       time.Time
	key      []byte
	new, old []byte
	// seq is the record's number in the log, known once it is there.
	seq uint64
}

// encode returns the stored form of the record.
func (r *streamRecord) encode() []byte {
	out := make([]byte, 0, 2+4*binary.MaxVarintLen64+len(r.key)+len(r.new)+len(r.old))
	second := byte(r.kind)
	if r.expired {
		second |= eventExpired
	}
	out = append(out, recordFormat, second)
	out = binary.AppendVarint(out, r.at.UnixMilli())
	for _, part := range [...][]byte{r.key, r.new, r.old} {
		out = binary.AppendUvarint(out, uint64(len(part)))
		out = append(out, part...)
	}
	return out
}

// decodeRecord reads what encode wrote. The record shares memory with stored.
func decodeRecord(stored []byte) (*streamRecord, error) {
	if len(stored) < 2 || stored[0] != recordFormat || eventKind(stored[1]&^eventExpired) > eventRemove {
		return nil, errDamaged
	}
	r := &streamRecord{kind: eventKind(stored[1] &^ eventExpired), expired: stored[1]&eventExpired != 0}
	millis, n := binary.Varint(stored[2:])
	if n <= 0 {
		return nil, errDamaged
	}
	r.at = time.UnixMilli(millis).UTC()
	rest := stored[2+n:]
	for _, part := range [...]*[]byte{&r.key, &r.new, &r.old} {
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > uint64(len(rest)-n) {
			return nil, errDamaged
		}
		if end := n + int(length); length > 0 {
			*part = rest[n:end:end]
		}
		rest = rest[n+int(length):]
	}
	if len(rest) > 0 || r.key == nil {
		return nil, errDamaged
	}
	return r, nil
}

// size returns the record's SizeBytes: what its key and images count as items.
func (r *streamRecord) size() (total int, err error) {
	for _, part := range [...][]byte{r.key, r.new, r.old} {
		if part == nil {
			continue
		}
		n, err := storedSize(part)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// eventID returns what names the event: the same whenever it is read.
func (r *streamRecord) eventID(stream [16]byte) string {
	var in [24]byte
	copy(in[:], stream[:])
	binary.BigEndian.PutUint64(in[16:], r.seq)
	sum := md5.Sum(in[:])
	return hex.EncodeToString(sum[:])
}

// record appends what a change is to the table's stream. A change that leaves the item as it was is none, as on AWS. Appending conflicts with
// nobody, and the order of the log is that of the commits.
func (t *table) record(tx kv.Tx, w *write, c *change) error {
	if !t.streamEnabled() {
		return nil
	}
	r := streamRecord{expired: w.expired, at: t.clock.Now()}
	switch {
	case c.new == nil:
		r.kind = eventRemove
	case c.oldStored == nil:
		r.kind = eventInsert
	default:
		r.kind = eventModify
		same, err := c.same()
		if err != nil || same {
			return err
		}
	}
	key := make(attributes, 2)
	for _, part := range t.keys() {
		key[part.name] = w.item[part.name]
	}
	var err error
	if r.key, _, err = encodeItem(key); err != nil {
		return err
	}
	if c.new != nil && (t.Stream.View == viewNew || t.Stream.View == viewBoth) {
		r.new = c.newStored
	}
	if t.Stream.View == viewOld || t.Stream.View == viewBoth {
		r.old = c.oldStored
	}
	return tx.Append(streamLogKey(t.streamID), r.encode())
}

// same reports whether the item is equal before and after, where it is there both times. Sets have no order, but the stored form keeps that in which they
// came: only then is it not enough to compare bytes.
func (c *change) same() (bool, error) {
	if len(c.oldStored) != len(c.newStored) {
		return false, nil
	}
	if bytes.Equal(c.oldStored, c.newStored) {
		return true, nil
	}
	// What is stored has its numbers in their canonical form.
	old, _, err := decodeItem(c.oldStored)
	if err != nil {
		return false, err
	}
	now, _, err := decodeItem(c.newStored)
	if err != nil {
		return false, err
	}
	return expression.Equal(&api.AttributeValue{M: old}, &api.AttributeValue{M: now}), nil
}

// Sequence numbers are texts of 22 digits, whose order is that of the records: a 1, the number in the log, and a digit that is 0 for a record and
// 1 for the place right behind it, at which a shard begins. The model asks for 21 to 40 digits.
const sequenceDigits = 22

func sequenceNumber(seq uint64) string { return fmt.Sprintf("1%020d0", seq) }

// sequenceAfter is the place behind the record numbered seq: it is before every record that follows.
func sequenceAfter(seq uint64) string { return fmt.Sprintf("1%020d1", seq) }

// position is a place in a shard: behind the record numbered after.
type position struct{ after uint64 }

// parseSequence returns the place of a sequence number: behind it, or right before it so that it is the next.
func parseSequence(text string, at bool) (position, bool) {
	if len(text) != sequenceDigits || text[0] != '1' {
		return position{}, false
	}
	seq, err := strconv.ParseUint(text[1:sequenceDigits-1], 10, 64)
	last := text[sequenceDigits-1]
	if err != nil || last != '0' && last != '1' || last == '0' && seq == 0 {
		return position{}, false
	}
	if at && last == '0' {
		seq--
	}
	return position{seq}, true
}
