package sns

import (
	"context"

	"croft/internal/awsapi/sns"
	"croft/internal/wire"
)

// Bounds of a batch. Source: the service's API reference, PublishBatch.
const (
	maxEntries = 10
	maxEntryID = 80
)

// PublishBatch sends up to ten messages to the subscriptions of a topic. One that is not valid makes the whole batch fail, as on AWS; the
// messages commit together, so that none fails by itself.
func (s *Service) PublishBatch(ctx context.Context, in *sns.PublishBatchInput) (*sns.PublishBatchOutput, error) {
	name, err := s.topicName(ctx, "TopicArn", in.TopicArn)
	if err != nil {
		return nil, err
	}
	if err := checkEntries(in.PublishBatchRequestEntries); err != nil {
		return nil, err
	}
	var all []*notification
	size := 0
	for i := range in.PublishBatchRequestEntries {
		e := &in.PublishBatchRequestEntries[i]
		if size += entrySize(e); size > maxMessage {
			return nil, sns.NewBatchRequestTooLongException("The length of all the messages put together is more than the limit.")
		}
	}
	for i := range in.PublishBatchRequestEntries {
		e := &in.PublishBatchRequestEntries[i]
		n, err := s.newNotification(ctx, name, &sns.PublishInput{
			Message: e.Message, Subject: e.Subject, MessageStructure: e.MessageStructure, MessageAttributes: e.MessageAttributes,
			MessageDeduplicationId: e.MessageDeduplicationId, MessageGroupId: e.MessageGroupId,
		})
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	if err := s.publish(ctx, name, all...); err != nil {
		return nil, err
	}
	out := &sns.PublishBatchOutput{Successful: []sns.PublishBatchResultEntry{}, Failed: []sns.BatchResultErrorEntry{}}
	for i, n := range all {
		out.Successful = append(out.Successful, sns.PublishBatchResultEntry{
			Id: &in.PublishBatchRequestEntries[i].Id, MessageId: &n.ID, SequenceNumber: optional(n.Sequence),
		})
	}
	return out, nil
}

func entrySize(e *sns.PublishBatchRequestEntry) int {
	size := len(e.Message)
	for name, v := range e.MessageAttributes {
		size += len(name) + len(v.DataType) + len(wire.Value(v.StringValue)) + len(v.BinaryValue)
	}
	return size
}

func checkEntries(entries []sns.PublishBatchRequestEntry) error {
	switch n := len(entries); {
	case n == 0:
		return sns.NewEmptyBatchRequestException("The batch request doesn't contain any entries.")
	case n > maxEntries:
		return sns.NewTooManyEntriesInBatchRequestException("The batch request contains more entries than permissible.")
	}
	seen := map[string]bool{}
	for i := range entries {
		id := entries[i].Id
		if len(id) > maxEntryID {
			return sns.NewInvalidBatchEntryIdException("The Id of a batch entry in the batch request is too long: %s", id)
		}
		for j := range len(id) {
			if !isNameByte(id[j]) {
				return sns.NewInvalidBatchEntryIdException("The Id of a batch entry in the batch request contains an impermissible character: %s", id)
			}
		}
		if id == "" {
			return sns.NewInvalidBatchEntryIdException("The Id of a batch entry in the batch request is empty")
		}
		if seen[id] {
			return sns.NewBatchEntryIdsNotDistinctException("Two or more batch entries in the request have the same Id.")
		}
		seen[id] = true
	}
	return nil
}
