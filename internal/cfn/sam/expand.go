package sam

import (
	"fmt"

	"croft/internal/cfn/template"
)

// Transform is the transform that this package applies.
const Transform = "AWS::Serverless-2016-10-31"

const (
	functionType = "AWS::Serverless::Function"
	httpAPIType  = "AWS::Serverless::HttpApi"
	tableType    = "AWS::Serverless::SimpleTable"
	layerType    = "AWS::Serverless::LayerVersion"
)

// Bounds on what a template can make the expansion produce. Globals are repeated in every resource.
const (
	maxGlobals    = 5000
	maxEvents     = 1000
	maxTags       = 50
	maxSubstitute = 64 << 10
)

// Options is what an expansion depends on besides the template.
type Options struct {
	// Parameters holds the parameters as given; where there is none the template's default counts. They matter where SAM has
	// to know a value itself.
	Parameters map[string]string
	// Region is the region of the stack.
	Region string
}

// Expand applies the transform and returns the template without it, checked. A template that names no transform is returned
// as it is; one that names another is refused.
func Expand(t *template.Template, opts Options) (*template.Template, error) {
	if len(t.Transforms) == 0 {
		return t, nil
	}
	for _, name := range t.Transforms {
		if name != Transform {
			return nil, template.Unsupported(t.Root().Get("Transform").Pos(), "The transform "+clip(name))
		}
	}
	root, err := expandRoot(t.Root(), opts)
	if err != nil {
		return nil, err
	}
	if text, err := root.MarshalJSON(); err != nil || len(text) > template.MaxSize {
		return nil, &template.Error{Message: fmt.Sprintf("Template may not exceed %d bytes in size.", template.MaxSize)}
	}
	expanded, err := template.Build(root)
	if err != nil {
		return nil, err
	}
	expanded.UsesAliases = t.UsesAliases
	return expanded, nil
}

// resource is one entry of the Resources section to be written.
type resource struct {
	id, typ    string
	attributes []template.Field
	properties []template.Field
}

func (r *resource) field() template.Field {
	fields := append([]template.Field{f("Type", str(r.typ))}, r.attributes...)
	return f(r.id, object(append(fields, f("Properties", object(r.properties...)))...))
}

// source is a SAM resource as it stands in the template, with the globals merged in.
type source struct {
	id         string
	typ        string
	value      *value
	properties *value
	events     []*event // of a function
	alias      string   // the logical id of a function's alias, if it publishes itself
}

func (s *source) condition() string {
	name, _ := s.value.Get("Condition").Str()
	return name
}

// inherited returns the attributes that every generated resource takes over.
func (s *source) inherited() []template.Field {
	return present(f("Condition", s.value.Get("Condition")), f("DeletionPolicy", s.value.Get("DeletionPolicy")),
		f("UpdateReplacePolicy", s.value.Get("UpdateReplacePolicy")))
}

// own returns the attributes of the resource that takes the SAM resource's place.
func (s *source) own() []template.Field {
	return append(present(f("DependsOn", s.dependsOn()), f("Metadata", s.value.Get("Metadata"))), s.inherited()...)
}

// dependsOn returns what the resource is said to depend on, nil for nothing.
func (s *source) dependsOn() *value {
	if depends := s.value.Get("DependsOn"); truthy(depends) {
		return depends
	}
	return nil
}

// expander is one expansion.
type expander struct {
	root       *value
	opts       Options
	defaults   map[string]*value
	globals    map[string]*value
	originals  map[string]*value // the template's own resources
	order      []*source         // SAM resources; nil properties for the others
	apis       map[string]*httpAPI
	buckets    map[string]*value // the template's own with the events of functions
	conditions []template.Field  // added ones
	events     int
	stages     map[string]string
	made       map[string]bool
	problems   []error
}

func expandRoot(root *value, opts Options) (*value, error) {
	x := &expander{
		root: root, opts: opts, defaults: map[string]*value{}, globals: map[string]*value{}, originals: map[string]*value{},
		apis: map[string]*httpAPI{}, buckets: map[string]*value{}, stages: map[string]string{}, made: map[string]bool{},
	}
	for _, p := range root.Get("Parameters").Fields() {
		if d := p.Value.Get("Default"); d != nil {
			x.defaults[p.Key] = d
		}
	}
	x.step(x.readGlobals)
	x.readResources()
	x.linkAPIs()
	if len(x.problems) > 0 {
		return nil, failure(x.problems)
	}
	resources := x.translate()
	if len(x.problems) > 0 {
		return nil, failure(x.problems)
	}
	return x.assemble(resources), nil
}

