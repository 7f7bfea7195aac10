package cfn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"croft/internal/cfn/template"
	"croft/internal/cloud"
)

// KnownAfterApply stands in a plan for a value that only the operation will give.
const KnownAfterApply = "{{changeSet:KNOWN_AFTER_APPLY}}"

// Plan is what an operation would do, as far as can be told before it.
type Plan struct {
	Changes []Planned `json:"changes,omitempty"`
	// Outputs says that outputs will change too, or may.
	Outputs bool `json:"outputs,omitempty"`
	// Tags says that the stack's tags change.
	Tags bool `json:"tags,omitempty"`
	// Warning says what could not be told.
	Warning string `json:"warning,omitempty"`
}

// Empty reports whether the operation would do nothing.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 && !p.Outputs && !p.Tags }

// Planned is what would be done to one resource, in CloudFormation's words.
type Planned struct {
	Action       string   `json:"action"`
	LogicalID    string   `json:"logicalID"`
	PhysicalID   string   `json:"physicalID,omitempty"`
	Type         string   `json:"type"`
	Replacement  string   `json:"replacement,omitempty"`
	PolicyAction string   `json:"policyAction,omitempty"`
	Scope        []string `json:"scope,omitempty"`
	Details      []Detail `json:"details,omitempty"`
	// Before and After are the properties, with KnownAfterApply for what is not known and NoEcho values masked.
	Before map[string]any `json:"before,omitempty"`
	After  map[string]any `json:"after,omitempty"`
	// Possible says that nothing is known to change; something that the resource refers to might.
	Possible bool `json:"possible,omitempty"`
}

