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

	"croft/internal/awsapi/sns"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// subscription is a subscription's row.
type subscription struct {
	ID       string `json:"i"`
	Topic    string `json:"t"`
	Protocol string `json:"p"`
	Endpoint string `json:"e"`
	Raw      bool   `json:"r,omitempty"`
	// Filter and Redrive are the policies as they were set; Scope is what Filter looks at. Empty means none, or the default.
	Filter  string `json:"f,omitempty"`
	Scope   string `json:"o,omitempty"`
	Redrive string `json:"d,omitempty"`
	// Delivery is the delivery policy as it was set.
	Delivery string `json:"y,omitempty"`
	// Pending subscriptions wait for their endpoint to confirm them.
	Pending bool `json:"w,omitempty"`
	// Authenticated says that the confirmation was signed, Guarded that so must be whoever unsubscribes.
	Authenticated bool `json:"z,omitempty"`
	Guarded       bool `json:"x,omitempty"`
	// Principal is the ARN of who subscribed.
	Principal string `json:"u"`
}

func decodeSubscription(row []byte) (*subscription, error) {
	sub := new(subscription)
	if err := json.Unmarshal(row, sub); err != nil {
		return nil, fmt.Errorf("sns: the row of a subscription: %w", err)
	}
	return sub, nil
}

func (sub *subscription) arn(call *cloud.Call) string { return call.ARN("sns", sub.Topic+":"+sub.ID) }

// putSubscription writes the row of a subscription of the topic with that id.
func putSubscription(tx kv.Tx, sub *subscription, topic uint64) error {
	row, err := json.Marshal(sub)
	if err != nil {
		return fmt.Errorf("sns: %w", err)
	}
	key := memberKey(topic, sub.Protocol, sub.Endpoint)
	if err := tx.Put(key, row); err != nil {
		return err
	}
	return tx.Put(subscriptionKey(sub.Topic, sub.ID), key)
}

func deleteSubscription(tx kv.Tx, sub *subscription, topic uint64) error {
	if err := tx.Delete(memberKey(topic, sub.Protocol, sub.Endpoint)); err != nil {
		return err
	}
	return tx.Delete(subscriptionKey(sub.Topic, sub.ID))
}

// getSubscription reads a subscription and the id of its topic.
func getSubscription(r kv.Reader, topicName, id string) (*subscription, uint64, error) {
	key, err := r.Get(subscriptionKey(topicName, id))
	var row []byte
	if err == nil {
		row, err = r.Get(key)
	}
	if errors.Is(err, kv.ErrNotFound) {
		return nil, 0, subscriptionNotFound()
	}
	if err != nil {
		return nil, 0, err
	}
	k := kv.ReadKey(key, []byte{'m'})
	topic := k.Uint()
	if k.Err() != nil {
		return nil, 0, k.Err()
	}
	sub, err := decodeSubscription(row)
	return sub, topic, err
}

