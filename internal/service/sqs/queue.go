package sqs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
	"croft/internal/wire"
)

// cooldown is how long after its deletion a queue's name cannot be used, and how long one purge keeps off the next.
const cooldown = time.Minute

// CreateQueue makes a queue, or returns the one that is already there with the same attributes.
func (s *Service) CreateQueue(ctx context.Context, in *sqs.CreateQueueInput) (*sqs.CreateQueueOutput, error) {
	settings := defaultAttributes()
	settings.FIFO = in.Attributes["FifoQueue"] == "true"
	if err := checkQueueName(in.QueueName, settings.FIFO); err != nil {
		return nil, err
	}
	if err := settings.setAll(in.Attributes); err != nil {
		return nil, err
	}
	if err := checkTags(in.QueueName, in.Tags); err != nil {
		return nil, err
	}
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		existing, err := s.queue(tx, in.QueueName)
		switch {
		case err == nil:
			return checkSame(tx, in, existing, &settings)
		case cloud.Code(err) != queueDoesNotExist().Code:
			return err
		}
		return s.createQueue(ctx, tx, in, settings)
	})
	if err != nil {
		return nil, err
	}
	return &sqs.CreateQueueOutput{QueueUrl: wire.Ptr(queueURL(cloud.CallOf(ctx), in.QueueName))}, nil
}

func (s *Service) createQueue(ctx context.Context, tx kv.Tx, in *sqs.CreateQueueInput, settings attributes) error {
	now := cloud.CallOf(ctx).Now
	if given := in.Attributes["RedrivePolicy"]; given != "" {
		if err := s.checkDeadLetter(ctx, tx, in.QueueName, &settings, given); err != nil {
			return err
		}
	}
	if err := linkDeadLetter(tx, in.QueueName, &attributes{}, &settings); err != nil {
		return err
	}
	deleted, err := getTime(tx, tombstoneKey(in.QueueName))
	if err != nil {
		return err
	}
	if now.Before(deleted.Add(cooldown)) {
		return sqs.NewQueueDeletedRecently("You must wait 60 seconds after deleting a queue before you can create another with the same name.")
	}
	if err := tx.Delete(tombstoneKey(in.QueueName)); err != nil {
		return err
	}
	if err := putTags(tx, in.QueueName, in.Tags); err != nil {
		return err
	}
	q := &queue{ID: randomUint64(), Created: now.Unix(), Modified: now.Unix(), Settings: settings}
	return s.putQueue(ctx, tx, in.QueueName, q)
}

// putQueue writes the queue's row and makes sure that the queue is swept.
func (s *Service) putQueue(ctx context.Context, tx kv.Tx, name string, q *queue) error {
	row, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("sqs: %w", err)
	}
	if err := tx.Put(queueKey(name), row); err != nil {
		return err
	}
	return s.sweepAt(ctx, name, cloud.CallOf(ctx).Now.Add(sweepInterval(q)))
}

// checkSame fails unless what CreateQueue asks for agrees with the queue that is there.
func checkSame(r kv.Reader, in *sqs.CreateQueueInput, existing *queue, settings *attributes) error {
	if name := settings.differs(&existing.Settings, in.Attributes); name != "" {
		return sqs.NewQueueNameExists("A queue already exists with the same name and a different value for attribute %s", name)
	}
	if in.Tags == nil {
		return nil
	}
	tags, err := getTags(r, in.QueueName)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(in.Tags)) {
		if v, ok := tags[key]; !ok || v != in.Tags[key] {
			return sqs.NewQueueNameExists("A queue already exists with the same name and a different value for tag %s", key)
		}
	}
	return nil
}

