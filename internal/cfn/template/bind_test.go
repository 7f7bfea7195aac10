package template

import (
	"errors"
	"reflect"
	"testing"

	"croft/internal/cloud"
)

func TestPolicies(t *testing.T) {
	const src = `
Parameters: {Env: {Type: String}}
Conditions: {Keep: !Equals [!Ref Env, prod]}
Resources:
  A: {Type: T, DeletionPolicy: !If [Keep, Retain, !Ref "AWS::NoValue"], UpdateReplacePolicy: !If [Keep, Retain, Delete]}
  B: {Type: T, DeletionPolicy: Retain}
`
	for env, want := range map[string][2]string{"prod": {"Retain", "Retain"}, "test": {"", "Delete"}} {
		b, err := bind(t, src, map[string]string{"Env": env})
		if err != nil {
			t.Fatal(err)
		}
		a := b.Resource("A")
		if got := [2]string{a.DeletionPolicy, a.UpdateReplacePolicy}; got != want {
			t.Errorf("%s: %v, want %v", env, got, want)
		}
		if b.Resource("B").DeletionPolicy != "Retain" || b.Resources()[0] != a {
			t.Errorf("%s: resources disagree", env)
		}
	}
}

func TestReferences(t *testing.T) {
	b, err := bind(t, `
Parameters: {P: {Type: String, Default: x}}
Resources:
  A: {Type: T}
  B:
    Type: T
    DependsOn: A
    Properties:
      X: !Sub ["${P}-${A.Arn}-${v}", {v: !Ref A}]
      Y: [!GetAtt [A, !Ref P]]
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []Reference
	for _, r := range b.References("B") {
		r.Pos = Pos{}
		got = append(got, r)
	}
	want := []Reference{{Name: "A", Property: "X"}, {Name: "P", Property: "X"}, {Name: "A", Attribute: "Arn", Property: "X"},
		{Name: "P", Property: "Y"}, {Name: "A", Attribute: "*", Property: "Y"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	g, err := b.Graph()
	if err != nil || !reflect.DeepEqual(g.Dependencies("B"), []string{"A"}) || !reflect.DeepEqual(g.Dependents("A"), []string{"B"}) {
		t.Errorf("graph %v %v", g, err)
	}
}

func TestErrorIsValidationError(t *testing.T) {
	_, err := Parse([]byte("Resources: {}"))
	if cloud.Code(err) != "ValidationError" {
		t.Errorf("code %q of %v", cloud.Code(err), err)
	}
	if e, ok := errors.AsType[*Error](err); !ok || e.At("t.yaml") != "t.yaml:1:1: Template format error: At least one Resources member must be defined." {
		t.Errorf("got %v", err)
	}
}

func TestAlmostJSON(t *testing.T) {
	if _, err := Parse([]byte(`{"Resources": {"A": {"Type": "T"},},}`)); err != nil {
		t.Error(err)
	}
}

func TestValueEqual(t *testing.T) {
	parse := func(s string) *Value {
		v, _, err := ParseValue([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`{"a": 1, "b": [true]}`, `{"b": ["true"], "a": "1"}`, true},
		{`{"a": 1}`, `{"a": 2}`, false},
		{`{"a": 1}`, `{"b": 1}`, false},
		{`{"a": [1, 2]}`, `{"a": [2, 1]}`, false},
		{`{"a": null}`, `{"a": "null"}`, false},
	} {
		if got := parse(c.a).Equal(parse(c.b)); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
	v := parse(`{"a": {"x": 1.50, "y": null}, "b": "<\u2028"}`)
	again, err := FromAny(v.Any())
	if err != nil || !again.Equal(v) {
		t.Errorf("%v became %v: %v", v, again, err)
	}
}

func TestEvalValueChecksForm(t *testing.T) {
	b, err := bind(t, "Resources: {A: {Type: T}}", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, src := range []string{"!If [x]", "!If [x, 1, 2]", "!Ref [a]", "!Sub [a]", "!Join a", "!Select [0]", "!Split [a]", "!FindInMap [a]",
		"!GetAtt a", "!Base64 [a]", "!GetAZs {a: b}", "!ImportValue [a]", "!Nope a", "!If [[], 1, 2]", "!FindInMap [a, b, c]"} {
		v, _, err := ParseValue([]byte(src))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.EvalValue(v, world{}); err == nil {
			t.Errorf("%s became %v", src, got)
		}
	}
}
