package sam

import (
	"crypto/sha1" // the translator names stages by this hash; nothing is protected by it
	"encoding/hex"
	"regexp"
	"strings"

	"croft/internal/cfn/template"
)

// route expands an HttpApi event: a route of the API and the permission to call the function.
func (x *expander) route(e *event, p *properties) ([]*resource, error) {
	for _, name := range []string{"Path", "Method", "ApiId"} {
		p.get(name) // linkEvent has checked them
	}
	route := &apiRoute{method: openAPIMethod(e.method), function: e.function, condition: e.function.condition(),
		timeout: p.get("TimeoutInMillis", template.Number), payload: p.get("PayloadFormatVersion", template.String)}
	if err := p.done(); err != nil {
		return nil, err
	}
	api := x.apis[e.api]
	path := api.path(e.path)
	if path.route(route.method) != nil {
		return nil, e.invalid("API method '%s' defined multiple times for path '%s'.", clip(strings.ToLower(e.method)), clip(e.path))
	}
	// The permission of a function's $default route covers its others.
	covered := false
	if e.path != defaultPath {
		d := api.path(defaultPath).route(anyMethod)
		covered = d != nil && d.function == e.function
	}
	path.routes = append(path.routes, route)
	if covered {
		return nil, nil
	}
	return []*resource{e.permission("apigateway.amazonaws.com", e.sourceARN(route.method))}, nil
}

// sourceARN returns the ARN of the event's route in every stage.
func (e *event) sourceARN(method string) *value {
	if method == anyMethod {
		method = "*"
	} else {
		method = strings.ToUpper(method)
	}
	path := e.path
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	if path == defaultPath {
		path = ""
	}
	resource := "/" + method + regexp.MustCompile(`\{([a-zA-Z0-9._-]+|proxy\+)\}`).ReplaceAllString(path, "*")
	if path == "/"+defaultPath && strings.EqualFold(e.method, "any") {
		resource = path
	}
	return subWith("arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}/${__Stage__}"+resource,
		f("__ApiId__", e.apiID), f("__Stage__", str("*")))
}

// httpAPI expands an AWS::Serverless::HttpApi whose routes have been collected.
func (x *expander) httpAPI(s *source) ([]*resource, error) {
	p := properties{id: s.id, kind: "Property", v: s.properties}
	stageName := p.get("StageName", template.String, template.Map)
	name, description := p.get("Name"), p.get("Description", template.String)
	tags := p.get("Tags", template.Map)
	cors := p.get("CorsConfiguration", template.Bool, template.Map)
	failOnWarnings := p.get("FailOnWarnings", template.Bool)
	stage := present(f("StageVariables", p.get("StageVariables", template.Map)), f("AccessLogSettings", p.get("AccessLogSettings", template.Map)),
		f("DefaultRouteSettings", p.get("DefaultRouteSettings", template.Map)), f("RouteSettings", p.get("RouteSettings", template.Map)))
	if err := p.done(); err != nil {
		return nil, err
	}
	if intrinsic(tags) {
		return nil, unsupported(s.id, tags.Pos(), "A function in place of Tags")
	}
	if tags == nil {
		tags = object()
	}
	tags = tags.Set("httpapi:createdBy", str("SAM"))
	corsBody, err := x.cors(s.id, cors)
	if err != nil {
		return nil, err
	}
	api := &resource{id: s.id, typ: "AWS::ApiGatewayV2::Api", attributes: s.own(), properties: []template.Field{
		f("Body", x.apis[s.id].openAPI(name, description, corsBody, tags, truthy(failOnWarnings)))}}
	if truthy(failOnWarnings) {
		api.properties = append(api.properties, f("FailOnWarnings", failOnWarnings))
	}
	if !truthy(stageName) {
		stageName = str(defaultPath)
	}
	id := stageID(s.id, stageName)
	x.stages[s.id+".Stage"] = id
	stage = append(stage, f("ApiId", ref(s.id)), f("StageName", stageName), f("AutoDeploy", template.NewBool(true)), f("Tags", tags))
	return []*resource{api, {id: id, typ: "AWS::ApiGatewayV2::Stage", attributes: s.inherited(), properties: stage}}, nil
}

