package s3

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// object is an object's row.
type object struct {
	Size int64 `json:"s"`
	// ETag is without its quotes.
	ETag     string    `json:"e"`
	Modified time.Time `json:"m"`
	Sum      sum       `json:"c,omitzero"`
	properties
	// Blob is the body in the blob store, where it is one alone. Parts says that the body consists of so many, and Inline that it is small;
	// either lies in the data row then. An empty body is nowhere.
	Blob   string `json:"b,omitempty"`
	Parts  int    `json:"p,omitempty"`
	Inline bool   `json:"i,omitempty"`
	// Encrypted says that the body is encrypted where it lies. Key is the sealed key of a body that is not of several parts, whose keys stand beside
	// their names.
	Encrypted bool   `json:"se,omitempty"`
	Key       []byte `json:"sk,omitempty"`
	// Version is the version's id, empty for the null version. Seq orders the versions of a key: newer ones have greater numbers.
	// Marker says that it is a delete marker, which has nothing but these and its time.
	Version string `json:"vi,omitempty"`
	Seq     uint64 `json:"vs,omitempty"`
	Marker  bool   `json:"dm,omitempty"`
	// ACL is the object's access control list, nil for its owner's alone.
	ACL []grant `json:"al,omitzero"`
	// Written is when the object was, in nanoseconds since 1970: finer than what S3 tells, for what has to know which came first.
	Written int64 `json:"w,omitempty"`
	// Class is the storage class, empty for the standard one.
	Class string `json:"sc,omitempty"`
	// wants is the list that came with a new object and is not decided about yet.
	wants *aclRequest
}

// properties are what a client gives an object beside its body.
type properties struct {
	ContentType        string            `json:"ct,omitempty"`
	CacheControl       string            `json:"cc,omitempty"`
	ContentDisposition string            `json:"cd,omitempty"`
	ContentEncoding    string            `json:"ce,omitempty"`
	ContentLanguage    string            `json:"cl,omitempty"`
	Expires            string            `json:"ex,omitempty"`
	Metadata           map[string]string `json:"u,omitempty"`
	Tags               []api.Tag         `json:"t,omitempty"`
}

// parts is how many parts the object was uploaded in, 0 for none. The body of a copy may still lie in those of its source.
func (o *object) parts() int {
	if !o.multipart() {
		return 0
	}
	return o.Parts
}

// class is the object's storage class.
func (o *object) class() string {
	if o.Class == "" {
		return api.StorageClassSTANDARD
	}
	return o.Class
}

// segment is a part of a body, which lies in the blob store.
type segment struct {
	Blob string `json:"b"`
	Size int64  `json:"s"`
	Key  []byte `json:"k,omitempty"`
	// Sum is the checksum of a part, where the object's is made of those of the parts.
	Sum string `json:"c,omitempty"`
}

// content is where a body lies: in the row itself, or in segments behind each other. Bodies with a key are encrypted where they lie; key is that of
// one in the row.
type content struct {
	inline   []byte
	key      []byte
	segments []segment
}

// size is in bytes.
func (c *content) size() int64 {
	n := int64(len(c.inline))
	for _, seg := range c.segments {
		n += seg.Size
	}
	return n
}

// readObject returns the object, or NoSuchKey.
func readObject(r kv.Reader, bucket, key string) (*object, error) {
	data, err := r.Get(objectKey(bucket, key))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, noSuchKey(key)
	}
	if err != nil {
		return nil, err
	}
	return decodeObject(data)
}

func decodeObject(row []byte) (*object, error) {
	o := new(object)
	return o, json.Unmarshal(row, o)
}

// lookObject is readObject for those who go on without an object.
func lookObject(r kv.Reader, bucket, key string) (*object, error) {
	o, err := readObject(r, bucket, key)
	if cloud.Code(err) == "NoSuchKey" {
		return nil, nil
	}
	return o, err
}

