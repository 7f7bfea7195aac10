package cfn

import (
	"strings"
	"testing"
)

type sample struct {
	Name  string            `cfn:"Name,replace"`
	Count *int32            `cfn:"Count"`
	On    bool              `cfn:"On"`
	Doc   JSON              `cfn:"Doc"`
	List  []string          `cfn:"List"`
	Map   map[string]string `cfn:"Map"`
	Tags  []Tag             `cfn:"Tags"`
}

func TestDecode(t *testing.T) {
	var s sample
	err := Decode("T::T", map[string]any{
		"Name": 7, "Count": "5", "On": "True", "Doc": map[string]any{"a": 1}, "List": "one",
		"Map": map[string]any{"k": 1.5}, "Tags": []any{map[string]any{"Key": "a", "Value": true}},
	}, &s)
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "7" || *s.Count != 5 || !s.On || s.Doc != `{"a":1}` || s.List[0] != "one" || s.Map["k"] != "1.5" || s.Tags[0].Value != "true" {
		t.Fatalf("%+v", s)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		in   map[string]any
		want string
	}{
		{map[string]any{"Colour": 1}, "T::T property Colour: not supported by croft"},
		{map[string]any{"Count": "many"}, "Count: must be a whole number"},
		{map[string]any{"Count": []any{}}, "Count: must be a whole number"},
		{map[string]any{"Tags": []any{map[string]any{"Key": "a"}}}, "Tags.0.Value: is required"},
		{map[string]any{"Map": "x"}, "Map: must be an object"},
	} {
		var s sample
		if err := Decode("T::T", c.in, &s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.in, err, c.want)
		}
	}
}

func TestCheckPassesOverIntrinsics(t *testing.T) {
	rt := Resource("T::T", Spec[sample]{})
	ok := map[string]any{"Name": map[string]any{"Fn::Sub": "x"}, "Tags": map[string]any{"Fn::If": []any{}}}
	if err := rt.Check(ok); err != nil {
		t.Fatal(err)
	}
	bad := map[string]any{"Tags": []any{map[string]any{"Key": "a", "Value": "b", "Extra": "c"}}}
	if err := rt.Check(bad); err == nil || !strings.Contains(err.Error(), "Tags.0.Extra") {
		t.Fatalf("err = %v", err)
	}
}