// step runs one part of the expansion and notes what it finds wrong.
func (x *expander) step(run func() error) {
	if err := run(); err != nil {
		x.problems = append(x.problems, err)
	}
}

// readResources collects the resources, checks their outer form and merges the globals into them.
func (x *expander) readResources() {
	for _, r := range x.root.Get("Resources").Fields() {
		x.originals[r.Key] = r.Value
	}
	for _, r := range x.root.Get("Resources").Fields() {
		s := &source{id: r.Key, value: r.Value}
		s.typ, _ = r.Value.Get("Type").Str()
		x.step(func() error { return x.readResource(s) })
		x.order = append(x.order, s)
	}
}

func (x *expander) readResource(s *source) error {
	if c := s.value.Get("Connectors"); c != nil {
		return unsupported(s.id, c.Pos(), "The attribute Connectors")
	}
	switch s.typ {
	case functionType, httpAPIType, tableType, layerType:
	default:
		if len(s.typ) >= len("AWS::Serverless::") && s.typ[:len("AWS::Serverless::")] == "AWS::Serverless::" {
			return unsupported(s.id, s.value.Get("Type").Pos(), "The resource type "+clip(s.typ))
		}
		return nil
	}
	for _, attr := range s.value.Fields() {
		switch attr.Key {
		case "Type", "Properties", "DependsOn", "Metadata", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "IgnoreGlobals":
		default:
			return unsupported(s.id, attr.Value.Pos(), "The attribute "+clip(attr.Key))
		}
	}
	s.properties = s.value.Get("Properties")
	if s.properties == nil {
		s.properties = object()
	}
	if !s.properties.Is(template.Map) {
		return invalid(s.id, s.value.Pos(), "Attribute 'Properties' should be a map.")
	}
	return x.mergeGlobals(s)
}

// translate makes the plain resources, functions first, because their events add routes to the APIs; the result is in the
// template's order.
func (x *expander) translate() []template.Field {
	made := map[string][]*resource{}
	for _, pass := range []string{functionType, httpAPIType, tableType, layerType} {
		for _, s := range x.order {
			if s.typ != pass {
				continue
			}
			rs, err := x.one(s)
			if err == nil {
				err = x.unique(s, rs)
			}
			if err != nil {
				x.problems = append(x.problems, err)
			}
			made[s.id] = rs
		}
	}
	var out []template.Field
	for _, s := range x.order {
		if s.properties == nil {
			v := s.value
			if x.buckets[s.id] != nil {
				v = x.buckets[s.id]
			}
			out = append(out, f(s.id, v))
		}
		for _, r := range made[s.id] {
			out = append(out, r.field())
		}
	}
	return out
}

func (x *expander) one(s *source) ([]*resource, error) {
	switch s.typ {
	case functionType:
		return x.function(s)
	case httpAPIType:
		return x.httpAPI(s)
	case layerType:
		return x.layer(s)
	}
	return x.simpleTable(s)
}

// unique refuses a generated resource whose id is taken.
func (x *expander) unique(s *source, rs []*resource) error {
	for _, r := range rs {
		if (r.id != s.id && x.originals[r.id] != nil) || x.made[r.id] {
			return &problem{pos: s.value.Pos(), message: "Transforming resource with id [" + s.id + "] attempts to create a new resource with id [" +
				r.id + "] and type \"" + r.typ + "\". A resource with that id already exists within this template. Please use a different id for " +
				"that resource."}
		}
		x.made[r.id] = true
	}
	return nil
}

// assemble puts the expanded template together.
func (x *expander) assemble(resources []template.Field) *value {
	var out []template.Field
	for _, section := range x.root.Fields() {
		switch section.Key {
		case "Transform", "Globals":
			continue
		case "Resources":
			for i := range resources {
				resources[i].Value = x.rewriteDepends(resources[i].Value)
			}
			section.Value = object(resources...)
		case "Conditions":
			if len(x.conditions) > 0 {
				continue // written below
			}
		}
		out = append(out, section)
	}
	if len(x.conditions) > 0 {
		all := x.root.Get("Conditions")
		if !all.Is(template.Map) {
			all = object()
		}
		for _, c := range x.conditions {
			all = all.Set(c.Key, c.Value)
		}
		out = append(out, f("Conditions", all))
	}
	return x.rewriteRefs(object(out...).WithPos(x.root.Pos()))
}
