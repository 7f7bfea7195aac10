package sam

import (
	"slices"
	"strconv"
	"strings"

	"croft/internal/cfn/template"
)

const (
	implicitAPI = "ServerlessHttpApi"
	defaultPath = "$default"
	anyMethod   = "x-amazon-apigateway-any-method"
)

// httpAPI collects the routes of an HTTP API while the functions are expanded.
type httpAPI struct {
	paths []*apiPath
}

// apiPath is one path of an HTTP API. It exists under condition, if that is set: when each of its routes has one.
type apiPath struct {
	path      string
	condition string
	routes    []*apiRoute
}

// apiRoute is one method of a path.
type apiRoute struct {
	method    string // as OpenAPI has it
	function  *source
	condition string
	timeout   *value
	payload   *value
}

func (a *httpAPI) path(path string) *apiPath {
	for _, p := range a.paths {
		if p.path == path {
			return p
		}
	}
	p := &apiPath{path: path}
	a.paths = append(a.paths, p)
	return p
}

func (p *apiPath) route(method string) *apiRoute {
	for _, r := range p.routes {
		if r.method == method {
			return r
		}
	}
	return nil
}

// openAPIMethod returns a method as OpenAPI has it.
func openAPIMethod(method string) string {
	if method = strings.ToLower(method); method == "any" {
		return anyMethod
	}
	return method
}

// usage is what the functions that use an API say about it.
type usage struct {
	conditions map[string][]string // by path, "" for none
	policies   map[string]bool     // "DeletionPolicy Retain"
}

// linkAPIs connects the functions' HttpApi events with their APIs, adds the implicit API when an event needs it, and finds the
// conditions under which APIs and paths exist.
func (x *expander) linkAPIs() {
	for _, s := range x.order {
		if s.typ == httpAPIType {
			x.apis[s.id] = &httpAPI{}
		}
	}
	uses := map[string]*usage{}
	for _, s := range x.order {
		if s.typ != functionType || s.properties == nil {
			continue
		}
		x.step(func() error { return x.linkFunction(s, uses) })
	}
	if use := uses[implicitAPI]; use != nil && x.originals[implicitAPI] == nil {
		x.step(func() error { return x.addImplicitAPI(use) })
	}
	for _, s := range x.order {
		if use := uses[s.id]; use != nil {
			x.addPathConditions(s.id, use)
		}
	}
}

func (x *expander) linkFunction(s *source, uses map[string]*usage) error {
	events, err := readEvents(s, s.properties.Get("Events"))
	if err != nil {
		return err
	}
	s.events = events
	if x.events += len(events); x.events > maxEvents {
		return invalid(s.id, s.value.Pos(), "A template has at most %d events.", maxEvents)
	}
	for _, e := range events {
		if e.typ != "HttpApi" {
			continue
		}
		if err := x.linkEvent(e); err != nil {
			return err
		}
		use := uses[e.api]
		if use == nil {
			use = &usage{conditions: map[string][]string{}, policies: map[string]bool{}}
			uses[e.api] = use
		}
		use.conditions[e.path] = append(use.conditions[e.path], s.condition())
		for _, name := range []string{"DeletionPolicy", "UpdateReplacePolicy"} {
			if policy, ok := s.value.Get(name).Str(); ok {
				use.policies[name+" "+policy] = true
			}
		}
	}
	return nil
}

// linkEvent finds an event's route and API.
func (x *expander) linkEvent(e *event) error {
	path, method := e.properties.Get("Path"), e.properties.Get("Method")
	if !truthy(path) && !truthy(method) {
		path, method = str(defaultPath), str(anyMethod)
	}
	e.apiID = e.properties.Get("ApiId")
	if e.apiID == nil {
		e.apiID = ref(implicitAPI)
		if x.originals[implicitAPI] != nil {
			return e.invalid("An event without ApiId beside a resource named %s is not supported by croft.", implicitAPI)
		}
	}
	api := e.apiID
	if r := api.Get("Ref"); r != nil {
		api = r
	}
	for _, p := range []struct {
		name string
		v    *value
		to   *string
	}{{"Path", path, &e.path}, {"Method", method, &e.method}, {"ApiId", api, &e.api}} {
		if p.v.Is(template.Null) && p.name != "ApiId" {
			return e.invalid("Property '%s' is required.", p.name)
		}
		s, ok := p.v.Str()
		if !ok {
			return e.invalid("Property '%s' should be a string.", p.name)
		}
		*p.to = s
	}
	if e.api == implicitAPI && x.apis[implicitAPI] == nil {
		x.apis[implicitAPI] = &httpAPI{}
	}
	if x.apis[e.api] == nil {
		return e.invalid("ApiId must be a valid reference to an 'AWS::Serverless::HttpApi' resource in same template.")
	}
	x.apis[e.api].path(e.path)
	return nil
}

// addImplicitAPI adds the API that events without an ApiId share.
func (x *expander) addImplicitAPI(use *usage) error {
	var all []string
	for _, conditions := range use.conditions {
		all = append(all, conditions...)
	}
	attributes := []template.Field{f("Type", str(httpAPIType))}
	if condition := x.either(implicitAPI+"Condition", all); condition != "" {
		attributes = append(attributes, f("Condition", str(condition)))
	}
	for _, name := range []string{"DeletionPolicy", "UpdateReplacePolicy"} {
		for _, policy := range []string{"Retain", "Delete"} {
			if use.policies[name+" "+policy] {
				attributes = append(attributes, f(name, str(policy)))
				break
			}
		}
	}
	s := &source{id: implicitAPI, typ: httpAPIType, value: object(attributes...), properties: object()}
	x.order = append(x.order, s)
	return x.mergeGlobals(s)
}

// addPathConditions puts a path under a condition when every one of its routes has one.
func (x *expander) addPathConditions(api string, use *usage) {
	for _, p := range x.apis[api].paths {
		name := strings.NewReplacer("/", "SLASH", "{", "OB", "}", "CB").Replace(p.path)
		p.condition = x.either(api+name+"PathCondition", use.conditions[p.path])
	}
}

// either returns the name of the condition that holds when one of those named does: none when a name is empty, that name itself
// when there is only one, and otherwise name, which is added. Fn::Or takes ten conditions, so that more need several steps.
func (x *expander) either(name string, conditions []string) string {
	const most = 10
	rest := slices.Clone(conditions)
	slices.Sort(rest)
	rest = slices.Compact(rest)
	if len(rest) == 0 || rest[0] == "" {
		return ""
	}
	for steps := (len(rest) - 2) / (most - 1); len(rest) > 1; steps-- {
		step := name
		if steps > 0 {
			step += strconv.Itoa(steps)
		}
		var or []*value
		for _, c := range rest[:min(most, len(rest))] {
			or = append(or, object(f("Condition", str(c))))
		}
		x.addCondition(step, object(f("Fn::Or", list(or...))))
		rest = append(slices.Clone(rest[min(most, len(rest)):]), step)
	}
	return rest[0]
}
