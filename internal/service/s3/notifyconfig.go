package s3

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"croft/internal/awsapi/lambda"
	api "croft/internal/awsapi/s3"
	"croft/internal/awsapi/sns"
	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

const (
	notificationSetting = "notification"
	// principal is who sends to queues and topics and calls functions.
	principal = "s3.amazonaws.com"
	// maxNotifications bounds a bucket's configurations. Source: S3 User Guide, "Enabling and configuring event notifications".
	maxNotifications = 100
)

// rule is one configuration of a bucket's notifications.
type rule struct {
	ID     string   `json:"id"`
	ARN    string   `json:"arn"`
	Events []string `json:"events"`
	// Filters are as the client gave them, but for the case of their names.
	Filters  []api.FilterRule `json:"filters,omitempty"`
	Filtered bool             `json:"filtered,omitempty"`
}

func (r *rule) service() string {
	a, _ := cloud.ParseARN(r.ARN) // checked when it was configured
	return a.Service
}

func (r *rule) filter(name string) string {
	for _, f := range r.Filters {
		if strings.EqualFold(wire.Value(f.Name), name) {
			return wire.Value(f.Value)
		}
	}
	return ""
}

// wants reports whether the rule is for an event of an object.
func (r *rule) wants(event, key string) bool {
	return slices.ContainsFunc(r.Events, func(pattern string) bool { return covers(pattern, event) }) &&
		strings.HasPrefix(key, r.filter(prefixFilter)) && strings.HasSuffix(key, r.filter(suffixFilter))
}

// The names of filter rules, as answers have them.
const (
	prefixFilter = "Prefix"
	suffixFilter = "Suffix"
)

// covers reports whether a configured event, which may end with a star, is or includes another.
func covers(pattern, event string) bool {
	all, star := strings.CutSuffix(pattern, "*")
	return pattern == event || star && strings.HasPrefix(event, all)
}

// events are those that happen here. The others of the model tell of what is not here and are refused.
func events() []string {
	return []string{
		api.EventS3ObjectCreated, api.EventS3ObjectCreatedPut, api.EventS3ObjectCreatedPost, api.EventS3ObjectCreatedCopy, api.EventS3ObjectCreatedCompleteMultipartUpload,
		api.EventS3ObjectRemoved, api.EventS3ObjectRemovedDelete, api.EventS3ObjectRemovedDeleteMarkerCreated,
		api.EventS3ObjectAclPut, api.EventS3ObjectTagging, api.EventS3ObjectTaggingPut, api.EventS3ObjectTaggingDelete,
	}
}

// newRule checks one configuration. kind is what S3 calls its destination.
func newRule(kind, service, region string, id *string, arn string, list []string, filter *api.NotificationConfigurationFilter) (rule, error) {
	r := rule{ID: wire.Value(id), ARN: arn, Events: list}
	if id == nil {
		r.ID = cloud.NewRequestID()
	}
	to, err := cloud.ParseARN(arn)
	switch {
	case err != nil || to.Service != service:
		return r, invalidArgument(kind, arn, "The ARN could not be parsed")
	case to.Region != region:
		return r, invalidArgument(kind, arn, "The notification destination service region is not valid for the bucket location constraint")
	case service != "lambda" && strings.HasSuffix(to.Resource, ".fifo"):
		return r, invalidArgument(kind, arn, "FIFO destinations are not supported for notifications of S3")
	case len(list) == 0 || len(r.ID) > 255:
		return r, malformedXML()
	}
	for _, e := range list {
		switch {
		case slices.Contains(events(), e):
		case inModel("Event", e):
			return r, notImplemented("PutBucketNotificationConfiguration", "Event", e)
		default:
			return r, invalidArgument("Event", e, "The event is not supported for notifications")
		}
	}
	if filter == nil {
		return r, nil
	}
	r.Filtered = true
	if filter.Key == nil {
		return r, nil
	}
	return r, r.setFilters(filter.Key.FilterRules)
}

