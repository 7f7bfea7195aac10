package s3

import (
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

// DeleteBucket deletes the bucket.
func (s *Service) DeleteBucket(ctx context.Context, in *api.DeleteBucketInput) (*api.DeleteBucketOutput, error) {
	err := s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.ownHere(ctx, tx, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		return errors.Join(tx.Delete(bucketKey(in.Bucket)), tx.Delete(ownedKey(b.Account, in.Bucket)), tx.Add(countKey(b.Account), -1))
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteBucketOutput), nil
}
