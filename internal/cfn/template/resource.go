package template

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
	case "DeletionPolicy":
		r.DeletionPolicy, err = t.policy(r, f)
		ok = true
	case "UpdateReplacePolicy":
		r.UpdateReplacePolicy, err = t.policy(r, f)
		ok = true
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

func (t *Template) policy(r *Resource, f Field) (string, error) {
	s, ok := f.Value.Str()
	if !ok {
		if len(t.Transforms) > 0 {
			return "", nil // a transform may resolve it; what it leaves is checked again
		}
		return "", errorAt(f.Value.Pos(), "Template format error: Every %s member must be a string.", f.Key)
	}
	switch s {
	case "Delete", "Retain":
		return s, nil
	case "Snapshot", "RetainExceptOnCreate":
		return "", Unsupported(f.Value.Pos(), f.Key+" "+s+" of resource "+r.LogicalID)
	}
	return "", errorAt(f.Value.Pos(), "Template format error: Unrecognized %s %s for resource %s", f.Key, clip(s), r.LogicalID)
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
