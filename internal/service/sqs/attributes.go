package sqs

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// attributes are those of a queue that can be set. Durations are in seconds, sizes in bytes.
type attributes struct {
	VisibilityTimeout             int    `json:"v"`
	MaximumMessageSize            int    `json:"m"`
	MessageRetentionPeriod        int    `json:"r"`
	DelaySeconds                  int    `json:"d"`
	ReceiveMessageWaitTimeSeconds int    `json:"w"`
	Policy                        string `json:"p,omitempty"`
	// DeadLetter is the ARN of the dead-letter queue, empty for none; MaxReceives is how often a message is received before it goes there.
	DeadLetter  string `json:"dl,omitempty"`
	MaxReceives int    `json:"mr,omitempty"`
	// RedriveAllow is the RedriveAllowPolicy as it was given.
	RedriveAllow string `json:"ra,omitempty"`
	// FIFO never changes. The others belong to FIFO queues: deduplication by content, by group instead of by queue, and the limit of
	// throughput by group.
	FIFO         bool `json:"f,omitempty"`
	ContentDedup bool `json:"cd,omitempty"`
	GroupScope   bool `json:"gs,omitempty"`
	GroupLimit   bool `json:"gl,omitempty"`
}

// Limits of the service. Source: Amazon SQS Developer Guide, "Amazon SQS message quotas"; the sizes as recorded in August 2025.
const (
	maxVisibility = 12 * 60 * 60
	maxDelay      = 15 * 60
	maxWait       = 20
	maxSize       = 1 << 20
	maxPolicy     = 64 << 10
)

func defaultAttributes() attributes {
	return attributes{VisibilityTimeout: 30, MaximumMessageSize: maxSize, MessageRetentionPeriod: 4 * 24 * 60 * 60}
}

func (a *attributes) retention() time.Duration { return seconds(a.MessageRetentionPeriod) }

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// number describes an attribute that is a whole number.
type number struct {
	name     string
	min, max int
	field    func(*attributes) *int
}

func numbers() []number {
	return []number{
		{"VisibilityTimeout", 0, maxVisibility, func(a *attributes) *int { return &a.VisibilityTimeout }},
		{"MaximumMessageSize", 1024, maxSize, func(a *attributes) *int { return &a.MaximumMessageSize }},
		{"MessageRetentionPeriod", 60, 14 * 24 * 60 * 60, func(a *attributes) *int { return &a.MessageRetentionPeriod }},
		{"DelaySeconds", 0, maxDelay, func(a *attributes) *int { return &a.DelaySeconds }},
		{"ReceiveMessageWaitTimeSeconds", 0, maxWait, func(a *attributes) *int { return &a.ReceiveMessageWaitTimeSeconds }},
	}
}

// set changes one attribute, or refuses it.
func (a *attributes) set(name, value string) error {
	for _, n := range numbers() {
		if n.name != name {
			continue
		}
		v, err := strconv.Atoi(value)
		if err != nil || v < n.min || v > n.max {
			return invalidAttributeValue(name)
		}
		*n.field(a) = v
		return nil
	}
	switch name {
	case "Policy":
		return a.setPolicy(value)
	case "RedrivePolicy":
		return a.setRedrive(value)
	case "RedriveAllowPolicy":
		return a.setRedriveAllow(value)
	case "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit":
		return a.setFIFO(name, value)
	}
	return refuseAttribute(name, value)
}

func (a *attributes) setPolicy(value string) error {
	if value != "" {
		if err := checkPolicy(value); err != nil {
			return err
		}
	}
	a.Policy = value
	return nil
}

// refuseAttribute answers for attributes that have no effect here, unless the value says that there should be none.
func refuseAttribute(name, value string) error {
	switch name {
	case "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds":
		if value == "" {
			return nil
		}
		return notSupported(name)
	case "SqsManagedSseEnabled":
		switch value {
		case "", "false":
			return nil
		case "true":
			return notSupported(name)
		}
		return invalidAttributeValue(name)
	}
	return unknownAttribute(clip(name))
}

func notSupported(name string) error {
	return sqs.NewInvalidAttributeName("The attribute %s is not supported by croft.", name)
}

func invalidAttributeValue(name string) error {
	return sqs.NewInvalidAttributeValue("Invalid value for the parameter %s.", name)
}

// setAll changes several attributes, in the order of their names, so that the first refusal is always the same.
func (a *attributes) setAll(values map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := a.set(name, values[name]); err != nil {
			return err
		}
	}
	if _, given := values["FifoThroughputLimit"]; given && a.GroupLimit && !a.GroupScope {
		return invalidParameter("The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup")
	}
	// Without the one the other has no meaning.
	a.GroupLimit = a.GroupLimit && a.GroupScope
	return nil
}

// differs returns the first of the given names whose values differ between a and b, or "".
func (a *attributes) differs(b *attributes, names map[string]string) string {
	x, y := a.values(), b.values()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if x[name] != y[name] {
			return name
		}
	}
	return ""
}

// values returns the attributes as clients see them.
func (a *attributes) values() map[string]string {
	out := map[string]string{"SqsManagedSseEnabled": "false"}
	for _, n := range numbers() {
		out[n.name] = strconv.Itoa(*n.field(a))
	}
	if a.Policy != "" {
		out["Policy"] = a.Policy
	}
	if a.DeadLetter != "" {
		out["RedrivePolicy"] = a.redrivePolicy()
	}
	if a.RedriveAllow != "" {
		out["RedriveAllowPolicy"] = a.RedriveAllow
	}
	if a.FIFO {
		a.fifoValues(out)
	}
	return out
}

