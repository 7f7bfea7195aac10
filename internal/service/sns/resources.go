package sns

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"croft/internal/awsapi/sns"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/wire"
)

// topicProperties are those of AWS::SNS::Topic that have an effect; the template engine refuses the others by name.
type topicProperties struct {
	TopicName    string           `cfn:"TopicName,replace"`
	DisplayName  string           `cfn:"DisplayName"`
	FifoTopic    bool             `cfn:"FifoTopic,replace"`
	ContentDedup bool             `cfn:"ContentBasedDeduplication"`
	Throughput   string           `cfn:"FifoThroughputScope"`
	Signature    string           `cfn:"SignatureVersion"`
	Delivery     cfn.JSON         `cfn:"DeliveryPolicy"`
	Subscription []inlineProperty `cfn:"Subscription"`
	Tags         []cfn.Tag        `cfn:"Tags"`
}

type inlineProperty struct {
	Protocol string `cfn:"Protocol,required"`
	Endpoint string `cfn:"Endpoint,required"`
}

// subscriptionProperties are those of AWS::SNS::Subscription.
type subscriptionProperties struct {
	TopicArn           string   `cfn:"TopicArn,required,replace"`
	Protocol           string   `cfn:"Protocol,required,replace"`
	Endpoint           string   `cfn:"Endpoint,required,replace"`
	RawMessageDelivery bool     `cfn:"RawMessageDelivery"`
	FilterPolicy       cfn.JSON `cfn:"FilterPolicy"`
	FilterPolicyScope  string   `cfn:"FilterPolicyScope"`
	RedrivePolicy      cfn.JSON `cfn:"RedrivePolicy"`
	DeliveryPolicy     cfn.JSON `cfn:"DeliveryPolicy"`
}

// policyProperties are those of AWS::SNS::TopicPolicy.
type policyProperties struct {
	PolicyDocument cfn.JSON `cfn:"PolicyDocument,required"`
	Topics         []string `cfn:"Topics,required"`
}

func (s *Service) resources() []cfn.ResourceType {
	r := resources{sns.NewClient(s.deps.Caller)}
	return []cfn.ResourceType{
		cfn.Resource("AWS::SNS::Topic", cfn.Spec[topicProperties]{Create: r.createTopic, Update: r.updateTopic, Delete: r.deleteTopic}),
		cfn.Resource("AWS::SNS::Subscription", cfn.Spec[subscriptionProperties]{
			Create: r.createSubscription, Update: r.updateSubscription, Delete: r.deleteSubscription,
		}),
		cfn.Resource("AWS::SNS::TopicPolicy", cfn.Spec[policyProperties]{Create: r.createPolicy, Update: r.updatePolicy, Delete: r.deletePolicy}),
	}
}

// resources makes topics as any client does.
type resources struct{ client sns.Client }

func tagList(stack map[string]string, tags []cfn.Tag) []sns.Tag {
	all := cfn.TagMap(stack, tags)
	var out []sns.Tag
	for _, key := range slices.Sorted(maps.Keys(all)) {
		out = append(out, sns.Tag{Key: key, Value: all[key]})
	}
	return out
}

func (r resources) createTopic(ctx context.Context, req *cfn.Request, p *topicProperties) (*cfn.Result, error) {
	name := p.TopicName
	if name == "" {
		name = req.GeneratedName
		if p.FifoTopic {
			name += ".fifo"
		}
	}
	out, err := r.client.CreateTopic(ctx, &sns.CreateTopicInput{
		Name: name, Attributes: p.attributes(), Tags: tagList(req.Tags, p.Tags),
	})
	if err != nil {
		return nil, err
	}
	if err := r.subscribe(ctx, *out.TopicArn, p.Subscription); err != nil {
		return nil, err
	}
	return &cfn.Result{PhysicalID: *out.TopicArn, Attributes: map[string]any{"TopicArn": *out.TopicArn, "TopicName": name}}, nil
}

// attributes are the topic's; an empty value means none.
func (p *topicProperties) attributes() map[string]string {
	out := map[string]string{"DisplayName": p.DisplayName}
	if p.FifoTopic {
		out["FifoTopic"] = "true"
	}
	if p.FifoTopic || p.ContentDedup {
		out["ContentBasedDeduplication"] = strconv.FormatBool(p.ContentDedup)
	}
	for name, value := range map[string]string{
		"FifoThroughputScope": p.Throughput, "SignatureVersion": p.Signature, "DeliveryPolicy": string(p.Delivery),
	} {
		if value != "" {
			out[name] = value
		}
	}
	return out
}

