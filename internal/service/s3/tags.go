package s3

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// maxObjectTags bounds an object's tags. Source: S3 User Guide, "Categorizing your storage using tags".
const maxObjectTags = 10

// parseTags reads tags as the header x-amz-tagging has them: as a query is written.
func parseTags(text string) ([]api.Tag, error) {
	if text == "" {
		return nil, nil
	}
	invalid := with(cloud.Errorf("InvalidArgument", "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."),
		"ArgumentName", "x-amz-tagging", "ArgumentValue", text)
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, invalid
	}
	for pair := range strings.SplitSeq(text, "&") {
		if strings.Count(pair, "=") > 1 {
			return nil, invalid
		}
	}
	var out []api.Tag
	for k, v := range values {
		if len(v) != 1 {
			return nil, invalid
		}
		out = append(out, api.Tag{Key: k, Value: v[0]})
	}
	slices.SortFunc(out, func(a, b api.Tag) int { return strings.Compare(a.Key, b.Key) })
	return out, checkObjectTags(out)
}

func checkObjectTags(tags []api.Tag) error {
	if len(tags) > maxObjectTags {
		return cloud.Errorf("BadRequest", "Object tags cannot be greater than %d", maxObjectTags)
	}
	return checkTags(tags)
}

// PutObjectTagging gives an object other tags.
func (s *Service) PutObjectTagging(ctx context.Context, in *api.PutObjectTaggingInput) (*api.PutObjectTaggingOutput, error) {
	if err := errors.Join(checkVersion(in.VersionId), checkObjectTags(in.Tagging.TagSet)); err != nil {
		return nil, err
	}
	version, err := s.retag(ctx, name{in.Bucket, in.Key}, in.VersionId, in.ExpectedBucketOwner, in.Tagging.TagSet, http.MethodPut)
	if err != nil {
		return nil, err
	}
	return &api.PutObjectTaggingOutput{VersionId: version}, nil
}

// DeleteObjectTagging takes an object's tags away.
func (s *Service) DeleteObjectTagging(ctx context.Context, in *api.DeleteObjectTaggingInput) (*api.DeleteObjectTaggingOutput, error) {
	if err := checkVersion(in.VersionId); err != nil {
		return nil, err
	}
	version, err := s.retag(ctx, name{in.Bucket, in.Key}, in.VersionId, in.ExpectedBucketOwner, nil, http.MethodDelete)
	if err != nil {
		return nil, err
	}
	return &api.DeleteObjectTaggingOutput{VersionId: version}, nil
}

// retag gives a version other tags, by the HTTP method of the request, and returns the id that the answer has.
func (s *Service) retag(ctx context.Context, at name, id, owner *string, tags []api.Tag, method string) (shown *string, err error) {
	err = s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.ownHere(ctx, tx, at.bucket, owner)
		if err != nil {
			return err
		}
		event := api.EventS3ObjectTaggingPut
		if method == http.MethodDelete {
			event = api.EventS3ObjectTaggingDelete
		}
		o, current, err := tagged(tx, b, at, id, method)
		if err != nil {
			return err
		}
		o.Tags, shown = tags, b.shownVersion(o)
		return errors.Join(writeVersion(tx, at, o, current), s.emit(ctx, tx, b, at, event, o))
	})
	return shown, err
}
