package s3

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// The kinds of settings that have a row of their own.
const (
	encryptionSetting = "encryption"
	policySetting     = "policy"
	accessSetting     = "access"
)

// setting reads a setting of a bucket of the caller's into out, and reports whether the bucket has it.
func (s *Service) setting(ctx context.Context, bucket string, owner *string, kind string, out any) (has bool, err error) {
	err = s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		if _, err := s.ownHere(ctx, r, bucket, owner); err != nil {
			return err
		}
		has, err = readSetting(r, bucket, kind, out)
		return err
	})
	return has, err
}

func readSetting(r kv.Reader, bucket, kind string, out any) (has bool, err error) {
	data, err := r.Get(settingKey(bucket, kind))
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	return err == nil, err
}

// set writes a setting of a bucket of the caller's, or removes it when value is nil.
func (s *Service) set(ctx context.Context, bucket string, owner *string, kind string, value any, check func(r kv.Reader) error) error {
	return s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		if _, err := s.ownHere(ctx, tx, bucket, owner); err != nil {
			return err
		}
		if check != nil {
			if err := check(tx); err != nil {
				return err
			}
		}
		if value == nil {
			return tx.Delete(settingKey(bucket, kind))
		}
		return putSetting(tx, bucket, kind, value)
	})
}

func putSetting(tx kv.Tx, bucket, kind string, value any) error {
	row, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return tx.Put(settingKey(bucket, kind), row)
}

// PutBucketEncryption takes what every bucket has anyway, and refuses keys of the key management service.
func (s *Service) PutBucketEncryption(ctx context.Context, in *api.PutBucketEncryptionInput) (*api.PutBucketEncryptionOutput, error) {
	if err := checkEncryption(in.ServerSideEncryptionConfiguration); err != nil {
		return nil, err
	}
	err := s.set(ctx, in.Bucket, in.ExpectedBucketOwner, encryptionSetting, in.ServerSideEncryptionConfiguration, nil)
	if err != nil {
		return nil, err
	}
	return new(api.PutBucketEncryptionOutput), nil
}

func checkEncryption(c *api.ServerSideEncryptionConfiguration) error {
	if len(c.Rules) != 1 || c.Rules[0].ApplyServerSideEncryptionByDefault == nil {
		return cloud.Errorf("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	r := &c.Rules[0]
	switch by := r.ApplyServerSideEncryptionByDefault; {
	case by.SSEAlgorithm != api.ServerSideEncryptionAES256:
		return notImplemented("PutBucketEncryption", "SSEAlgorithm", by.SSEAlgorithm)
	case by.KMSMasterKeyID != nil:
		return cloud.Errorf("InvalidArgument", "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse")
	case r.BlockedEncryptionTypes != nil:
		return notImplemented("PutBucketEncryption", "BlockedEncryptionTypes", "set")
	}
	return nil
}

// GetBucketEncryption returns the bucket's encryption.
func (s *Service) GetBucketEncryption(ctx context.Context, in *api.GetBucketEncryptionInput) (*api.GetBucketEncryptionOutput, error) {
	c := new(api.ServerSideEncryptionConfiguration)
	has, err := s.setting(ctx, in.Bucket, in.ExpectedBucketOwner, encryptionSetting, c)
	if err != nil {
		return nil, err
	}
	if !has && s.deps.PlainObjects {
		return nil, missing("ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found", in.Bucket)
	}
	if !has {
		c.Rules = []api.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &api.ServerSideEncryptionByDefault{SSEAlgorithm: api.ServerSideEncryptionAES256}}}
	}
	if c.Rules[0].BucketKeyEnabled == nil {
		c.Rules[0].BucketKeyEnabled = wire.Ptr(false)
	}
	return &api.GetBucketEncryptionOutput{ServerSideEncryptionConfiguration: c}, nil
}

// DeleteBucketEncryption goes back to the usual encryption.
func (s *Service) DeleteBucketEncryption(ctx context.Context, in *api.DeleteBucketEncryptionInput) (*api.DeleteBucketEncryptionOutput, error) {
	if err := s.set(ctx, in.Bucket, in.ExpectedBucketOwner, encryptionSetting, nil, nil); err != nil {
		return nil, err
	}
	return new(api.DeleteBucketEncryptionOutput), nil
}

