package sns

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"croft/internal/cloud"
	"croft/internal/service/sns/filter"
)

// set changes one attribute, or refuses it. What has no effect here is refused, unless the value says that there should be none. What depends
// on other attributes is checked by check, once all are set.
func (sub *subscription) set(name, value string) error {
	switch name {
	case "RawMessageDelivery":
		return sub.setRaw(value)
	case "FilterPolicy":
		sub.Filter = value
		if value == "{}" {
			sub.Filter = ""
		}
		return nil
	case "FilterPolicyScope":
		switch filter.Scope(value) {
		case "", filter.MessageAttributes, filter.MessageBody:
			sub.Scope = value
			return nil
		}
		return invalid("FilterPolicyScope: Invalid value [%s]. Please use either MessageBody or MessageAttributes", value)
	case "RedrivePolicy":
		sub.Redrive = value
		return nil
	case "DeliveryPolicy":
		if value != "" && !sub.web() {
			return invalid("DeliveryPolicy: Delivery protocol [%s] does not support delivery policies.", sub.Protocol)
		}
		sub.Delivery = value
		_, err := readSubscriptionPolicy(value)
		return err
	case "SubscriptionRoleArn", "ReplayPolicy":
		if value == "" {
			return nil
		}
		return notSupported(name)
	}
	return invalid("AttributeName")
}

func (sub *subscription) setRaw(value string) error {
	raw, err := strconv.ParseBool(value)
	if err != nil || !strings.EqualFold(value, strconv.FormatBool(raw)) {
		return invalid("RawMessageDelivery: Invalid value [%s]. Must be true or false.", value)
	}
	if raw && sub.Protocol != "sqs" && sub.Protocol != "http" && sub.Protocol != "https" {
		return invalid("RawMessageDelivery: Delivery protocol [%s] does not support raw message delivery.", sub.Protocol)
	}
	sub.Raw = raw
	return nil
}

// scope is what the filter policy looks at.
func (sub *subscription) scope() filter.Scope {
	if sub.Scope == "" {
		return filter.MessageAttributes
	}
	return filter.Scope(sub.Scope)
}

// policy reads the filter policy; nil means that there is none.
func (sub *subscription) policy() (*filter.Policy, error) {
	if sub.Filter == "" {
		return nil, nil
	}
	return filter.Parse(sub.Filter, sub.scope())
}

// check checks the attributes that depend on each other, on the account and on the topic.
func (s *Service) check(ctx context.Context, sub *subscription) error {
	var refused *filter.Error
	if _, err := sub.policy(); errors.As(err, &refused) {
		return invalid("FilterPolicy: %s", refused.Reason)
	}
	return s.checkRedrive(ctx, sub)
}

// redrivePolicy is the value of the attribute RedrivePolicy.
type redrivePolicy struct {
	Target string `json:"deadLetterTargetArn"`
}

// deadLetter returns the ARN of the dead-letter queue; empty means none.
func (sub *subscription) deadLetter() string {
	var policy redrivePolicy
	if sub.Redrive == "" || json.Unmarshal([]byte(sub.Redrive), &policy) != nil {
		return ""
	}
	return policy.Target
}

// checkRedrive checks the dead-letter queue. That there is one need not be true yet, as on AWS.
func (s *Service) checkRedrive(ctx context.Context, sub *subscription) error {
	if sub.Redrive == "" {
		return nil
	}
	var refused *filter.Error
	if errors.As(filter.CheckJSON(sub.Redrive), &refused) {
		return invalid("RedrivePolicy: %s", refused.Reason)
	}
	a, err := cloud.ParseARN(sub.deadLetter())
	if err != nil || a.Service != "sqs" || a.Region == "" || a.Account == "" {
		return invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn")
	}
	if a.Account = s.deps.Account(ctx, a.Account, sub.Redrive); a.Account != cloud.CallOf(ctx).Account {
		return invalid("RedrivePolicy: croft does not deliver to another account")
	}
	if fifo(sub.Topic) && fifo(sub.Endpoint) && !fifo(a.Resource) {
		return invalid("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.")
	}
	if fifo(a.Resource) && !fifo(sub.Endpoint) {
		return invalid("RedrivePolicy: must use a standard queue as DLQ for a standard subscription.")
	}
	return nil
}

// web reports whether the endpoint is reached over HTTP.
func (sub *subscription) web() bool { return sub.Protocol == "http" || sub.Protocol == "https" }

// effectivePolicy is the delivery policy under a topic whose attribute DeliveryPolicy is given.
func (sub *subscription) effectivePolicy(ofTopic string) (*subscriptionPolicy, error) {
	t, err := readTopicPolicy(ofTopic)
	if err != nil {
		return nil, err
	}
	p, err := readSubscriptionPolicy(sub.Delivery)
	if err != nil {
		return nil, err
	}
	return p.effective(t), nil
}

// fifo reports whether a name or an ARN is that of a FIFO topic or queue.
func fifo(name string) bool { return strings.HasSuffix(name, ".fifo") }

// attributes are those that were set, as GetSubscriptionAttributes names them.
func (sub *subscription) attributes() map[string]string {
	out := map[string]string{"RawMessageDelivery": strconv.FormatBool(sub.Raw)}
	if sub.Filter != "" {
		out["FilterPolicy"], out["FilterPolicyScope"] = sub.Filter, string(sub.scope())
	}
	if sub.Redrive != "" {
		out["RedrivePolicy"] = sub.Redrive
	}
	if sub.Delivery != "" {
		out["DeliveryPolicy"] = sub.Delivery
		if p, err := readSubscriptionPolicy(sub.Delivery); err == nil {
			out["DeliveryPolicy"] = text(p)
		}
	}
	return out
}

// filtered is a notification while the subscriptions that want it are looked for: what filter policies look at is made once.
type filtered struct {
	n          *notification
	attributes map[string]filter.Attribute
	bodies     map[string]*filter.Body
}

// wanted reports whether a subscription's filter policy lets the notification through.
func (f *filtered) wanted(sub *subscription) (bool, error) {
	policy, err := sub.policy()
	if policy == nil || err != nil {
		return err == nil, err
	}
	if sub.scope() == filter.MessageAttributes {
		if f.attributes == nil {
			f.attributes = map[string]filter.Attribute{}
			for _, a := range f.n.Attributes {
				if a.Text != nil {
					f.attributes[a.Name] = filter.Attribute{Type: a.Type, Text: *a.Text}
				}
			}
		}
		return policy.MatchAttributes(f.attributes), nil
	}
	if f.bodies == nil {
		f.bodies = map[string]*filter.Body{}
	}
	message := f.n.message(sub.Protocol)
	body, read := f.bodies[message]
	if !read {
		body = filter.ReadBody(message)
		f.bodies[message] = body
	}
	return policy.MatchBody(body), nil
}
