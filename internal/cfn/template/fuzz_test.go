package template

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func seed(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, c := range goldenCases(string(raw)) {
			f.Add([]byte(c["template"]), "x")
		}
	}
}

// FuzzParse: whatever the text, there is a value or an error; a value survives being written and read as JSON.
func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, src []byte, _ string) {
		v, _, err := ParseValue(src)
		if err != nil {
			return
		}
		text, err := v.MarshalJSON()
		if err != nil || !json.Valid(text) {
			t.Fatalf("%s: %v", text, err)
		}
		if v.Kind() != Map || len(text) > MaxSize {
			return
		}
		again, _, err := ParseValue(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !again.Equal(v) {
			t.Fatalf("%s became %s", v, again)
		}
	})
}

// FuzzEval: a template that is accepted evaluates to bounded values or errors, the same each time, in an order that respects the
// dependencies.
func FuzzEval(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, src []byte, parameter string) {
		tmpl, err := Parse(src)
		if err != nil {
			return
		}
		given := map[string]string{}
		for _, p := range tmpl.Parameters {
			given[p.Name] = parameter
		}
		params, err := tmpl.ResolveParameters(given)
		if err != nil {
			return
		}
		b, err := tmpl.Bind(params, testPseudo())
		if err != nil {
			return
		}
		g, err := b.Graph()
		if err != nil {
			return
		}
		if len(g.Order) != len(b.Resources()) {
			t.Fatalf("%d of %d resources are in order", len(g.Order), len(b.Resources()))
		}
		done := keySet{}
		for _, id := range g.Order {
			for _, d := range g.Dependencies(id) {
				if done.add(d) {
					t.Fatalf("%s comes before %s", id, d)
				}
			}
			done.add(id)
			first, err1 := b.Eval(id, world{})
			second, err2 := b.Eval(id, world{})
			if (err1 == nil) != (err2 == nil) || (err1 == nil && first.String() != second.String()) {
				t.Fatalf("%v %v, then %v %v", first, err1, second, err2)
			}
			if err1 == nil && !first.Is(Map) {
				t.Fatalf("%s has properties %v", id, first)
			}
		}
		if _, err := b.EvalOutputs(world{}); err != nil {
			return
		}
	})
}
