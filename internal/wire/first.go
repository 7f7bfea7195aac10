package wire

import (
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"croft/internal/cloud"
)

const arnPrefix = "arn:"

// checkFirst checks the presence and length of the member that s has First, whose errors AWS reports alone and in words of their own.
// Source: answers of DynamoDB's operations on tables, as published in the tests of other implementations.
func checkFirst(schema *Schema, s *Shape, v reflect.Value, missing []string) error {
	if s.First == 0 {
		return nil
	}
	m, f := &s.Members[s.First-1], v.Field(s.First-1)
	if isAbsent(f) || slices.Contains(missing, lowerFirst(m.Name)) {
		return cloud.Errorf(schema.Validation.Code, "The parameter '%s' is required but was not present in the request", m.Name)
	}
	if f.Kind() == reflect.Pointer {
		f = f.Elem()
	}
	shape, text := schema.Shape(m.Shape), f.String()
	if shape.Limits == nil || shape.OrARN && strings.HasPrefix(text, arnPrefix) {
		return nil
	}
	if len(lengthProblems(shape.Limits, utf8.RuneCountInString(text))) == 0 {
		return nil
	}
	return cloud.Errorf(schema.Validation.Code, "%s must be at least %d characters long and at most %d characters long",
		m.Name, shape.Limits.Min, shape.Limits.Max)
}
