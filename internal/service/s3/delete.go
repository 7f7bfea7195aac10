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
	out := new(api.DeleteObjectOutput)
	err := s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.ownHere(ctx, tx, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		r, err := s.remove(ctx, tx, b, name{in.Bucket, in.Key}, in.VersionId, in.IfMatch)
		out.DeleteMarker, out.VersionId = r.marker, r.version
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// removed is what became of an object that was deleted: whether that made a delete marker or removed one, and of which version.
type removed struct {
	marker  *bool
	version *string
}

// remove deletes an object or one of its versions, if it is there and, where one is given, has that ETag. Source: S3 User Guide, "Deleting
// object versions from a versioning-enabled bucket".
func (s *Service) remove(ctx context.Context, tx kv.Tx, b *bucket, at name, id, etag *string) (out removed, err error) {
	if id != nil {
		return s.removeVersion(ctx, tx, b, at, *id, etag)
	}
	o, err := lookObject(tx, at.bucket, at.key)
	if err != nil {
		return out, err
	}
	if err := (writeCondition{match: etag, deletes: true}).check(at.key, o); err != nil {
		return out, err
	}
	if b.Versioning == "" {
		if o == nil {
			return out, nil
		}
		return out, errors.Join(s.dropBody(ctx, tx, at.bucket, at.key, o), tx.Delete(objectKey(at.bucket, at.key)),
			s.emit(ctx, tx, b, at, api.EventS3ObjectRemovedDelete, o))
	}
	marker := &object{Modified: now(ctx), Marker: true}
	if err := s.supersede(ctx, tx, b, at, o, marker); err != nil {
		return out, err
	}
	if err := errors.Join(tx.Delete(objectKey(at.bucket, at.key)), putOlder(tx, at, marker),
		s.emit(ctx, tx, b, at, api.EventS3ObjectRemovedDeleteMarkerCreated, marker)); err != nil {
		return out, err
	}
	return removed{wire.Ptr(true), wire.Ptr(marker.id())}, nil
}

// removeVersion deletes a version for good. One that is not there is no error.
func (s *Service) removeVersion(ctx context.Context, tx kv.Tx, b *bucket, at name, id string, etag *string) (out removed, err error) {
	if b.Versioning != "" {
		out.version = &id
	}
	o, current, err := getVersion(tx, at, id)
	if cloud.Code(err) == "NoSuchVersion" {
		o, err = nil, nil
	}
	if err != nil {
		return out, err
	}
	if err := (writeCondition{match: etag, deletes: true}).check(at.key, o); err != nil || o == nil {
		return out, err
	}
	if o.Marker {
		out.marker = wire.Ptr(true)
	}
	return out, errors.Join(s.dropVersion(ctx, tx, at, o, current), s.emit(ctx, tx, b, at, api.EventS3ObjectRemovedDelete, o))
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
		b, err := s.ownHere(ctx, tx, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		for i := range in.Delete.Objects {
			if err := s.removeOne(ctx, tx, b, in, &in.Delete.Objects[i], out); err != nil {
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
func (s *Service) removeOne(
	ctx context.Context, tx kv.Tx, b *bucket, in *api.DeleteObjectsInput, o *api.ObjectIdentifier, out *api.DeleteObjectsOutput,
) error {
	var r removed
	err := checkKey(o.Key)
	if err == nil && checkVersion(o.VersionId) != nil {
		err = noSuchVersion(name{in.Bucket, o.Key}, *o.VersionId) // unlike DeleteObject
	}
	if err == nil && (o.LastModifiedTime != nil || o.Size != nil) {
		err = notImplemented("DeleteObjects", "LastModifiedTime and Size", "set")
	}
	if err == nil {
		r, err = s.remove(ctx, tx, b, name{in.Bucket, o.Key}, o.VersionId, o.ETag)
	}
	var refused *cloud.Error
	switch {
	case errors.As(err, &refused):
		out.Errors = append(out.Errors, api.Error{Key: &o.Key, VersionId: o.VersionId, Code: &refused.Code, Message: &refused.Message})
	case err != nil:
		return err
	case !wire.Value(in.Delete.Quiet):
		row := api.DeletedObject{Key: &o.Key, VersionId: o.VersionId, DeleteMarker: r.marker}
		if r.marker != nil {
			row.DeleteMarkerVersionId = r.version
		}
		out.Deleted = append(out.Deleted, row)
	}
	return nil
}
