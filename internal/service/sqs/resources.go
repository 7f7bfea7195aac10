package sqs

import (
	"context"
	"slices"
	"strconv"

	"croft/internal/awsapi/sqs"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// queueProperties are those of AWS::SQS::Queue that have an effect; the template engine refuses the others by name.
type queueProperties struct {
	QueueName                     string    `cfn:"QueueName,replace"`
	DelaySeconds                  *int      `cfn:"DelaySeconds"`
	MaximumMessageSize            *int      `cfn:"MaximumMessageSize"`
	MessageRetentionPeriod        *int      `cfn:"MessageRetentionPeriod"`
	ReceiveMessageWaitTimeSeconds *int      `cfn:"ReceiveMessageWaitTimeSeconds"`
	VisibilityTimeout             *int      `cfn:"VisibilityTimeout"`
	RedrivePolicy                 cfn.JSON  `cfn:"RedrivePolicy"`
	RedriveAllowPolicy            cfn.JSON  `cfn:"RedriveAllowPolicy"`
	FifoQueue                     bool      `cfn:"FifoQueue,replace"`
	ContentBasedDeduplication     bool      `cfn:"ContentBasedDeduplication"`
	DeduplicationScope            string    `cfn:"DeduplicationScope"`
	FifoThroughputLimit           string    `cfn:"FifoThroughputLimit"`
	Tags                          []cfn.Tag `cfn:"Tags"`
}

// attributes returns the queue's attributes; a property that the template leaves out stands for the default.
func (p *queueProperties) attributes() map[string]string {
	settings := defaultAttributes()
	given := map[string]*int{
		"DelaySeconds": p.DelaySeconds, "MaximumMessageSize": p.MaximumMessageSize, "MessageRetentionPeriod": p.MessageRetentionPeriod,
		"ReceiveMessageWaitTimeSeconds": p.ReceiveMessageWaitTimeSeconds, "VisibilityTimeout": p.VisibilityTimeout,
	}
	out := make(map[string]string, len(given))
	for _, n := range numbers() {
		value := *n.field(&settings)
		if v := given[n.name]; v != nil {
			value = *v
		}
		out[n.name] = strconv.Itoa(value)
	}
	for name, policy := range map[string]cfn.JSON{"RedrivePolicy": p.RedrivePolicy, "RedriveAllowPolicy": p.RedriveAllowPolicy} {
		// Templates write an empty object for none.
		if out[name] = string(policy); policy == "{}" {
			out[name] = ""
		}
	}
	p.fifoAttributes(out)
	return out
}

// fifoAttributes adds those of FIFO queues. A queue that is none is refused with them by the service.
func (p *queueProperties) fifoAttributes(out map[string]string) {
	if p.FifoQueue {
		out["FifoQueue"] = "true"
		out["DeduplicationScope"], out["FifoThroughputLimit"] = "queue", "perQueue"
	}
	if p.FifoQueue || p.ContentBasedDeduplication {
		out["ContentBasedDeduplication"] = strconv.FormatBool(p.ContentBasedDeduplication)
	}
	for name, value := range map[string]string{"DeduplicationScope": p.DeduplicationScope, "FifoThroughputLimit": p.FifoThroughputLimit} {
		if value != "" {
			out[name] = value
		}
	}
}

// inlinePolicyProperties are those of AWS::SQS::QueueInlinePolicy.
type inlinePolicyProperties struct {
	PolicyDocument cfn.JSON `cfn:"PolicyDocument,required"`
	Queue          string   `cfn:"Queue,required,replace"`
}

func (p *inlinePolicyProperties) many() *policyProperties {
	return &policyProperties{PolicyDocument: p.PolicyDocument, Queues: []string{p.Queue}}
}

// policyProperties are those of AWS::SQS::QueuePolicy.
type policyProperties struct {
	PolicyDocument cfn.JSON `cfn:"PolicyDocument,required"`
	Queues         []string `cfn:"Queues,required"`
}

func (s *Service) resources() []cfn.ResourceType {
	r := resources{s, sqs.NewClient(s.deps.Caller)}
	return []cfn.ResourceType{
		cfn.Resource("AWS::SQS::Queue", cfn.Spec[queueProperties]{Create: r.createQueue, Update: r.updateQueue, Delete: r.deleteQueue}),
		cfn.Resource("AWS::SQS::QueuePolicy", cfn.Spec[policyProperties]{Create: r.createPolicy, Update: r.updatePolicy, Delete: r.deletePolicy}),
		cfn.Resource("AWS::SQS::QueueInlinePolicy", cfn.Spec[inlinePolicyProperties]{
			Create: func(ctx context.Context, req *cfn.Request, p *inlinePolicyProperties) (*cfn.Result, error) {
				if err := r.setPolicy(ctx, []string{p.Queue}, string(p.PolicyDocument)); err != nil {
					return nil, err
				}
				// A queue has one such policy: its URL names it.
				return &cfn.Result{PhysicalID: p.Queue}, nil
			},
			Update: func(ctx context.Context, req *cfn.Request, old, new *inlinePolicyProperties) (*cfn.Result, error) {
				return r.updatePolicy(ctx, req, old.many(), new.many())
			},
			Delete: func(ctx context.Context, req *cfn.Request, p *inlinePolicyProperties) error {
				return r.deletePolicy(ctx, req, p.many())
			},
		}),
	}
}

// resources makes queues as any client does.
type resources struct {
	service *Service
	client  sqs.Client
}

func (r resources) createQueue(ctx context.Context, req *cfn.Request, p *queueProperties) (*cfn.Result, error) {
	name := p.QueueName
	if name == "" {
		if name = req.GeneratedName; p.FifoQueue {
			// The suffix counts: the end of the name, which makes it unique, stays.
			const suffix = ".fifo"
			name = name[max(0, len(name)+len(suffix)-80):] + suffix
		}
	}
	out, err := r.client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: name, Attributes: p.attributes(), Tags: cfn.TagMap(req.Tags, p.Tags)})
	if err != nil {
		return nil, err
	}
	return queueResult(ctx, name, *out.QueueUrl), nil
}

