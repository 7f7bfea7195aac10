package sam

import (
	"slices"

	"croft/internal/cfn/template"
)

// properties reads a map of properties; what has not been read at the end is not supported. The first error counts.
type properties struct {
	id   string // of the resource, or of a function's event
	kind string // what an error calls a property
	v    *value
	read []string
	err  error
	// event is set when the properties belong to an event of the function id.
	event string
}

// get returns a property, nil when it is absent or null, and checks its kind. Any function may stand in for any kind; without
// kinds everything is allowed.
func (p *properties) get(name string, kinds ...template.Kind) *value {
	p.read = append(p.read, name)
	v := p.v.Get(name)
	if v.Is(template.Null) {
		return nil
	}
	oneKey := v.Is(template.Map) && v.Len() == 1
	if len(kinds) > 0 && !oneKey && !slices.Contains(kinds, v.Kind()) {
		if len(kinds) == 1 && (kinds[0] == template.Map || kinds[0] == template.String) {
			p.fail(v.Pos(), "Property '"+name+"' should be a "+kinds[0].String()+".")
		} else {
			p.fail(v.Pos(), "Type of property '"+name+"' is invalid.")
		}
	}
	return v
}

func (p *properties) fail(pos template.Pos, message string) {
	if p.err != nil {
		return
	}
	if p.event != "" {
		p.err = invalid(p.id+p.event, pos, "%s", message)
		return
	}
	p.err = invalid(p.id, pos, "%s", message)
}

// done returns the first error: a property of the wrong kind, or one that nobody asked for.
func (p *properties) done() error {
	if p.err != nil {
		return p.err
	}
	for _, field := range p.v.Fields() {
		if slices.Contains(p.read, field.Key) {
			continue
		}
		if p.event != "" {
			return invalidEvent(p.id, p.event, field.Value.Pos(), "%s %s is not supported by croft.", p.kind, clip(field.Key))
		}
		return unsupported(p.id, field.Value.Pos(), p.kind+" "+clip(field.Key))
	}
	return nil
}
