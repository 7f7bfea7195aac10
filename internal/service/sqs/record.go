package sqs

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"
)

// messageID is a message's UUID.
type messageID [16]byte

func newMessageID() (id messageID) {
	rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

func (id messageID) String() string {
	var out [36]byte
	hex.Encode(out[0:8], id[0:4])
	hex.Encode(out[9:13], id[4:6])
	hex.Encode(out[14:18], id[6:8])
	hex.Encode(out[19:23], id[8:10])
	hex.Encode(out[24:36], id[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// record is a message as it is stored.
type record struct {
	id   messageID
	sent time.Time
	// sender is the principal's user id, trace the AWSTraceHeader.
	sender, trace string
	// group is the MessageGroupId; dedup and sequence are those of a FIFO queue.
	group, dedup string
	sequence     uint64
	// source is the ARN of the queue that gave the message up to this one.
	source     string
	attributes []attribute
	body       string
}

// attribute is one message attribute. Records keep them sorted by name.
type attribute struct {
	name, dataType string
	binary         bool
	value          string
}

const (
	recordV1 = 1
	// recordV2 has group, dedup, sequence and source behind the head; records without any of them stay short.
	recordV2 = 2
	// sentOffset is where the time of sending, in milliseconds since 1970, stands in a record.
	sentOffset = 1 + len(messageID{})
	// recordHead is the length of a record's fixed part.
	recordHead = sentOffset + 8
)

var errMalformed = errors.New("sqs: malformed record")

// encode writes the form's number, the id, the time in milliseconds, then sender, trace, and the attributes, each string after its
// length, and the body as the rest.
func (r *record) encode() []byte {
	size := recordHead + 24 + len(r.sender) + len(r.trace) + len(r.body) + len(r.group) + len(r.dedup) + len(r.source)
	for _, a := range r.attributes {
		size += 8 + len(a.name) + len(a.dataType) + len(a.value)
	}
	out := make([]byte, 0, size)
	version := byte(recordV1)
	if r.group != "" || r.dedup != "" || r.sequence != 0 || r.source != "" {
		version = recordV2
	}
	out = append(out, version)
	out = append(out, r.id[:]...)
	out = binary.BigEndian.AppendUint64(out, uint64(r.sent.UnixMilli()))
	if version == recordV2 {
		out = appendString(out, r.group)
		out = appendString(out, r.dedup)
		out = binary.AppendUvarint(out, r.sequence)
		out = appendString(out, r.source)
	}
	out = appendString(out, r.sender)
	out = appendString(out, r.trace)
	out = binary.AppendUvarint(out, uint64(len(r.attributes)))
	for _, a := range r.attributes {
		out = appendString(out, a.name)
		out = appendString(out, a.dataType)
		kind := byte(0)
		if a.binary {
			kind = 1
		}
		out = append(out, kind)
		out = appendString(out, a.value)
	}
	return append(out, r.body...)
}

func appendString(out []byte, s string) []byte {
	out = binary.AppendUvarint(out, uint64(len(s)))
	return append(out, s...)
}

// sentTime returns when an encoded record was sent, without decoding the rest.
func sentTime(row []byte) (time.Time, error) {
	if len(row) < recordHead || row[0] != recordV1 && row[0] != recordV2 {
		return time.Time{}, errMalformed
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(row[sentOffset:]))), nil
}

// idOf returns the id of an encoded record, which must be as long as sentTime wants it.
func idOf(row []byte) messageID { return messageID(row[1:sentOffset]) }

// decodeRecord reads what encode wrote. The record shares nothing with row.
func decodeRecord(row []byte) (*record, error) {
	sent, err := sentTime(row)
	if err != nil {
		return nil, err
	}
	d := decoder{rest: row[recordHead:]}
	r := &record{id: idOf(row), sent: sent}
	if row[0] == recordV2 {
		r.group, r.dedup, r.sequence, r.source = d.str(), d.str(), d.uint(), d.str()
	}
	r.sender, r.trace = d.str(), d.str()
	count := d.uint()
	if count > maxAttributes {
		return nil, errMalformed
	}
	for range count {
		r.attributes = append(r.attributes, attribute{name: d.str(), dataType: d.str(), binary: d.byte() == 1, value: d.str()})
	}
	if d.failed {
		return nil, errMalformed
	}
	r.body = string(d.rest)
	return r, nil
}

type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) uint() uint64 {
	u, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.failed = true
		return 0
	}
	d.rest = d.rest[n:]
	return u
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.failed = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) str() string {
	n := d.uint()
	if d.failed || n > uint64(len(d.rest)) {
		d.failed = true
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

// flight is the head of a flight row; the record follows it.
type flight struct {
	// visible is the end of the visibility timeout, or of the delay while receives is zero.
	visible time.Time
	// nonce is what tells the newest receipt handle from older ones.
	nonce uint64
	// receives counts them; first and last are when they were.
	receives    uint32
	first, last time.Time
}

const (
	flightV1   = 1
	flightHead = 1 + 8 + 8 + 4 + 8 + 8
)

// with returns the flight row of f and an encoded record.
func (f *flight) with(record []byte) []byte {
	out := make([]byte, 0, flightHead+len(record))
	out = append(out, flightV1)
	out = binary.BigEndian.AppendUint64(out, uint64(f.visible.UnixNano()))
	out = binary.BigEndian.AppendUint64(out, f.nonce)
	out = binary.BigEndian.AppendUint32(out, f.receives)
	out = binary.BigEndian.AppendUint64(out, uint64(f.first.UnixMilli()))
	out = binary.BigEndian.AppendUint64(out, uint64(f.last.UnixMilli()))
	return append(out, record...)
}

// splitFlight takes a flight row apart. The record is part of row.
func splitFlight(row []byte) (f flight, record []byte, err error) {
	if len(row) < flightHead || row[0] != flightV1 {
		return f, nil, errMalformed
	}
	f.visible = time.Unix(0, int64(binary.BigEndian.Uint64(row[1:])))
	f.nonce = binary.BigEndian.Uint64(row[9:])
	f.receives = binary.BigEndian.Uint32(row[17:])
	f.first = time.UnixMilli(int64(binary.BigEndian.Uint64(row[21:])))
	f.last = time.UnixMilli(int64(binary.BigEndian.Uint64(row[29:])))
	return f, row[flightHead:], nil
}
