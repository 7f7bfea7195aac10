package sam

import (
	"slices"

	"croft/internal/cfn/template"
)

// bucketType is the type of what an S3 event names. It is no resource of SAM's: its events change the template's own.
const bucketType = "AWS::S3::Bucket"

// maxBucketEvents bounds the kinds of events that one S3 event of a function lists.
const maxBucketEvents = 100

// bucket expands an S3 event: the bucket, which stands in the same template, calls the function, and comes after the permission to do so.
// Rules: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-s3.html
func (x *expander) bucket(e *event, p *properties) ([]*resource, error) {
	bucket, filter := p.get("Bucket", template.String), p.get("Filter", template.Map)
	events := p.get("Events", template.String, template.List)
	switch {
	case bucket == nil:
		return nil, invalid(e.logicalID(), e.properties.Pos(), "Missing required property 'Bucket'.")
	case events == nil:
		return nil, invalid(e.logicalID(), e.properties.Pos(), "Missing required property 'Events'.")
	case intrinsic(events):
		p.fail(events.Pos(), "Type of property 'Events' is invalid.")
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	id, _ := bucket.Get("Ref").Str()
	original := x.originals[id]
	if typ, _ := original.Get("Type").Str(); typ != bucketType {
		return nil, e.invalid("S3 events must reference an S3 bucket in the same template.")
	}
	kinds := []*value{events}
	if events.Is(template.List) {
		kinds = events.Items()
	}
	if len(kinds) > maxBucketEvents {
		return nil, e.invalid("More than %d Events are not supported by croft.", maxBucketEvents)
	}
	if x.buckets[id] != nil {
		original = x.buckets[id]
	}
	permission := e.permission("s3.amazonaws.com", nil)
	changed, err := e.notifies(id, original, kinds, filter)
	if err == nil {
		changed, err = e.after(id, changed, permission.id)
	}
	if err != nil {
		return nil, err
	}
	x.buckets[id] = changed
	return []*resource{permission}, nil
}

// notifies returns the bucket with the function among those that it calls.
func (e *event) notifies(id string, bucket *value, kinds []*value, filter *value) (*value, error) {
	properties, err := mapOf(id, bucket, "Properties", "Properties should be a map.")
	if err != nil {
		return nil, err
	}
	config, err := mapOf(id, properties, "NotificationConfiguration", "Property 'NotificationConfiguration' should be a map.")
	if err != nil {
		return nil, err
	}
	var all []*value
	if given := config.Get("LambdaConfigurations"); given != nil {
		if !given.Is(template.List) {
			return nil, invalid(id, given.Pos(), "Invalid type for LambdaConfigurations. Must be a list.")
		}
		all = slices.Clone(given.Items())
	}
	for _, kind := range kinds {
		entry := object(present(f("Event", kind), f("Filter", filter), f("Function", e.function.invokedARN()))...)
		if c := e.function.condition(); c != "" {
			entry = object(f("Fn::If", list(str(c), entry, ref("AWS::NoValue"))))
		}
		if !slices.ContainsFunc(all, entry.Equal) {
			all = append(all, entry)
		}
	}
	return bucket.Set("Properties", properties.Set("NotificationConfiguration", config.Set("LambdaConfigurations", list(all...)))), nil
}

// after makes the bucket come after the permission: S3 asks whether it may call the function when it is told to. Where the function has a condition, the
// permission may not be there to depend on, and the value of a tag refers to it in DependsOn's place.
func (e *event) after(id string, bucket *value, permission string) (*value, error) {
	condition := e.function.condition()
	if condition == "" {
		var all []*value
		switch depends := bucket.Get("DependsOn"); {
		case depends.Is(template.List):
			all = slices.Clone(depends.Items())
		case depends.Is(template.String):
			all = []*value{depends}
		}
		return bucket.Set("DependsOn", list(append(all, str(permission))...)), nil
	}
	properties := bucket.Get("Properties")
	tags := properties.Get("Tags")
	if tags == nil {
		tags = list()
	}
	if !tags.Is(template.List) {
		return nil, invalid(id, tags.Pos(), "Property 'Tags' should be a list.")
	}
	tag := object(f("Key", str("sam:ConditionalDependsOn:"+permission)),
		f("Value", object(f("Fn::If", list(str(condition), ref(permission), str("no dependency"))))))
	return bucket.Set("Properties", properties.Set("Tags", list(append(slices.Clone(tags.Items()), tag)...))), nil
}

// mapOf returns a member of the resource id that must be a map, an empty one when it is not there.
func mapOf(id string, of *value, name, message string) (*value, error) {
	v := of.Get(name)
	if v == nil || v.Is(template.Null) {
		return object(), nil
	}
	if !v.Is(template.Map) {
		return nil, invalid(id, v.Pos(), "%s", message)
	}
	return v, nil
}