func (r resources) subscribe(ctx context.Context, topic string, subs []inlineProperty) error {
	for _, sub := range subs {
		if _, err := r.client.Subscribe(ctx, &sns.SubscribeInput{TopicArn: topic, Protocol: sub.Protocol, Endpoint: wire.Ptr(sub.Endpoint), ReturnSubscriptionArn: wire.Ptr(true)}); err != nil {
			return err
		}
	}
	return nil
}

func (r resources) updateTopic(ctx context.Context, req *cfn.Request, old, new *topicProperties) (*cfn.Result, error) {
	arn := req.PhysicalID
	was, is := old.attributes(), new.attributes()
	for _, name := range changed(was, is) {
		in := &sns.SetTopicAttributesInput{TopicArn: arn, AttributeName: name, AttributeValue: wire.Ptr(is[name])}
		if _, err := r.client.SetTopicAttributes(ctx, in); err != nil {
			return nil, err
		}
	}
	for _, sub := range old.Subscription {
		if slices.Contains(new.Subscription, sub) {
			continue
		}
		if err := r.unsubscribe(ctx, arn, sub); err != nil {
			return nil, err
		}
	}
	if err := r.subscribe(ctx, arn, new.Subscription); err != nil {
		return nil, err
	}
	return &cfn.Result{PhysicalID: arn, Attributes: req.Attributes}, r.retag(ctx, arn, tagList(req.Tags, new.Tags))
}

// unsubscribe removes the topic's subscription of an endpoint. The ARN is had by subscribing once more, which changes nothing.
func (r resources) unsubscribe(ctx context.Context, topic string, sub inlineProperty) error {
	out, err := r.client.Subscribe(ctx, &sns.SubscribeInput{TopicArn: topic, Protocol: sub.Protocol, Endpoint: wire.Ptr(sub.Endpoint), ReturnSubscriptionArn: wire.Ptr(true)})
	if err != nil {
		return err
	}
	_, err = r.client.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: *out.SubscriptionArn})
	return err
}

// retag gives a topic exactly the tags given.
func (r resources) retag(ctx context.Context, arn string, tags []sns.Tag) error {
	have, err := r.client.ListTagsForResource(ctx, &sns.ListTagsForResourceInput{ResourceArn: arn})
	if err != nil {
		return err
	}
	want := tagMap(tags)
	var gone []string
	for _, t := range have.Tags {
		if _, ok := want[t.Key]; !ok {
			gone = append(gone, t.Key)
		}
	}
	if len(gone) > 0 {
		if _, err := r.client.UntagResource(ctx, &sns.UntagResourceInput{ResourceArn: arn, TagKeys: gone}); err != nil {
			return err
		}
	}
	if len(tags) == 0 {
		return nil
	}
	_, err = r.client.TagResource(ctx, &sns.TagResourceInput{ResourceArn: arn, Tags: tags})
	return err
}

func (r resources) deleteTopic(ctx context.Context, req *cfn.Request, p *topicProperties) error {
	for _, sub := range p.Subscription {
		if err := r.unsubscribe(ctx, req.PhysicalID, sub); err != nil && cloud.Code(err) != topicNotFound().Code {
			return err
		}
	}
	_, err := r.client.DeleteTopic(ctx, &sns.DeleteTopicInput{TopicArn: req.PhysicalID})
	return err
}

// changed returns the names whose values differ, in their order; one that is missing has the empty value.
func changed(was, is map[string]string) []string {
	names := maps.Clone(was)
	maps.Copy(names, is)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(names)), func(name string) bool { return was[name] == is[name] })
}

// attributes are the subscription's; those that are not given are left out.
func (p *subscriptionProperties) attributes() map[string]string {
	out := map[string]string{}
	if p.Protocol == "sqs" || p.RawMessageDelivery {
		out["RawMessageDelivery"] = strconv.FormatBool(p.RawMessageDelivery)
	}
	for name, value := range map[string]string{
		"FilterPolicy": string(p.FilterPolicy), "FilterPolicyScope": p.FilterPolicyScope, "RedrivePolicy": string(p.RedrivePolicy),
		"DeliveryPolicy": string(p.DeliveryPolicy),
	} {
		if value != "" {
			out[name] = value
		}
	}
	return out
}