// readContent returns where the object's body lies, with keys that are sealed.
func readContent(r kv.Reader, bucket, key string, o *object) (content, error) {
	switch {
	case o.Blob != "":
		return content{segments: []segment{{Blob: o.Blob, Size: o.Size, Key: o.Key}}}, nil
	case !o.Inline && o.Parts == 0:
		return content{}, nil
	}
	data, err := r.Get(o.dataKey(bucket, key))
	if err != nil {
		return content{}, err
	}
	if o.Inline {
		return content{inline: append([]byte(nil), data...), key: o.Key}, nil
	}
	var c content
	return c, json.Unmarshal(data, &c.segments)
}

// dataKey is where the content of a version lies. It stays there when the version stops being the current one.
func (o *object) dataKey(bucket, key string) kv.Key {
	if o.Version != "" {
		return versionDataKey(bucket, key, o.Version)
	}
	return dataKey(bucket, key)
}

// writeObject makes an object the current one of its key. old is the one that is now, or nil: where the bucket keeps versions it becomes an older
// one, and otherwise its body is given up. The new body is retained and its key sealed unless they are so already, as those of the parts of an upload are.
// event is what happened, which decides who is told of it.
func (s *Service) writeObject(ctx context.Context, tx kv.Tx, b *bucket, at name, old, o *object, c content, event string) error {
	bucket, key := at.bucket, at.key
	o.Written = cloud.CallOf(ctx).Now.UnixNano()
	if err := o.admitOwnACL(ctx, tx, b, at); err != nil {
		return err
	}
	if event != api.EventS3ObjectCreatedCompleteMultipartUpload {
		var err error
		if c, err = c.sealed(tx, bucket, b); err != nil {
			return err
		}
		for _, seg := range c.segments {
			if err := s.deps.Refs.Retain(ctx, seg.Blob); err != nil {
				return err
			}
		}
	}
	o.place(c)
	if err := s.supersede(ctx, tx, b, at, old, o); err != nil {
		return err
	}
	row, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := errors.Join(tx.Put(objectKey(bucket, key), row), s.emit(ctx, tx, b, at, event, o)); err != nil {
		return err
	}
	switch {
	case o.Inline:
		return tx.Put(o.dataKey(bucket, key), c.inline)
	case o.Parts > 0:
		if row, err = json.Marshal(c.segments); err != nil {
			return err
		}
		return tx.Put(o.dataKey(bucket, key), row)
	}
	return nil
}

// place notes in the row where the body lies.
func (o *object) place(c content) {
	o.Blob, o.Parts, o.Inline, o.Key = "", 0, false, nil
	switch {
	case len(c.inline) > 0:
		o.Inline, o.Key = true, c.key
	case len(c.segments) == 1 && !o.multipart():
		o.Blob, o.Key = c.segments[0].Blob, c.segments[0].Key
	case len(c.segments) > 0:
		o.Parts = len(c.segments)
	}
}

// dropBody gives up the body of an object whose row is about to go or to change.
func (s *Service) dropBody(ctx context.Context, tx kv.Tx, bucket, key string, o *object) error {
	if o.Parts > 0 || o.Blob != "" {
		c, err := readContent(tx, bucket, key, o)
		if err != nil {
			return err
		}
		for _, seg := range c.segments {
			if err := s.deps.Refs.Release(ctx, seg.Blob); err != nil {
				return err
			}
		}
	}
	if o.Parts > 0 || o.Inline {
		return tx.Delete(o.dataKey(bucket, key))
	}
	return nil
}

// maxKey bounds an object's key, in bytes. Source: S3 User Guide, "Naming Amazon S3 objects".
const maxKey = 1024

func checkKey(key string) error {
	if len(key) > maxKey {
		return with(cloud.Errorf("KeyTooLongError", "Your key is too long"), "Size", itoa(len(key)), "MaxSizeAllowed", itoa(maxKey))
	}
	if key == "" {
		return cloud.Errorf("InvalidArgument", "The key of an object has at least one byte.")
	}
	return nil
}
