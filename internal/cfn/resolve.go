package cfn

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"croft/internal/cfn/template"
)

// live resolves references to resources that have been made. It notes the exports it is asked for.
type live struct {
	j       Journal
	x       Exports
	imports map[string]bool
}

func newLive(j Journal, x Exports) *live { return &live{j: j, x: x, imports: map[string]bool{}} }

// imported returns the names of the exports that were asked for, in order.
func (l *live) imported() []string { return slices.Sorted(maps.Keys(l.imports)) }

func (l *live) physical(id string) (*Physical, error) {
	r, err := l.j.Resource(id)
	if err != nil {
		return nil, journalError(err)
	}
	if r == nil || r.Now == nil {
		return nil, &template.Error{Message: "Template error: resource " + id + " has not been created"}
	}
	return r.Now, nil
}

// Ref returns the physical id.
func (l *live) Ref(id string) (*template.Value, error) {
	p, err := l.physical(id)
	if err != nil {
		return nil, err
	}
	return template.NewString(p.ID), nil
}

// GetAtt returns an attribute.
func (l *live) GetAtt(id, attribute string) (*template.Value, error) {
	p, err := l.physical(id)
	if err != nil {
		return nil, err
	}
	return attributeOf(id, p, attribute)
}

func attributeOf(id string, p *Physical, attribute string) (*template.Value, error) {
	a, ok := p.Attributes[attribute]
	if !ok {
		return nil, &template.Error{Message: fmt.Sprintf(
			"Template error: resource %s does not support attribute type %s in Fn::GetAtt", id, attribute)}
	}
	return template.FromAny(a)
}

// Import returns what another stack exports.
func (l *live) Import(name string) (*template.Value, error) {
	value, ok, err := l.x.Import(name)
	if err != nil {
		return nil, journalError(err)
	}
	if !ok {
		return nil, &template.Error{Message: "No export named " + name + " found."}
	}
	l.imports[name] = true
	return template.NewString(value), nil
}

// describe evaluates a resource: what it is to be, without an id or attributes.
func (st *step) describe(id string) (*Physical, error) {
	res := st.target.Bound.Resource(id)
	l := newLive(st.j, st.x)
	v, err := st.target.Bound.Eval(id, l)
	if err != nil {
		return nil, err
	}
	p := &Physical{
		Type: res.Type, Deps: st.target.Graph.Dependencies(id), Tags: st.s.Current.TagMap(),
		DeletionPolicy: res.DeletionPolicy, UpdateReplacePolicy: res.UpdateReplacePolicy,
	}
	p.Properties, _ = v.Any().(map[string]any)
	if p.Metadata, err = metadataText(st.target.Bound, res, l); err != nil {
		return nil, err
	}
	p.Imports = l.imported()
	p.Shown = mask(p.Properties, secrets(&st.s.Current))
	return p, nil
}

// metadataText evaluates a resource's metadata to JSON text, empty when it has none.
func metadataText(b *template.Bound, res *template.Resource, r template.Resolver) (string, error) {
	if res.Metadata == nil {
		return "", nil
	}
	v, err := b.EvalValue(res.Metadata, r)
	if err != nil || v == nil {
		return "", err
	}
	return v.String(), nil
}

// secrets returns the values of a source's NoEcho parameters.
func secrets(s *Source) []string {
	var out []string
	for _, p := range s.Parameters {
		if p.NoEcho && p.Value != "" {
			out = append(out, p.Value)
		}
	}
	return out
}

const masked = "****"

// mask returns properties with each secret replaced, or nil when none is in them.
func mask(properties map[string]any, secrets []string) map[string]any {
	if len(secrets) == 0 {
		return nil
	}
	m, changed := maskValue(properties, secrets)
	if !changed {
		return nil
	}
	return m.(map[string]any)
}

func maskValue(v any, secrets []string) (out any, changed bool) {
	switch v := v.(type) {
	case string:
		s := v
		for _, secret := range secrets {
			s = strings.ReplaceAll(s, secret, masked)
		}
		return s, s != v
	case json.Number:
		if slices.Contains(secrets, v.String()) {
			return masked, true
		}
		return v, false
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			x, c := maskValue(e, secrets)
			m[k], changed = x, changed || c
		}
		return m, changed
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			x, c := maskValue(e, secrets)
			l[i], changed = x, changed || c
		}
		return l, changed
	}
	return v, false
}

// same reports whether two properties mean the same; CloudFormation does not tell "2" from 2.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		if !ok || len(a) != len(m) {
			return false
		}
		for k, v := range a {
			w, ok := m[k]
			if !ok || !same(v, w) {
				return false
			}
		}
		return true
	case []any:
		l, ok := b.([]any)
		if !ok || len(a) != len(l) {
			return false
		}
		for i := range a {
			if !same(a[i], l[i]) {
				return false
			}
		}
		return true
	case nil:
		return b == nil
	}
	x, ok := scalarText(a)
	y, ok2 := scalarText(b)
	return ok && ok2 && x == y
}

// needsNew reports whether going from one set of properties to another needs a new resource. Properties that mean the same are
// taken to be the same, however they are written.
func needsNew(rt ResourceType, before, after map[string]any) bool {
	settled := make(map[string]any, len(after))
	for k, v := range after {
		if old, ok := before[k]; ok && same(old, v) {
			v = old
		}
		settled[k] = v
	}
	return rt.Replaces(before, settled)
}
