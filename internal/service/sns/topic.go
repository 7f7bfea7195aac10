package sns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"croft/internal/awsapi/sns"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
	"croft/internal/wire"
)

// topic is a topic's row.
type topic struct {
	ID uint64 `json:"i"`
	// Attributes are those that were set.
	Attributes map[string]string `json:"a,omitempty"`
	Tags       []sns.Tag         `json:"t,omitempty"`
}

func getTopic(r kv.Reader, name string) (*topic, error) {
	row, err := r.Get(topicKey(name))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, topicNotFound()
	}
	if err != nil {
		return nil, err
	}
	t := new(topic)
	if err := json.Unmarshal(row, t); err != nil {
		return nil, fmt.Errorf("sns: the row of topic %s: %w", name, err)
	}
	return t, nil
}

func putTopic(tx kv.Tx, name string, t *topic) error {
	row, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("sns: %w", err)
	}
	return tx.Put(topicKey(name), row)
}

// view runs fn with the topic that an ARN means.
func (s *Service) view(ctx context.Context, arn string, fn func(r kv.Reader, name string, t *topic) error) error {
	name, err := s.topicName(ctx, "TopicArn", arn)
	if err != nil {
		return err
	}
	return s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		t, err := getTopic(r, name)
		if err != nil {
			return err
		}
		return fn(r, name, t)
	})
}

// update runs fn with the topic that an ARN means.
func (s *Service) update(ctx context.Context, arn string, fn func(ctx context.Context, tx kv.Tx, name string, t *topic) error) error {
	name, err := s.topicName(ctx, "TopicArn", arn)
	if err != nil {
		return err
	}
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := getTopic(tx, name)
		if err != nil {
			return err
		}
		return fn(ctx, tx, name, t)
	})
}

// CreateTopic makes a topic, or returns the one that is already there with the same attributes and tags.
func (s *Service) CreateTopic(ctx context.Context, in *sns.CreateTopicInput) (*sns.CreateTopicOutput, error) {
	if err := checkTopicName(in.Name, in.Attributes["FifoTopic"] == "true"); err != nil {
		return nil, err
	}
	if in.DataProtectionPolicy != nil {
		return nil, notSupported("DataProtectionPolicy")
	}
	attributes, err := newAttributes(in.Name, in.Attributes)
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	err = s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		existing, err := getTopic(tx, in.Name)
		switch {
		case err == nil:
			return checkSame(existing, attributes, in.Tags)
		case cloud.Code(err) != topicNotFound().Code:
			return err
		}
		return putTopic(tx, in.Name, &topic{ID: randomUint64(), Attributes: attributes, Tags: in.Tags})
	})
	if err != nil {
		return nil, err
	}
	return &sns.CreateTopicOutput{TopicArn: wire.Ptr(cloud.CallOf(ctx).ARN("sns", in.Name))}, nil
}

// checkTopicName states the rule: 1 to 256 letters, digits, hyphens and underscores, for FIFO topics with the ending ".fifo" among them.
func checkTopicName(name string, ordered bool) error {
	if len(name) < 1 || len(name) > 256 || fifo(name) != ordered {
		return invalid("Topic Name")
	}
	name = strings.TrimSuffix(name, ".fifo")
	if name == "" {
		return invalid("Topic Name")
	}
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return invalid("Topic Name")
		}
	}
	return nil
}

func isNameByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_'
}

// checkSame fails unless what CreateTopic asks for agrees with the topic that is there. What it leaves out does not matter.
func checkSame(existing *topic, attributes map[string]string, tags []sns.Tag) error {
	for name, value := range attributes {
		if existing.Attributes[name] != value {
			return invalid("Attributes Reason: Topic already exists with different attributes")
		}
	}
	if tags == nil {
		return nil
	}
	have := tagMap(existing.Tags)
	for _, t := range tags {
		if v, ok := have[t.Key]; !ok || v != t.Value {
			return invalid("Tags Reason: Topic already exists with different tags")
		}
	}
	if len(have) != len(tags) {
		return invalid("Tags Reason: Topic already exists with different tags")
	}
	return nil
}

// newAttributes checks the attributes of a new topic.
func newAttributes(topicName string, in map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		value := in[name]
		switch name {
		case "FifoTopic":
			if value != "true" && value != "false" {
				return nil, invalid("Attributes Reason: FifoTopic")
			}
		default:
			if err := checkAttribute(topicName, name, value); err != nil {
				return nil, attributeReason(err)
			}
		}
		if value != "" && name != "FifoTopic" {
			out[name] = value
		}
	}
	if fifo(topicName) {
		out["FifoTopic"] = "true"
		if out["ContentBasedDeduplication"] == "" {
			out["ContentBasedDeduplication"] = "false"
		}
	}
	return out, nil
}

