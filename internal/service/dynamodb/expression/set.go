package expression

import (
	"maps"
	"slices"
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
)

// Limits of expressions. Source: DynamoDB Developer Guide, "Constraints in Amazon DynamoDB".
const (
	maxBytes     = 4096
	maxOperators = 300
	maxOperands  = 100
	maxPath      = 32
)

// Set is the names and values of one request, and which of them its expressions have used. It is for one goroutine.
type Set struct {
	names       map[string]string
	values      map[string]api.AttributeValue
	unusedNames map[string]bool
	unusedValue map[string]bool
}

// New checks ExpressionAttributeNames and ExpressionAttributeValues and returns the set of them. check reports what is wrong with a value.
func New(names map[string]string, values map[string]api.AttributeValue, check func(*api.AttributeValue) error) (*Set, error) {
	s := &Set{names: names, values: values, unusedNames: make(map[string]bool), unusedValue: make(map[string]bool)}
	if err := checkKeys("ExpressionAttributeNames", '#', names, s.unusedNames); err != nil {
		return nil, err
	}
	if err := checkKeys("ExpressionAttributeValues", ':', values, s.unusedValue); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		v := values[key]
		if err := check(&v); err != nil {
			text, _ := strings.CutPrefix(err.Error(), "ValidationException: ")
			return nil, invalid("ExpressionAttributeValues contains invalid value: %s for key %s", text, key)
		}
	}
	return s, nil
}

func checkKeys[V any](parameter string, mark byte, m map[string]V, unused map[string]bool) error {
	if m == nil {
		return nil
	}
	if len(m) == 0 {
		return invalid("%s must not be empty", parameter)
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if len(key) < 2 || key[0] != mark || span(key, 1, wordByte) != len(key) {
			return invalid("%s contains invalid key: Syntax error; key: \"%s\"", parameter, key)
		}
		unused[key] = true
	}
	return nil
}

// Unused reports names and values that no expression parsed with s has used.
func (s *Set) Unused() error {
	for _, c := range []struct {
		parameter string
		keys      map[string]bool
	}{{"ExpressionAttributeNames", s.unusedNames}, {"ExpressionAttributeValues", s.unusedValue}} {
		if len(c.keys) > 0 {
			return invalid("Value provided in %s unused in expressions: keys: {%s}", c.parameter,
				strings.Join(slices.Sorted(maps.Keys(c.keys)), ", "))
		}
	}
	return nil
}

func invalid(format string, args ...any) *cloud.Error {
	return cloud.Errorf("ValidationException", format, args...)
}
