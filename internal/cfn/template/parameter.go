package template

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parameter is one entry of the Parameters section.
type Parameter struct {
	Name                  string
	Type                  string
	Default               *string
	Description           string
	ConstraintDescription string
	AllowedValues         []string
	NoEcho                bool
	Pos                   Pos

	pattern              *regexp.Regexp
	patternText          string
	minLength, maxLength *int
	minValue, maxValue   *big.Rat
}

// Parameters holds a stack's parameters by name: what Ref yields, a String or a List of Strings.
type Parameters map[string]*Value

// maxParameterValue is CloudFormation's limit on a parameter's value, in bytes.
const maxParameterValue = 4096

func (t *Template) buildParameters() error {
	fields, err := t.section("Parameters", "Parameter", maxParameters)
	if err != nil {
		return err
	}
	t.parameter = make(map[string]*Parameter, len(fields))
	for _, f := range fields {
		if !f.Value.Is(Map) {
			return errorAt(f.Value.Pos(), "Template format error: Any Parameters member must be an object.")
		}
		p := &Parameter{Name: f.Key, Pos: f.Value.pos}
		for _, attr := range f.Value.fields {
			if err := p.set(attr.Key, attr.Value); err != nil {
				return err
			}
		}
		if p.Type == "" {
			return errorAt(p.Pos, "Template format error: [/Parameters/%s] Every Parameters object must contain a Type member.", p.Name)
		}
		t.Parameters = append(t.Parameters, p)
		t.parameter[p.Name] = p
	}
	return nil
}

func (p *Parameter) set(key string, v *Value) error {
	var err error
	ok := false
	switch key {
	case "Type":
		ok = true
		err = p.setType(v)
	case "Default":
		var s string
		if s, ok = v.Scalar(); ok {
			p.Default = &s
		}
	case "Description":
		p.Description, ok = v.Scalar()
	case "ConstraintDescription":
		p.ConstraintDescription, ok = v.Scalar()
	case "NoEcho":
		s, scalar := v.Scalar()
		p.NoEcho, ok = strings.EqualFold(s, "true"), scalar
	case "AllowedValues":
		p.AllowedValues, ok = scalars(v)
	case "AllowedPattern":
		ok = true
		err = p.setPattern(v)
	case "MinLength":
		p.minLength, ok = length(v)
	case "MaxLength":
		p.maxLength, ok = length(v)
	case "MinValue":
		p.minValue, ok = number(v)
	case "MaxValue":
		p.maxValue, ok = number(v)
	default:
		return errorAt(v.Pos(), "Invalid template parameter property '%s'", clip(key))
	}
	if err == nil && !ok {
		err = errorAt(v.Pos(), "Template format error: Every %s member must be a %s.", key, wanted(key))
	}
	return err
}

// wanted says what an attribute of a parameter has to be.
func wanted(key string) string {
	switch key {
	case "AllowedValues":
		return "list of strings"
	case "MinLength", "MaxLength", "MinValue", "MaxValue":
		return "number"
	}
	return "string"
}

func (p *Parameter) setType(v *Value) error {
	s, ok := v.Str()
	if !ok {
		return errorAt(v.Pos(), "Template format error: Every Type member must be a string.")
	}
	switch {
	case s == "String", s == "Number", s == "List<Number>", s == "CommaDelimitedList":
		p.Type = s
		return nil
	case strings.HasPrefix(s, "AWS::"), strings.HasPrefix(s, "List<AWS::"), s == "List<String>":
		return Unsupported(v.pos, "The type "+clip(s)+" of parameter "+p.Name)
	}
	return errorAt(v.pos, "Template format error: Unrecognized parameter type: %s", clip(s))
}

// setPattern compiles an AllowedPattern, which has to match the whole value. AWS's patterns are Java's; what Go's lacks
// (look-around, back references) is refused.
func (p *Parameter) setPattern(v *Value) error {
	s, ok := v.Scalar()
	if !ok {
		return errorAt(v.Pos(), "Template format error: Every AllowedPattern member must be a string.")
	}
	re, err := regexp.Compile(`^(?:` + s + `)$`)
	if err != nil {
		return Unsupported(v.pos, "The AllowedPattern "+clip(s)+" of parameter "+p.Name)
	}
	p.pattern, p.patternText = re, s
	return nil
}

func scalars(v *Value) ([]string, bool) {
	if !v.Is(List) {
		return nil, false
	}
	all := make([]string, 0, v.Len())
	for _, item := range v.items {
		s, ok := item.Scalar()
		if !ok {
			return nil, false
		}
		all = append(all, s)
	}
	return all, true
}

