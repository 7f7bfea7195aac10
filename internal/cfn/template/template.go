package template

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Template is a template's sections.
type Template struct {
	FormatVersion string
	Description   string
	Metadata      *Value
	// Transforms names the transforms still to be applied, in order. While there are any, the template has been checked for
	// form alone and cannot be bound.
	Transforms []string
	Parameters []*Parameter
	Resources  []*Resource
	Outputs    []*Output
	// UsesAliases says that the text had YAML aliases or merge keys, which CloudFormation's own API refuses.
	UsesAliases bool

	root       *Value
	mappings   map[string]map[string]*Value
	conditions []Field
	condition  map[string]*Value
	resource   map[string]*Resource
	parameter  map[string]*Parameter
}

// Resource is one entry of the Resources section.
type Resource struct {
	LogicalID  string
	Type       string
	Properties *Value // a Map, or nil
	DependsOn  []string
	Condition  string
	// DeletionPolicy and UpdateReplacePolicy are "Delete", "Retain" or "", which means the type's own default. Where they are
	// functions only a Bound knows them.
	DeletionPolicy      string
	UpdateReplacePolicy string
	Metadata            *Value
	Pos                 Pos

	policies []Field // DeletionPolicy and UpdateReplacePolicy where they are functions
}

// Output is one entry of the Outputs section.
type Output struct {
	Name        string
	Description string
	Value       *Value
	ExportName  *Value // nil when the output is not exported
	Condition   string
	Pos         Pos
}

// Parse reads a template from YAML or JSON.
func Parse(src []byte) (*Template, error) {
	root, aliases, err := ParseValue(src)
	if err != nil {
		return nil, err
	}
	t, err := Build(root)
	if err != nil {
		return nil, err
	}
	t.UsesAliases = aliases
	return t, nil
}

// ParseValue reads YAML or JSON text as a Value, short tags in their long form, and reports whether it had YAML aliases.
func ParseValue(src []byte) (v *Value, usesAliases bool, err error) {
	if len(src) > MaxSize {
		return nil, false, errorAt(Pos{}, "Template may not exceed %d bytes in size.", MaxSize)
	}
	if !utf8.Valid(src) {
		return nil, false, errorAt(Pos{}, "Template format error: the template is not UTF-8 text")
	}
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	head := bytes.TrimLeft(src, " \t\r\n")
	if len(head) == 0 || head[0] != '{' {
		return parseYAML(src)
	}
	v, err = parseJSON(src)
	if err == nil {
		return v, false, nil
	}
	// What is not quite JSON, with a comma too many, may still be YAML.
	if y, aliases, yamlErr := parseYAML(src); yamlErr == nil {
		return y, aliases, nil
	}
	return nil, false, err
}

// Build makes a Template of a tree that Parse read or a transform produced.
func Build(root *Value) (*Template, error) {
	if !root.Is(Map) {
		return nil, errorAt(root.Pos(), "Template format error: unsupported structure.")
	}
	t := &Template{root: root, Metadata: root.Get("Metadata")}
	if err := t.buildTransforms(root.Get("Transform")); err != nil {
		return nil, err
	}
	if len(t.Transforms) == 0 {
		if err := checkNulls(root); err != nil {
			return nil, err
		}
	}
	if err := t.checkSections(); err != nil {
		return nil, err
	}
	for _, build := range []func() error{
		t.buildHead, t.buildParameters, t.buildMappings, t.buildConditions, t.buildResources, t.buildOutputs,
	} {
		if err := build(); err != nil {
			return nil, err
		}
	}
	if len(t.Transforms) > 0 {
		return t, nil
	}
	return t, t.check()
}

// Root returns the tree the template was built from.
func (t *Template) Root() *Value { return t.root }

// Resource returns the resource of that logical id, or nil.
func (t *Template) Resource(id string) *Resource { return t.resource[id] }

// Parameter returns the parameter of that name, or nil.
func (t *Template) Parameter(name string) *Parameter { return t.parameter[name] }

