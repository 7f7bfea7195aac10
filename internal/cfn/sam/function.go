package sam

import (
	"net/url"
	"strings"

	"croft/internal/cfn/template"
)

// function expands an AWS::Serverless::Function into the function, its role, and what its events need.
func (x *expander) function(s *source) ([]*resource, error) {
	p := properties{id: s.id, kind: "Property", v: s.properties}
	name := p.get("FunctionName", template.String, template.Map)
	role := p.get("Role", template.String)
	policies := p.get("Policies", template.String, template.Map, template.List)
	environment := p.get("Environment", template.Map)
	tags := p.get("Tags", template.Map)
	p.get("Events", template.Map) // linkFunction has read them
	urlConfig := p.get("FunctionUrlConfig", template.Map)
	dlq, invoking := p.get("DeadLetterQueue", template.Map), p.get("EventInvokeConfig", template.Map)
	codeURI, inline := p.get("CodeUri"), p.get("InlineCode")
	handler, runtime := p.get("Handler"), p.get("Runtime")
	tracing, pub := x.tracing(p.get("Tracing")), readPublishing(&p)
	rest := append(passedOn(&p, environment, tracing), present(f("Layers", p.get("Layers", template.List)))...)
	if err := p.done(); err != nil {
		return nil, err
	}
	code, err := functionCode(s, codeURI, inline)
	if err != nil {
		return nil, err
	}
	if !truthy(runtime) || !truthy(handler) {
		return nil, invalid(s.id, s.value.Pos(), "Runtime and Handler needs to be present when PackageType is of type `Zip`")
	}
	allTags, err := functionTags(s.id, tags)
	if err != nil {
		return nil, err
	}
	if !truthy(name) {
		name = nil
	}
	fn := &resource{id: s.id, typ: "AWS::Lambda::Function", attributes: s.own(), properties: append(
		present(f("FunctionName", name), f("Code", code), f("Handler", handler), f("Runtime", runtime), f("Tags", allTags)), rest...)}
	made := &executionRole{id: s.id + "Role", tags: allTags, attributes: s.inherited(), has: map[string]bool{}}
	if tracing != nil {
		made.addManaged(str(managedPolicy("AWSXrayWriteOnlyAccess")))
	}
	beside, err := x.publishAndInvoke(s, fn, made, pub, dlq, invoking)
	if err != nil {
		return nil, err
	}
	if err := made.addPolicies(s.id, policies); err != nil {
		return nil, err
	}
	fromEvents, err := x.eventResources(s, made)
	if err != nil {
		return nil, err
	}
	roleValue, needed, err := x.functionRole(s, role, made)
	if err != nil {
		return nil, err
	}
	fn.properties = append(fn.properties, f("Role", roleValue))
	out := append([]*resource{fn}, beside...)
	if needed {
		out = append(out, made.resource())
	}
	url, err := x.functionURL(s, urlConfig, s.invoked())
	return append(append(out, url...), fromEvents...), err
}

// passedOn reads the properties that a function hands to AWS::Lambda::Function as they are.
func passedOn(p *properties, environment, tracing *value) []template.Field {
	out := []template.Field{f("Environment", environment), f("TracingConfig", tracing)}
	for _, name := range []string{
		"Description", "MemorySize", "Timeout", "Architectures", "EphemeralStorage", "LoggingConfig", "SnapStart", "RecursiveLoop",
		"ReservedConcurrentExecutions", "RuntimeManagementConfig",
	} {
		out = append(out, f(name, p.get(name)))
	}
	return present(out...)
}

// functionRole returns what a function's Role becomes, and whether the generated role is needed. A Role that is a Fn::If with no
// value on one side gets the generated role there.
func (x *expander) functionRole(s *source, role *value, made *executionRole) (*value, bool, error) {
	if role.Is(template.Null) {
		return arnOf(made.id), true, nil
	}
	if isIf(role) == nil {
		return role, false, nil
	}
	arg := isIf(x.resolve(role))
	if !arg.Is(template.List) || arg.Len() != 3 {
		return nil, false, invalid(s.id, role.Pos(), "Malformed 'Role' property: Fn::If requires 3 arguments.")
	}
	condition, ok := arg.Items()[0].Str()
	if !ok {
		return nil, false, invalid(s.id, role.Pos(), "Malformed 'Role' property: Fn::If requires the name of a condition.")
	}
	yes, no := arg.Items()[1], arg.Items()[2]
	switch {
	case isNoValue(yes) && isNoValue(no):
		return arnOf(made.id), true, nil
	case isNoValue(yes):
		made.setCondition(condition)
		return choose(condition, arnOf(made.id), no), true, nil
	case isNoValue(no):
		made.setCondition("NOT" + condition)
		x.addCondition("NOT"+condition, object(f("Fn::Not", list(object(f("Condition", str(condition)))))))
		return choose(condition, yes, arnOf(made.id)), true, nil
	}
	return role, false, nil
}