func length(v *Value) (*int, bool) {
	s, ok := v.Scalar()
	if !ok {
		return nil, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(s))
	return &n, err == nil
}

func number(v *Value) (*big.Rat, bool) {
	s, ok := v.Scalar()
	if !ok {
		return nil, false
	}
	return parseNumber(s)
}

// parseNumber reads a decimal number; the length is bounded because an exponent makes a number large out of few digits.
func parseNumber(s string) (*big.Rat, bool) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 64 || strings.ContainsAny(s, "/_xXbBoOpP") {
		return nil, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != f || f > 1e300 || f < -1e300 || (f != 0 && f < 1e-300 && f > -1e-300) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// check says why value, as a user writes it, is not allowed for p.
func (p *Parameter) check(value string) error {
	if len(value) > maxParameterValue {
		return errorAt(p.Pos, "Parameter '%s' must be no longer than %d bytes.", p.Name, maxParameterValue)
	}
	if p.Type == "CommaDelimitedList" || p.Type == "List<Number>" {
		for _, item := range splitList(value) {
			if err := p.checkOne(item); err != nil {
				return err
			}
		}
		return nil
	}
	return p.checkOne(value)
}

func (p *Parameter) checkOne(value string) error {
	if message := p.violation(value); message != "" {
		if p.ConstraintDescription != "" && !strings.HasSuffix(message, "must be a number.") {
			message = "Parameter " + p.Name + " failed to satisfy constraint: " + p.ConstraintDescription
		}
		return errorAt(p.Pos, "%s", message)
	}
	return nil
}

// violation returns CloudFormation's message for the first constraint that value breaks, or "".
func (p *Parameter) violation(value string) string {
	name := "Parameter '" + p.Name + "' must "
	if p.Type == "Number" || p.Type == "List<Number>" {
		n, ok := parseNumber(value)
		switch {
		case !ok:
			return name + "be a number."
		case p.minValue != nil && n.Cmp(p.minValue) < 0:
			return name + "be a number not less than " + trimRat(p.minValue)
		case p.maxValue != nil && n.Cmp(p.maxValue) > 0:
			return name + "be a number not greater than " + trimRat(p.maxValue)
		}
	}
	if p.AllowedValues != nil && !p.allowed(value) {
		return name + "be one of AllowedValues"
	}
	length := utf8.RuneCountInString(value)
	switch {
	case p.pattern != nil && !p.pattern.MatchString(value):
		return name + "match pattern " + p.patternText
	case p.minLength != nil && length < *p.minLength:
		return name + "contain at least " + strconv.Itoa(*p.minLength) + " characters"
	case p.maxLength != nil && length > *p.maxLength:
		return name + "contain at most " + strconv.Itoa(*p.maxLength) + " characters"
	}
	return ""
}

func (p *Parameter) allowed(value string) bool {
	for _, a := range p.AllowedValues {
		if a == value {
			return true
		}
		if x, ok := parseNumber(a); ok && p.Type != "String" {
			if y, ok := parseNumber(value); ok && x.Cmp(y) == 0 {
				return true
			}
		}
	}
	return false
}

func trimRat(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	return strings.TrimRight(r.FloatString(9), "0")
}

// splitList splits a list parameter; CloudFormation trims the space around each item.
func splitList(s string) []string {
	if s == "" {
		return nil
	}
	items := strings.Split(s, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// value returns what Ref yields for p when it was given as s.
func (p *Parameter) value(s string) *Value {
	if p.Type == "String" || p.Type == "Number" {
		return NewString(s)
	}
	v := NewList()
	for _, item := range splitList(s) {
		v.items = append(v.items, NewString(item))
	}
	return v
}

// ResolveParameters returns the parameters' values: what is given, or else the default. It refuses names that the template
// lacks, parameters that have neither, and values that break a constraint.
func (t *Template) ResolveParameters(given map[string]string) (Parameters, error) {
	if unknown := unknownNames(given, t.parameter); len(unknown) > 0 {
		return nil, errorAt(Pos{}, "Parameters: %s do not exist in the template", quoteList(unknown))
	}
	var missing []string
	for _, p := range t.Parameters {
		if _, ok := given[p.Name]; !ok && p.Default == nil {
			missing = append(missing, p.Name)
		}
	}
	if len(missing) > 0 {
		return nil, errorAt(t.parameter[missing[0]].Pos, "Parameters: %s must have values", quoteList(missing))
	}
	values := make(Parameters, len(t.Parameters))
	for _, p := range t.Parameters {
		s, ok := given[p.Name]
		if !ok {
			s = *p.Default
		}
		if err := p.check(s); err != nil {
			return nil, err
		}
		values[p.Name] = p.value(s)
	}
	return values, nil
}
