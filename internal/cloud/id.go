package cloud

import (
	"crypto/rand"
	"encoding/hex"
)

// NewRequestID returns a random UUID (version 4) in the form that AWS uses for request and message ids.
func NewRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var out [36]byte
	hex.Encode(out[0:8], b[0:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:36], b[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// RandomString returns n characters drawn from alphabet, which has at most 256, with crypto/rand.
func RandomString(n int, alphabet string) string {
	out := make([]byte, 0, n)
	limit := 256 - 256%len(alphabet)
	var buf [64]byte
	for len(out) < n {
		rand.Read(buf[:])
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// Alphabets of identifiers.
const (
	// UpperAlnum is what unique ids of IAM and CloudFormation's generated names are made of.
	UpperAlnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	// LowerAlnum is what API ids are made of.
	LowerAlnum = "abcdefghijklmnopqrstuvwxyz0123456789"
	// Base32 is what access key ids are made of.
	Base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)