// attributeReason words an attribute's error as the operations do that take several attributes at once.
func attributeReason(err error) error {
	var e *cloud.Error
	const prefix = "Invalid parameter: "
	if errors.As(err, &e) && len(e.Message) > len(prefix) {
		return invalid("Attributes Reason: %s", e.Message[len(prefix):])
	}
	return err
}

// checkAttribute checks an attribute of a topic. What has no effect here is refused, unless the value says that there should be none.
func checkAttribute(topicName, name, value string) error {
	switch name {
	case "DisplayName":
		if len([]rune(value)) > 100 {
			return invalid("DisplayName")
		}
		return nil
	case "Policy":
		return checkPolicy(value)
	case "ContentBasedDeduplication", "FifoThroughputScope":
		return checkOrder(topicName, name, value)
	case "TracingConfig":
		if value == "PassThrough" || value == "" {
			return nil
		}
		return notSupported(name)
	case "SignatureVersion":
		if value == "" || value == "1" || value == "2" {
			return nil
		}
		return invalid("SignatureVersion")
	case "DeliveryPolicy":
		_, err := readTopicPolicy(value)
		return err
	case "KmsMasterKeyId", "ArchivePolicy",
		"HTTPSuccessFeedbackRoleArn", "HTTPSuccessFeedbackSampleRate", "HTTPFailureFeedbackRoleArn",
		"FirehoseSuccessFeedbackRoleArn", "FirehoseSuccessFeedbackSampleRate", "FirehoseFailureFeedbackRoleArn",
		"LambdaSuccessFeedbackRoleArn", "LambdaSuccessFeedbackSampleRate", "LambdaFailureFeedbackRoleArn",
		"ApplicationSuccessFeedbackRoleArn", "ApplicationSuccessFeedbackSampleRate", "ApplicationFailureFeedbackRoleArn",
		"SQSSuccessFeedbackRoleArn", "SQSSuccessFeedbackSampleRate", "SQSFailureFeedbackRoleArn":
		if value == "" {
			return nil
		}
		return notSupported(name)
	}
	return invalid("AttributeName")
}

func notSupported(name string) error { return invalid("%s: croft does not support this setting", name) }

// maxPolicy bounds a policy in bytes. Source: the service's quotas.
const maxPolicy = 30 << 10

func checkPolicy(value string) error {
	var document map[string]json.RawMessage
	if value == "" || len(value) > maxPolicy || json.Unmarshal([]byte(value), &document) != nil {
		return invalid("Policy Error: the policy is not a JSON object of at most 30 KiB")
	}
	return nil
}

// SetTopicAttributes changes an attribute of a topic.
func (s *Service) SetTopicAttributes(ctx context.Context, in *sns.SetTopicAttributesInput) (*sns.SetTopicAttributesOutput, error) {
	value := wire.Value(in.AttributeValue)
	err := s.update(ctx, in.TopicArn, func(_ context.Context, tx kv.Tx, name string, t *topic) error {
		if err := checkAttribute(name, in.AttributeName, value); err != nil {
			return err
		}
		if t.Attributes == nil {
			t.Attributes = map[string]string{}
		}
		t.Attributes[in.AttributeName] = value
		if value == "" {
			delete(t.Attributes, in.AttributeName)
		}
		return putTopic(tx, name, t)
	})
	if err != nil {
		return nil, err
	}
	return &sns.SetTopicAttributesOutput{}, nil
}

// fan begins the delivery to all subscriptions.
func (t *topic) fan(name string) fan {
	return fan{Topic: t.ID, Name: name, Sign: t.Attributes["SignatureVersion"], Policy: t.Attributes["DeliveryPolicy"]}
}

// defaultPolicy is the policy of topics that were given none: all actions for the account that owns the topic.
func defaultPolicy(owner, arn string) string {
	return `{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow",` +
		`"Principal":{"AWS":"*"},"Action":["SNS:GetTopicAttributes","SNS:SetTopicAttributes","SNS:AddPermission","SNS:RemovePermission",` +
		`"SNS:DeleteTopic","SNS:Subscribe","SNS:ListSubscriptionsByTopic","SNS:Publish"],"Resource":"` + arn +
		`","Condition":{"StringEquals":{"AWS:SourceOwner":"` + owner + `"}}}]}`
}