// Detail is one reason for a change.
type Detail struct {
	Attribute string `json:"attribute"`
	Name      string `json:"name,omitempty"`
	// Recreation is whether a change of the property needs a new resource: "Always" or "Never".
	Recreation string `json:"recreation"`
	// Static says that the new value is known.
	Static bool   `json:"static,omitempty"`
	Source string `json:"source"`
	Cause  string `json:"cause,omitempty"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Kind is "Add", "Remove" or "Modify".
	Kind string `json:"kind,omitempty"`
}

// Planner compares what a stack is with what it is to become.
type Planner struct {
	Types   Lookup
	Exports Exports
	// Stack is as it is now, with its records by logical id; both are empty for a stack that is to be created.
	Stack   *Stack
	Records map[string]*Record
	// Before is the template that the stack was last made of, and nil when there is none.
	Before *template.Template
	// Source and Target are what it is to become.
	Source *Source
	Target *Target
}

// planning is one run of a Planner.
type planning struct {
	*Planner
	plan    Plan
	state   map[string]fate
	changed map[string]bool // parameters with another value
	secrets []string
	missing []string // exports that are not there
}

// fate is what will become of a resource, as those that refer to it see it.
type fate int

const (
	stays fate = iota
	changes
	isNew
)

// Plan makes the plan. It refuses, naming all of them, resource types that there are not, and properties that a type does not
// have; and a change of a resource's type.
func (p *Planner) Plan() (*Plan, error) {
	pl := &planning{Planner: p, state: map[string]fate{}, secrets: secrets(p.Source)}
	pl.changed = changedParameters(&p.Stack.Current, p.Source)
	pl.plan.Tags = len(p.Records) > 0 && !maps.Equal(p.Stack.Current.TagMap(), p.Source.TagMap())
	if err := pl.checkTypes(); err != nil {
		return nil, err
	}
	var problems []string
	for _, id := range p.Target.Graph.Order {
		if err := pl.resource(id); err != nil {
			if isTransient(err) {
				return nil, err
			}
			problems = append(problems, fmt.Sprintf("resource %s: %s", id, message(err)))
		}
	}
	if len(problems) > 0 {
		return nil, &template.Error{Message: "Template error: " + strings.Join(problems, "; ")}
	}
	pl.sort()
	pl.removals()
	if err := pl.outputs(); err != nil {
		return nil, err
	}
	if len(pl.missing) > 0 {
		pl.plan.Warning = strings.Join(pl.missing, "; ")
	}
	return &pl.plan, nil
}

func message(err error) string {
	if e, ok := err.(*cloud.Error); ok {
		return e.Message
	}
	return err.Error()
}

func changedParameters(before, after *Source) map[string]bool {
	old, out := before.Given(), map[string]bool{}
	for _, p := range after.Parameters {
		if v, ok := old[p.Name]; ok && v != p.Value {
			out[p.Name] = true
		}
	}
	return out
}

// checkTypes refuses types that there are not, and resources whose type changes.
func (pl *planning) checkTypes() error {
	var unknown, retyped []string
	for _, r := range pl.Target.Bound.Resources() {
		if _, ok := pl.Types(r.Type); !ok && !slices.Contains(unknown, r.Type) {
			unknown = append(unknown, r.Type)
		}
		if rec := pl.Records[r.LogicalID]; rec != nil && rec.Now != nil && rec.Now.Type != r.Type {
			retyped = append(retyped, r.LogicalID)
		}
	}
	if len(unknown) > 0 {
		return &template.Error{Message: "Template format error: Unrecognized resource types: [" + strings.Join(unknown, ", ") + "]"}
	}
	if len(retyped) > 0 {
		return &template.Error{Message: "Update of resource type is not permitted. The new template modifies resource type of the " +
			"following resources: [" + strings.Join(retyped, ", ") + "]"}
	}
	return nil
}

// resource plans one resource.
func (pl *planning) resource(id string) error {
	res := pl.Target.Bound.Resource(id)
	rt, _ := pl.Types(res.Type)
	after := map[string]any{}
	for _, f := range res.Properties.Fields() {
		v, ok, err := pl.eval(f.Value)
		if err != nil {
			return err
		}
		if ok {
			after[f.Key] = v
		}
	}
	if err := rt.Check(after); err != nil {
		return err
	}
	rec := pl.Records[id]
	if rec == nil || rec.Now == nil {
		pl.state[id] = isNew
		pl.plan.Changes = append(pl.plan.Changes, Planned{Action: "Add", LogicalID: id, Type: res.Type, After: pl.shown(after)})
		return nil
	}
	return pl.modify(res, rt, rec.Now, after)
}

// eval evaluates a property as far as it can be. ok is false for AWS::NoValue.
func (pl *planning) eval(v *template.Value) (value any, ok bool, err error) {
	r := &foreseen{pl: pl}
	x, err := pl.Target.Bound.EvalValue(v, r)
	if err != nil {
		if !r.unknown || isTransient(err) {
			return nil, false, err
		}
		// The function cannot take the stand-in for the value that is not known yet.
		return KnownAfterApply, true, nil
	}
	if x == nil {
		return nil, false, nil
	}
	return x.Any(), true, nil
}

func (pl *planning) shown(m map[string]any) map[string]any {
	if s := mask(m, pl.secrets); s != nil {
		return s
	}
	return m
}

// modify plans what becomes of a resource that is there.
func (pl *planning) modify(res *template.Resource, rt ResourceType, now *Physical, after map[string]any) error {
	p := Planned{
		Action: "Modify", LogicalID: res.LogicalID, PhysicalID: now.ID, Type: res.Type, Replacement: "False",
		Before: pl.shown(now.Properties), After: pl.shown(after),
	}
	known := false
	names := map[string]bool{}
	for name := range now.Properties {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		details := pl.property(res.LogicalID, rt, now, after, name)
		p.Details = append(p.Details, details...)
		known = known || (len(details) > 0 && !same(now.Properties[name], after[name]))
	}
	if len(p.Details) > 0 {
		p.Scope = append(p.Scope, "Properties")
	}
	more, err := pl.attributes(res, rt, now)
	if err != nil {
		return err
	}
	for _, d := range more {
		p.Details, p.Scope = append(p.Details, d), append(p.Scope, d.Attribute)
		known = true
	}
	if len(p.Details) == 0 {
		return nil
	}
	slices.Sort(p.Scope)
	p.Possible = !known
	pl.state[res.LogicalID] = changes
	if p.Replacement = replacement(p.Details); p.Replacement != "False" {
		pl.state[res.LogicalID] = isNew
		p.PolicyAction = "ReplaceAndDelete"
		if res.UpdateReplacePolicy == retain {
			p.PolicyAction = "ReplaceAndRetain"
		}
	}
	pl.plan.Changes = append(pl.plan.Changes, p)
	return nil
}

// replacement says whether the details need a new resource: "True", "Conditional" or "False".
func replacement(details []Detail) string {
	out := "False"
	for _, d := range details {
		if d.Recreation == "Always" && d.Static {
			return "True"
		}
		if d.Recreation == "Always" {
			out = "Conditional"
		}
	}
	return out
}

// property returns the reasons for a change of one property.
func (pl *planning) property(id string, rt ResourceType, now *Physical, after map[string]any, name string) []Detail {
	old, was := now.Properties[name]
	value, is := after[name]
	differs := was != is || !same(old, value)
	base := Detail{Attribute: "Properties", Name: name, Recreation: "Never", Kind: "Modify"}
	base.Before, base.After = pl.text(old), pl.text(value)
	switch {
	case !was:
		base.Kind = "Add"
	case !is:
		base.Kind = "Remove"
	}
	probe := maps.Clone(now.Properties)
	if probe == nil {
		probe = map[string]any{}
	}
	if probe[name] = value; !is {
		delete(probe, name)
	}
	if !differs {
		probe[name] = KnownAfterApply
	}
	if rt.Replaces(now.Properties, probe) {
		base.Recreation = "Always"
	}
	details := pl.causes(id, name, base, differs)
	if !differs || len(details) > 0 {
		return details
	}
	base.Static, base.Source = true, "DirectModification"
	return []Detail{base}
}

// causes returns what a property refers to that changes.
func (pl *planning) causes(id, name string, base Detail, differs bool) []Detail {
	var details []Detail
	seen := map[string]bool{}
	direct := pl.edited(id, name)
	for _, ref := range pl.Target.Bound.References(id) {
		cause, d := ref.Name, base
		if ref.Attribute != "" {
			cause += "." + ref.Attribute
		}
		if ref.Property != name || seen[cause] {
			continue
		}
		seen[cause] = true
		d.Cause = cause
		switch {
		case pl.changed[ref.Name] && differs:
			d.Source, d.Static = "ParameterReference", true
		case direct && differs:
			continue // the edit is the cause
		case ref.Attribute != "" && pl.state[ref.Name] != stays:
			d.Source = "ResourceAttribute"
		case ref.Attribute == "" && pl.state[ref.Name] == isNew:
			d.Source = "ResourceReference"
		default:
			continue
		}
		details = append(details, d)
		if d.Static {
			d.Source, d.Cause, d.Static = "DirectModification", "", false
			details = append(details, d)
		}
	}
	return details
}

// edited reports whether the text of a property differs between the templates.
func (pl *planning) edited(id, name string) bool {
	if pl.Before == nil {
		return false
	}
	old := pl.Before.Resource(id)
	if old == nil {
		return true
	}
	a, b := old.Properties.Get(name), pl.Target.Bound.Resource(id).Properties.Get(name)
	return (a == nil) != (b == nil) || (a != nil && !a.Equal(b))
}

func (pl *planning) text(v any) string {
	m := pl.shown(map[string]any{"v": v})
	if s, ok := scalarText(m["v"]); ok || m["v"] == nil {
		return s
	}
	x, err := template.FromAny(m["v"])
	if err != nil {
		return ""
	}
	return x.String()
}

// attributes returns the changes of a resource that are not its properties'.
func (pl *planning) attributes(res *template.Resource, rt ResourceType, now *Physical) ([]Detail, error) {
	var out []Detail
	add := func(attribute, before, after string) {
		if before != after {
			out = append(out, Detail{
				Attribute: attribute, Recreation: "Never", Static: true, Source: "DirectModification", Before: before, After: after,
			})
		}
	}
	metadata, err := metadataText(pl.Target.Bound, res, &foreseen{pl: pl})
	if err != nil {
		return nil, err
	}
	add("Metadata", now.Metadata, metadata)
	add("DeletionPolicy", now.DeletionPolicy, res.DeletionPolicy)
	add("UpdateReplacePolicy", now.UpdateReplacePolicy, res.UpdateReplacePolicy)
	if rt.Update != nil && !maps.Equal(now.Tags, pl.Source.TagMap()) {
		add("Tags", "before", "after")
		out[len(out)-1].Before, out[len(out)-1].After = "", ""
	}
	return out, nil
}

// sort puts the changes in the template's order, in which a reader looks for them.
func (pl *planning) sort() {
	place := map[string]int{}
	for i, r := range pl.Target.Bound.Resources() {
		place[r.LogicalID] = i
	}
	slices.SortFunc(pl.plan.Changes, func(a, b Planned) int { return place[a.LogicalID] - place[b.LogicalID] })
}

// removals plans the removal of what the template no longer has, dependents first.
func (pl *planning) removals() {
	all := slices.SortedFunc(maps.Values(pl.Records), func(a, b *Record) int { return strings.Compare(a.LogicalID, b.LogicalID) })
	for _, id := range removalOrder(all) {
		r := pl.Records[id]
		if r.Now == nil || pl.Target.Bound.Resource(id) != nil {
			continue
		}
		policy := "Delete"
		if r.Now.DeletionPolicy == retain {
			policy = retain
		}
		shown := r.Now.Properties
		if r.Now.Shown != nil {
			shown = r.Now.Shown
		}
		pl.plan.Changes = append(pl.plan.Changes, Planned{
			Action: "Remove", LogicalID: id, PhysicalID: r.Now.ID, Type: r.Now.Type, PolicyAction: policy, Before: shown,
		})
	}
}
