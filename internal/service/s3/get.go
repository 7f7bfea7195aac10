package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// GetObject returns an object, or the part of it that is asked for.
func (s *Service) GetObject(ctx context.Context, in *api.GetObjectInput) (*api.GetObjectOutput, error) {
	if err := errors.Join(checkMembers("GetObject", in), checkVersion(in.VersionId)); err != nil {
		return nil, err
	}
	f, err := s.find(ctx, in)
	if err != nil {
		return nil, err
	}
	out := f.describe(in)
	if out.Body, err = s.open(ctx, f.content, f.offset, f.size); err != nil {
		return nil, err
	}
	return out, nil
}

// HeadObject returns what is known of an object.
func (s *Service) HeadObject(ctx context.Context, in *api.HeadObjectInput) (*api.HeadObjectOutput, error) {
	if err := errors.Join(checkMembers("HeadObject", in), checkVersion(in.VersionId)); err != nil {
		return nil, err
	}
	get := &api.GetObjectInput{}
	copyMembers(get, in)
	f, err := s.find(ctx, get)
	if err != nil {
		return nil, err
	}
	out := new(api.HeadObjectOutput)
	copyMembers(out, f.describe(get))
	return out, nil
}

// copyMembers gives the structure that to points to the members that it shares with the one that from points to.
func copyMembers(to, from any) {
	dst, src := reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem()
	for i := range dst.NumField() {
		if f := src.FieldByName(dst.Type().Field(i).Name); f.IsValid() && f.Type() == dst.Field(i).Type() {
			dst.Field(i).Set(f)
		}
	}
}

// found is an object and the part of it to read.
type found struct {
	*object
	// version is the id that the answer has, or nil.
	version *string
	// expires is when the bucket's rules end the object, or nil.
	expires *string
	content content
	// offset and size are of the part; partial says that it was asked for.
	offset, size int64
	partial      bool
}

func (s *Service) find(ctx context.Context, in *api.GetObjectInput) (f found, err error) {
	err = s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		b, err := s.ownHere(ctx, r, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		if f.object, err = readVersion(r, b, name{in.Bucket, in.Key}, in.VersionId); err != nil {
			return err
		}
		f.version = b.shownVersion(f.object)
		if in.VersionId == nil {
			if f.expires, err = b.expiration(r, name{in.Bucket, in.Key}, f.object); err != nil {
				return err
			}
		}
		c := readCondition{match: in.IfMatch, noneMatch: in.IfNoneMatch, modified: in.IfModifiedSince, unmodified: in.IfUnmodifiedSince}
		if err := c.check(f.object); err != nil {
			return err
		}
		f.content, err = openContent(r, b, name{in.Bucket, in.Key}, f.object)
		return err
	})
	if err != nil {
		return f, err
	}
	return f, f.choose(in)
}

// choose finds out which part is asked for.
func (f *found) choose(in *api.GetObjectInput) (err error) {
	f.size = f.Size
	switch {
	case in.PartNumber != nil && in.Range != nil:
		return cloud.Errorf("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
	case in.Range != nil:
		f.offset, f.size, f.partial, err = parseRange(*in.Range, f.Size)
		return err
	case in.PartNumber == nil:
		return nil
	}
	n := int(*in.PartNumber)
	if n < 1 || n > maxParts {
		return invalidArgument("partNumber", itoa(n), "Part number must be an integer between 1 and %d, inclusive", maxParts)
	}
	if n > max(f.parts(), 1) {
		e := cloud.Errorf("InvalidPartNumber", "The requested partnumber is not satisfiable").WithStatus(http.StatusRequestedRangeNotSatisfiable)
		return with(e, "PartNumberRequested", itoa(n), "ActualPartCount", itoa(max(f.parts(), 1)))
	}
	f.partial = f.Size > 0
	if f.parts() == 0 {
		return nil
	}
	for _, seg := range f.content.segments[:n-1] {
		f.offset += seg.Size
	}
	f.size = f.content.segments[n-1].Size
	return nil
}

// describe returns the answer to a read, without the body.
func (f *found) describe(in *api.GetObjectInput) *api.GetObjectOutput {
	out := &api.GetObjectOutput{
		AcceptRanges: wire.Ptr("bytes"), LastModified: &f.Modified, ContentLength: &f.size, ETag: quoted(f.ETag), ServerSideEncryption: claim(f.Encrypted),
		ContentType: or(in.ResponseContentType, f.ContentType), CacheControl: or(in.ResponseCacheControl, f.CacheControl),
		ContentDisposition: or(in.ResponseContentDisposition, f.ContentDisposition), ContentEncoding: or(in.ResponseContentEncoding, f.ContentEncoding),
		ContentLanguage: or(in.ResponseContentLanguage, f.ContentLanguage), Expires: or(in.ResponseExpires, f.Expires), Metadata: f.Metadata,
		VersionId: f.version, Expiration: f.expires, StorageClass: shownClass(f.Class),
	}
	if out.ContentType == nil {
		out.ContentType = wire.Ptr("binary/octet-stream")
	}
	if f.partial {
		out.ContentRange = wire.Ptr(fmt.Sprintf("bytes %d-%d/%d", f.offset, f.offset+f.size-1, f.Size))
	}
	if n := len(f.Tags); n > 0 {
		out.TagCount = wire.Ptr(int32(n))
	}
	if in.PartNumber != nil && f.parts() > 0 {
		out.PartsCount = wire.Ptr(int32(f.parts()))
	}
	// A checksum of the whole says nothing of a part, and clients would compare it with one.
	if strings.EqualFold(wire.Value(in.ChecksumMode), api.ChecksumModeENABLED) {
		f.showSum(in, out)
	}
	return out
}

// showSum puts the checksum of what is read into the answer, if there is one: of the whole, or of a part that has one of its own.
func (f *found) showSum(in *api.GetObjectInput, out *api.GetObjectOutput) {
	if in.PartNumber != nil && f.parts() > 0 && f.Sum.Composite {
		if own := f.content.segments[*in.PartNumber-1].Sum; own != "" {
			sum{Algorithm: f.Sum.Algorithm, Value: own, Composite: true}.show(out)
			return
		}
	}
	if f.size == f.Size {
		f.Sum.show(out)
	}
}

// or returns what the request wants to see in place of what the object has, if that is anything.
func or(wanted *string, has string) *string {
	if wanted != nil {
		return wanted
	}
	if has == "" {
		return nil
	}
	return &has
}

// GetObjectTagging returns an object's tags.
func (s *Service) GetObjectTagging(ctx context.Context, in *api.GetObjectTaggingInput) (*api.GetObjectTaggingOutput, error) {
	if err := checkVersion(in.VersionId); err != nil {
		return nil, err
	}
	out := &api.GetObjectTaggingOutput{TagSet: []api.Tag{}}
	err := s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		b, err := s.ownHere(ctx, r, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		o, _, err := tagged(r, b, name{in.Bucket, in.Key}, in.VersionId, http.MethodGet)
		if err == nil {
			out.TagSet, out.VersionId = append(out.TagSet, slices.Clone(o.Tags)...), b.shownVersion(o)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