func (r *rule) setFilters(given []api.FilterRule) error {
	seen := map[string]bool{}
	for _, f := range given {
		if f.Name == nil || f.Value == nil {
			return malformedXML()
		}
		name := strings.ToLower(*f.Name)
		switch {
		case name != "prefix" && name != "suffix":
			return invalidArgument("FilterRule.Name", *f.Name, "filter rule name must be either prefix or suffix")
		case seen[name]:
			return invalidArgument("FilterRule.Name", *f.Name, "Cannot specify more than one %s rule in a filter.", name)
		case len(*f.Value) > maxKey:
			return invalidArgument("FilterRule.Value", *f.Value, "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation")
		}
		seen[name] = true
		r.Filters = append(r.Filters, api.FilterRule{Name: wire.Ptr(strings.ToUpper(name[:1]) + name[1:]), Value: f.Value})
	}
	return nil
}

func malformedXML() *cloud.Error {
	return cloud.Errorf("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
}

// overlaps reports whether an event of some object would be told of by both rules.
func (r *rule) overlaps(o *rule) bool {
	shares := slices.ContainsFunc(r.Events, func(a string) bool {
		return slices.ContainsFunc(o.Events, func(b string) bool { return covers(a, b) || covers(b, a) })
	})
	p, q, s, t := r.filter(prefixFilter), o.filter(prefixFilter), r.filter(suffixFilter), o.filter(suffixFilter)
	return shares && (strings.HasPrefix(p, q) || strings.HasPrefix(q, p)) && (strings.HasSuffix(s, t) || strings.HasSuffix(t, s))
}

// readRules checks a whole configuration.
func readRules(c *api.NotificationConfiguration, region string) (out []rule, err error) {
	if c.EventBridgeConfiguration != nil {
		return nil, notImplemented("PutBucketNotificationConfiguration", "EventBridgeConfiguration", "set")
	}
	add := func(r rule, e error) {
		out, err = append(out, r), errors.Join(err, e)
	}
	for _, t := range c.TopicConfigurations {
		add(newRule("Topic", "sns", region, t.Id, t.TopicArn, t.Events, t.Filter))
	}
	for _, q := range c.QueueConfigurations {
		add(newRule("Queue", "sqs", region, q.Id, q.QueueArn, q.Events, q.Filter))
	}
	for _, f := range c.LambdaFunctionConfigurations {
		add(newRule("CloudFunction", "lambda", region, f.Id, f.LambdaFunctionArn, f.Events, f.Filter))
	}
	if err != nil {
		return nil, err
	}
	if len(out) > maxNotifications {
		return nil, cloud.Errorf("InvalidArgument", "A bucket can have at most %d notification configurations.", maxNotifications)
	}
	for i := range out {
		for j := range out[:i] {
			switch {
			case out[i].ID == out[j].ID:
				return nil, cloud.Errorf("InvalidArgument", "Same ID used for multiple configurations. IDs must be unique")
			case !out[i].overlaps(&out[j]):
			case len(out[i].Filters)+len(out[j].Filters) == 0:
				return nil, cloud.Errorf("InvalidArgument", "Configurations overlap. Configurations on the same bucket cannot share a common event type.")
			default:
				return nil, cloud.Errorf("InvalidArgument", "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are "+
					"overlapping for the same event type.")
			}
		}
	}
	return out, nil
}

// PutBucketNotificationConfiguration says who is told of what happens to the bucket's objects. Queues and topics get a test message, in the same
// transaction, which is also how S3 finds out that they are there.
func (s *Service) PutBucketNotificationConfiguration(
	ctx context.Context, in *api.PutBucketNotificationConfigurationInput,
) (*api.PutBucketNotificationConfigurationOutput, error) {
	err := s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.ownHere(ctx, tx, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		rules, err := readRules(in.NotificationConfiguration, b.Region)
		if err != nil {
			return err
		}
		if !wire.Value(in.SkipDestinationValidation) {
			for i := range rules {
				if err := s.tryDestination(ctx, in.Bucket, &rules[i]); err != nil {
					return err
				}
			}
		}
		b.Notifies = len(rules) > 0
		if !b.Notifies {
			return errors.Join(write(tx, in.Bucket, b), tx.Delete(settingKey(in.Bucket, notificationSetting)))
		}
		row, err := json.Marshal(rules)
		if err != nil {
			return err
		}
		return errors.Join(write(tx, in.Bucket, b), tx.Put(settingKey(in.Bucket, notificationSetting), row))
	})
	if err != nil {
		return nil, err
	}
	return new(api.PutBucketNotificationConfigurationOutput), nil
}

