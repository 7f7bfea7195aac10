package template

import "strings"

func (t *Template) buildResources() error {
	fields, err := t.section("Resources", "", maxResources)
	if err != nil {
		return err
	}
	if len(fields) == 0 {
		return errorAt(t.root.pos, "Template format error: At least one Resources member must be defined.")
	}
	t.resource = make(map[string]*Resource, len(fields))
	for _, f := range fields {
		if strings.HasPrefix(f.Key, "Fn::") {
			return errUnknownFunction(f.Key, f.Value.Pos())
		}
		if !alphanumeric(f.Key) {
			return errorAt(f.Value.Pos(), "Template format error: Resource name %s is non alphanumeric.", clip(f.Key))
		}
		if len(f.Key) > 255 {
			return errorAt(f.Value.Pos(), "Template format error: Resource name %s is longer than 255 characters.", clip(f.Key))
		}
		r, err := t.buildResource(f.Key, f.Value)
		if err != nil {
			return err
		}
		t.Resources = append(t.Resources, r)
		t.resource[r.LogicalID] = r
	}
	return nil
}

func (t *Template) buildResource(id string, v *Value) (*Resource, error) {
	if !v.Is(Map) {
		return nil, errorAt(v.Pos(), "Template format error: Any Resources member must be an object.")
	}
	r := &Resource{LogicalID: id, Pos: v.pos}
	for _, f := range v.fields {
		if err := t.buildAttribute(r, f); err != nil {
			return nil, err
		}
	}
	if r.Type == "" {
		return nil, errorAt(v.pos, "Template format error: [/Resources/%s] Every Resources object must contain a Type member.", id)
	}
	return r, nil
}

// buildAttribute sets one of r's attributes.
func (t *Template) buildAttribute(r *Resource, f Field) error {
	var ok bool
	var err error
	switch f.Key {
	case "Type":
		r.Type, ok = f.Value.Str()
	case "Properties":
		// A transform may allow null here and is asked first; check refuses it afterwards.
		r.Properties, ok = f.Value, f.Value.Is(Map) || (f.Value.Is(Null) && len(t.Transforms) > 0)
	case "DependsOn":
		r.DependsOn, ok = stringOrList(f.Value)
	case "Condition":
		r.Condition, ok = f.Value.Str()
	case "Metadata":
		r.Metadata, ok = f.Value, f.Value.Is(Map)
	case "DeletionPolicy", "UpdateReplacePolicy":
		ok = true
		err = r.setPolicy(f.Key, f.Value)
	case "CreationPolicy", "UpdatePolicy":
		return Unsupported(f.Value.Pos(), "The attribute "+f.Key+" of resource "+r.LogicalID)
	default:
		if len(t.Transforms) > 0 {
			return nil // the transform may know it
		}
		return errorAt(f.Value.Pos(), "Invalid template resource property '%s'", clip(f.Key))
	}
	if err == nil && !ok {
		err = errorAt(f.Value.Pos(), "Template format error: [/Resources/%s/%s] is of the wrong type: %s", r.LogicalID, f.Key, f.Value.Kind())
	}
	return err
}

// setPolicy sets DeletionPolicy or UpdateReplacePolicy, unless it is a function, which Bind evaluates.
func (r *Resource) setPolicy(name string, v *Value) error {
	if fn, _ := Call(v); fn != "" {
		r.policies = append(r.policies, Field{name, v})
		return nil
	}
	s, ok := v.Str()
	if !ok {
		return errorAt(v.Pos(), "Template format error: Every %s member must be a string.", name)
	}
	switch s {
	case "Delete", "Retain":
	case "Snapshot", "RetainExceptOnCreate":
		return Unsupported(v.Pos(), name+" "+s+" of resource "+r.LogicalID)
	default:
		return errorAt(v.Pos(), "Template format error: Unrecognized %s %s for resource %s", name, clip(s), r.LogicalID)
	}
	if name == "DeletionPolicy" {
		r.DeletionPolicy = s
	} else {
		r.UpdateReplacePolicy = s
	}
	return nil
}

// decidePolicies returns r with the policies evaluated that are functions. They may not depend on resources.
func (b *Bound) decidePolicies(r *Resource) (*Resource, error) {
	if len(r.policies) == 0 {
		return r, nil
	}
	c := *r
	c.policies = nil
	for _, p := range r.policies {
		v, err := b.evaluator(noResources{}).value(p.Value, 0)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue // AWS::NoValue
		}
		if !v.Is(String) {
			return nil, errorAt(p.Value.Pos(), "Template format error: Every %s member must be a string.", p.Key)
		}
		if err := c.setPolicy(p.Key, v); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

func stringOrList(v *Value) ([]string, bool) {
	if s, ok := v.Str(); ok {
		return []string{s}, true
	}
	if !v.Is(List) {
		return nil, false
	}
	var all []string
	for _, item := range v.items {
		s, ok := item.Str()
		if !ok {
			return nil, false
		}
		all = append(all, s)
	}
	return all, true
}
