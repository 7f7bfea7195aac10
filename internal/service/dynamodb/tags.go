package dynamodb

import (
	"context"
	"errors"
	"slices"
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// TagResource adds tags to a table, or gives those that it has other values.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	name, err := s.taggedTable(ctx, in.ResourceArn, "TagResource")
	if err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, validation("Atleast one Tag needs to be provided as Input.")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	err = s.retag(ctx, name, in.ResourceArn, func(tags []api.Tag) ([]api.Tag, error) {
		for _, tag := range in.Tags {
			at := slices.IndexFunc(tags, func(old api.Tag) bool { return old.Key == tag.Key })
			if at < 0 {
				tags = append(tags, tag)
			} else {
				tags[at] = tag
			}
		}
		return tags, checkTagCount(tags)
	})
	if err != nil {
		return nil, err
	}
	return &api.TagResourceOutput{}, nil
}

// UntagResource removes tags from a table. Those that it does not have are no error.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	name, err := s.taggedTable(ctx, in.ResourceArn, "UntagResource")
	if err != nil {
		return nil, err
	}
	if len(in.TagKeys) == 0 {
		return nil, validation("Atleast one Tag Key needs to be provided as Input.")
	}
	err = s.retag(ctx, name, in.ResourceArn, func(tags []api.Tag) ([]api.Tag, error) {
		return slices.DeleteFunc(tags, func(tag api.Tag) bool { return slices.Contains(in.TagKeys, tag.Key) }), nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UntagResourceOutput{}, nil
}

// ListTagsOfResource returns the tags of a table, which are never more than one page.
func (s *Service) ListTagsOfResource(ctx context.Context, in *api.ListTagsOfResourceInput) (*api.ListTagsOfResourceOutput, error) {
	name, err := s.taggedTable(ctx, in.ResourceArn, "ListTagsOfResource")
	if err != nil {
		return nil, err
	}
	if in.NextToken != nil {
		return nil, validation("Invalid NextToken: no list of tags has a second page")
	}
	out := &api.ListTagsOfResourceOutput{Tags: []api.Tag{}}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		t, err := s.getTable(r, name)
		if err != nil {
			return errTagged(err, in.ResourceArn)
		}
		out.Tags = append(out.Tags, t.Tags...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// retag changes the tags of a table. change gets a copy of them.
func (s *Service) retag(ctx context.Context, name, arn string, change func([]api.Tag) ([]api.Tag, error)) error {
	return s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		t, err := s.getTable(tx, name)
		if err != nil {
			return errTagged(err, arn)
		}
		changed := *t
		if changed.Tags, err = change(slices.Clone(t.Tags)); err != nil {
			return err
		}
		return putTable(tx, &changed)
	})
}

// errTagged is err with the error of these operations for a table that is not there.
func errTagged(err error, arn string) error {
	if errors.Is(err, kv.ErrNotFound) {
		// The name of the parameter is as the service writes it.
		return api.NewResourceNotFoundException("Requested resource not found: ResourcArn: %s not found", arn)
	}
	return err
}

// taggedTable returns the name of the table that a ResourceArn means. What does not look like an ARN of a resource at all is refused as AWS's
// authorization refuses it, which comes first there.
func (s *Service) taggedTable(ctx context.Context, given, operation string) (string, error) {
	call := cloud.CallOf(ctx)
	denied := func() error {
		on := given
		if on == "" {
			on = "*"
		}
		return cloud.Errorf("AccessDeniedException", "User: %s is not authorized to perform: %s:%s on resource: %s",
			call.Principal.ARN, serviceName, operation, on)
	}
	parts := strings.SplitN(given, ":", 6)
	if len(parts) < 6 || !strings.Contains(parts[5], "/") {
		return "", denied()
	}
	arn, err := cloud.ParseARN(given)
	name, isTable := strings.CutPrefix(arn.Resource, "table/")
	if err != nil || arn.Service != serviceName || arn.Region != call.Region || !isTable || checkTableName(name) != nil {
		return "", validation("Invalid TableArn: Invalid ResourceArn provided as input %s", given)
	}
	if s.deps.Account(ctx, arn.Account, given) != call.Account {
		return "", denied()
	}
	return name, nil
}

func checkTagCount(tags []api.Tag) error {
	if len(tags) > maxTags {
		return validation("Number of Tags exceed the current limit for the provided ResourceArn")
	}
	return nil
}