// stageID returns the logical id of an API's stage: a name that has characters a logical id may not have goes in as a hash.
func stageID(api string, name *value) string {
	text, _ := name.Str()
	alphanumeric := regexp.MustCompile(`^[A-Za-z0-9]+$`).MatchString(text)
	switch {
	case alphanumeric:
		return api + text + "Stage"
	case text == defaultPath:
		return api + "ApiGatewayDefaultStage"
	case text == "":
		return api + "Stage"
	}
	sum := sha1.Sum([]byte(text))
	return api + "Stage" + hex.EncodeToString(sum[:])[:10]
}

// openAPI returns the document that defines the API.
func (a *httpAPI) openAPI(name, description, cors, tags *value, failOnWarnings bool) *value {
	if !truthy(name) {
		name = ref("AWS::StackName")
	}
	info := []template.Field{f("version", str("1.0")), f("title", name)}
	if truthy(description) {
		info = append(info, f("description", description))
	}
	paths := []template.Field{}
	for _, p := range a.paths {
		if len(p.routes) == 0 {
			continue
		}
		key := p.path
		if key == defaultPath && failOnWarnings {
			key = "/" + defaultPath // API Gateway warns of the path without the slash
		}
		paths = append(paths, f(key, p.openAPI()))
	}
	var tagValues []*value
	for _, t := range tags.Fields() {
		tagValues = append(tagValues, object(f("name", str(t.Key)), f("x-amazon-apigateway-tag-value", t.Value)))
	}
	out := []template.Field{f("openapi", str("3.0.1")), f("info", object(info...)), f("paths", object(paths...)), f("tags", list(tagValues...))}
	if cors != nil {
		out = append(out, f("x-amazon-apigateway-cors", cors))
	}
	return object(out...)
}

func (p *apiPath) openAPI() *value {
	var methods []template.Field
	for _, r := range p.routes {
		methods = append(methods, f(r.method, r.openAPI(p.path)))
	}
	if p.condition != "" {
		return choose(p.condition, object(methods...), noValue())
	}
	return object(methods...)
}

func (r *apiRoute) openAPI(path string) *value {
	uri := sub("arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/" + r.function.invokedVariable() + "/invocations")
	if r.condition != "" {
		uri = choose(r.condition, uri, noValue())
	}
	payload := r.payload
	if !truthy(payload) {
		payload = str("2.0")
	}
	integration := []template.Field{f("type", str("aws_proxy")), f("httpMethod", str("POST")), f("payloadFormatVersion", payload), f("uri", uri)}
	if truthy(r.timeout) {
		integration = append(integration, f("timeoutInMillis", r.timeout))
	}
	out := []template.Field{f("x-amazon-apigateway-integration", object(integration...)), f("responses", object())}
	if path == defaultPath && r.method == anyMethod {
		out = append(out, f("isDefaultRoute", template.NewBool(true)))
	}
	if parameters := pathParameters(path); len(parameters) > 0 {
		out = append(out, f("parameters", list(parameters...)))
	}
	if r.condition != "" {
		return choose(r.condition, object(out...), noValue())
	}
	return object(out...)
}

// pathParameters describes the {parameters} of a path.
func pathParameters(path string) []*value {
	var out []*value
	seen := map[string]bool{}
	for _, match := range regexp.MustCompile(`\{(.*?)\}`).FindAllStringSubmatch(path, -1) {
		if name := match[1]; !seen[name] {
			seen[name] = true
			out = append(out, object(f("name", str(name)), f("in", str("path")), f("required", template.NewBool(true))))
		}
	}
	return out
}