// Subscribe subscribes an endpoint to a topic, or returns the subscription that is already there. One over HTTP is asked to confirm it.
func (s *Service) Subscribe(ctx context.Context, in *sns.SubscribeInput) (*sns.SubscribeOutput, error) {
	call := cloud.CallOf(ctx)
	var sub *subscription
	err := s.update(ctx, in.TopicArn, func(ctx context.Context, tx kv.Tx, name string, t *topic) (err error) {
		if sub, err = s.newSubscription(ctx, name, in); err != nil {
			return err
		}
		have, err := existing(tx, t.ID, sub, in.Attributes)
		if err != nil {
			return err
		}
		if have != nil {
			sub = have
		} else {
			if err := checkRoom(tx, name, t.ID); err != nil {
				return err
			}
			if err := putSubscription(tx, sub, t.ID); err != nil {
				return err
			}
		}
		if sub.Pending {
			return s.askToConfirm(ctx, tx, t, sub, typeSubscribe)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if sub.Pending && !wire.Value(in.ReturnSubscriptionArn) {
		return &sns.SubscribeOutput{SubscriptionArn: wire.Ptr("pending confirmation")}, nil
	}
	return &sns.SubscribeOutput{SubscriptionArn: wire.Ptr(sub.arn(call))}, nil
}

func (s *Service) newSubscription(ctx context.Context, topicName string, in *sns.SubscribeInput) (*subscription, error) {
	sub := &subscription{
		ID: cloud.NewRequestID(), Topic: topicName, Protocol: in.Protocol, Endpoint: wire.Value(in.Endpoint), Principal: cloud.CallOf(ctx).Principal.ARN,
	}
	if err := s.checkEndpoint(ctx, sub); err != nil {
		return nil, err
	}
	if sub.web() && cloud.CallOf(ctx).Function != "" {
		// The server would make the requests, past the relay that keeps functions from the machine's own services.
		return nil, invalid("Endpoint Reason: croft lets no function subscribe a web endpoint; subscribe it from outside")
	}
	for _, name := range slices.Sorted(maps.Keys(in.Attributes)) {
		if err := sub.set(name, in.Attributes[name]); err != nil {
			return nil, attributeReason(err)
		}
	}
	if err := s.check(ctx, sub); err != nil {
		return nil, attributeReason(err)
	}
	sub.Pending = sub.confirms()
	return sub, nil
}

// existing returns the subscription that a topic has for the endpoint of a new one, nil for none. The attributes that were given must agree.
func existing(tx kv.Tx, topic uint64, sub *subscription, given map[string]string) (*subscription, error) {
	row, err := tx.Get(memberKey(topic, sub.Protocol, sub.Endpoint))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	have, err := decodeSubscription(row)
	if err != nil {
		return nil, err
	}
	was, is := have.attributes(), sub.attributes()
	for name := range given {
		if was[name] != is[name] {
			return nil, invalid("Attributes Reason: Subscription already exists with different attributes")
		}
	}
	return have, nil
}

// checkEndpoint checks protocol and endpoint, and resolves an endpoint's short account.
func (s *Service) checkEndpoint(ctx context.Context, sub *subscription) error {
	if fifo(sub.Topic) && sub.Protocol != "sqs" {
		return invalid("Protocol Reason: FIFO topics deliver to SQS queues alone")
	}
	if sub.web() {
		return checkURL(sub.Protocol, sub.Endpoint)
	}
	if slices.Contains([]string{"email", "email-json", "sms"}, sub.Protocol) {
		return checkMail(sub)
	}
	others := []string{"application", "firehose"}
	what := "Lambda"
	switch sub.Protocol {
	case "lambda":
	case "sqs":
		what = "SQS"
	default:
		if slices.Contains(others, sub.Protocol) {
			return invalid("Protocol Reason: croft does not deliver to the protocol %s", sub.Protocol)
		}
		return invalid("Amazon SNS does not support this protocol string: %s", sub.Protocol)
	}
	a, err := cloud.ParseARN(sub.Endpoint)
	if err != nil || a.Service != sub.Protocol || a.Region == "" || a.Account == "" {
		return invalid("%s endpoint ARN", what)
	}
	if sub.Protocol == "lambda" && !strings.HasPrefix(a.Resource, "function:") {
		return invalid("%s endpoint ARN", what)
	}
	if sub.Protocol == "sqs" && fifo(a.Resource) && !fifo(sub.Topic) {
		return invalid("Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
	}
	if a.Account = s.deps.Account(ctx, a.Account, sub.Endpoint); a.Account != cloud.CallOf(ctx).Account {
		return invalid("Endpoint Reason: croft does not deliver to another account")
	}
	sub.Endpoint = a.String()
	return nil
}

// Unsubscribe removes a subscription. One that is not there is no error.
func (s *Service) Unsubscribe(ctx context.Context, in *sns.UnsubscribeInput) (*sns.UnsubscribeOutput, error) {
	err := s.updateSubscription(ctx, in.SubscriptionArn, s.unsubscribe)
	if err != nil && cloud.Code(err) != subscriptionNotFound().Code {
		return nil, err
	}
	return &sns.UnsubscribeOutput{}, nil
}

func (s *Service) updateSubscription(ctx context.Context, arn string, fn func(ctx context.Context, tx kv.Tx, sub *subscription, topic uint64) error) error {
	topicName, id, err := s.subscriptionName(ctx, arn)
	if err != nil {
		return err
	}
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		sub, topic, err := getSubscription(tx, topicName, id)
		if err != nil {
			return err
		}
		return fn(ctx, tx, sub, topic)
	})
}

// SetSubscriptionAttributes changes an attribute of a subscription.
func (s *Service) SetSubscriptionAttributes(ctx context.Context, in *sns.SetSubscriptionAttributesInput) (*sns.SetSubscriptionAttributesOutput, error) {
	err := s.updateSubscription(ctx, in.SubscriptionArn, func(ctx context.Context, tx kv.Tx, sub *subscription, topic uint64) error {
		if err := sub.set(in.AttributeName, wire.Value(in.AttributeValue)); err != nil {
			return err
		}
		if err := s.check(ctx, sub); err != nil {
			return err
		}
		return putSubscription(tx, sub, topic)
	})
	if err != nil {
		return nil, err
	}
	return &sns.SetSubscriptionAttributesOutput{}, nil
}

// GetSubscriptionAttributes returns the attributes of a subscription.
func (s *Service) GetSubscriptionAttributes(ctx context.Context, in *sns.GetSubscriptionAttributesInput) (*sns.GetSubscriptionAttributesOutput, error) {
	topicName, id, err := s.subscriptionName(ctx, in.SubscriptionArn)
	if err != nil {
		return nil, err
	}
	call, out := cloud.CallOf(ctx), &sns.GetSubscriptionAttributesOutput{}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		sub, _, err := getSubscription(r, topicName, id)
		if err != nil {
			return err
		}
		out.Attributes = map[string]string{
			"SubscriptionArn": sub.arn(call), "TopicArn": call.ARN("sns", sub.Topic), "Owner": call.Account,
			"Protocol": sub.Protocol, "Endpoint": sub.Endpoint,
			"ConfirmationWasAuthenticated": strconv.FormatBool(sub.Authenticated || !sub.confirms()), "PendingConfirmation": strconv.FormatBool(sub.Pending),
			"SubscriptionPrincipal": sub.Principal,
		}
		maps.Copy(out.Attributes, sub.attributes())
		if !sub.web() {
			return nil
		}
		ofTopic := ""
		if t, err := getTopic(r, sub.Topic); err == nil {
			ofTopic = t.Attributes["DeliveryPolicy"]
		} else if cloud.Code(err) != topicNotFound().Code {
			return err
		}
		effective, err := sub.effectivePolicy(ofTopic)
		if err == nil {
			out.Attributes["EffectiveDeliveryPolicy"] = text(effective)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (sub *subscription) listed(call *cloud.Call) sns.Subscription {
	arn := sub.arn(call)
	if sub.Pending {
		arn = "PendingConfirmation"
	}
	return sns.Subscription{
		SubscriptionArn: &arn, TopicArn: wire.Ptr(call.ARN("sns", sub.Topic)), Owner: wire.Ptr(call.Account),
		Protocol: wire.Ptr(sub.Protocol), Endpoint: wire.Ptr(sub.Endpoint),
	}
}

// ListSubscriptions returns all subscriptions, topic by topic.
func (s *Service) ListSubscriptions(ctx context.Context, in *sns.ListSubscriptionsInput) (*sns.ListSubscriptionsOutput, error) {
	last, err := readToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &sns.ListSubscriptionsOutput{}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) (err error) {
		out.Subscriptions, out.NextToken, err = page(ctx, r, subscriptionsAfter(last), true)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ListSubscriptionsByTopic returns the subscriptions of a topic.
func (s *Service) ListSubscriptionsByTopic(ctx context.Context, in *sns.ListSubscriptionsByTopicInput) (*sns.ListSubscriptionsByTopicOutput, error) {
	last, err := readToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &sns.ListSubscriptionsByTopicOutput{}
	err = s.view(ctx, in.TopicArn, func(r kv.Reader, _ string, t *topic) (err error) {
		out.Subscriptions, out.NextToken, err = page(ctx, r, membersAfter(t.ID, last), false)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// page reads a page of subscriptions. Where the rows point to subscriptions, it follows them.
func page(ctx context.Context, r kv.Reader, rows kv.Range, pointers bool) (out []sns.Subscription, next *string, err error) {
	call, last := cloud.CallOf(ctx), []byte(nil)
	out = []sns.Subscription{}
	for e, err := range r.Scan(rows, kv.ScanOptions{Limit: pageSize + 1}) {
		if err != nil {
			return nil, nil, err
		}
		if len(out) == pageSize {
			return out, token(last), nil
		}
		last = slices.Clone(e.Key)
		row := e.Value
		if pointers {
			if row, err = r.Get(row); err != nil {
				return nil, nil, err
			}
		}
		sub, err := decodeSubscription(row)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, sub.listed(call))
	}
	return out, nil, nil
}
