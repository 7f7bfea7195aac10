package s3

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// CreateBucket makes a bucket of the caller's.
func (s *Service) CreateBucket(ctx context.Context, in *api.CreateBucketInput) (*api.CreateBucketOutput, error) {
	call := cloud.CallOf(ctx)
	if !validName(in.Bucket) {
		return nil, invalidBucketName(in.Bucket)
	}
	if err := checkSettings(in); err != nil {
		return nil, err
	}
	b := &bucket{Account: call.Account, Created: call.Now.UTC().Truncate(time.Second), Key: newKey()}
	if c := in.CreateBucketConfiguration; c != nil {
		b.Constraint, b.Tags = wire.Value(c.LocationConstraint), c.Tags
	}
	req, err := newBucketACL(in)
	if err != nil {
		return nil, err
	}
	if b.Region, err = placed(call.Region, b.Constraint); err != nil {
		return nil, err
	}
	err = s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		made, err := create(tx, in.Bucket, b)
		if err == nil && made && in.ObjectOwnership != nil {
			err = putSetting(tx, in.Bucket, ownershipSetting, &ownership{*in.ObjectOwnership})
		}
		if err == nil && made && req != nil {
			err = putBucketACL(ctx, tx, in.Bucket, b, req)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	location := "/" + in.Bucket
	if b.Constraint != "" {
		location = "http://" + host(s.deps.Endpoint(ctx), in.Bucket, b.Region) + "/"
	}
	return &api.CreateBucketOutput{Location: &location, BucketArn: wire.Ptr(arn(in.Bucket))}, nil
}

// create writes a bucket that is not there, and reports whether it was not. In the first region, making a bucket that one has succeeds and changes nothing: S3 API
// Reference, CreateBucket, BucketAlreadyOwnedByYou.
func create(tx kv.Tx, name string, b *bucket) (made bool, err error) {
	switch there, err := read(tx, name); {
	case name == cloud.AssetBucket, err == nil && there.Account != b.Account:
		return false, with(api.NewBucketAlreadyExists("The requested bucket name is not available. The bucket namespace is shared by all users of the system. "+
			"Please select a different name and try again."), "BucketName", name)
	case err == nil && there.Region == firstRegion && b.Region == firstRegion:
		return false, nil
	case err == nil:
		return false, with(api.NewBucketAlreadyOwnedByYou("Your previous request to create the named bucket succeeded and you already own it."), "BucketName", name)
	case cloud.Code(err) != "NoSuchBucket":
		return false, err
	}
	// Buckets that are made at the same moment may go beyond the quota together; they do not have to wait for each other.
	n, err := tx.Loose().Get(countKey(b.Account))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return false, err
	}
	if kv.Int64(n) >= maxBuckets {
		return false, cloud.Errorf("TooManyBuckets", "You have attempted to create more buckets than allowed")
	}
	return true, errors.Join(write(tx, name, b), tx.Put(ownedKey(b.Account, name), nil), tx.Add(countKey(b.Account), 1))
}

// checkSettings refuses what would make a bucket other than the usual one: in the global namespace, general purpose, owned and
// ruled by its account alone.
func checkSettings(in *api.CreateBucketInput) error {
	const op = "CreateBucket"
	for _, p := range [...]struct {
		name    string
		given   *string
		usual   string
		allowed []string
	}{
		{"x-amz-bucket-namespace", in.BucketNamespace, api.BucketNamespaceGlobal, []string{api.BucketNamespaceGlobal, api.BucketNamespaceAccountRegional}},
		{"x-amz-object-ownership", in.ObjectOwnership, api.ObjectOwnershipBucketOwnerEnforced,
			[]string{api.ObjectOwnershipBucketOwnerEnforced, api.ObjectOwnershipBucketOwnerPreferred, api.ObjectOwnershipObjectWriter}},
	} {
		switch v := wire.Value(p.given); {
		case p.given == nil || v == p.usual:
		case slices.Contains(p.allowed, v) && p.given != in.ObjectOwnership:
			return notImplemented(op, p.name, v)
		case slices.Contains(p.allowed, v):
		default:
			return invalidArgument(p.name, v, "Invalid %s header, please see the documentation for valid values.", p.name)
		}
	}
	if wire.Value(in.ObjectLockEnabledForBucket) {
		return notImplemented(op, "x-amz-bucket-object-lock-enabled", "true")
	}
	return checkConfiguration(in.CreateBucketConfiguration)
}

func checkConfiguration(c *api.CreateBucketConfiguration) error {
	if c == nil {
		return nil
	}
	for _, directory := range [...]struct {
		name  string
		given bool
	}{{"CreateBucketConfiguration.Location", c.Location != nil}, {"CreateBucketConfiguration.Bucket", c.Bucket != nil}} {
		if directory.given {
			e := cloud.Errorf("NotImplemented", "croft does not implement directory buckets, for which s3:CreateBucket takes %s.", directory.name)
			return e.WithStatus(http.StatusNotImplemented)
		}
	}
	return checkTags(c.Tags)
}

// The limits of a bucket's tags. Source: Billing User Guide, "User-defined tag restrictions".
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

func checkTags(tags []api.Tag) error {
	if len(tags) > maxTags {
		return cloud.Errorf("BadRequest", "Bucket tag count cannot be greater than %d", maxTags)
	}
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		switch {
		case seen[t.Key]:
			return with(cloud.Errorf("InvalidTag", "Cannot provide multiple Tags with the same key"), "TagKey", t.Key)
		case strings.HasPrefix(t.Key, "aws:"):
			return with(cloud.Errorf("InvalidTag", "System tags cannot be added/updated by requester"), "TagKey", t.Key)
		case t.Key == "" || !isTagText(t.Key, maxTagKey):
			return with(cloud.Errorf("InvalidTag", "The TagKey you have provided is invalid"), "TagKey", t.Key)
		case !isTagText(t.Value, maxTagValue):
			return with(cloud.Errorf("InvalidTag", "The TagValue you have provided is invalid"), "TagKey", t.Key, "TagValue", t.Value)
		}
		seen[t.Key] = true
	}
	return nil
}

// isTagText reports whether s has at most limit characters, all of those that tags may have.
func isTagText(s string, limit int) bool {
	n := 0
	for _, r := range s {
		if n++; n > limit || !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsSpace(r) && !strings.ContainsRune("+-=._:/@", r) {
			return false
		}
	}
	return true
}
