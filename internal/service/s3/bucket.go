package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// maxBuckets is how many buckets an account may have. Source: S3 User Guide, "General purpose bucket quotas".
const maxBuckets = 10_000

// bucket is a bucket's row.
type bucket struct {
	Account string `json:"a"`
	Region  string `json:"r"`
	// Constraint is the location constraint as it was given: "EU" stays "EU". The first region has none.
	Constraint string    `json:"l,omitempty"`
	Created    time.Time `json:"c"`
	Tags       []api.Tag `json:"t,omitempty"`
	// Versioning is empty for a bucket that has never had versions, and otherwise one of the states of the model.
	Versioning string `json:"v,omitempty"`
	// Key is what the keys of the bucket's bodies are sealed under (sse.go). It never leaves the row but to open one.
	Key []byte `json:"k,omitempty"`
	// Expires says that the bucket has a lifecycle, so that answers about the objects of others need not look for one.
	Expires bool `json:"x,omitempty"`
	// Notifies says that the bucket has configurations of notifications, so that the writes of others need not look for them.
	Notifies bool `json:"n,omitempty"`
}

// read returns the bucket called name, or NoSuchBucket.
func read(r kv.Reader, name string) (*bucket, error) {
	if !askableName(name) {
		return nil, invalidBucketName(name)
	}
	data, err := r.Get(bucketKey(name))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, noSuchBucket(name)
	}
	if err != nil {
		return nil, err
	}
	b := new(bucket)
	return b, json.Unmarshal(data, b)
}

func write(tx kv.Tx, name string, b *bucket) error {
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return tx.Put(bucketKey(name), data)
}

// own returns the bucket called name if it is the caller's and, where one is expected, that owner's. Every operation on a bucket
// begins with it.
func own(ctx context.Context, r kv.Reader, name string, expected *string) (*bucket, error) {
	if owner := wire.Value(expected); expected != nil && !isAccount(owner) {
		return nil, cloud.Errorf("InvalidBucketOwnerAWSAccountID", "The value of the expected bucket owner parameter must be an AWS Account ID... [%.64s]", owner)
	}
	b, err := read(r, name)
	if err != nil {
		return nil, err
	}
	if b.Account != cloud.CallOf(ctx).Account || (expected != nil && *expected != b.Account) {
		return nil, with(accessDenied(), "x-amz-bucket-region", b.Region)
	}
	return b, nil
}

// ownHere is own for the operations that a bucket's own region alone answers. Requests for another region are sent there.
func (s *Service) ownHere(ctx context.Context, r kv.Reader, name string, expected *string) (*bucket, error) {
	b, err := own(ctx, r, name, expected)
	if err != nil || b.Region == cloud.CallOf(ctx).Region {
		return b, err
	}
	e := cloud.Errorf("PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint. "+
		"Please send all future requests to this endpoint.").WithStatus(http.StatusMovedPermanently)
	return nil, with(e, "Bucket", name, "Endpoint", host(s.deps.Endpoint(ctx), name, b.Region), "x-amz-bucket-region", b.Region)
}

func isAccount(s string) bool { return len(s) == 12 && strings.Trim(s, "0123456789") == "" }

// HeadBucket says whether the caller has the bucket, and where it lies.
func (s *Service) HeadBucket(ctx context.Context, in *api.HeadBucketInput) (out *api.HeadBucketOutput, err error) {
	err = s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		b, err := s.ownHere(ctx, r, in.Bucket, in.ExpectedBucketOwner)
		if err == nil {
			out = &api.HeadBucketOutput{BucketArn: wire.Ptr(arn(in.Bucket)), BucketRegion: &b.Region, AccessPointAlias: wire.Ptr(false)}
		}
		return err
	})
	return out, err
}

// GetBucketLocation returns the bucket's location constraint, whatever the region of the request: it is how clients find out.
func (s *Service) GetBucketLocation(ctx context.Context, in *api.GetBucketLocationInput) (*api.GetBucketLocationOutput, error) {
	out := new(api.GetBucketLocationOutput)
	err := s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		b, err := own(ctx, r, in.Bucket, in.ExpectedBucketOwner)
		if err == nil && b.Constraint != "" {
			out.LocationConstraint = &b.Constraint
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteBucket deletes a bucket without objects. Uploads that have not ended go with it.
func (s *Service) DeleteBucket(ctx context.Context, in *api.DeleteBucketInput) (*api.DeleteBucketOutput, error) {
	for {
		left, err := s.abortSome(ctx, in)
		if err != nil {
			return nil, err
		}
		if !left {
			break
		}
	}
	err := s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.deletable(ctx, tx, in)
		if err != nil {
			return err
		}
		if _, err := first(tx, kv.PrefixRange(uploadsPrefix(in.Bucket))); !errors.Is(err, kv.ErrNotFound) {
			return errors.Join(err, bucketNotEmpty(in.Bucket, false)) // it has just begun
		}
		return errors.Join(tx.Delete(bucketKey(in.Bucket)), tx.Delete(ownedKey(b.Account, in.Bucket)), tx.Add(countKey(b.Account), -1),
			tx.DeleteRange(settingsRange(in.Bucket)))
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteBucketOutput), nil
}

// deletable returns the bucket if it is the caller's and has no objects.
func (s *Service) deletable(ctx context.Context, r kv.Reader, in *api.DeleteBucketInput) (*bucket, error) {
	b, err := s.ownHere(ctx, r, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	switch _, err := first(r, kv.PrefixRange(objectsPrefix(in.Bucket))); {
	case err == nil:
		return nil, bucketNotEmpty(in.Bucket, b.Versioning != "")
	case !errors.Is(err, kv.ErrNotFound):
		return nil, err
	}
	switch _, err := first(r, kv.PrefixRange(versionsPrefix(in.Bucket))); {
	case err == nil:
		return nil, bucketNotEmpty(in.Bucket, true)
	case !errors.Is(err, kv.ErrNotFound):
		return nil, err
	}
	return b, nil
}

func bucketNotEmpty(name string, versions bool) *cloud.Error {
	message := "The bucket you tried to delete is not empty"
	if versions {
		message += ". You must delete all versions in the bucket."
	}
	return with(cloud.Errorf("BucketNotEmpty", "%s", message).WithStatus(http.StatusConflict), "BucketName", name)
}

// first returns the first key of a range, or ErrNotFound.
func first(r kv.Reader, in kv.Range) ([]byte, error) {
	for e, err := range r.Scan(in, kv.ScanOptions{Limit: 1}) {
		return bytes.Clone(e.Key), err
	}
	return nil, kv.ErrNotFound
}

// abortSome ends one upload of a bucket that is about to be deleted, and reports whether there may be more.
func (s *Service) abortSome(ctx context.Context, in *api.DeleteBucketInput) (left bool, err error) {
	err = s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		left = false
		if _, err := s.deletable(ctx, tx, in); err != nil {
			return err
		}
		base := uploadsPrefix(in.Bucket)
		key, err := first(tx, kv.PrefixRange(base))
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		left = true
		k := kv.ReadKey(key, base)
		object, id := k.Str(), string(k.Rest())
		return errors.Join(k.Err(), s.abort(ctx, tx, in.Bucket, object, id))
	})
	return left, err
}