func (t *Template) buildTransforms(v *Value) error {
	switch v.Kind() {
	case Null:
		return nil
	case String:
		t.Transforms = []string{v.text}
		return nil
	case List:
		for _, item := range v.items {
			name, ok := item.Str()
			if !ok {
				return errTransform(item)
			}
			t.Transforms = append(t.Transforms, name)
		}
		return nil
	}
	return errTransform(v)
}

// errTransform refuses a transform with parameters.
func errTransform(v *Value) error {
	name, _ := v.Get("Name").Scalar()
	return Unsupported(v.Pos(), "The transform "+clip(name)+" with parameters")
}

func (t *Template) checkSections() error {
	var unknown []string
	for _, f := range t.root.fields {
		switch f.Key {
		case "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings", "Conditions", "Transform", "Resources", "Outputs":
		case "Rules", "Hooks":
			return Unsupported(f.Value.Pos(), "The "+f.Key+" section")
		case "Globals":
			if len(t.Transforms) == 0 {
				unknown = append(unknown, f.Key)
			}
		default:
			unknown = append(unknown, clip(f.Key))
		}
	}
	if len(unknown) > 0 {
		return errorAt(t.root.pos, "Invalid template property or properties [%s]", strings.Join(unknown, ", "))
	}
	return nil
}

func (t *Template) buildHead() error {
	if v := t.root.Get("AWSTemplateFormatVersion"); v != nil {
		if s, ok := v.Scalar(); !ok || s != "2010-09-09" {
			return errorAt(v.pos, "Template format error: unsupported value for AWSTemplateFormatVersion.")
		}
		t.FormatVersion = v.text
	}
	if v := t.root.Get("Description"); v != nil {
		s, ok := v.Scalar()
		if !ok {
			return errorAt(v.pos, "Template format error: Description must be a string.")
		}
		if len(s) > 1024 {
			return errorAt(v.pos, "Template format error: 'Description' length is greater than 1024.")
		}
		t.Description = s
	}
	if t.Metadata != nil && !t.Metadata.Is(Map) {
		return errorAt(t.Metadata.pos, "Template format error: Metadata must be an object.")
	}
	return nil
}

// section returns the fields of a section, which must be a map of at most limit entries with alphanumeric names.
func (t *Template) section(name, entry string, limit int) ([]Field, error) {
	v := t.root.Get(name)
	if v.Is(Null) {
		return nil, nil
	}
	if v.kind != Map {
		return nil, errorAt(v.pos, "Template format error: %s must be an object.", name)
	}
	if len(v.fields) > limit {
		return nil, errorAt(v.pos, "Template format error: Number of %s, %d, is greater than maximum allowed, %d",
			strings.ToLower(name), len(v.fields), limit)
	}
	for _, f := range v.fields {
		if entry != "" && !alphanumeric(f.Key) {
			return nil, errorAt(f.Value.Pos(), "Template format error: %s name %s is non alphanumeric.", entry, clip(f.Key))
		}
		if entry != "" && len(f.Key) > 255 {
			return nil, errorAt(f.Value.Pos(), "Template format error: %s name %s is longer than 255 characters.", entry, f.Key)
		}
	}
	return v.fields, nil
}

func (t *Template) buildMappings() error {
	fields, err := t.section("Mappings", "", maxMappings)
	if err != nil {
		return err
	}
	t.mappings = make(map[string]map[string]*Value, len(fields))
	for _, m := range fields {
		if !m.Value.Is(Map) {
			return errorAt(m.Value.Pos(), "Template format error: Every Mappings member %s must be a map", clip(m.Key))
		}
		if err := checkAttributes(m.Key, m.Value); err != nil {
			return err
		}
		top := make(map[string]*Value, m.Value.Len())
		for _, f := range m.Value.fields {
			if err := checkMapping(f); err != nil {
				return err
			}
			top[f.Key] = f.Value
		}
		t.mappings[m.Key] = top
	}
	return nil
}

