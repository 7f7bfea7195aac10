package wire

import (
	"strings"
	"testing"
)

type colours struct {
	Colour *string
	List   []string
}

func colourOperation(hide bool) *Operation {
	schema := &Schema{Validation: Validation{Code: "ValidationException", HideValues: hide}, Shapes: []Shape{{},
		{Name: "Colours", Kind: Structure, Checked: true, Members: []Member{{Name: "Colour", Wire: "colour", Shape: 2}, {Name: "List", Wire: "list", Shape: 3}}},
		{Name: "Colour", Kind: String, Checked: true, Enum: []string{"red", "blue"}}, {Name: "List", Kind: List, Elem: 2, Checked: true},
	}}
	return &Operation{Name: "Paint", Input: 1, Schema: schema}
}

// TestEnumerations has answers that were recorded of API Gateway and of IAM, which does not say what would be right.
func TestEnumerations(t *testing.T) {
	in := &colours{Colour: Ptr("green"), List: []string{"red", "green"}}
	for hide, want := range map[bool]string{
		false: "2 validation errors detected: Value 'green' at 'colour' failed to satisfy constraint: Member must satisfy enum value set: [red, blue]; " +
			"Value '[red, green]' at 'list' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [red, blue], Member must not be null]",
		true: "Value at 'colour' failed to satisfy constraint: Member must satisfy enum value set; ",
	} {
		if err := Validate(colourOperation(hide), in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestTenProblems has more problems than are counted.
func TestTenProblems(t *testing.T) {
	for n, want := range map[int]string{1: "1 validation error detected: ", 10: "10 validation errors detected: ", 11: "10 validation errors detected: "} {
		v := &thing{Name: "n"}
		for range n {
			v.Things = append(v.Things, thing{Name: strings.Repeat("x", 101)})
		}
		err := Validate(&Operation{Name: "Echo", Input: thingRef, Schema: thingSchema()}, v)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "failed to satisfy") != min(n, 10) {
			t.Errorf("%d: %v", n, err)
		}
	}
}