// SetQueueAttributes changes attributes of a queue.
func (s *Service) SetQueueAttributes(ctx context.Context, in *sqs.SetQueueAttributesInput) (*sqs.SetQueueAttributesOutput, error) {
	if len(in.Attributes) == 0 {
		return nil, missingParameter("Attributes")
	}
	err := s.update(ctx, in.QueueUrl, func(ctx context.Context, tx kv.Tx, name string, q *queue) error {
		changed := *q
		if err := changed.Settings.setAll(in.Attributes); err != nil {
			return err
		}
		if changed.Settings == q.Settings {
			return nil
		}
		if given := in.Attributes["RedrivePolicy"]; given != "" {
			if err := s.checkDeadLetter(ctx, tx, name, &changed.Settings, given); err != nil {
				return err
			}
		}
		if err := linkDeadLetter(tx, name, &q.Settings, &changed.Settings); err != nil {
			return err
		}
		changed.Modified = cloud.CallOf(ctx).Now.Unix()
		return s.putQueue(ctx, tx, name, &changed)
	})
	if err != nil {
		return nil, err
	}
	return &sqs.SetQueueAttributesOutput{}, nil
}

// GetQueueAttributes returns attributes and counts. The counts are exact as of one moment.
func (s *Service) GetQueueAttributes(ctx context.Context, in *sqs.GetQueueAttributesInput) (*sqs.GetQueueAttributesOutput, error) {
	wanted, err := wantedAttributes(in.AttributeNames)
	if err != nil {
		return nil, err
	}
	out := &sqs.GetQueueAttributesOutput{}
	err = s.view(ctx, in.QueueUrl, func(r kv.Reader, name string, q *queue) error {
		if len(wanted) == 0 {
			return nil
		}
		all, err := describe(ctx, r, name, q, wanted)
		if err != nil {
			return err
		}
		out.Attributes = map[string]string{}
		for name, value := range all {
			if wanted["All"] || wanted[name] {
				out.Attributes[name] = value
			}
		}
		if len(out.Attributes) == 0 {
			out.Attributes = nil
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// wantedAttributes returns the names as a set, if the model knows them all.
func wantedAttributes(names []string) (map[string]bool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	known := enum("QueueAttributeName")
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, unknownAttribute(clip(name))
		}
		wanted[name] = true
	}
	return wanted, nil
}

// enum returns the values that the model gives a type.
func enum(shape string) []string {
	for _, s := range sqs.Service().Schema.Shapes {
		if s.Name == shape {
			return s.Enum
		}
	}
	return nil
}

// describe returns the attributes of a queue, and the counts if one of them is wanted.
func describe(ctx context.Context, r kv.Reader, name string, q *queue, wanted map[string]bool) (map[string]string, error) {
	call := cloud.CallOf(ctx)
	out := q.Settings.values()
	out["QueueArn"] = call.ARN("sqs", name)
	out["CreatedTimestamp"] = strconv.FormatInt(q.Created, 10)
	out["LastModifiedTimestamp"] = strconv.FormatInt(q.Modified, 10)
	const visible, flying, delayed = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"
	if !wanted["All"] && !wanted[visible] && !wanted[flying] && !wanted[delayed] {
		return out, nil
	}
	n, err := count(ctx, r, q, call.Now)
	if err != nil {
		return nil, err
	}
	out[visible], out[flying], out[delayed] = strconv.Itoa(n.visible), strconv.Itoa(n.flying), strconv.Itoa(n.delayed)
	return out, nil
}

type counts struct{ visible, flying, delayed int }

// count walks the queue. What becomes visible as time passes cannot be kept in a counter.
func count(ctx context.Context, r kv.Reader, q *queue, now time.Time) (n counts, err error) {
	oldest := now.Add(-q.Settings.retention())
	if q.Settings.FIFO {
		return countFIFO(ctx, r, q, oldest, now)
	}
	for e, err := range r.Scan(kv.PrefixRange(waitingLog(q.ID)), kv.ScanOptions{}) {
		sent, err := firstError(err, ctx.Err(), e.Value, sentTime)
		if err != nil {
			return n, err
		}
		if !sent.Before(oldest) {
			n.visible++
		}
	}
	for e, err := range r.Scan(kv.PrefixRange(orderPrefix(q.ID)), kv.ScanOptions{}) {
		place, err := firstError(err, ctx.Err(), e.Value, decodePlace)
		if err != nil {
			return n, err
		}
		o, err := parseOrder(q.ID, e.Key)
		switch {
		case err != nil:
			return n, err
		case place.sent.Before(oldest):
		case !o.visible.After(now):
			n.visible++
		case place.received:
			n.flying++
		default:
			n.delayed++
		}
	}
	return n, nil
}

// firstError decodes a row unless one of the errors is set.
func firstError[T any](scan, ctx error, row []byte, decode func([]byte) (T, error)) (T, error) {
	if err := cmp.Or(scan, ctx); err != nil {
		var none T
		return none, err
	}
	return decode(row)
}
