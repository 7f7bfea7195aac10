package sam

import (
	"slices"
	"strings"

	"croft/internal/cfn/template"
)

// event is one event of a function.
type event struct {
	id         string // its name within the function
	typ        string
	properties *value
	function   *source
	role       *executionRole

	// Of an HttpApi event: its route, the API's logical id, and how the event names the API.
	path, method, api string
	apiID             *value
}

// logicalID is the id that the event's first resource gets.
func (e *event) logicalID() string { return e.function.id + e.id }

func (e *event) invalid(format string, args ...any) error {
	return invalidEvent(e.function.id, e.id, e.properties.Pos(), format, args...)
}

// readEvents checks the outer form of a function's events.
func readEvents(s *source, events *value) ([]*event, error) {
	if intrinsic(events) {
		return nil, unsupported(s.id, events.Pos(), "A function in place of Events")
	}
	var all []*event
	for _, field := range events.Fields() {
		e := &event{id: field.Key, function: s, properties: field.Value.Get("Properties")}
		typ, ok := field.Value.Get("Type").Str()
		if !ok {
			return nil, invalidEvent(s.id, e.id, field.Value.Pos(), "Resource dict has missing or invalid value for key Type.")
		}
		e.typ = typ
		if e.properties == nil {
			e.properties = object()
		}
		switch typ {
		case "HttpApi", "SQS", "SNS", "S3":
		default:
			return nil, invalidEvent(s.id, e.id, field.Value.Pos(), "The event type %s is not supported by croft.", clip(typ))
		}
		if !e.properties.Is(template.Map) {
			return nil, invalidEvent(s.id, e.id, field.Value.Pos(), "Properties should be a map.")
		}
		for _, member := range field.Value.Fields() {
			if member.Key != "Type" && member.Key != "Properties" {
				return nil, invalidEvent(s.id, e.id, member.Value.Pos(), "The member %s is not supported by croft.", clip(member.Key))
			}
		}
		all = append(all, e)
	}
	return all, nil
}

// eventResources returns the resources that a function's events need. Those with a path come in the order of their paths, so that a
// $default route, which covers the others, comes first.
func (x *expander) eventResources(s *source, role *executionRole) ([]*resource, error) {
	all := slices.Clone(s.events)
	slices.SortStableFunc(all, func(a, b *event) int { return strings.Compare(a.sortKey(), b.sortKey()) })
	var out []*resource
	for _, e := range all {
		e.role = role
		rs, err := x.event(e)
		if err != nil {
			return nil, err
		}
		out = append(out, rs...)
	}
	return out, nil
}

func (e *event) sortKey() string {
	if e.typ == "HttpApi" {
		return e.path
	}
	return e.id
}

func (x *expander) event(e *event) ([]*resource, error) {
	p := properties{id: e.function.id, event: e.id, kind: "Property", v: e.properties}
	switch e.typ {
	case "SQS":
		return e.queue(&p)
	case "SNS":
		return x.topic(e, &p)
	case "S3":
		return x.bucket(e, &p)
	}
	return x.route(e, &p)
}

// queue expands an SQS event.
func (e *event) queue(p *properties) ([]*resource, error) {
	queue := p.get("Queue")
	if queue == nil {
		return nil, invalid(e.logicalID(), e.properties.Pos(), "Missing required property 'Queue'.")
	}
	out := present(
		f("BatchSize", p.get("BatchSize", template.Number)),
		f("Enabled", p.get("Enabled", template.Bool)),
		f("MaximumBatchingWindowInSeconds", p.get("MaximumBatchingWindowInSeconds", template.Number)),
		f("FunctionResponseTypes", p.get("FunctionResponseTypes", template.List)),
		f("FilterCriteria", p.get("FilterCriteria", template.Map)),
		f("ScalingConfig", p.get("ScalingConfig", template.Map)),
	)
	if err := p.done(); err != nil {
		return nil, err
	}
	if criteria := p.v.Get("FilterCriteria"); !intrinsic(criteria) {
		for _, field := range criteria.Fields() {
			if field.Key != "Filters" {
				return nil, e.invalid("FilterCriteria field has a wrong format")
			}
		}
	}
	return []*resource{e.mapping(e.logicalID(), queue, out)}, nil
}

// mapping makes an event source mapping from a queue and lets the role read the queue.
func (e *event) mapping(id string, queue *value, more []template.Field) *resource {
	e.role.addManaged(str(managedPolicy("AWSLambdaSQSQueueExecutionRole")))
	out := []template.Field{f("FunctionName", e.function.invoked()), f("EventSourceArn", queue)}
	return &resource{id: id, typ: "AWS::Lambda::EventSourceMapping", attributes: e.function.inherited(), properties: append(out, more...)}
}

// permission lets a service invoke the function: for one resource, or without sourceARN for any of the account's.
func (e *event) permission(principal string, sourceARN *value) *resource {
	source := f("SourceArn", sourceARN)
	if sourceARN == nil {
		source = f("SourceAccount", ref("AWS::AccountId"))
	}
	return &resource{id: e.logicalID() + "Permission", typ: "AWS::Lambda::Permission", attributes: e.function.inherited(),
		properties: []template.Field{
			f("Action", str("lambda:InvokeFunction")),
			f("FunctionName", e.function.invoked()),
			f("Principal", str(principal)),
			source,
		}}
}
