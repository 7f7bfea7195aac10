package sqs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"croft/internal/awsapi/sqs"
	"croft/internal/kv"
)

// Limits of tags. Source: Amazon SQS Developer Guide, "Amazon SQS cost allocation tags".
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

// TagQueue adds tags to a queue, or gives them new values.
func (s *Service) TagQueue(ctx context.Context, in *sqs.TagQueueInput) (*sqs.TagQueueOutput, error) {
	if len(in.Tags) == 0 {
		return nil, missingParameter("Tags")
	}
	err := s.update(ctx, in.QueueUrl, func(_ context.Context, tx kv.Tx, name string, _ *queue) error {
		tags, err := getTags(tx, name)
		if err != nil {
			return err
		}
		maps.Copy(tags, in.Tags)
		if err := checkTags(name, tags); err != nil {
			return err
		}
		return putTags(tx, name, tags)
	})
	if err != nil {
		return nil, err
	}
	return &sqs.TagQueueOutput{}, nil
}

// UntagQueue removes tags from a queue. Tags that are not there are no error.
func (s *Service) UntagQueue(ctx context.Context, in *sqs.UntagQueueInput) (*sqs.UntagQueueOutput, error) {
	if len(in.TagKeys) == 0 {
		return nil, invalidParameter("Tag keys can't be null or empty.")
	}
	err := s.update(ctx, in.QueueUrl, func(_ context.Context, tx kv.Tx, name string, _ *queue) error {
		tags, err := getTags(tx, name)
		if err != nil {
			return err
		}
		for _, key := range in.TagKeys {
			delete(tags, key)
		}
		return putTags(tx, name, tags)
	})
	if err != nil {
		return nil, err
	}
	return &sqs.UntagQueueOutput{}, nil
}

// ListQueueTags returns the tags of a queue.
func (s *Service) ListQueueTags(ctx context.Context, in *sqs.ListQueueTagsInput) (*sqs.ListQueueTagsOutput, error) {
	out := &sqs.ListQueueTagsOutput{}
	err := s.view(ctx, in.QueueUrl, func(r kv.Reader, name string, _ *queue) error {
		tags, err := getTags(r, name)
		if len(tags) > 0 {
			out.Tags = tags
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func checkTags(queue string, tags map[string]string) error {
	if len(tags) > maxTags {
		return invalidParameter("Too many tags added for queue %s.", queue)
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if key == "" || len([]rune(key)) > maxTagKey {
			return invalidParameter("Tag keys must be between 1 and %d characters in length.", maxTagKey)
		}
		if len([]rune(tags[key])) > maxTagValue {
			return invalidParameter("Tag values must be between 0 and %d characters in length.", maxTagValue)
		}
	}
	return nil
}

func getTags(r kv.Reader, queue string) (map[string]string, error) {
	tags := map[string]string{}
	row, err := r.Get(tagsKey(queue))
	if errors.Is(err, kv.ErrNotFound) {
		return tags, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(row, &tags); err != nil {
		return nil, fmt.Errorf("sqs: the tags of a queue: %w", err)
	}
	return tags, nil
}

func putTags(tx kv.Tx, queue string, tags map[string]string) error {
	if len(tags) == 0 {
		return tx.Delete(tagsKey(queue))
	}
	row, err := json.Marshal(tags)
	if err != nil {
		return fmt.Errorf("sqs: %w", err)
	}
	return tx.Put(tagsKey(queue), row)
}
