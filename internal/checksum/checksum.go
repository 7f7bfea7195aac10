// Package checksum knows the checksums that S3 and its clients put beside a body: their names, their headers, and how those of parts make
// that of the whole.
//
// Source: S3 User Guide, "Checking object integrity in Amazon S3".
package checksum

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"strings"
)

// Algorithm is a kind of checksum by the name that S3's model has for it: "CRC32", "SHA256".
type Algorithm string

// The algorithms. Those of the model that are not here, the XXHASH ones, are not computed.
const (
	CRC32     Algorithm = "CRC32"
	CRC32C    Algorithm = "CRC32C"
	CRC64NVME Algorithm = "CRC64NVME"
	SHA1      Algorithm = "SHA1"
	SHA256    Algorithm = "SHA256"
	SHA512    Algorithm = "SHA512"
	MD5       Algorithm = "MD5"
)

// All returns the algorithms.
func All() []Algorithm { return []Algorithm{CRC32, CRC32C, CRC64NVME, SHA1, SHA256, SHA512, MD5} }

// Parse returns the algorithm of that name, in any case. ok is false when there is none.
func Parse(name string) (a Algorithm, ok bool) {
	a = Algorithm(strings.ToUpper(name))
	return a, a.New() != nil
}

// headerPrefix begins the headers that hold checksums.
const headerPrefix = "x-amz-checksum-"

// Header returns the name of the header that holds the checksum, in lower case.
func (a Algorithm) Header() string { return headerPrefix + strings.ToLower(string(a)) }

// OfHeader returns the algorithm whose checksum a header of that name holds. named reports that it is the name of such a header, known
// the algorithm or not.
func OfHeader(name string) (a Algorithm, known, named bool) {
	name, named = strings.CutPrefix(strings.ToLower(name), headerPrefix)
	switch name {
	case "type", "mode", "algorithm":
		named = false
	}
	if !named {
		return "", false, false
	}
	a, known = Parse(name)
	return a, known, true
}

// The polynomials, with the bits in reverse.
const (
	polyCRC32  = crc32.IEEE
	polyCRC32C = crc32.Castagnoli
	polyCRC64  = 0x9a6c9329ac4bc9b5
)

var crc64NVME = crc64.MakeTable(polyCRC64)

// New returns a hash that computes the checksum, or nil for what is no algorithm.
func (a Algorithm) New() hash.Hash {
	switch a {
	case CRC32:
		return crc32.NewIEEE()
	case CRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case CRC64NVME:
		return crc64.New(crc64NVME)
	case SHA1:
		return sha1.New()
	case SHA256:
		return sha256.New()
	case SHA512:
		return sha512.New()
	case MD5:
		return md5.New()
	}
	return nil
}

// Valid reports whether text has the form of the checksum: base64 of as many bytes as it has.
func (a Algorithm) Valid(text string) bool {
	sum, err := base64.StdEncoding.DecodeString(text)
	h := a.New()
	return err == nil && h != nil && len(sum) == h.Size()
}

// Linear reports whether the checksums of parts make that of the whole: those of CRCs do.
func (a Algorithm) Linear() bool { return a == CRC32 || a == CRC32C || a == CRC64NVME }

// Combine returns the checksum of two bodies behind each other from their checksums and the second one's length in bytes. The algorithm is
// Linear, and the checksums have its size.
func (a Algorithm) Combine(first, second []byte, length int64) []byte {
	switch a {
	case CRC32, CRC32C:
		poly := uint64(polyCRC32)
		if a == CRC32C {
			poly = polyCRC32C
		}
		sum := combine(poly, 32, uint64(binary.BigEndian.Uint32(first)), uint64(binary.BigEndian.Uint32(second)), length)
		return binary.BigEndian.AppendUint32(nil, uint32(sum))
	default:
		return binary.BigEndian.AppendUint64(nil, combine(polyCRC64, 64, binary.BigEndian.Uint64(first), binary.BigEndian.Uint64(second), length))
	}
}

// combine moves the first CRC past length zero bytes, by squaring the matrix that moves it past one, and adds the second one.
func combine(poly uint64, bits int, first, second uint64, length int64) uint64 {
	step := make([]uint64, bits) // past one zero bit
	step[0] = poly
	for i := 1; i < bits; i++ {
		step[i] = 1 << (i - 1)
	}
	for range 3 { // past eight
		step = square(step)
	}
	for ; length > 0; length >>= 1 {
		if length&1 != 0 {
			first = times(step, first)
		}
		step = square(step)
	}
	return first ^ second
}

func times(matrix []uint64, v uint64) (sum uint64) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= matrix[i]
		}
	}
	return sum
}

func square(matrix []uint64) []uint64 {
	out := make([]uint64, len(matrix))
	for i, v := range matrix {
		out[i] = times(matrix, v)
	}
	return out
}