// tryDestination sends the test message, or asks whether a function may be called.
func (s *Service) tryDestination(ctx context.Context, bucket string, r *rule) error {
	call := cloud.CallOf(ctx)
	test, err := json.Marshal(struct {
		Service, Event, Time, Bucket, RequestId, HostId string
	}{"Amazon S3", "s3:TestEvent", eventTime(call.Now), bucket, call.RequestID, hostID(call.RequestID)})
	if err != nil {
		return err
	}
	if r.service() == "lambda" {
		_, err = lambda.NewClient(s.deps.Caller).Invoke(s.toward(ctx, bucket, r.ARN),
			&lambda.InvokeInput{FunctionName: r.ARN, InvocationType: wire.Ptr(lambda.InvocationTypeDryRun)})
	} else {
		err = s.tell(ctx, bucket, r.ARN, test)
	}
	if cloud.Code(err) == "" {
		return err
	}
	name, value := r.ARN, "The destination queue does not exist"
	switch r.service() {
	case "sns":
		value = "The destination topic does not exist"
	case "lambda":
		name, value = r.ARN+", null", "Not authorized to invoke function ["+r.ARN+"]"
	}
	refused := cloud.Errorf("InvalidArgument", "Unable to validate the following destination configurations")
	return with(refused, "ArgumentName1", name, "ArgumentValue1", value)
}

// toward returns a context in which S3 itself acts for the bucket, where the destination lies.
func (s *Service) toward(ctx context.Context, bucket, destination string) context.Context {
	to, err := cloud.ParseARN(destination)
	if err != nil {
		return ctx // not stored: checked when it was configured
	}
	return cloud.In(cloud.AsServiceFor(ctx, principal, arn(bucket)), to.Account, to.Region)
}

// tell hands a text to a destination, in the transaction that ctx carries.
func (s *Service) tell(ctx context.Context, bucket, destination string, text []byte) error {
	to, err := cloud.ParseARN(destination)
	if err != nil {
		return err
	}
	ctx = s.toward(ctx, bucket, destination)
	switch to.Service {
	case "sqs":
		_, err = sqs.NewClient(s.deps.Caller).SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: "/" + to.Account + "/" + to.Resource, MessageBody: string(text)})
	case "sns":
		_, err = sns.NewClient(s.deps.Caller).Publish(ctx, &sns.PublishInput{TopicArn: &destination, Subject: wire.Ptr("Amazon S3 Notification"), Message: string(text)})
	default:
		_, err = lambda.NewClient(s.deps.Caller).Invoke(ctx,
			&lambda.InvokeInput{FunctionName: destination, InvocationType: wire.Ptr(lambda.InvocationTypeEvent), Payload: text})
	}
	return err
}

// GetBucketNotificationConfiguration returns who is told of what.
func (s *Service) GetBucketNotificationConfiguration(
	ctx context.Context, in *api.GetBucketNotificationConfigurationInput,
) (*api.GetBucketNotificationConfigurationOutput, error) {
	var rules []rule
	if _, err := s.setting(ctx, in.Bucket, in.ExpectedBucketOwner, notificationSetting, &rules); err != nil {
		return nil, err
	}
	out := new(api.GetBucketNotificationConfigurationOutput)
	for i := range rules {
		r := &rules[i]
		var filter *api.NotificationConfigurationFilter
		if r.Filtered {
			filter = &api.NotificationConfigurationFilter{Key: &api.S3KeyFilter{FilterRules: r.Filters}}
		}
		switch r.service() {
		case "sqs":
			out.QueueConfigurations = append(out.QueueConfigurations, api.QueueConfiguration{Id: &r.ID, QueueArn: r.ARN, Events: r.Events, Filter: filter})
		case "sns":
			out.TopicConfigurations = append(out.TopicConfigurations, api.TopicConfiguration{Id: &r.ID, TopicArn: r.ARN, Events: r.Events, Filter: filter})
		default:
			out.LambdaFunctionConfigurations = append(out.LambdaFunctionConfigurations,
				api.LambdaFunctionConfiguration{Id: &r.ID, LambdaFunctionArn: r.ARN, Events: r.Events, Filter: filter})
		}
	}
	return out, nil
}