// checkQueueName states the rule for names: 1 to 80 letters, digits, hyphens and underscores; those of FIFO queues end in ".fifo".
func checkQueueName(name string, fifo bool) error {
	if name == "" {
		return missingParameter("QueueName")
	}
	if fifo {
		base, ok := strings.CutSuffix(name, ".fifo")
		if !ok || base == "" || len(name) > 80 || !allOf(base, isNameByte) {
			return invalidParameter("The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, " +
				"must end with .fifo suffix and be 1 to 80 in length")
		}
		return nil
	}
	if len(name) > 80 || !allOf(name, isNameByte) {
		return invalidParameter("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	return nil
}

func isNameByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_'
}

func allOf(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

// GetQueueUrl returns the URL of a queue.
func (s *Service) GetQueueUrl(ctx context.Context, in *sqs.GetQueueUrlInput) (*sqs.GetQueueUrlOutput, error) {
	if in.QueueName == "" {
		return nil, missingParameter("QueueName")
	}
	call := cloud.CallOf(ctx)
	if owner := wire.Value(in.QueueOwnerAWSAccountId); owner != "" {
		if err := s.own(ctx, owner, owner+"/"+in.QueueName); err != nil {
			return nil, err
		}
	}
	err := s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		_, err := s.queue(r, in.QueueName)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &sqs.GetQueueUrlOutput{QueueUrl: wire.Ptr(queueURL(call, in.QueueName))}, nil
}

// maxListed bounds a page of ListQueues.
const maxListed = 1000

// page reads what the lists of queues are asked for: how many, and after which name.
func page(most *int32, token *string) (limit int, after string, err error) {
	limit = maxListed
	if most != nil {
		if limit = int(*most); limit < 1 || limit > maxListed {
			return 0, "", invalidValue(*most, "MaxResults", "MaxResults must be an integer between 1 and 1000.")
		}
	}
	name, err := base64.RawURLEncoding.DecodeString(wire.Value(token))
	if err != nil {
		return 0, "", invalidParameter("Invalid or expired next token.")
	}
	return limit, string(name), nil
}

func nextToken(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

// ListQueues returns queues in the order of their names. As on AWS, there is a next token only where MaxResults was given.
func (s *Service) ListQueues(ctx context.Context, in *sqs.ListQueuesInput) (*sqs.ListQueuesOutput, error) {
	limit, after, err := page(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	call, out := cloud.CallOf(ctx), &sqs.ListQueuesOutput{}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		last := ""
		for e, err := range r.Scan(queuesFrom(wire.Value(in.QueueNamePrefix), after), kv.ScanOptions{Limit: limit + 1}) {
			if err != nil {
				return err
			}
			if len(out.QueueUrls) == limit {
				if in.MaxResults != nil {
					out.NextToken = wire.Ptr(nextToken(last))
				}
				return nil
			}
			if last, err = queueNameOf(e.Key); err != nil {
				return err
			}
			out.QueueUrls = append(out.QueueUrls, queueURL(call, last))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteQueue removes a queue with all that is in it, in one transaction.
func (s *Service) DeleteQueue(ctx context.Context, in *sqs.DeleteQueueInput) (*sqs.DeleteQueueOutput, error) {
	err := s.update(ctx, in.QueueUrl, func(ctx context.Context, tx kv.Tx, name string, q *queue) error {
		for _, key := range []kv.Key{queueKey(name), tagsKey(name), purgedKey(q.ID)} {
			if err := tx.Delete(key); err != nil {
				return err
			}
		}
		if err := linkDeadLetter(tx, name, &q.Settings, &attributes{}); err != nil {
			return err
		}
		if err := clearMessages(tx, q); err != nil {
			return err
		}
		for _, rows := range []kv.Key{tokensPrefix(q.ID), expiriesPrefix(q.ID), tasksPrefix(q.ID)} {
			if err := tx.DeleteRange(kv.PrefixRange(rows)); err != nil {
				return err
			}
		}
		now := cloud.CallOf(ctx).Now
		if err := putTime(tx, tombstoneKey(name), now); err != nil {
			return err
		}
		return s.sweepAt(ctx, name, now.Add(cooldown))
	})
	if err != nil {
		return nil, err
	}
	return &sqs.DeleteQueueOutput{}, nil
}

// PurgeQueue removes the messages that are in a queue, in one transaction.
func (s *Service) PurgeQueue(ctx context.Context, in *sqs.PurgeQueueInput) (*sqs.PurgeQueueOutput, error) {
	err := s.update(ctx, in.QueueUrl, func(ctx context.Context, tx kv.Tx, name string, q *queue) error {
		now := cloud.CallOf(ctx).Now
		last, err := getTime(tx, purgedKey(q.ID))
		if err != nil {
			return err
		}
		if now.Before(last.Add(cooldown)) {
			return sqs.NewPurgeQueueInProgress("Only one PurgeQueue operation on %s is allowed every 60 seconds.", name).WithStatus(403)
		}
		if err := putTime(tx, purgedKey(q.ID), now); err != nil {
			return err
		}
		return clearMessages(tx, q)
	})
	if err != nil {
		return nil, err
	}
	return &sqs.PurgeQueueOutput{}, nil
}

func clearMessages(tx kv.Tx, q *queue) error {
	for _, rows := range []kv.Key{messagesPrefix(q.ID), flightPrefix(q.ID), groupsPrefix(q.ID), membersPrefix(q.ID)} {
		if err := tx.DeleteRange(kv.PrefixRange(rows)); err != nil {
			return err
		}
	}
	return nil
}

// getTime reads a time; one that is not there is the zero time.
func getTime(r kv.Reader, key []byte) (time.Time, error) {
	v, err := r.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	k := kv.ReadKey(v, nil)
	t := k.Time()
	return t, k.Err()
}

func putTime(tx kv.Tx, key []byte, t time.Time) error { return tx.Put(key, kv.Key(nil).Time(t)) }

// sweepAt sets the queue's timer.
func (s *Service) sweepAt(ctx context.Context, name string, due time.Time) error {
	call := cloud.CallOf(ctx)
	return s.deps.Timers.Set(ctx, timer.Timer{Handler: sweepHandler, ID: name, Account: call.Account, Region: call.Region, Due: due})
}
