package sns

import (
	"context"
	"slices"

	"croft/internal/awsapi/sns"
	"croft/internal/kv"
)

const maxTags = 50

// resource runs fn with the topic that a ResourceArn means.
func (s *Service) resource(ctx context.Context, arn string, fn func(tx kv.Tx, name string, t *topic) error) error {
	name, err := s.topicName(ctx, "ResourceArn", arn)
	if err != nil {
		return err
	}
	return s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		t, err := getTopic(tx, name)
		if err != nil {
			return resourceError(err)
		}
		return fn(tx, name, t)
	})
}

func resourceError(err error) error {
	if err.Error() == topicNotFound().Error() {
		return sns.NewResourceNotFoundException("Resource does not exist")
	}
	return err
}

// TagResource adds tags to a topic, or gives them new values.
func (s *Service) TagResource(ctx context.Context, in *sns.TagResourceInput) (*sns.TagResourceOutput, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	err := s.resource(ctx, in.ResourceArn, func(tx kv.Tx, name string, t *topic) error {
		for _, tag := range in.Tags {
			i := slices.IndexFunc(t.Tags, func(have sns.Tag) bool { return have.Key == tag.Key })
			if i >= 0 {
				t.Tags[i] = tag
			} else {
				t.Tags = append(t.Tags, tag)
			}
		}
		if len(t.Tags) > maxTags {
			return tooManyTags()
		}
		return putTopic(tx, name, t)
	})
	if err != nil {
		return nil, err
	}
	return &sns.TagResourceOutput{}, nil
}

// UntagResource removes tags from a topic. Tags that are not there are no error.
func (s *Service) UntagResource(ctx context.Context, in *sns.UntagResourceInput) (*sns.UntagResourceOutput, error) {
	err := s.resource(ctx, in.ResourceArn, func(tx kv.Tx, name string, t *topic) error {
		t.Tags = slices.DeleteFunc(t.Tags, func(tag sns.Tag) bool { return slices.Contains(in.TagKeys, tag.Key) })
		return putTopic(tx, name, t)
	})
	if err != nil {
		return nil, err
	}
	return &sns.UntagResourceOutput{}, nil
}

// ListTagsForResource returns the tags of a topic, in the order in which they were added.
func (s *Service) ListTagsForResource(ctx context.Context, in *sns.ListTagsForResourceInput) (*sns.ListTagsForResourceOutput, error) {
	name, err := s.topicName(ctx, "ResourceArn", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	out := &sns.ListTagsForResourceOutput{Tags: []sns.Tag{}}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		t, err := getTopic(r, name)
		if err != nil {
			return resourceError(err)
		}
		out.Tags = append(out.Tags, t.Tags...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// checkTags checks what the model cannot: keys that come twice, and the number of tags.
func checkTags(tags []sns.Tag) error {
	if len(tagMap(tags)) != len(tags) {
		return invalid("Duplicated keys are not allowed.")
	}
	if len(tags) > maxTags {
		return tooManyTags()
	}
	return nil
}

func tooManyTags() error {
	return sns.NewTagLimitExceededException("Could not complete request: tag quota of per resource exceeded")
}

func tagMap(tags []sns.Tag) map[string]string {
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		out[t.Key] = t.Value
	}
	return out
}
