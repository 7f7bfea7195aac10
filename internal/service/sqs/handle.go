package sqs

import (
	"encoding/base64"
	"encoding/binary"
)

// handle is what a receipt handle says: which receive of which message of which queue. The nonce makes it unguessable.
type handle struct {
	queue uint64
	id    messageID
	nonce uint64
}

const (
	handleV1  = 1
	handleLen = 1 + 8 + len(messageID{}) + 8
)

func (h handle) String() string {
	b := append(make([]byte, 0, handleLen), handleV1)
	b = binary.BigEndian.AppendUint64(b, h.queue)
	b = append(b, h.id[:]...)
	b = binary.BigEndian.AppendUint64(b, h.nonce)
	return base64.StdEncoding.EncodeToString(b)
}

// parseHandle reads a receipt handle of the queue with that id.
func parseHandle(s string, queue uint64) (h handle, err error) {
	if s == "" {
		return h, missingParameter("ReceiptHandle")
	}
	if len(s) != base64.StdEncoding.EncodedLen(handleLen) {
		return h, receiptHandleIsInvalid(s)
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != handleLen || b[0] != handleV1 {
		return h, receiptHandleIsInvalid(s)
	}
	h.queue = binary.BigEndian.Uint64(b[1:])
	h.id = messageID(b[9:])
	h.nonce = binary.BigEndian.Uint64(b[9+len(h.id):])
	if h.queue != queue {
		return h, receiptHandleIsInvalid(s)
	}
	return h, nil
}
