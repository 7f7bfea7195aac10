package model

import "fmt"

// shape reads the shape called name and all it reaches. Recursive shapes end because a shape is known before its parts are.
func (r *reader) shape(name string) (*Shape, error) {
	if s, ok := r.shapes[name]; ok {
		return s, nil
	}
	n := r.root.get("shapes", name)
	if n == nil {
		return nil, fmt.Errorf("the model has no shape %s", name)
	}
	s := &Shape{
		Name: name, Type: n.str("type"), Flat: n.flag("flattened"), Sensitive: n.flag("sensitive"),
		Pattern: n.str("pattern"), GoPattern: n.str("croftPattern"),
		OrARN: n.flag("croftOrARN"), First: n.str("croftFirst"), Enum: n.strings("enum"), TimeFormat: n.str("timestampFormat"), Payload: n.str("payload"),
	}
	r.shapes[name] = s
	switch {
	case n.flag("document"):
		s.Type = "document"
	case n.flag("eventstream"):
		s.Type = "eventStream"
	}
	if err := s.limits(n); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := r.parts(s, n); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if n.flag("exception") {
		s.Error = errorTrait(name, n)
	}
	return s, nil
}

func (s *Shape) limits(n *node) error {
	var err error
	if s.Min, s.HasMin, err = n.number("min"); err != nil {
		return err
	}
	s.Max, s.HasMax, err = n.number("max")
	return err
}

func (r *reader) parts(s *Shape, n *node) error {
	var err error
	switch s.Type {
	case "list":
		s.ElemName = n.str("member", "locationName")
		s.Elem, err = r.shape(n.str("member", "shape"))
	case "map":
		s.KeyName, s.ElemName = n.str("key", "locationName"), n.str("value", "locationName")
		if s.Key, err = r.shape(n.str("key", "shape")); err == nil {
			s.Elem, err = r.shape(n.str("value", "shape"))
		}
	case "structure", "eventStream":
		err = r.members(s, n)
	case "string", "blob", "boolean", "integer", "long", "float", "double", "timestamp", "document", "streamed":
	default:
		err = fmt.Errorf("unknown type %q", s.Type)
	}
	return err
}

func (r *reader) members(s *Shape, n *node) error {
	required := map[string]bool{}
	for _, name := range n.strings("required") {
		required[name] = true
	}
	members := n.get("members")
	for i, name := range members.keys {
		m := members.items[i]
		shape, err := r.shape(m.str("shape"))
		if err != nil {
			return err
		}
		member := Member{
			Name: name, GoName: Export(name), Wire: m.str("locationName"), Location: m.str("location"), Shape: shape,
			Required: required[name], Flat: m.flag("flattened") || shape.Flat, Attribute: m.flag("xmlAttribute"),
		}
		if member.Wire == "" {
			member.Wire = name
		}
		switch {
		case m.flag("eventheader"):
			member.Location = "eventHeader"
		case m.flag("eventpayload"):
			s.Payload = name
		case shape.Type == "eventStream":
			s.Events = name
		}
		if s.Type == "eventStream" && r.root.flag("shapes", shape.Name, "exception") {
			s.Exceptions = append(s.Exceptions, member)
			continue
		}
		s.Members = append(s.Members, member)
		delete(required, name)
	}
	for name := range required {
		return fmt.Errorf("requires %s, which it does not have", name)
	}
	return nil
}

// errorTrait returns an error shape's trait; 400 is the protocols' own default.
func errorTrait(name string, n *node) *Error {
	e := &Error{Code: name, Status: 400, QueryCode: n.str("error", "queryCode")}
	if code := n.str("error", "code"); code != "" {
		e.Code = code
	}
	if status, ok, err := n.number("error", "httpStatusCode"); ok && err == nil {
		e.Status = status
	} else if n.flag("fault") {
		e.Status = 500
	}
	return e
}
