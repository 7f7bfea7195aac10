package outbox

import (
	"encoding/binary"
	"errors"
)

// formatV1 is the first byte of a row: the form in which the rest is written.
const formatV1 = 1

var errMalformed = errors.New("outbox: malformed message")

// encode writes m: the form's number, the attempt, each string after its length, and the body as the rest. Rows are written and read
// for every event of the cloud, hence not as JSON.
func encode(m Message) []byte {
	out := make([]byte, 0, 16+len(m.Handler)+len(m.Account)+len(m.Region)+len(m.Key)+len(m.ID)+len(m.Body))
	out = append(out, formatV1)
	out = binary.AppendUvarint(out, uint64(m.Attempt))
	for _, s := range [...]string{m.Handler, m.Account, m.Region, m.Key, m.ID} {
		out = binary.AppendUvarint(out, uint64(len(s)))
		out = append(out, s...)
	}
	return append(out, m.Body...)
}

// decode reads what encode wrote. The message shares nothing with row.
func decode(row []byte) (Message, error) {
	if len(row) == 0 || row[0] != formatV1 {
		return Message{}, errMalformed
	}
	var m Message
	attempt, n := binary.Uvarint(row[1:])
	if n <= 0 || attempt > 1<<31 {
		return Message{}, errMalformed
	}
	m.Attempt = int(attempt)
	rest := row[1+n:]
	for _, s := range [...]*string{&m.Handler, &m.Account, &m.Region, &m.Key, &m.ID} {
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > uint64(len(rest)-n) {
			return Message{}, errMalformed
		}
		end := n + int(length)
		*s = string(rest[n:end])
		rest = rest[end:]
	}
	m.Body = append([]byte(nil), rest...)
	return m, nil
}
