package s3

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// givenACL reads a list from a request that is for nothing else: of headers or of a body, never of both.
func givenACL(in any, canned []string, body *api.AccessControlPolicy) (*aclRequest, error) {
	req, err := requestedACL(in, canned)
	switch {
	case err != nil:
		return nil, err
	case req != nil && body != nil:
		return nil, cloud.Errorf("UnexpectedContent", "This request does not support content")
	case body != nil:
		return policyGrants(body)
	case req == nil:
		return nil, with(cloud.Errorf("MissingSecurityHeader", "Your request was missing a required header"), "MissingHeaderName", "x-amz-acl")
	}
	return req, nil
}

// PutBucketAcl gives a bucket another list.
func (s *Service) PutBucketAcl(ctx context.Context, in *api.PutBucketAclInput) (*api.PutBucketAclOutput, error) {
	req, err := givenACL(in, bucketACLs(), in.AccessControlPolicy)
	if err != nil {
		return nil, err
	}
	err = s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.ownHere(ctx, tx, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		return putBucketACL(ctx, tx, in.Bucket, b, req)
	})
	if err != nil {
		return nil, err
	}
	return new(api.PutBucketAclOutput), nil
}

func putBucketACL(ctx context.Context, tx kv.Tx, bucket string, b *bucket, req *aclRequest) error {
	grants, err := admitACL(cloud.CallOf(ctx).Principal.ARN, tx, bucket, b, req, "s3:PutBucketAcl", arn(bucket))
	if err != nil {
		return err
	}
	return putSetting(tx, bucket, aclSetting, grants)
}

// GetBucketAcl returns the bucket's list.
func (s *Service) GetBucketAcl(ctx context.Context, in *api.GetBucketAclInput) (*api.GetBucketAclOutput, error) {
	out := new(api.GetBucketAclOutput)
	err := s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		b, err := s.ownHere(ctx, r, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		var grants []grant
		_, err = readSetting(r, in.Bucket, aclSetting, &grants)
		out.Owner, out.Grants = showACL(grants, b.Account)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// PutObjectAcl gives an object another list.
func (s *Service) PutObjectAcl(ctx context.Context, in *api.PutObjectAclInput) (*api.PutObjectAclOutput, error) {
	if err := checkVersion(in.VersionId); err != nil {
		return nil, err
	}
	req, err := givenACL(in, objectACLs(), in.AccessControlPolicy)
	if err != nil {
		return nil, err
	}
	out, at := new(api.PutObjectAclOutput), name{in.Bucket, in.Key}
	err = s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.ownHere(ctx, tx, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		o, current, err := tagged(tx, b, at, in.VersionId, http.MethodPut)
		if err != nil {
			return err
		}
		if o.ACL, err = admitACL(cloud.CallOf(ctx).Principal.ARN, tx, in.Bucket, b, req, "s3:PutObjectAcl", arn(in.Bucket+"/"+in.Key)); err != nil {
			return err
		}
		return errors.Join(writeVersion(tx, at, o, current), s.emit(ctx, tx, b, at, api.EventS3ObjectAclPut, o))
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// GetObjectAcl returns an object's list.
func (s *Service) GetObjectAcl(ctx context.Context, in *api.GetObjectAclInput) (*api.GetObjectAclOutput, error) {
	if err := checkVersion(in.VersionId); err != nil {
		return nil, err
	}
	out := new(api.GetObjectAclOutput)
	err := s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		b, err := s.ownHere(ctx, r, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		o, err := readVersion(r, b, name{in.Bucket, in.Key}, in.VersionId)
		if err != nil {
			return err
		}
		out.Owner, out.Grants = showACL(o.ACL, b.Account)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// admitOwnACL decides about the list that came with a new object.
func (o *object) admitOwnACL(ctx context.Context, r kv.Reader, b *bucket, at name) (err error) {
	if o.wants == nil {
		return nil
	}
	o.ACL, err = admitACL(cloud.CallOf(ctx).Principal.ARN, r, at.bucket, b, o.wants, "s3:PutObject", arn(at.bucket+"/"+at.key))
	return err
}

// ownsAlone reports whether a bucket's list names nobody but the owner.
func ownsAlone(r kv.Reader, bucket, account string) (bool, error) {
	var grants []grant
	has, err := readSetting(r, bucket, aclSetting, &grants)
	return !has || reflect.DeepEqual(grants, (&aclRequest{canned: api.BucketCannedACLPrivate}).expand(canonicalID(account))), err
}

// newBucketACL returns what a request for a new bucket says of its owner and its list. A new bucket has a public access block, so that no
// list of it is public.
func newBucketACL(in *api.CreateBucketInput) (*aclRequest, error) {
	req, err := requestedACL(in, bucketACLs())
	if err != nil || req == nil {
		return nil, err
	}
	owner := wire.Value(in.ObjectOwnership)
	if owner == "" || owner == api.ObjectOwnershipBucketOwnerEnforced {
		if req.canned == api.BucketCannedACLPrivate {
			return nil, nil
		}
		return nil, cloud.Errorf("InvalidBucketAclWithObjectOwnership", "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
	}
	if slices.ContainsFunc(req.expand(""), grant.public) {
		return nil, cloud.Errorf("InvalidBucketAclWithBlockPublicAccessError", "Bucket cannot have public ACLs set with BlockPublicAccess enabled")
	}
	return req, nil
}