func (r resources) createSubscription(ctx context.Context, _ *cfn.Request, p *subscriptionProperties) (*cfn.Result, error) {
	out, err := r.client.Subscribe(ctx, &sns.SubscribeInput{
		TopicArn: p.TopicArn, Protocol: p.Protocol, Endpoint: wire.Ptr(p.Endpoint), Attributes: p.attributes(),
		ReturnSubscriptionArn: wire.Ptr(true),
	})
	if err != nil {
		return nil, err
	}
	return &cfn.Result{PhysicalID: *out.SubscriptionArn, Attributes: map[string]any{"Arn": *out.SubscriptionArn}}, nil
}

// updateSubscription changes what is different. When the filter policy's scope changes, the policy is taken away for that:
// a policy of one scope need not be valid in the other.
func (r resources) updateSubscription(ctx context.Context, req *cfn.Request, old, new *subscriptionProperties) (*cfn.Result, error) {
	was, is := old.attributes(), new.attributes()
	set := func(name, value string) error {
		in := &sns.SetSubscriptionAttributesInput{SubscriptionArn: req.PhysicalID, AttributeName: name, AttributeValue: wire.Ptr(value)}
		_, err := r.client.SetSubscriptionAttributes(ctx, in)
		return err
	}
	names := changed(was, is)
	if slices.Contains(names, "FilterPolicyScope") {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "FilterPolicyScope" || name == "FilterPolicy" })
		if err := set("FilterPolicy", ""); err != nil {
			return nil, err
		}
		names = append(names, "FilterPolicyScope", "FilterPolicy")
	}
	for _, name := range names {
		value := is[name]
		if name == "RawMessageDelivery" && value == "" {
			value = "false"
		}
		if err := set(name, value); err != nil {
			return nil, err
		}
	}
	return &cfn.Result{PhysicalID: req.PhysicalID, Attributes: req.Attributes}, nil
}

func (r resources) deleteSubscription(ctx context.Context, req *cfn.Request, _ *subscriptionProperties) error {
	_, err := r.client.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: req.PhysicalID})
	return err
}

func (r resources) setPolicy(ctx context.Context, topic, policy string) error {
	in := &sns.SetTopicAttributesInput{TopicArn: topic, AttributeName: "Policy", AttributeValue: wire.Ptr(policy)}
	_, err := r.client.SetTopicAttributes(ctx, in)
	return err
}

func (r resources) createPolicy(ctx context.Context, req *cfn.Request, p *policyProperties) (*cfn.Result, error) {
	for _, topic := range p.Topics {
		if err := r.setPolicy(ctx, topic, string(p.PolicyDocument)); err != nil {
			return nil, err
		}
	}
	return &cfn.Result{PhysicalID: req.GeneratedName, Attributes: map[string]any{"Id": req.GeneratedName}}, nil
}

func (r resources) updatePolicy(ctx context.Context, req *cfn.Request, old, new *policyProperties) (*cfn.Result, error) {
	left := &policyProperties{Topics: slices.DeleteFunc(slices.Clone(old.Topics), func(t string) bool { return slices.Contains(new.Topics, t) })}
	if err := r.deletePolicy(ctx, req, left); err != nil {
		return nil, err
	}
	for _, topic := range new.Topics {
		if err := r.setPolicy(ctx, topic, string(new.PolicyDocument)); err != nil {
			return nil, err
		}
	}
	return &cfn.Result{PhysicalID: req.PhysicalID, Attributes: req.Attributes}, nil
}

// deletePolicy gives the topics that are still there the policy back that every new topic has.
func (r resources) deletePolicy(ctx context.Context, _ *cfn.Request, p *policyProperties) error {
	for _, topic := range p.Topics {
		err := r.setPolicy(ctx, topic, defaultPolicy(cloud.CallOf(ctx).Account, topic))
		if err != nil && cloud.Code(err) != topicNotFound().Code {
			return err
		}
	}
	return nil
}