func checkAttributes(name string, v *Value) error {
	if v.Len() <= maxMappings {
		return nil
	}
	return errorAt(v.Pos(), "Template format error: Number of attributes of mapping %s, %d, is greater than maximum allowed, %d",
		clip(name), v.Len(), maxMappings)
}

func checkMapping(f Field) error {
	if !f.Value.Is(Map) {
		return errorAt(f.Value.Pos(), "Template format error: Every Mappings member %s must be a map", clip(f.Key))
	}
	if err := checkAttributes(f.Key, f.Value); err != nil {
		return err
	}
	for _, leaf := range f.Value.fields {
		_, ok := leaf.Value.Scalar()
		for _, item := range leaf.Value.Items() {
			if _, ok = item.Scalar(); !ok {
				break
			}
		}
		if leaf.Value.Is(List) && leaf.Value.Len() == 0 {
			ok = true
		}
		if !ok {
			return errorAt(leaf.Value.Pos(), "Template format error: Every Mappings attribute must be a String or a List.")
		}
	}
	return nil
}

func (t *Template) buildConditions() error {
	fields, err := t.section("Conditions", "", maxNodes)
	if err != nil {
		return err
	}
	t.conditions = fields
	t.condition = make(map[string]*Value, len(fields))
	for _, f := range fields {
		if len(t.Transforms) == 0 && (!f.Value.Is(Map) || f.Value.Len() != 1) {
			return errorAt(f.Value.Pos(), "Template format error: Every Conditions member must be an object with a single condition function.")
		}
		t.condition[f.Key] = f.Value
	}
	return nil
}

func (t *Template) buildOutputs() error {
	fields, err := t.section("Outputs", "Output", maxOutputs)
	if err != nil {
		return err
	}
	for _, f := range fields {
		o, err := buildOutput(f.Key, f.Value)
		if err != nil {
			return err
		}
		t.Outputs = append(t.Outputs, o)
	}
	return nil
}

func buildOutput(name string, v *Value) (*Output, error) {
	o := &Output{Name: name, Pos: v.Pos()}
	if !v.Is(Map) {
		return nil, errorAt(v.Pos(), "Template format error: Every Outputs member must be an object")
	}
	for _, f := range v.fields {
		var ok bool
		switch f.Key {
		case "Value":
			o.Value, ok = f.Value, true
		case "Description":
			o.Description, ok = f.Value.Scalar()
		case "Condition":
			o.Condition, ok = f.Value.Str()
		case "Export":
			o.ExportName, ok = f.Value.Get("Name"), f.Value.Len() == 1 && f.Value.Get("Name") != nil
		default:
			return nil, errorAt(f.Value.Pos(), "Invalid template output property '%s'", clip(f.Key))
		}
		if !ok {
			return nil, errorAt(f.Value.Pos(), "Template format error: Output %s is malformed. The %s member is not valid", name, f.Key)
		}
	}
	if o.Value == nil {
		return nil, errorAt(v.pos, "Template format error: Every Outputs member must contain a Value object")
	}
	return o, nil
}

// checkNulls finds the first null; CloudFormation refuses it before it looks at anything else.
func checkNulls(root *Value) error {
	path, at := findNull(root)
	if at == nil {
		return nil
	}
	slices.Reverse(path)
	return errorAt(at.pos, "[/%s] 'null' values are not allowed in templates", strings.Join(path, "/"))
}

// findNull returns the first null in v and the keys that lead to it, the last first.
func findNull(v *Value) (path []string, at *Value) {
	if v.Is(Null) {
		return nil, v
	}
	for i, item := range v.Items() {
		if path, at := findNull(item); at != nil {
			return append(path, strconv.Itoa(i)), at
		}
	}
	for _, f := range v.Fields() {
		if path, at := findNull(f.Value); at != nil {
			return append(path, clip(f.Key)), at
		}
	}
	return nil, nil
}

func alphanumeric(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}

// quoteList renders names as CloudFormation does: [A, B].
func quoteList(names []string) string { return fmt.Sprintf("[%s]", strings.Join(names, ", ")) }
