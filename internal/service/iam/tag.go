package iam

import (
	"context"
	"slices"
	"strings"

	api "croft/internal/awsapi/iam"
	"croft/internal/wire"
)

// mergeTags returns tags with changes set in it, sorted by key. Keys are compared without regard to case.
func mergeTags(tags, changes []api.Tag) ([]api.Tag, error) {
	out := slices.Clone(tags)
	for i, t := range changes {
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, api.NewInvalidInputException("Tag keys that begin with aws: are reserved: %s", t.Key)
		}
		for _, other := range changes[:i] {
			if strings.EqualFold(t.Key, other.Key) {
				return nil, api.NewInvalidInputException("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
			}
		}
		out = slices.DeleteFunc(out, func(old api.Tag) bool { return strings.EqualFold(old.Key, t.Key) })
		out = append(out, t)
	}
	if len(out) > maxTags {
		return nil, api.NewLimitExceededException("Cannot exceed quota for TagsPerRole: %d", maxTags)
	}
	slices.SortFunc(out, func(a, b api.Tag) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// TagRole sets tags of a role.
func (s *Service) TagRole(ctx context.Context, in *api.TagRoleInput) (*api.TagRoleOutput, error) {
	err := s.changeRole(ctx, in.RoleName, func(r *role) (err error) {
		r.Tags, err = mergeTags(r.Tags, in.Tags)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.TagRoleOutput{}, nil
}

// UntagRole removes tags of a role; those that are not there are no error.
func (s *Service) UntagRole(ctx context.Context, in *api.UntagRoleInput) (*api.UntagRoleOutput, error) {
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		r.Tags = slices.DeleteFunc(r.Tags, func(t api.Tag) bool {
			return slices.ContainsFunc(in.TagKeys, func(key string) bool { return strings.EqualFold(key, t.Key) })
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UntagRoleOutput{}, nil
}

// ListRoleTags lists the tags of a role by key.
func (s *Service) ListRoleTags(ctx context.Context, in *api.ListRoleTagsInput) (*api.ListRoleTagsOutput, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	r, err := s.viewRole(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	out := &api.ListRoleTagsOutput{Tags: []api.Tag{}}
	for _, t := range r.Tags {
		if t.Key <= after {
			continue
		}
		if len(out.Tags) == limit {
			out.Marker = marker(out.Tags[limit-1].Key)
			break
		}
		out.Tags = append(out.Tags, t)
	}
	out.IsTruncated = wire.Ptr(out.Marker != nil)
	return out, nil
}