// GetTopicAttributes returns the attributes of a topic.
func (s *Service) GetTopicAttributes(ctx context.Context, in *sns.GetTopicAttributesInput) (*sns.GetTopicAttributesOutput, error) {
	call, out := cloud.CallOf(ctx), map[string]string{}
	err := s.view(ctx, in.TopicArn, func(r kv.Reader, name string, t *topic) error {
		arn, confirmed, pending := call.ARN("sns", name), 0, 0
		for e, err := range r.Scan(membersAfter(t.ID, nil), kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			sub, err := decodeSubscription(e.Value)
			if err != nil {
				return err
			}
			if sub.Pending {
				pending++
			} else {
				confirmed++
			}
		}
		policy, err := readTopicPolicy(t.Attributes["DeliveryPolicy"])
		if err != nil {
			return err
		}
		out["TopicArn"], out["Owner"] = arn, call.Account
		out["DisplayName"], out["Policy"], out["EffectiveDeliveryPolicy"] = "", defaultPolicy(call.Account, arn), text(policy.effective())
		out["SubscriptionsConfirmed"], out["SubscriptionsDeleted"], out["SubscriptionsPending"] = strconv.Itoa(confirmed), "0", strconv.Itoa(pending)
		for name, value := range t.Attributes {
			out[name] = value
		}
		if out["DeliveryPolicy"] != "" {
			out["DeliveryPolicy"] = text(policy)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &sns.GetTopicAttributesOutput{Attributes: out}, nil
}

// ListTopics returns topics in the order of their names.
func (s *Service) ListTopics(ctx context.Context, in *sns.ListTopicsInput) (*sns.ListTopicsOutput, error) {
	last, err := readToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	call, out := cloud.CallOf(ctx), &sns.ListTopicsOutput{Topics: []sns.Topic{}}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		name := ""
		for e, err := range r.Scan(topicsAfter(string(last)), kv.ScanOptions{Limit: pageSize + 1}) {
			if err != nil {
				return err
			}
			if len(out.Topics) == pageSize {
				out.NextToken = token([]byte(name))
				return nil
			}
			if name, err = topicNameOf(e.Key); err != nil {
				return err
			}
			out.Topics = append(out.Topics, sns.Topic{TopicArn: wire.Ptr(call.ARN("sns", name))})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// forgetHandler is the timer that removes the subscriptions of a deleted topic; its id is the topic's.
const forgetHandler = "sns.forget"

// forgetAfter is how long they can be seen. Source: the service's developer guide, on deleting topics.
const forgetAfter = 3 * 24 * time.Hour

// forgetBatch bounds how many are removed in one transaction.
const forgetBatch = 500

// DeleteTopic removes a topic. One that is not there is no error.
func (s *Service) DeleteTopic(ctx context.Context, in *sns.DeleteTopicInput) (*sns.DeleteTopicOutput, error) {
	err := s.update(ctx, in.TopicArn, func(ctx context.Context, tx kv.Tx, name string, t *topic) error {
		if err := tx.Delete(topicKey(name)); err != nil {
			return err
		}
		return s.forgetAt(ctx, t.ID, cloud.CallOf(ctx).Now.Add(forgetAfter))
	})
	if err != nil && cloud.Code(err) != topicNotFound().Code {
		return nil, err
	}
	return &sns.DeleteTopicOutput{}, nil
}

func (s *Service) forgetAt(ctx context.Context, topic uint64, due time.Time) error {
	call := cloud.CallOf(ctx)
	return s.deps.Timers.Set(ctx, timer.Timer{
		Handler: forgetHandler, ID: strconv.FormatUint(topic, 16), Account: call.Account, Region: call.Region, Due: due,
	})
}

func (s *Service) forget(ctx context.Context, t timer.Timer) error {
	id, err := strconv.ParseUint(t.ID, 16, 64)
	if err != nil {
		return fmt.Errorf("sns: timer %q: %w", t.ID, err)
	}
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		if err := forgetOrder(tx, id); err != nil {
			return err
		}
		removed := 0
		for e, err := range tx.Scan(membersAfter(id, nil), kv.ScanOptions{Limit: forgetBatch}) {
			if err != nil {
				return err
			}
			sub, err := decodeSubscription(e.Value)
			if err != nil {
				return err
			}
			if err := deleteSubscription(tx, sub, id); err != nil {
				return err
			}
			removed++
		}
		if removed == forgetBatch {
			return s.forgetAt(ctx, id, cloud.CallOf(ctx).Now)
		}
		return nil
	})
}
