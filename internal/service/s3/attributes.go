package s3

import (
	"context"
	"errors"
	"slices"

	api "croft/internal/awsapi/s3"
	"croft/internal/kv"
	"croft/internal/wire"
)

// GetObjectAttributes returns what is asked for of an object. The parts of one are listed when they have checksums of their own. Source: S3 API
// Reference, GetObjectAttributes.
func (s *Service) GetObjectAttributes(ctx context.Context, in *api.GetObjectAttributesInput) (*api.GetObjectAttributesOutput, error) {
	if err := errors.Join(checkMembers("GetObjectAttributes", in), checkVersion(in.VersionId)); err != nil {
		return nil, err
	}
	if len(in.ObjectAttributes) == 0 || slices.ContainsFunc(in.ObjectAttributes, func(a string) bool { return !inModel("ObjectAttributes", a) }) {
		return nil, invalidArgument("x-amz-object-attributes", "", "Invalid attribute name specified.")
	}
	var o *object
	var c content
	out := new(api.GetObjectAttributesOutput)
	err := s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		b, err := s.ownHere(ctx, r, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		if o, err = readVersion(r, b, name{in.Bucket, in.Key}, in.VersionId); err != nil {
			return err
		}
		out.VersionId, out.LastModified = b.shownVersion(o), &o.Modified
		if o.Parts > 0 && o.Sum.Composite {
			c, err = readContent(r, in.Bucket, in.Key, o)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	wants := func(a string) bool { return slices.Contains(in.ObjectAttributes, a) }
	if wants(api.ObjectAttributesETag) {
		out.ETag = &o.ETag
	}
	if wants(api.ObjectAttributesObjectSize) {
		out.ObjectSize = &o.Size
	}
	if wants(api.ObjectAttributesStorageClass) {
		out.StorageClass = wire.Ptr(o.class())
	}
	if wants(api.ObjectAttributesChecksum) && o.Sum.Algorithm != "" {
		out.Checksum = new(api.Checksum)
		o.Sum.show(out.Checksum)
	}
	if wants(api.ObjectAttributesObjectParts) && o.parts() > 0 {
		out.ObjectParts, err = partsOf(o, c, in)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// partsOf returns a page of an object's parts.
func partsOf(o *object, c content, in *api.GetObjectAttributesInput) (*api.GetObjectAttributesParts, error) {
	out := &api.GetObjectAttributesParts{TotalPartsCount: wire.Ptr(int32(o.parts()))}
	if !o.Sum.Composite {
		return out, nil
	}
	limit, after := int32(maxListed), wire.Value(in.PartNumberMarker)
	if in.MaxParts != nil {
		limit = min(*in.MaxParts, maxListed)
	}
	if limit < 0 || after < 0 {
		return nil, invalidArgument("x-amz-max-parts", itoa(int(limit)), "Argument x-amz-max-parts must be an integer between 0 and 2147483647")
	}
	out.PartNumberMarker, out.MaxParts, out.IsTruncated = &after, &limit, wire.Ptr(false)
	out.NextPartNumberMarker = wire.Ptr(int32(0))
	for i := int(after); i < len(c.segments); i++ {
		if len(out.Parts) == int(limit) {
			out.IsTruncated = wire.Ptr(true)
			break
		}
		p := api.ObjectPart{PartNumber: wire.Ptr(int32(i + 1)), Size: &c.segments[i].Size}
		sum{Algorithm: o.Sum.Algorithm, Value: c.segments[i].Sum}.show(&p)
		out.Parts = append(out.Parts, p)
		out.NextPartNumberMarker = p.PartNumber
	}
	return out, nil
}
