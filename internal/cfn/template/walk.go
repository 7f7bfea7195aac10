package template

import (
	"maps"
	"slices"
	"strings"
)

// unknownNames returns the keys of given that known lacks, sorted.
func unknownNames[A, B any](given map[string]A, known map[string]B) []string {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := known[name]; !ok {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// Call returns the name and argument of the intrinsic function that v is, and "" when v is a plain value. "Condition" is no
// function to it, because policies have members of that name; where conditions stand, asCondition is asked.
func Call(v *Value) (name string, arg *Value) {
	if v.Kind() != Map || len(v.fields) != 1 {
		return "", nil
	}
	f := v.fields[0]
	if f.Key == "Ref" || strings.HasPrefix(f.Key, "Fn::") {
		return f.Key, f.Value
	}
	return "", nil
}

// splitGetAtt turns "Resource.Attribute" into the list form. An attribute may contain dots, a logical id cannot.
func splitGetAtt(v *Value) *Value {
	id, attribute, ok := strings.Cut(v.text, ".")
	list := NewList(NewString(id).WithPos(v.pos)).WithPos(v.pos)
	if ok {
		list.items = append(list.items, NewString(attribute).WithPos(v.pos))
	}
	return list
}

// getAtt returns the parts of a Fn::GetAtt's argument, in any of its forms. The attribute may be a function; the resource may not.
func getAtt(arg *Value) (id string, attribute *Value, err error) {
	if arg.Is(String) {
		arg = splitGetAtt(arg)
	}
	if arg.Is(List) && len(arg.items) == 2 {
		id, ok := arg.items[0].Str()
		attribute := arg.items[1]
		name, _ := Call(attribute)
		text, isText := attribute.Str()
		if ok && id != "" && (name == "Ref" || (isText && text != "")) {
			return id, attribute, nil
		}
	}
	return "", nil, errorAt(arg.Pos(), "Template error: every Fn::GetAtt object requires two non-empty parameters, "+
		"the resource name and the resource attribute")
}
