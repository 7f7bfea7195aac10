package s3

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"net/http"
	"reflect"
	"strconv"

	api "croft/internal/awsapi/s3"
	"croft/internal/checksum"
	"croft/internal/cloud"
	"croft/internal/wire"
)

func itoa(n int) string { return strconv.Itoa(n) }

// sum is the checksum that an object has beside its ETag, in base64; that of a composite one goes on with a hyphen and the number of parts.
type sum struct {
	Algorithm checksum.Algorithm `json:"a,omitempty"`
	Value     string             `json:"v,omitempty"`
	Composite bool               `json:"p,omitempty"`
}

// usual is the checksum that an object has when its client gives none. Source: S3 User Guide, "Checking object integrity in Amazon S3".
const usual = checksum.CRC64NVME

func (s sum) kind() string {
	if s.Composite {
		return api.ChecksumTypeCOMPOSITE
	}
	return api.ChecksumTypeFULLOBJECT
}

// show puts the checksum into the output that out points to, and its type where the output has one.
func (s sum) show(out any) {
	v := reflect.ValueOf(out).Elem()
	if f := v.FieldByName("Checksum" + string(s.Algorithm)); s.Algorithm != "" && f.IsValid() {
		f.Set(reflect.ValueOf(&s.Value))
		if f := v.FieldByName("ChecksumType"); f.IsValid() {
			f.Set(reflect.ValueOf(wire.Ptr(s.kind())))
		}
	}
}

// promise is what a client says of a body.
type promise struct {
	algorithm checksum.Algorithm
	// value is the checksum; trailing says that it comes behind the body.
	value    string
	trailing bool
	md5      []byte
}

// sumNames are the ends of the members' names that hold checksums.
func sumNames() []string {
	return []string{"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"}
}

// promised reads the checksums in the input that in points to: in its members, or announced as a trailing header.
func promised(in any, contentMD5 *string, trailer http.Header) (p promise, err error) {
	if contentMD5 != nil {
		if p.md5, err = base64.StdEncoding.DecodeString(*contentMD5); err != nil || len(p.md5) != md5.Size {
			return p, with(cloud.Errorf("InvalidDigest", "The Content-MD5 you specified was invalid."), "Content-MD5", *contentMD5)
		}
	}
	given := 0
	for _, name := range sumNames() {
		value := text(in, "Checksum"+name)
		if value == "" {
			continue
		}
		given++
		a, ok := checksum.Parse(name)
		if !ok {
			return p, notImplemented("PutObject", "x-amz-checksum-"+name, value)
		}
		if !a.Valid(value) {
			return p, invalidChecksum(a)
		}
		p.algorithm, p.value = a, value
	}
	for name := range trailer {
		a, known, named := checksum.OfHeader(name)
		if named && !known {
			return p, notImplemented("PutObject", name, "")
		}
		if known {
			given++
			p.algorithm, p.trailing = a, true
		}
	}
	if given > 1 {
		return p, cloud.Errorf("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	}
	// The algorithm that an SDK was told to use is that of the header that it then sends.
	if named := text(in, "ChecksumAlgorithm"); named != "" && p.algorithm == "" {
		a, ok := checksum.Parse(named)
		if !ok {
			return p, unknownAlgorithm("PutObject", named)
		}
		p.algorithm = a
	}
	return p, nil
}

// unknownAlgorithm refuses an algorithm that S3 does not have, or by name one that is not here.
func unknownAlgorithm(operation, named string) *cloud.Error {
	if inModel("ChecksumAlgorithm", named) {
		return notImplemented(operation, "x-amz-checksum-algorithm", named)
	}
	return cloud.Errorf("InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "+
		"[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
}

func invalidChecksum(a checksum.Algorithm) *cloud.Error {
	return cloud.Errorf("InvalidRequest", "Value for %s header is invalid.", a.Header())
}

// text returns the text of the member called name of the structure that in points to, or "".
func text(in any, name string) string {
	f := reflect.ValueOf(in).Elem().FieldByName(name)
	if !f.IsValid() {
		return ""
	}
	p, _ := f.Interface().(*string)
	return wire.Value(p)
}

// digest reads a body, computes what S3 keeps of it, and compares that with what was promised: where they differ, the reader does not end
// with io.EOF but with the error for the client, so that the body is not stored.
type digest struct {
	r       io.Reader
	promise promise
	trailer http.Header
	md5     hash.Hash
	hash    hash.Hash
	also    hash.Hash // nil for none
	size    int64
	err     error
}

// newDigest returns the reader of body, which may be nil for an empty one. extra is the checksum to compute where none was promised.
func newDigest(body *wire.Stream, p promise, extra checksum.Algorithm) *digest {
	d := &digest{r: bytes.NewReader(nil), promise: p, md5: md5.New()}
	if body != nil {
		d.r, d.trailer = body.Reader, body.Trailer
	}
	if d.promise.algorithm == "" {
		d.promise.algorithm = extra
	}
	d.hash = d.promise.algorithm.New()
	return d
}

// with has a checksum computed beside the one that was promised, if that is of another algorithm.
func (d *digest) with(a checksum.Algorithm) *digest {
	if d.promise.algorithm != a {
		d.also = a.New()
	}
	return d
}

// Read implements io.Reader.
func (d *digest) Read(b []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.r.Read(b)
	d.size += int64(n)
	d.md5.Write(b[:n])
	d.hash.Write(b[:n])
	if d.also != nil {
		d.also.Write(b[:n])
	}
	if err == io.EOF { // and nothing that wraps it
		err = d.compare()
	}
	d.err = err
	return n, err
}

// compare returns io.EOF if the body is what was promised.
func (d *digest) compare() error {
	p := d.promise
	if p.trailing {
		if p.value = d.trailer.Get(p.algorithm.Header()); !p.algorithm.Valid(p.value) {
			return invalidChecksum(p.algorithm)
		}
	}
	switch {
	case p.md5 != nil && !bytes.Equal(p.md5, d.md5.Sum(nil)):
		return with(cloud.Errorf("BadDigest", "The Content-MD5 you specified did not match what we received."),
			"ExpectedDigest", fmt.Sprintf("%x", p.md5), "CalculatedDigest", base64.StdEncoding.EncodeToString(d.md5.Sum(nil)))
	case p.value != "" && p.value != d.sum().Value:
		return cloud.Errorf("BadDigest", "The %s you specified did not match the calculated checksum.", p.algorithm)
	}
	return io.EOF
}

func (d *digest) sum() sum {
	return sum{Algorithm: d.promise.algorithm, Value: base64.StdEncoding.EncodeToString(d.hash.Sum(nil))}
}

func (d *digest) etag() string { return fmt.Sprintf("%x", d.md5.Sum(nil)) }
