package sam

import (
	"slices"

	"croft/internal/cfn/template"
)

// publishAndInvoke adds what a function's versions and events need beside it. fn may change.
func (x *expander) publishAndInvoke(s *source, fn *resource, role *executionRole, pub publishing, dlq, invoking *value) ([]*resource, error) {
	deadLetters, err := deadLetter(s, dlq, role)
	if err != nil {
		return nil, err
	}
	if deadLetters != nil {
		fn.set("DeadLetterConfig", deadLetters)
	}
	published, err := x.publish(s, fn, pub)
	if err != nil {
		return nil, err
	}
	invoke, err := x.eventInvoke(s, invoking, pub.alias, role)
	return append(published, invoke...), err
}

// deadLetter returns the DeadLetterConfig that a function's DeadLetterQueue means, and lets the role send there.
func deadLetter(s *source, queue *value, role *executionRole) (*value, error) {
	if queue == nil {
		return nil, nil
	}
	kind, target := queue.Get("Type"), queue.Get("TargetArn")
	if !truthy(kind) || !truthy(target) {
		return nil, invalid(s.id, queue.Pos(), "'DeadLetterQueue' requires Type and TargetArn properties to be specified.")
	}
	action := ""
	switch text, _ := kind.Str(); text {
	case "SQS":
		action = "sqs:SendMessage"
	case "SNS":
		action = "sns:Publish"
	default:
		return nil, invalid(s.id, kind.Pos(), "'DeadLetterQueue' requires Type of ['SQS', 'SNS']")
	}
	role.policies = append(role.policies, object(f("PolicyName", str("DeadLetterQueuePolicy")), f("PolicyDocument", policyDocument(allow(action, target)))))
	return object(f("TargetArn", target)), nil
}

func allow(action string, resource *value) *value {
	return object(f("Action", str(action)), f("Effect", str("Allow")), f("Resource", resource))
}

// eventInvoke makes what a function's EventInvokeConfig means: the configuration of the function or of its alias, and the queues and topics that
// it leaves to SAM. The role may send to each destination.
func (x *expander) eventInvoke(s *source, config, alias *value, role *executionRole) ([]*resource, error) {
	if !truthy(config) {
		return nil, nil
	}
	config = x.resolve(config)
	p := properties{id: s.id, kind: "Property EventInvokeConfig", v: config}
	age, retries, in := p.get("MaximumEventAgeInSeconds"), p.get("MaximumRetryAttempts"), p.get("DestinationConfig", template.Map)
	if err := p.done(); err != nil {
		return nil, err
	}
	id := s.id + "EventInvokeConfig"
	var out []*resource
	var destinations []template.Field
	for _, event := range []string{"OnSuccess", "OnFailure"} {
		d := in.Get(event)
		if d == nil {
			continue
		}
		if !d.Is(template.Map) {
			return nil, invalid(s.id, d.Pos(), "Property 'EventInvokeConfig.DestinationConfig.%s' should be a map.", event)
		}
		target, made, err := x.destination(s, id, event, d, role)
		if err != nil {
			return nil, err
		}
		destinations = append(destinations, f(event, object(present(f("Destination", target))...)))
		out = append(out, made...)
	}
	attributes := append(s.inherited(), present(f("Metadata", s.value.Get("Metadata")))...)
	qualifier := str("$LATEST")
	if s.alias != "" {
		qualifier = x.resolve(alias)
		attributes = append(attributes, f("DependsOn", strs(s.alias)))
	}
	return append(out, &resource{id: id, typ: "AWS::Lambda::EventInvokeConfig", attributes: attributes, properties: present(
		f("FunctionName", ref(s.id)), f("Qualifier", qualifier), f("DestinationConfig", object(destinations...)),
		f("MaximumEventAgeInSeconds", age), f("MaximumRetryAttempts", retries))}), nil
}

// destination returns where a destination is, and the queue or topic that SAM makes for it where the template names none.
func (x *expander) destination(s *source, id, event string, d *value, role *executionRole) (target *value, made []*resource, err error) {
	kinds := []string{"SQS", "SNS", "EventBridge", "Lambda", "S3Bucket"}
	actions := []string{"sqs:SendMessage", "sns:publish", "events:PutEvents", "lambda:InvokeFunction"}
	kind, _ := d.Get("Type").Str()
	i := slices.Index(kinds, kind)
	switch {
	case i < 0:
		text, ok := d.Get("Type").Scalar()
		if !ok {
			text = "None"
		}
		return nil, nil, invalid(s.id, d.Pos(), "'Type: %s' must be one of ['SQS', 'SNS', 'EventBridge', 'Lambda', 'S3Bucket']", clip(text))
	case i >= len(actions):
		return nil, nil, unsupported(s.id, d.Pos(), "Type S3Bucket of a destination")
	}
	target = d.Get("Destination")
	condition, given, err := x.missingDestination(s, id, target)
	if err != nil {
		return nil, nil, err
	}
	if target == nil || condition != "" {
		resourceID, typ := id+event+"Queue", "AWS::SQS::Queue"
		switch kind {
		case "SQS":
			target = arnOf(resourceID)
		case "SNS":
			resourceID, typ = id+event+"Topic", "AWS::SNS::Topic"
			target = ref(resourceID)
			x.stages[s.id+".DestinationTopic"] = resourceID
		default:
			return nil, nil, invalid(s.id, d.Pos(), "Destination is required if Type is not ['SQS', 'SNS']")
		}
		if kind == "SQS" {
			x.stages[s.id+".DestinationQueue"] = resourceID
		}
		attributes, err := alsoIf(s, condition)
		if err != nil {
			return nil, nil, err
		}
		made = []*resource{{id: resourceID, typ: typ, attributes: attributes}}
		if condition != "" {
			target = choose(condition, target, given)
		}
	}
	role.policies = append(role.policies, object(f("PolicyName", str(id+event+kind+"Policy")),
		f("PolicyDocument", object(f("Statement", list(allow(actions[i], target)))))))
	return target, made, nil
}

// missingDestination returns the condition under which a destination that is a Fn::If names nothing, and what it names otherwise.
func (x *expander) missingDestination(s *source, id string, target *value) (condition string, given *value, err error) {
	arg := isIf(target)
	if arg == nil {
		return "", nil, nil
	}
	name, ok := "", false
	if arg.Is(template.List) && arg.Len() == 3 {
		name, ok = arg.Items()[0].Str()
	}
	if !ok {
		return "", nil, invalid(id, target.Pos(), "Malformed 'Destination' property: Fn::If requires 3 arguments.")
	}
	yes, no := arg.Items()[1], arg.Items()[2]
	switch {
	case isNoValue(yes) && isNoValue(no):
		return "", nil, nil
	case isNoValue(yes):
		return name, no, nil
	case isNoValue(no):
		not := "NOT" + name + shortHash(id)
		x.addCondition(not, object(f("Fn::Not", list(object(f("Condition", str(name)))))))
		return not, yes, nil
	}
	return "", nil, nil
}

// alsoIf returns the attributes of a resource that exists under a condition besides the function's own.
func alsoIf(s *source, condition string) ([]template.Field, error) {
	own := s.condition()
	switch {
	case condition == "":
		return s.inherited(), nil
	case own != "":
		// The translator makes a condition of it that CloudFormation does not take.
		return nil, unsupported(s.id, s.value.Pos(), "A Destination that depends on a condition, of a function that does too,")
	}
	attributes := []template.Field{f("Condition", str(condition))}
	for _, a := range s.inherited() {
		if a.Key != "Condition" {
			attributes = append(attributes, a)
		}
	}
	return attributes, nil
}
