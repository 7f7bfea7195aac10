package s3

import (
	"context"
	"net/http"
	"strings"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// PutObject stores an object. The body is durable before the transaction that names it; when anything is wrong with either, the bucket
// is as it was.
func (s *Service) PutObject(ctx context.Context, in *api.PutObjectInput) (*api.PutObjectOutput, error) {
	return s.putObject(ctx, in, api.EventS3ObjectCreatedPut)
}

// putObject is PutObject for an upload of which another event may tell.
func (s *Service) putObject(ctx context.Context, in *api.PutObjectInput, event string) (*api.PutObjectOutput, error) {
	var trailer http.Header
	size := int64(0)
	if in.Body != nil {
		trailer, size = in.Body.Trailer, in.Body.Size
	}
	p, err := promised(in, in.ContentMD5, trailer)
	if err != nil {
		return nil, err
	}
	o, err := s.newObject(ctx, "PutObject", in, in.Key)
	if err != nil {
		return nil, err
	}
	cond := writeCondition{match: in.IfMatch, noneMatch: in.IfNoneMatch}
	if o.Encrypted, err = s.mayWrite(ctx, in, cond, o); err != nil {
		return nil, err
	}
	d := newDigest(in.Body, p, usual)
	c, err := s.keep(ctx, d, size, o.Encrypted)
	if err != nil {
		return nil, err
	}
	o.Size, o.ETag, o.Sum = d.size, d.etag(), d.sum()
	b, expires, err := s.put(ctx, name{in.Bucket, in.Key}, in.ExpectedBucketOwner, cond, o, c, event)
	if err != nil {
		s.discard(ctx, c, err)
		return nil, err
	}
	out := &api.PutObjectOutput{ETag: quoted(o.ETag), ServerSideEncryption: claim(o.Encrypted), VersionId: b.madeVersion(o), Expiration: expires}
	o.Sum.show(out)
	return out, nil
}

// newObject returns an object with the properties that an input gives it.
func (s *Service) newObject(ctx context.Context, operation string, in any, key string) (*object, error) {
	if err := checkMembers(operation, in); err != nil {
		return nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	p, err := propertiesOf(in)
	if err != nil {
		return nil, err
	}
	req, err := requestedACL(in, objectACLs())
	if err != nil {
		return nil, err
	}
	o := &object{Modified: now(ctx), properties: p, wants: req}
	if class := text(in, "StorageClass"); class != "" {
		o.Class, err = newClass(operation, &class)
	}
	return o, err
}

// now is the time of the call as objects know it: to the second.
func now(ctx context.Context) time.Time { return cloud.CallOf(ctx).Now.UTC().Truncate(time.Second) }

// mayWrite looks whether an object could be written, so that a body which could not is not read, and whether it is to be encrypted.
func (s *Service) mayWrite(ctx context.Context, in *api.PutObjectInput, cond writeCondition, o *object) (encrypt bool, err error) {
	err = s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		b, err := s.ownHere(ctx, r, in.Bucket, in.ExpectedBucketOwner)
		if err == nil {
			err = o.admitOwnACL(ctx, r, b, name{in.Bucket, in.Key})
		}
		if err != nil {
			return err
		}
		if encrypt, err = s.encryptsNew(r, in.Bucket, in.ServerSideEncryption); err != nil || !cond.given() {
			return err
		}
		old, err := lookObject(r, in.Bucket, in.Key)
		if err != nil {
			return err
		}
		return cond.check(in.Key, old)
	})
	return encrypt, err
}

// put puts an object in its place, and returns the bucket as it was then, and when its rules end the object.
func (s *Service) put(ctx context.Context, at name, owner *string, cond writeCondition, o *object, c content, event string) (b *bucket, expires *string, err error) {
	err = s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) (err error) {
		if b, err = s.ownHere(ctx, tx, at.bucket, owner); err != nil {
			return err
		}
		old, err := lookObject(tx, at.bucket, at.key)
		if err != nil {
			return err
		}
		if err := cond.check(at.key, old); err != nil {
			return err
		}
		if expires, err = b.expiration(tx, at, o); err != nil {
			return err
		}
		return s.writeObject(ctx, tx, b, at, old, o, c, event)
	})
	return b, expires, err
}

// quoted returns an ETag as it is in answers.
func quoted(etag string) *string { return wire.Ptr(`"` + etag + `"`) }

// multipart reports whether the object was uploaded in parts.
func (o *object) multipart() bool { return strings.Contains(o.ETag, "-") }
