package operations

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"croft/internal/wire"
)

// variant is an input that differs from a base by one optional parameter.
type variant struct {
	// path names the parameter: members joined by dots, as in CorsConfiguration.MaxAge. What is below an element of a list or a
	// value of a map stands below the list's or map's own name.
	path  string
	input any
}

// deepest bounds how far below an operation's input parameters are looked for: shapes may be recursive.
const deepest = 4

// variants lists the inputs that differ from base by one optional parameter.
type variants struct {
	schema *wire.Schema
	// values are what to try for a parameter instead of what its shape suggests.
	values map[string][]any
	out    []variant
}

type rebuild func(any) any

func (v *variants) structure(shape *wire.Shape, node map[string]any, path string, depth int, put rebuild) {
	for _, m := range shape.Members {
		below := strings.TrimPrefix(path+"."+m.Name, ".")
		set := func(value any) any {
			c := maps.Clone(node)
			c[m.Name] = value
			return put(c)
		}
		switch given, there := node[m.Name]; {
		case there:
			v.present(m.Shape, given, below, !m.Required, depth, set)
		case !m.Required:
			v.absent(m.Shape, below, depth, set)
		}
	}
}

// present varies what the base has already: the parts of structures, and the value of what is optional.
func (v *variants) present(ref wire.Ref, given any, path string, optional bool, depth int, put rebuild) {
	shape := v.schema.Shape(ref)
	switch g := given.(type) {
	case map[string]any:
		if shape.Kind == wire.Structure && !whole(shape) && depth < deepest {
			v.structure(shape, g, path, depth+1, put)
			return
		}
		if keys := v.keys(shape, path); shape.Kind == wire.Map && len(keys) > 0 {
			v.entries(shape, keys, g, path, put)
			return
		}
	case []any:
		if e := v.schema.Shape(shape.Elem); len(g) > 0 && e.Kind == wire.Structure && !whole(e) && depth < deepest {
			first, _ := g[0].(map[string]any)
			v.structure(e, first, path, depth+1, func(value any) any { return put(append([]any{value}, g[1:]...)) })
			return
		}
	}
	if optional {
		v.leaf(ref, path, given, put)
	}
}

