package template

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v4"
)

// parseYAML reads one YAML document. Aliases and merge keys are expanded: CloudFormation itself refuses them, but the tools in
// front of it (sam, aws cloudformation package) accept them. usesAliases says that there were some.
func parseYAML(src []byte) (v *Value, usesAliases bool, err error) {
	var doc yaml.Node
	if err := yaml.Load(src, &doc, yaml.WithSingleDocument(false), yaml.WithUniqueKeys(false)); err != nil {
		return nil, false, malformedYAML(err)
	}
	root := &doc
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		root = root.Content[0]
	}
	p := &yamlParser{}
	v, err = p.value(root, 0)
	return v, p.aliases, err
}

func malformedYAML(err error) error {
	const message = "Template format error: YAML not well-formed."
	if e, ok := errors.AsType[*yaml.LoadError](err); ok && e.Mark.Line > 0 {
		p := Pos{Line: e.Mark.Line, Column: max(e.Mark.Column, 1)}
		out := errorAt(p, "%s (line %d, column %d)", message, p.Line, p.Column)
		out.Detail = clip(e.Message)
		return out
	}
	return errorAt(Pos{}, message)
}

type yamlParser struct {
	nodes   int
	aliases bool
}

// value converts n. An alias is converted again each time it is met, so that nodes counts what the text expands to; an alias
// that contains itself runs into the depth limit.
func (p *yamlParser) value(n *yaml.Node, depth int) (*Value, error) {
	pos := Pos{n.Line, n.Column}
	p.nodes++
	if p.nodes > maxNodes {
		return nil, errTooManyNodes(pos)
	}
	if depth > maxDepth {
		return nil, errTooDeep(pos)
	}
	if n.Kind == yaml.AliasNode {
		p.aliases = true
		return p.value(n.Alias, depth+1)
	}
	v, err := p.untagged(n, depth)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") && n.Tag != "!" {
		return p.tagged(n.Tag, v)
	}
	return v, nil
}

func (p *yamlParser) untagged(n *yaml.Node, depth int) (*Value, error) {
	v := &Value{pos: Pos{n.Line, n.Column}}
	if n.Style&yaml.TaggedStyle != 0 && strings.HasPrefix(n.Tag, "!!") && !plainTag(n.Tag) {
		return nil, errorAt(v.pos, "Template format error: the YAML tag %s is not supported", n.Tag)
	}
	switch n.Kind {
	case yaml.SequenceNode:
		v.kind = List
		for _, c := range n.Content {
			item, err := p.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, item)
		}
		return v, nil
	case yaml.MappingNode:
		v.kind = Map
		return v, p.mapping(v, n, depth)
	case yaml.ScalarNode:
		v.kind, v.text = scalar(n)
		return v, nil
	}
	return nil, errorAt(v.pos, "Template format error: YAML not well-formed.")
}

func (p *yamlParser) mapping(v *Value, n *yaml.Node, depth int) error {
	seen := keySet{}
	var merged []Field
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind == yaml.AliasNode {
			p.aliases = true
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return errorAt(Pos{k.Line, k.Column}, "Template format error: YAML not well-formed. (line %d, column %d)", k.Line, k.Column)
		}
		x, err := p.value(n.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		if k.Value == "<<" && k.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
			p.aliases = true
			more, err := mergeFields(x)
			if err != nil {
				return err
			}
			merged = append(merged, more...)
			continue
		}
		if !seen.add(k.Value) {
			return errDuplicateKey(Pos{k.Line, k.Column}, k.Value)
		}
		v.fields = append(v.fields, Field{k.Value, x})
	}
	// A key of the map itself wins over a merged one, and an earlier merge over a later.
	for _, f := range merged {
		if seen.add(f.Key) {
			v.fields = append(v.fields, f)
		}
	}
	return nil
}

// mergeFields returns what the value of a merge key contributes.
func mergeFields(x *Value) ([]Field, error) {
	switch x.kind {
	case Map:
		return x.fields, nil
	case List:
		var all []Field
		for _, item := range x.items {
			if item.kind != Map {
				return nil, errorAt(item.pos, "Template format error: YAML not well-formed.")
			}
			all = append(all, item.fields...)
		}
		return all, nil
	}
	return nil, errorAt(x.pos, "Template format error: YAML not well-formed.")
}

// tagged turns a short form into its long one: !Sub x is {"Fn::Sub": x}.
func (p *yamlParser) tagged(tag string, v *Value) (*Value, error) {
	name := tag[1:]
	long := "Fn::" + name
	if name == "Ref" || name == "Condition" {
		long = name
	}
	if p.nodes++; p.nodes > maxNodes {
		return nil, errTooManyNodes(v.pos)
	}
	if long == "Fn::GetAtt" && v.kind == String {
		v = splitGetAtt(v)
	}
	return &Value{kind: Map, pos: v.pos, fields: []Field{{long, v}}}, nil
}

// scalar resolves a plain scalar by the rules of YAML 1.1, which is what CloudFormation reads; everything quoted is a string.
// Dates stay strings.
func scalar(n *yaml.Node) (Kind, string) {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Style&quoted != 0 {
		return String, n.Value
	}
	custom := strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!")
	if custom || (n.Style&yaml.TaggedStyle != 0 && n.Tag == "!!str") {
		return String, n.Value
	}
	switch n.Value {
	case "", "~", "null", "Null", "NULL":
		return Null, ""
	case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON":
		return Bool, "true"
	case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF":
		return Bool, "false"
	}
	if num, ok := yamlNumber(n.Value); ok {
		return Number, num
	}
	return String, n.Value
}

// plainTag reports whether tag is one of YAML's own that CloudFormation knows.
func plainTag(tag string) bool {
	switch tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!merge":
		return true
	}
	return false
}
