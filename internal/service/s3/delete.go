package s3

import (
	"context"
	"errors"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// DeleteObject deletes an object. One that is not there is no error.
func (s *Service) DeleteObject(ctx context.Context, in *api.DeleteObjectInput) (*api.DeleteObjectOutput, error) {
	if err := errors.Join(checkMembers("DeleteObject", in), checkVersion(in.VersionId), checkKey(in.Key)); err != nil {
		return nil, err
	}
	err := s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		if _, err := s.ownHere(ctx, tx, in.Bucket, in.ExpectedBucketOwner); err != nil {
			return err
		}
		return s.remove(ctx, tx, in.Bucket, in.Key, in.IfMatch)
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteObjectOutput), nil
}

// remove deletes an object if it is there and, where one is given, has that ETag.
func (s *Service) remove(ctx context.Context, tx kv.Tx, bucket, key string, etag *string) error {
	o, err := lookObject(tx, bucket, key)
	if err != nil {
		return err
	}
	if err := (writeCondition{match: etag}).check(key, o); err != nil {
		return err
	}
	if o == nil {
		return nil
	}
	return s.deleteObject(ctx, tx, bucket, key, o)
}

// maxDeleted bounds the objects of one DeleteObjects. Source: S3 API Reference, DeleteObjects.
const maxDeleted = 1000

// DeleteObjects deletes objects in one transaction. What is wrong with one of them does not keep the others.
func (s *Service) DeleteObjects(ctx context.Context, in *api.DeleteObjectsInput) (*api.DeleteObjectsOutput, error) {
	if err := checkMembers("DeleteObjects", in); err != nil {
		return nil, err
	}
	if n := len(in.Delete.Objects); n == 0 || n > maxDeleted {
		return nil, cloud.Errorf("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	var out *api.DeleteObjectsOutput
	err := s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		out = new(api.DeleteObjectsOutput)
		if _, err := s.ownHere(ctx, tx, in.Bucket, in.ExpectedBucketOwner); err != nil {
			return err
		}
		for i := range in.Delete.Objects {
			if err := s.removeOne(ctx, tx, in, &in.Delete.Objects[i], out); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// removeOne deletes one of several objects and notes what became of it.
func (s *Service) removeOne(ctx context.Context, tx kv.Tx, in *api.DeleteObjectsInput, o *api.ObjectIdentifier, out *api.DeleteObjectsOutput) error {
	err := errors.Join(checkVersion(o.VersionId), checkKey(o.Key))
	if err == nil && (o.LastModifiedTime != nil || o.Size != nil) {
		err = notImplemented("DeleteObjects", "LastModifiedTime and Size", "set")
	}
	if err == nil {
		err = s.remove(ctx, tx, in.Bucket, o.Key, o.ETag)
	}
	var refused *cloud.Error
	switch {
	case errors.As(err, &refused):
		out.Errors = append(out.Errors, api.Error{Key: &o.Key, VersionId: o.VersionId, Code: &refused.Code, Message: &refused.Message})
	case err != nil:
		return err
	case !wire.Value(in.Delete.Quiet):
		out.Deleted = append(out.Deleted, api.DeletedObject{Key: &o.Key, VersionId: o.VersionId})
	}
	return nil
}