// PutPublicAccessBlock says which kinds of public access the bucket refuses.
func (s *Service) PutPublicAccessBlock(ctx context.Context, in *api.PutPublicAccessBlockInput) (*api.PutPublicAccessBlockOutput, error) {
	c := in.PublicAccessBlockConfiguration
	for _, flag := range []**bool{&c.BlockPublicAcls, &c.IgnorePublicAcls, &c.BlockPublicPolicy, &c.RestrictPublicBuckets} {
		*flag = wire.Ptr(wire.Value(*flag))
	}
	if err := s.set(ctx, in.Bucket, in.ExpectedBucketOwner, accessSetting, &access{Block: c}, nil); err != nil {
		return nil, err
	}
	return new(api.PutPublicAccessBlockOutput), nil
}

// access is the row of a bucket's public access block. A bucket without one has them all: S3 User Guide, "Blocking public access".
type access struct {
	Block *api.PublicAccessBlockConfiguration `json:"block,omitempty"` // nil when it was deleted
}

func readAccess(r kv.Reader, bucket string) (*api.PublicAccessBlockConfiguration, error) {
	var a access
	has, err := readSetting(r, bucket, accessSetting, &a)
	if err == nil && !has {
		yes := wire.Ptr(true)
		return &api.PublicAccessBlockConfiguration{BlockPublicAcls: yes, IgnorePublicAcls: yes, BlockPublicPolicy: yes, RestrictPublicBuckets: yes}, nil
	}
	return a.Block, err
}

// GetPublicAccessBlock returns which kinds of public access the bucket refuses.
func (s *Service) GetPublicAccessBlock(ctx context.Context, in *api.GetPublicAccessBlockInput) (*api.GetPublicAccessBlockOutput, error) {
	out := new(api.GetPublicAccessBlockOutput)
	err := s.space().View(ctx, func(ctx context.Context, r kv.Reader) (err error) {
		if _, err := s.ownHere(ctx, r, in.Bucket, in.ExpectedBucketOwner); err != nil {
			return err
		}
		out.PublicAccessBlockConfiguration, err = readAccess(r, in.Bucket)
		return err
	})
	if err != nil {
		return nil, err
	}
	if out.PublicAccessBlockConfiguration == nil {
		return nil, missing("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found", in.Bucket)
	}
	return out, nil
}

// missing is the answer to a question for a setting that a bucket does not have.
func missing(code, message, bucket string) *cloud.Error {
	return with(cloud.Errorf(code, "%s", message).WithStatus(http.StatusNotFound), "BucketName", bucket)
}

// DeletePublicAccessBlock lets the bucket refuse no kind of public access.
func (s *Service) DeletePublicAccessBlock(ctx context.Context, in *api.DeletePublicAccessBlockInput) (*api.DeletePublicAccessBlockOutput, error) {
	if err := s.set(ctx, in.Bucket, in.ExpectedBucketOwner, accessSetting, &access{}, nil); err != nil {
		return nil, err
	}
	return new(api.DeletePublicAccessBlockOutput), nil
}

// PutBucketTagging gives a bucket other tags.
func (s *Service) PutBucketTagging(ctx context.Context, in *api.PutBucketTaggingInput) (*api.PutBucketTaggingOutput, error) {
	if err := checkTags(in.Tagging.TagSet); err != nil {
		return nil, err
	}
	if err := s.retagBucket(ctx, in.Bucket, in.ExpectedBucketOwner, in.Tagging.TagSet); err != nil {
		return nil, err
	}
	return new(api.PutBucketTaggingOutput), nil
}

func (s *Service) retagBucket(ctx context.Context, bucket string, owner *string, tags []api.Tag) error {
	return s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.ownHere(ctx, tx, bucket, owner)
		if err != nil {
			return err
		}
		b.Tags = tags
		return write(tx, bucket, b)
	})
}

// GetBucketTagging returns the bucket's tags.
func (s *Service) GetBucketTagging(ctx context.Context, in *api.GetBucketTaggingInput) (*api.GetBucketTaggingOutput, error) {
	out := new(api.GetBucketTaggingOutput)
	err := s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		b, err := s.ownHere(ctx, r, in.Bucket, in.ExpectedBucketOwner)
		if err == nil {
			out.TagSet = b.Tags
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(out.TagSet) == 0 {
		return nil, missing("NoSuchTagSet", "The TagSet does not exist", in.Bucket)
	}
	return out, nil
}

// DeleteBucketTagging takes the bucket's tags away.
func (s *Service) DeleteBucketTagging(ctx context.Context, in *api.DeleteBucketTaggingInput) (*api.DeleteBucketTaggingOutput, error) {
	if err := s.retagBucket(ctx, in.Bucket, in.ExpectedBucketOwner, nil); err != nil {
		return nil, err
	}
	return new(api.DeleteBucketTaggingOutput), nil
}
