package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// ListBuckets returns the caller's buckets in the order of their names.
func (s *Service) ListBuckets(ctx context.Context, in *api.ListBucketsInput) (*api.ListBucketsOutput, error) {
	call := cloud.CallOf(ctx)
	limit := wire.Value(in.MaxBuckets)
	if in.MaxBuckets == nil {
		limit = maxBuckets
	}
	if limit < 1 || limit > maxBuckets {
		return nil, invalidArgument("max-buckets", strconv.Itoa(int(limit)), "Argument max-buckets must be an integer between 1 and %d", maxBuckets)
	}
	if r := wire.Value(in.BucketRegion); in.BucketRegion != nil && !isRegion(r) {
		return nil, invalidArgument("bucket-region", r, "Argument value %.64s is not a valid AWS Region", r)
	}
	after, err := base64.RawURLEncoding.DecodeString(wire.Value(in.ContinuationToken))
	if err != nil {
		return nil, invalidArgument("continuation-token", *in.ContinuationToken, "The continuation token provided is incorrect")
	}
	out := &api.ListBucketsOutput{Owner: &api.Owner{ID: wire.Ptr(canonicalID(call.Account))}, Prefix: in.Prefix}
	err = s.space().View(ctx, func(_ context.Context, r kv.Reader) error {
		buckets, token, err := list(r, call.Account, string(after), in, int(limit))
		out.Buckets, out.ContinuationToken = buckets, token
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// list returns at most limit buckets, and the token of the next page if there are more.
func list(r kv.Reader, account, after string, in *api.ListBucketsInput, limit int) (out []api.Bucket, token *string, err error) {
	out = []api.Bucket{}
	// Answers to requests that use none of the newer parameters have the older form.
	paged := in.MaxBuckets != nil || in.ContinuationToken != nil || in.Prefix != nil || in.BucketRegion != nil
	for e, err := range r.Scan(ownedRange(account, wire.Value(in.Prefix), after), kv.ScanOptions{}) {
		if err != nil {
			return nil, nil, err
		}
		name := strings.TrimPrefix(string(e.Key), string(ownedPrefix(account)))
		b, err := read(r, name)
		if err != nil {
			return nil, nil, err
		}
		if in.BucketRegion != nil && b.Region != *in.BucketRegion {
			continue
		}
		if len(out) == limit {
			return out, wire.Ptr(base64.RawURLEncoding.EncodeToString([]byte(*out[limit-1].Name))), nil
		}
		row := api.Bucket{Name: &name, CreationDate: &b.Created, BucketArn: wire.Ptr(arn(name))}
		if paged {
			row.BucketRegion = &b.Region
		}
		out = append(out, row)
	}
	return out, nil, nil
}

// canonicalID returns the id by which S3 knows an account: 64 hexadecimal digits that mean nothing but are always the same.
func canonicalID(account string) string {
	sum := sha256.Sum256([]byte("croft canonical user " + account))
	return hex.EncodeToString(sum[:])
}
