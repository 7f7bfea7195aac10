package lambda

import (
	"context"
	"maps"
	"strings"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// tagged resolves the ARN of a resource that can have tags.
func tagged(ctx context.Context, arn string) (kind, name string, err error) {
	a, err := cloud.ParseARN(arn)
	if err != nil {
		return "", "", invalid("%s is not an ARN", arn)
	}
	call := cloud.CallOf(ctx)
	p := strings.Split(a.Resource, ":")
	switch {
	case len(p) == 3 && p[0] == "function":
		return "", "", invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
	case len(p) != 2 || p[0] != "function" && p[0] != "event-source-mapping":
		return "", "", refused("Resource", "functions and event source mappings alone have tags")
	case a.Account != call.Account || a.Region != call.Region:
		return "", "", errUntagged(p[0], arn)
	}
	return p[0], p[1], nil
}

func errUntagged(kind, arn string) error {
	if kind == "function" {
		return notFound("Function not found: %s", arn)
	}
	return notFound("Event source mapping not found: %s", arn)
}

// editTags gives the tags of a resource to edit, which may change them, in one transaction.
func (s *Service) editTags(ctx context.Context, arn string, edit func(tags map[string]string)) error {
	kind, name, err := tagged(ctx, arn)
	if err != nil {
		return err
	}
	if kind == "function" {
		return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
			f, err := loadFunction(tx, name)
			if err != nil {
				return err
			}
			if f == nil {
				return errUntagged(kind, arn)
			}
			changed, err := edited(&f.Tags, edit)
			if err != nil || !changed {
				return err
			}
			f.changed(cloud.CallOf(ctx).Now, false)
			return storeFunction(tx, f)
		})
	}
	return s.shared().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		m, err := loadMapping(ctx, tx, name)
		if err != nil {
			return err
		}
		if m == nil {
			return errUntagged(kind, arn)
		}
		changed, err := edited(&m.Tags, edit)
		if err != nil || !changed {
			return err
		}
		return storeMapping(ctx, tx, m)
	})
}

// edited applies edit to tags and reports whether that changed them.
func edited(tags *map[string]string, edit func(map[string]string)) (bool, error) {
	now := maps.Clone(*tags)
	if now == nil {
		now = map[string]string{}
	}
	edit(now)
	if maps.Equal(now, *tags) {
		return false, nil
	}
	*tags = now
	return true, checkTags(now)
}

// TagResource implements the operation.
func (s *Service) TagResource(ctx context.Context, in *lambda.TagResourceInput) (*lambda.TagResourceOutput, error) {
	if len(in.Tags) == 0 {
		return nil, invalid("An error occurred and the request cannot be processed.")
	}
	if err := s.editTags(ctx, in.Resource, func(tags map[string]string) { maps.Copy(tags, in.Tags) }); err != nil {
		return nil, err
	}
	return &lambda.TagResourceOutput{}, nil
}

// UntagResource implements the operation.
func (s *Service) UntagResource(ctx context.Context, in *lambda.UntagResourceInput) (*lambda.UntagResourceOutput, error) {
	err := s.editTags(ctx, in.Resource, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
	if err != nil {
		return nil, err
	}
	return &lambda.UntagResourceOutput{}, nil
}

// ListTags implements the operation.
func (s *Service) ListTags(ctx context.Context, in *lambda.ListTagsInput) (*lambda.ListTagsOutput, error) {
	out := new(lambda.ListTagsOutput)
	if err := s.editTags(ctx, in.Resource, func(tags map[string]string) { out.Tags = maps.Clone(tags) }); err != nil {
		return nil, err
	}
	return out, nil
}
