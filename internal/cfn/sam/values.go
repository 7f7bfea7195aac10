package sam

import (
	"strings"

	"croft/internal/cfn/template"
)

// Short names for building values.

type value = template.Value

func str(s string) *value { return template.NewString(s) }

func list(items ...*value) *value { return template.NewList(items...) }

func object(fields ...template.Field) *value { return template.NewMap(fields...) }

func f(key string, v *value) template.Field { return template.F(key, v) }

func ref(id string) *value { return object(f("Ref", str(id))) }

func arnOf(id string) *value { return object(f("Fn::GetAtt", list(str(id), str("Arn")))) }

func sub(text string) *value { return object(f("Fn::Sub", str(text))) }

func subWith(text string, vars ...template.Field) *value {
	return object(f("Fn::Sub", list(str(text), object(vars...))))
}

func noValue() *value { return ref("AWS::NoValue") }

func choose(condition string, yes, no *value) *value {
	return object(f("Fn::If", list(str(condition), yes, no)))
}

// strs returns a list of strings.
func strs(items ...string) *value {
	values := make([]*value, len(items))
	for i, s := range items {
		values[i] = str(s)
	}
	return list(values...)
}

// intrinsic reports whether v is a function.
func intrinsic(v *value) bool {
	if v.Kind() != template.Map || v.Len() != 1 {
		return false
	}
	key := v.Fields()[0].Key
	return key == "Ref" || key == "Condition" || strings.HasPrefix(key, "Fn::")
}

func isNoValue(v *value) bool {
	name, _ := v.Get("Ref").Str()
	return v.Len() == 1 && name == "AWS::NoValue"
}

// isIf returns the argument of a Fn::If, or nil when v is none.
func isIf(v *value) *value {
	if v.Kind() != template.Map || v.Len() != 1 {
		return nil
	}
	return v.Get("Fn::If")
}

// truthy follows the translator's notion of a value that is there: not null, false, zero or empty.
func truthy(v *value) bool {
	switch v.Kind() {
	case template.Null:
		return false
	case template.List, template.Map:
		return v.Len() > 0
	case template.Bool:
		return v.IsTrue()
	}
	s, _ := v.Scalar()
	return s != "" && (v.Is(template.String) || strings.Trim(s, "-0.") != "")
}

// present drops the fields without a value.
func present(fields ...template.Field) []template.Field {
	var out []template.Field
	for _, field := range fields {
		if !field.Value.Is(template.Null) {
			out = append(out, field)
		}
	}
	return out
}

// tagList turns SAM's map of tags into CloudFormation's list.
func tagList(tags *value) []*value {
	var out []*value
	for _, tag := range tags.Fields() {
		v := tag.Value
		if v.Is(template.Null) {
			v = str("")
		}
		out = append(out, object(f("Key", str(tag.Key)), f("Value", v)))
	}
	return out
}
