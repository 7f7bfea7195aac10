package s3

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	api "croft/internal/awsapi/s3"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Encryption at rest (SSE-S3). Every body has a key of its own, with which it is encrypted where it lies, by AES-256 in counter mode: as long as
// the body, and to be read from any place. Counters begin at 0, since no key encrypts two bodies. The key lies sealed beside the body's name in the row,
// under the bucket's key (AES-256-GCM), which lies in the bucket's row. Bodies that are named by two objects, as those of copies are, have their key
// sealed twice. In memory, the keys of a content are open; sealed ones are in rows alone.
//
// Source of the modes: NIST SP 800-38A and 800-38D. Source of the behaviour: S3 User Guide, "Using server-side encryption with Amazon S3 managed keys".

// keySize is that of AES-256, in bytes.
const keySize = 32

func newKey() []byte {
	key := make([]byte, keySize)
	rand.Read(key)
	return key
}

// encryptsNew reports whether a new object is encrypted: where its request or its bucket says so, and by default unless the server's setting is against it.
func (s *Service) encryptsNew(r kv.Reader, bucket string, asked *string) (bool, error) {
	if asked != nil || !s.deps.PlainObjects {
		return true, nil
	}
	return readSetting(r, bucket, encryptionSetting, new(api.ServerSideEncryptionConfiguration))
}

// hasEncryption reports whether a bucket says how its objects are to be encrypted, so that a copy of one over itself may change that. A bucket that
// cannot be read is another error's.
func (s *Service) hasEncryption(ctx context.Context, bucket string) (has bool) {
	err := s.space().View(ctx, func(_ context.Context, r kv.Reader) (err error) {
		has, err = readSetting(r, bucket, encryptionSetting, new(api.ServerSideEncryptionConfiguration))
		return err
	})
	return err == nil && has
}

// claim is what answers say of a body. Nothing is said of one that lies there as it came.
func claim(encrypted bool) *string {
	if !encrypted {
		return nil
	}
	return wire.Ptr(api.ServerSideEncryptionAES256)
}

// stream returns the key stream of a body from an offset on.
func stream(key []byte, offset int64) (cipher.Stream, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	var counter [aes.BlockSize]byte
	binary.BigEndian.PutUint64(counter[8:], uint64(offset/aes.BlockSize))
	c := cipher.NewCTR(block, counter[:])
	var skip [aes.BlockSize]byte
	c.XORKeyStream(skip[:offset%aes.BlockSize], skip[:offset%aes.BlockSize])
	return c, nil
}

// crypt encrypts or decrypts, in its place, what stands at an offset of a body. A body without a key stays as it is.
func crypt(key, b []byte, offset int64) error {
	if key == nil {
		return nil
	}
	c, err := stream(key, offset)
	if err == nil {
		c.XORKeyStream(b, b)
	}
	return err
}

// crypted returns the reader of what r has from an offset of a body on, encrypted or decrypted.
func crypted(key []byte, r io.Reader, offset int64) (io.Reader, error) {
	if key == nil {
		return r, nil
	}
	c, err := stream(key, offset)
	return cipher.StreamReader{S: c, R: r}, err
}

// cryptBuffers are what bodies are decrypted in on their way to a client.
var cryptBuffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

// copyCrypted copies a body that passes through here. One that does not may go from file to connection by itself.
func copyCrypted(w io.Writer, r io.Reader) (int64, error) {
	buf := cryptBuffers.Get().(*[]byte)
	defer cryptBuffers.Put(buf)
	// Neither side shall bring a smaller buffer of its own.
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, *buf)
}

// sealer returns what seals under a bucket's key.
func sealer(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealKey seals a body's key, which may be nil, under the bucket's.
func (b *bucket) sealKey(key []byte) ([]byte, error) {
	if key == nil {
		return nil, nil
	}
	a, err := sealer(b.Key)
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, nil, key, nil), nil
}

var errKey = errors.New("s3: the key of a body cannot be opened with its bucket's key")

// openKey is the reverse of sealKey.
func (b *bucket) openKey(sealed []byte) ([]byte, error) {
	if sealed == nil {
		return nil, nil
	}
	a, err := sealer(b.Key)
	if err != nil {
		return nil, err
	}
	key, err := a.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, errKey
	}
	return key, nil
}

// keyFor makes sure that a bucket has a key to seal under. Those of former versions get theirs with the first body that is encrypted.
func keyFor(tx kv.Tx, name string, b *bucket) error {
	if b.Key != nil {
		return nil
	}
	b.Key = newKey()
	return write(tx, name, b)
}

func (c *content) encrypted() bool {
	return c.key != nil || len(c.segments) > 0 && c.segments[0].Key != nil
}

// mapKeys returns a copy of c whose keys are what by makes of them.
func (c *content) mapKeys(by func([]byte) ([]byte, error)) (out content, err error) {
	out = content{inline: c.inline, segments: append([]segment(nil), c.segments...)}
	if out.key, err = by(c.key); err != nil {
		return out, err
	}
	for i := range out.segments {
		if out.segments[i].Key, err = by(out.segments[i].Key); err != nil {
			return out, err
		}
	}
	return out, nil
}

// sealed returns c as rows have it.
func (c *content) sealed(tx kv.Tx, name string, b *bucket) (content, error) {
	if !c.encrypted() {
		return *c, nil
	}
	if err := keyFor(tx, name, b); err != nil {
		return *c, err
	}
	return c.mapKeys(b.sealKey)
}

// openContent returns where the object's body lies, with what it takes to read it.
func openContent(r kv.Reader, b *bucket, at name, o *object) (content, error) {
	c, err := readContent(r, at.bucket, at.key, o)
	if err != nil || !c.encrypted() {
		return c, err
	}
	return c.mapKeys(b.openKey)
}

// reencrypt stores a body that lies somewhere in the clear once more.
func (s *Service) reencrypt(ctx context.Context, c content) (content, error) {
	body, err := s.open(ctx, c, 0, c.size())
	if err != nil {
		return content{}, err
	}
	out, err := s.keep(ctx, body, body.Size, true)
	return out, errors.Join(err, body.Close())
}
