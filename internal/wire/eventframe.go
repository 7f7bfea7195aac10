package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
	"unicode/utf8"
)

// An event stream is a sequence of messages of the type application/vnd.amazon.eventstream: twelve bytes that say how long the message
// and its headers are, with a checksum; headers with typed values; a payload; a checksum of it all. Source: Smithy, "Amazon Event
// Stream specification".

// Bounds of one message, as the specification has them.
const (
	maxEventHeaders  = 128 << 10
	maxEventPayload  = 16 << 20
	maxEventValue    = 1<<15 - 1
	eventPrelude     = 12
	eventOverhead    = eventPrelude + 4
	eventStreamType  = "application/vnd.amazon.eventstream"
	maxEventNameSize = 255
)

// The types of header values.
const (
	eventTrue byte = iota
	eventFalse
	eventByte
	eventShort
	eventInt
	eventLong
	eventBytes
	eventText
	eventTime
	eventUUID
)

// eventHeader is one header of a message. Its value is a bool, int8, int16, int32, int64, []byte, string, time.Time (to the
// millisecond) or uuid.
type eventHeader struct {
	name  string
	value any
}

// uuid is a header's value of sixteen bytes.
type uuid [16]byte

// eventMessage is one message.
type eventMessage struct {
	headers []eventHeader
	payload []byte
}

// text returns the value of a header that is a text, or "".
func (m *eventMessage) text(name string) string {
	s, _ := m.header(name).(string)
	return s
}

// header returns a header's value, or nil.
func (m *eventMessage) header(name string) any {
	for i := range m.headers {
		if m.headers[i].name == name {
			return m.headers[i].value
		}
	}
	return nil
}

// appendTo writes the message behind b.
func (m *eventMessage) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b = append(b, make([]byte, eventPrelude)...)
	var err error
	for i := range m.headers {
		if b, err = m.headers[i].appendTo(b); err != nil {
			return b[:start], err
		}
	}
	headers := len(b) - start - eventPrelude
	if headers > maxEventHeaders || len(m.payload) > maxEventPayload {
		return b[:start], fmt.Errorf("wire: an event of %d bytes with headers of %d bytes is too large", len(m.payload), headers)
	}
	b = append(b, m.payload...)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start+4))
	binary.BigEndian.PutUint32(b[start+4:], uint32(headers))
	binary.BigEndian.PutUint32(b[start+8:], crc32.ChecksumIEEE(b[start:start+8]))
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:])), nil
}

func (h *eventHeader) appendTo(b []byte) ([]byte, error) {
	if h.name == "" || len(h.name) > maxEventNameSize {
		return b, fmt.Errorf("wire: an event's header has a name of %d bytes", len(h.name))
	}
	b = append(append(b, byte(len(h.name))), h.name...)
	switch v := h.value.(type) {
	case bool:
		if v {
			return append(b, eventTrue), nil
		}
		return append(b, eventFalse), nil
	case int8:
		return append(b, eventByte, byte(v)), nil
	case int16:
		return binary.BigEndian.AppendUint16(append(b, eventShort), uint16(v)), nil
	case int32:
		return binary.BigEndian.AppendUint32(append(b, eventInt), uint32(v)), nil
	case int64:
		return binary.BigEndian.AppendUint64(append(b, eventLong), uint64(v)), nil
	case time.Time:
		return binary.BigEndian.AppendUint64(append(b, eventTime), uint64(v.UnixMilli())), nil
	case uuid:
		return append(append(b, eventUUID), v[:]...), nil
	case []byte:
		return appendEventValue(b, eventBytes, v)
	case string:
		return appendEventValue(b, eventText, []byte(v))
	}
	return b, fmt.Errorf("wire: an event's header cannot hold a %T", h.value)
}

func appendEventValue(b []byte, kind byte, v []byte) ([]byte, error) {
	if len(v) > maxEventValue {
		return b, fmt.Errorf("wire: an event's header has a value of %d bytes", len(v))
	}
	return append(binary.BigEndian.AppendUint16(append(b, kind), uint16(len(v))), v...), nil
}

// Errors of messages that are not what they should be.
var (
	errEventCut      = errors.New("the message is cut off")
	errEventChecksum = errors.New("the message's checksum is wrong")
	errEventSize     = errors.New("the message is larger than allowed, or its lengths contradict each other")
	errEventHeader   = errors.New("the message's headers are malformed")
)

// readEvent reads the message at the start of b and returns what follows it. The message refers to b.
func readEvent(b []byte) (m eventMessage, rest []byte, err error) {
	if len(b) < eventPrelude {
		return m, nil, errEventCut
	}
	total, headers := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if binary.BigEndian.Uint32(b[8:]) != crc32.ChecksumIEEE(b[:8]) {
		return m, nil, errEventChecksum
	}
	if headers > maxEventHeaders || total < eventOverhead+headers || total-eventOverhead-headers > maxEventPayload {
		return m, nil, errEventSize
	}
	if uint64(len(b)) < uint64(total) {
		return m, nil, errEventCut
	}
	b, rest = b[:total], b[total:]
	end := total - 4
	if binary.BigEndian.Uint32(b[end:]) != crc32.ChecksumIEEE(b[:end]) {
		return m, nil, errEventChecksum
	}
	m.payload = b[eventPrelude+headers : end]
	seen := map[string]bool{}
	for h := b[eventPrelude : eventPrelude+headers]; len(h) > 0; {
		var one eventHeader
		if one, h, err = readEventHeader(h); err != nil {
			return m, nil, err
		}
		if seen[one.name] {
			return m, nil, errEventHeader
		}
		seen[one.name] = true
		m.headers = append(m.headers, one)
	}
	return m, rest, nil
}

// eventWidths are the sizes of values by type; -1 means that the size comes first.
func eventWidths() [10]int { return [...]int{0, 0, 1, 2, 4, 8, -1, -1, 8, 16} }

func readEventHeader(b []byte) (h eventHeader, rest []byte, err error) {
	n := int(b[0])
	if n == 0 || len(b) < n+2 || !utf8.Valid(b[1:1+n]) || int(b[1+n]) >= len(eventWidths()) {
		return h, nil, errEventHeader
	}
	h.name = string(b[1 : 1+n])
	kind := b[1+n]
	b = b[n+2:]
	width := eventWidths()[kind]
	if width < 0 {
		if len(b) < 2 {
			return h, nil, errEventHeader
		}
		width = int(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) < width || width > maxEventValue {
		return h, nil, errEventHeader
	}
	h.value, err = eventValue(kind, b[:width])
	return h, b[width:], err
}

func eventValue(kind byte, v []byte) (any, error) {
	switch kind {
	case eventTrue, eventFalse:
		return kind == eventTrue, nil
	case eventByte:
		return int8(v[0]), nil
	case eventShort:
		return int16(binary.BigEndian.Uint16(v)), nil
	case eventInt:
		return int32(binary.BigEndian.Uint32(v)), nil
	case eventLong:
		return int64(binary.BigEndian.Uint64(v)), nil
	case eventTime:
		return time.UnixMilli(int64(binary.BigEndian.Uint64(v))).UTC(), nil
	case eventUUID:
		return uuid(v), nil
	case eventBytes:
		return v, nil
	}
	if !utf8.Valid(v) {
		return nil, errEventHeader
	}
	return string(v), nil
}
