package sam

import (
	"crypto/sha1" //nolint:gosec // SAM's own choice for the names of resources; nothing depends on its strength
	"encoding/hex"
	"strings"

	"croft/internal/cfn/template"
)

// layer expands an AWS::Serverless::LayerVersion. The resource that comes of it gets another logical id whenever anything of it changes, so
// that what it was before can be retained; references to the one become references to the other.
func (x *expander) layer(s *source) ([]*resource, error) {
	p := properties{id: s.id, kind: "Property", v: s.properties}
	name, description := x.resolve(p.get("LayerName", template.String, template.Map)), x.resolve(p.get("Description", template.String))
	license, retention := x.resolve(p.get("LicenseInfo", template.String)), x.resolve(p.get("RetentionPolicy", template.String))
	content := p.get("ContentUri", template.String, template.Map)
	architectures := p.get("CompatibleArchitectures", template.List)
	runtimes := p.get("CompatibleRuntimes", template.List)
	if err := p.done(); err != nil {
		return nil, err
	}
	if content == nil {
		return nil, invalid(s.id, s.value.Pos(), "Missing required property 'ContentUri'.")
	}
	policy, err := retentionPolicy(s, retention)
	if err != nil {
		return nil, err
	}
	id := s.id + x.layerHash(s, present(f("LayerName", name), f("Description", description), f("LicenseInfo", license), f("RetentionPolicy", retention)))
	where, err := location(s, "ContentUri", content)
	if err != nil {
		return nil, err
	}
	if !truthy(name) {
		name = str(s.id)
	}
	if err := x.checkArchitectures(s, architectures); err != nil {
		return nil, err
	}
	attributes := present(f("DependsOn", s.dependsOn()))
	for _, a := range s.inherited() {
		if a.Key != "DeletionPolicy" {
			attributes = append(attributes, a)
		}
	}
	if policy == nil {
		policy = s.value.Get("DeletionPolicy")
	}
	if policy == nil {
		policy = str("Retain")
	}
	x.stages[s.id] = id
	return []*resource{{id: id, typ: "AWS::Lambda::LayerVersion", attributes: append(attributes, f("DeletionPolicy", policy)), properties: present(
		f("LayerName", name), f("Description", description), f("Content", where), f("CompatibleArchitectures", architectures),
		f("CompatibleRuntimes", runtimes), f("LicenseInfo", license))}}, nil
}

// layerHash returns the end of a layer's logical id. Its form is the translator's, so that a stack that AWS has made keeps its layers.
func (x *expander) layerHash(s *source, resolved []template.Field) string {
	all := s.properties
	for _, field := range resolved {
		all = all.Set(field.Key, field.Value)
	}
	fields := append(present(f("DependsOn", s.dependsOn()), f("Condition", s.value.Get("Condition"))), f("Type", str(layerType)), f("Properties", all))
	var text strings.Builder
	canonical(&text, object(f(s.id, object(fields...))))
	return shortHash(text.String())
}

// retentionPolicy returns the DeletionPolicy that a layer's RetentionPolicy means, nil when there is none.
func retentionPolicy(s *source, v *value) (*value, error) {
	if v == nil {
		return nil, nil
	}
	text, ok := v.Str()
	switch {
	case !ok:
		return nil, invalid(s.id, v.Pos(), "'RetentionPolicy' does not accept intrinsic functions, please use one of the following options: ['Retain', 'Delete']")
	case strings.EqualFold(text, "Retain"):
		return str("Retain"), nil
	case strings.EqualFold(text, "Delete"):
		return str("Delete"), nil
	}
	return nil, invalid(s.id, v.Pos(), "'RetentionPolicy' must be one of the following options: ['Retain', 'Delete'].")
}

func (x *expander) checkArchitectures(s *source, v *value) error {
	for _, item := range x.resolve(v).Items() {
		text, ok := item.Str()
		if ok && text != "x86_64" && text != "arm64" {
			return invalid(s.id, item.Pos(), "CompatibleArchitectures needs to be a list of '%s' or '%s'", "x86_64", "arm64")
		}
	}
	return nil
}

// shortHash returns the end of names that the translator makes of a text.
func shortHash(text string) string {
	const length = 10
	sum := sha1.Sum([]byte(text))
	return hex.EncodeToString(sum[:])[:length]
}