func queueResult(ctx context.Context, name, url string) *cfn.Result {
	return &cfn.Result{PhysicalID: url, Attributes: map[string]any{
		"Arn": cloud.CallOf(ctx).ARN("sqs", name), "QueueName": name, "QueueUrl": url,
	}}
}

func (r resources) updateQueue(ctx context.Context, req *cfn.Request, old, new *queueProperties) (*cfn.Result, error) {
	url := req.PhysicalID
	if _, err := r.client.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: new.attributes()}); err != nil {
		return nil, err
	}
	have, err := r.client.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: url})
	if err != nil {
		return nil, err
	}
	want := cfn.TagMap(req.Tags, new.Tags)
	var gone []string
	for key := range have.Tags {
		if _, ok := want[key]; !ok {
			gone = append(gone, key)
		}
	}
	if len(gone) > 0 {
		if _, err := r.client.UntagQueue(ctx, &sqs.UntagQueueInput{QueueUrl: url, TagKeys: gone}); err != nil {
			return nil, err
		}
	}
	if len(want) > 0 {
		if _, err := r.client.TagQueue(ctx, &sqs.TagQueueInput{QueueUrl: url, Tags: want}); err != nil {
			return nil, err
		}
	}
	return &cfn.Result{PhysicalID: url, Attributes: req.Attributes}, nil
}

func (r resources) deleteQueue(ctx context.Context, req *cfn.Request, _ *queueProperties) error {
	_, err := r.client.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: req.PhysicalID})
	if err != nil {
		return ignoreGone(err)
	}
	return r.service.freeName(ctx, req.PhysicalID)
}

// freeName lets the name of a deleted queue be used again at once. A stack is often deployed again right after it was rolled back or
// deleted, and would fail for a minute.
func (s *Service) freeName(ctx context.Context, url string) error {
	name, err := s.resolve(ctx, url)
	if err != nil {
		return err
	}
	return s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error { return tx.Delete(tombstoneKey(name)) })
}

func ignoreGone(err error) error {
	if cloud.Code(err) == queueDoesNotExist().Code {
		return nil
	}
	return err
}

func (r resources) setPolicy(ctx context.Context, queues []string, policy string) error {
	for _, url := range queues {
		in := &sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: map[string]string{"Policy": policy}}
		if _, err := r.client.SetQueueAttributes(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

func (r resources) createPolicy(ctx context.Context, req *cfn.Request, p *policyProperties) (*cfn.Result, error) {
	if err := r.setPolicy(ctx, p.Queues, string(p.PolicyDocument)); err != nil {
		return nil, err
	}
	return &cfn.Result{PhysicalID: req.GeneratedName, Attributes: map[string]any{"Id": req.GeneratedName}}, nil
}

func (r resources) updatePolicy(ctx context.Context, req *cfn.Request, old, new *policyProperties) (*cfn.Result, error) {
	left := &policyProperties{Queues: slices.DeleteFunc(slices.Clone(old.Queues), func(q string) bool { return slices.Contains(new.Queues, q) })}
	if err := r.deletePolicy(ctx, req, left); err != nil {
		return nil, err
	}
	if err := r.setPolicy(ctx, new.Queues, string(new.PolicyDocument)); err != nil {
		return nil, err
	}
	return &cfn.Result{PhysicalID: req.PhysicalID, Attributes: req.Attributes}, nil
}

func (r resources) deletePolicy(ctx context.Context, _ *cfn.Request, p *policyProperties) error {
	for _, url := range p.Queues {
		if err := ignoreGone(r.setPolicy(ctx, []string{url}, "")); err != nil {
			return err
		}
	}
	return nil
}