func (x *expander) addCondition(name string, v *value) {
	x.conditions = append(x.conditions, f(name, v))
}

// functionTags returns a function's tags, SAM's own first.
func functionTags(id string, tags *value) (*value, error) {
	for _, reserved := range []string{"lambda:createdBy", "serverlessrepo:applicationId", "serverlessrepo:semanticVersion"} {
		if v := tags.Get(reserved); v != nil {
			return nil, invalid(id, v.Pos(), "%s is a reserved Tag key name and cannot be set on your resource. Please change the tag key in the "+
				"input.", reserved)
		}
	}
	if intrinsic(tags) {
		return nil, unsupported(id, tags.Pos(), "A function in place of Tags")
	}
	if tags.Len() >= maxTags {
		return nil, invalid(id, tags.Pos(), "A function has at most %d tags, and SAM adds one.", maxTags)
	}
	own := object(f("Key", str("lambda:createdBy")), f("Value", str("SAM")))
	return list(append([]*value{own}, tagList(tags)...)...), nil
}

// functionCode returns the Code property. InlineCode wins over CodeUri.
func functionCode(s *source, uri, inline *value) (*value, error) {
	switch {
	case !inline.Is(template.Null):
		return object(f("ZipFile", inline)), nil
	case uri.Is(template.Null):
		return nil, invalid(s.id, s.value.Pos(), "Only one of 'InlineCode' or 'CodeUri' can be set.")
	}
	return location(s, "CodeUri", uri)
}

// location returns where packed files are that a property such as CodeUri names.
func location(s *source, property string, uri *value) (*value, error) {
	if uri.Is(template.Map) {
		if !truthy(uri.Get("Bucket")) || !truthy(uri.Get("Key")) {
			return nil, invalid(s.id, uri.Pos(), "'%s' requires Bucket and Key properties to be specified.", property)
		}
		for _, field := range uri.Fields() {
			if field.Key != "Bucket" && field.Key != "Key" && field.Key != "Version" {
				return nil, unsupported(s.id, field.Value.Pos(), "Property "+property+"."+clip(field.Key))
			}
		}
		return object(present(f("S3Bucket", uri.Get("Bucket")), f("S3Key", uri.Get("Key")), f("S3ObjectVersion", uri.Get("Version")))...), nil
	}
	text, ok := uri.Str()
	if !ok {
		return nil, invalid(s.id, uri.Pos(), "'%s' must be of type dict or string.", property)
	}
	return s3Location(s.id, property, text, uri.Pos())
}

// s3Location parses s3://bucket/key?versionId=v.
func s3Location(id, property, text string, pos template.Pos) (*value, error) {
	if strings.Contains(text, "{{resolve:") && strings.Contains(text, "/") {
		return nil, invalid(id, pos, "Unsupported dynamic reference detected in '%s'. Please consider using alternative 'FunctionCode' "+
			"object format.", property)
	}
	rest, ok := strings.CutPrefix(text, "s3://")
	rest, query, _ := strings.Cut(rest, "?")
	bucket, key, _ := strings.Cut(rest, "/")
	key = strings.TrimLeft(key, "/")
	if !ok || bucket == "" || key == "" || strings.ContainsAny(bucket, "[]") {
		return nil, invalid(id, pos, "'%s' is not a valid S3 Uri of the form 's3://bucket/key' with optional versionId query parameter.", property)
	}
	out := []template.Field{f("S3Bucket", str(bucket)), f("S3Key", str(key))}
	if q, err := url.ParseQuery(query); err == nil && len(q["versionId"]) == 1 {
		out = append(out, f("S3ObjectVersion", str(q.Get("versionId"))))
	}
	return object(out...), nil
}