// keys are the keys of a map that are parameters of their own: those of an enumeration, and those that a rule names.
func (v *variants) keys(shape *wire.Shape, path string) []string {
	if shape.Kind != wire.Map {
		return nil
	}
	keys := slices.Clone(v.schema.Shape(shape.Key).Enum)
	for told := range v.values {
		if key, ok := strings.CutPrefix(told, path+"."); ok && !strings.Contains(key, ".") && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// entries varies the entries of a map whose keys are known.
func (v *variants) entries(shape *wire.Shape, keys []string, given map[string]any, path string, put rebuild) {
	for _, key := range keys {
		v.leaf(shape.Elem, path+"."+key, given[key], func(value any) any {
			c := maps.Clone(given)
			c[key] = value
			return put(c)
		})
	}
}

// absent varies an optional parameter that the base does not have.
func (v *variants) absent(ref wire.Ref, path string, depth int, put rebuild) {
	shape := v.schema.Shape(ref)
	inner, wrap := shape, put
	switch shape.Kind {
	case wire.List:
		inner, wrap = v.schema.Shape(shape.Elem), func(value any) any { return put([]any{value}) }
	case wire.Map:
		if keys := v.keys(shape, path); len(keys) > 0 && v.values[path] == nil {
			v.entries(shape, keys, map[string]any{}, path, put)
			return
		}
		key := v.candidates(shape.Key, "")[0].(string)
		inner, wrap = v.schema.Shape(shape.Elem), func(value any) any { return put(map[string]any{key: value}) }
	}
	_, told := v.values[path]
	if told || inner.Kind != wire.Structure || whole(inner) || depth >= deepest || !slices.ContainsFunc(inner.Members, func(m wire.Member) bool { return !m.Required }) {
		v.leaf(ref, path, nil, put)
		return
	}
	required, _ := v.example(inner, depth).(map[string]any)
	v.structure(inner, required, path, depth+1, wrap)
}

// whole are the shapes that are values, not settings: their parts are not parameters.
func whole(s *wire.Shape) bool {
	return s.Name == "AttributeValue" || s.Name == "MessageAttributeValue"
}

// leaf gives a parameter each value to try, but for the one that it has.
func (v *variants) leaf(ref wire.Ref, path string, given any, put rebuild) {
	for _, value := range v.candidates(ref, path) {
		if !same(value, given) {
			v.out = append(v.out, variant{path, put(value)})
		}
	}
}

func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// candidates are values that a shape allows; at least one.
func (v *variants) candidates(ref wire.Ref, path string) []any {
	if told, ok := v.values[path]; ok {
		return told
	}
	shape := v.schema.Shape(ref)
	switch shape.Kind {
	case wire.Structure:
		return []any{v.example(shape, 0)}
	case wire.List:
		var out []any
		for _, e := range v.candidates(shape.Elem, "") {
			out = append(out, []any{e})
		}
		return out
	case wire.Map:
		key, _ := v.candidates(shape.Key, "")[0].(string)
		return []any{map[string]any{key: v.candidates(shape.Elem, "")[0]}}
	case wire.Boolean:
		return []any{true, false}
	case wire.Timestamp:
		return []any{"2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"}
	case wire.Blob:
		return []any{"e30="}
	case wire.Streamed:
		return []any{"some text"}
	case wire.Integer, wire.Long, wire.Float, wire.Double:
		return numbers(shape.Limits)
	case wire.Document:
		return []any{map[string]any{}}
	default:
		return texts(shape)
	}
}

func numbers(l *wire.Limits) []any {
	var out []any
	for _, n := range []int64{1, 2, 60, 1000} {
		if l == nil || (!l.HasMin || n >= l.Min) && (!l.HasMax || n <= l.Max) {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		out = append(out, l.Min, l.Max)
	}
	return out
}

func texts(shape *wire.Shape) []any {
	if len(shape.Enum) > 0 {
		out := make([]any, len(shape.Enum))
		for i, e := range shape.Enum {
			out[i] = e
		}
		return out
	}
	text := "abc"
	if l := shape.Limits; l != nil && l.HasMin && l.Min > 3 {
		text = strings.Repeat("abcd", int(l.Min/4)+1)[:l.Min]
	}
	return []any{text}
}

// example is a value of a structure with what it requires and nothing else.
func (v *variants) example(shape *wire.Shape, depth int) any {
	out := map[string]any{}
	if shape.Name == "AttributeValue" {
		return map[string]any{"S": "x"}
	}
	for _, m := range shape.Members {
		if m.Required && depth < deepest {
			out[m.Name] = v.candidates(m.Shape, "")[0]
		}
	}
	return out
}

func TestVariants(t *testing.T) {
	schema := &wire.Schema{Shapes: []wire.Shape{
		{},
		{Name: "In", Kind: wire.Structure, Members: []wire.Member{
			{Name: "Name", Shape: 2, Required: true}, {Name: "Mode", Shape: 3}, {Name: "Options", Shape: 4}, {Name: "Entries", Shape: 6, Required: true},
		}},
		{Name: "Text", Kind: wire.String},
		{Name: "Mode", Kind: wire.String, Enum: []string{"A", "B"}},
		{Name: "Options", Kind: wire.Structure, Members: []wire.Member{{Name: "Size", Shape: 5}, {Name: "Key", Shape: 2, Required: true}}},
		{Name: "Size", Kind: wire.Integer, Limits: &wire.Limits{Min: 100, Max: 200, HasMin: true, HasMax: true}},
		{Name: "Entries", Kind: wire.List, Elem: 7},
		{Name: "Entry", Kind: wire.Structure, Members: []wire.Member{{Name: "Id", Shape: 2, Required: true}, {Name: "Delay", Shape: 5}}},
	}}
	v := &variants{schema: schema, values: map[string][]any{"Entries.Delay": {int64(7)}}}
	base := map[string]any{"Name": "n", "Mode": "A", "Entries": []any{map[string]any{"Id": "1"}, map[string]any{"Id": "2"}}}
	v.structure(schema.Shape(1), base, "", 0, func(x any) any { return x })
	want := []string{
		`Mode {"Entries":[{"Id":"1"},{"Id":"2"}],"Mode":"B","Name":"n"}`,
		`Options.Size {"Entries":[{"Id":"1"},{"Id":"2"}],"Mode":"A","Name":"n","Options":{"Key":"abc","Size":100}}`,
		`Options.Size {"Entries":[{"Id":"1"},{"Id":"2"}],"Mode":"A","Name":"n","Options":{"Key":"abc","Size":200}}`,
		`Entries.Delay {"Entries":[{"Delay":7,"Id":"1"},{"Id":"2"}],"Mode":"A","Name":"n"}`,
	}
	var got []string
	for _, x := range v.out {
		text, err := json.Marshal(x.input)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, x.path+" "+string(text))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
