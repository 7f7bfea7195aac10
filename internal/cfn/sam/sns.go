package sam

import (
	"strings"

	"croft/internal/cfn/template"
)

// topic expands an SNS event: the topic calls the function, or fills a queue that the function reads.
func (x *expander) topic(e *event, p *properties) ([]*resource, error) {
	topic := p.get("Topic", template.String)
	if topic == nil {
		return nil, invalid(e.logicalID(), e.properties.Pos(), "Missing required property 'Topic'.")
	}
	through := p.get("SqsSubscription", template.Bool, template.Map)
	settings := present(f("Region", p.get("Region", template.String)), f("FilterPolicy", p.get("FilterPolicy")),
		f("FilterPolicyScope", p.get("FilterPolicyScope")), f("RedrivePolicy", p.get("RedrivePolicy", template.Map)))
	if err := p.done(); err != nil {
		return nil, err
	}
	if !truthy(through) {
		return []*resource{
			e.permission("sns.amazonaws.com", topic),
			e.subscription("lambda", e.function.invokedARN(), topic, settings),
		}, nil
	}
	if through.Is(template.Bool) {
		return x.ownQueue(e, topic, settings), nil
	}
	return e.givenQueue(topic, through, settings)
}

func (e *event) subscription(protocol string, endpoint, topic *value, settings []template.Field) *resource {
	out := []template.Field{f("Protocol", str(protocol)), f("Endpoint", endpoint), f("TopicArn", topic)}
	return &resource{id: e.logicalID(), typ: "AWS::SNS::Subscription", attributes: e.function.inherited(), properties: append(out, settings...)}
}

// ownQueue puts a new queue between topic and function, a FIFO queue behind a FIFO topic.
func (x *expander) ownQueue(e *event, topic *value, settings []template.Field) []*resource {
	queue := &resource{id: e.logicalID() + "Queue", typ: "AWS::SQS::Queue", attributes: e.function.inherited()}
	if fifo := x.resolve(x.originals[target(topic)].Get("Properties").Get("FifoTopic")); truthy(fifo) {
		queue.properties = []template.Field{f("FifoQueue", fifo)}
	}
	mapping := []template.Field{f("BatchSize", template.NewInt(10)), f("Enabled", template.NewBool(true))}
	return []*resource{
		e.mapping(e.logicalID()+"EventSourceMapping", arnOf(queue.id), mapping),
		queue,
		e.queuePolicy(e.logicalID()+"QueuePolicy", topic, arnOf(queue.id), ref(queue.id)),
		e.subscription("sqs", arnOf(queue.id), topic, settings),
	}
}

// givenQueue puts a queue of the user's between topic and function.
func (e *event) givenQueue(topic, through *value, settings []template.Field) ([]*resource, error) {
	arn, queueURL := through.Get("QueueArn"), through.Get("QueueUrl")
	if !truthy(arn) || !truthy(queueURL) {
		return nil, e.invalid("No QueueARN or QueueURL provided.")
	}
	batch, policyID := through.Get("BatchSize"), e.logicalID()+"QueuePolicy"
	if !truthy(batch) {
		batch = template.NewInt(10)
	}
	for _, field := range through.Fields() {
		switch field.Key {
		case "QueueArn", "QueueUrl", "BatchSize":
		case "Enabled":
			if !field.Value.IsTrue() {
				// The translator writes true whatever stands here.
				return nil, e.invalid("SqsSubscription.Enabled other than true is not supported by croft.")
			}
		case "QueuePolicyLogicalId":
			id, ok := field.Value.Str()
			if !ok {
				return nil, e.invalid("Property 'SqsSubscription.QueuePolicyLogicalId' should be a string.")
			}
			policyID = id
		default:
			return nil, e.invalid("Property SqsSubscription.%s is not supported by croft.", clip(field.Key))
		}
	}
	mapping := []template.Field{f("BatchSize", batch), f("Enabled", template.NewBool(true))}
	return []*resource{
		e.mapping(e.logicalID()+"EventSourceMapping", arn, mapping),
		e.queuePolicy(policyID, topic, arn, queueURL),
		e.subscription("sqs", arn, topic, settings),
	}, nil
}

// queuePolicy lets the topic send to the queue.
func (e *event) queuePolicy(id string, topic, arn, queueURL *value) *resource {
	statement := object(f("Action", str("sqs:SendMessage")), f("Effect", str("Allow")), f("Principal", str("*")), f("Resource", arn),
		f("Condition", object(f("ArnEquals", object(f("aws:SourceArn", topic))))))
	return &resource{id: id, typ: "AWS::SQS::QueuePolicy", attributes: e.function.inherited(),
		properties: []template.Field{f("PolicyDocument", policyDocument(statement)), f("Queues", list(queueURL))}}
}

// target returns the logical id that a Ref or Fn::GetAtt names, or "".
func target(v *value) string {
	if id, ok := v.Get("Ref").Str(); ok {
		return id
	}
	arg := v.Get("Fn::GetAtt")
	if text, ok := arg.Str(); ok {
		id, _, _ := strings.Cut(text, ".")
		return id
	}
	if items := arg.Items(); len(items) == 2 {
		id, _ := items[0].Str()
		return id
	}
	return ""
}
