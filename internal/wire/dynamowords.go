package wire

import "reflect"

// How DynamoDB words a JSON value of the wrong type, in terms of its Java classes. Source: answers of DynamoDB as published in the tests of
// other implementations.

const dynamoClasses = "com.amazonaws.dynamodb.v20120810."

// errParameterized is what becomes of a plain value where a list or a map is the element of another.
const errParameterized = typeError("class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class " +
	"(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of loader 'bootstrap')")

// dynamoWrongType is wrongType in DynamoDB's words; inside is whether the value is the element of a list or a map.
func dynamoWrongType(schema *Schema, s *Shape, c byte, inside bool) error {
	collection := s.Kind == List || s.Kind == Map
	switch {
	case c == '{':
		return typeError("Start of structure or map found where not expected")
	case c == '[' && s.Kind == Map:
		return typeError("Unrecognized collection type " + javaType(schema, s))
	case c == '[':
		return typeError("Unrecognized collection type class " + javaType(schema, s))
	case collection && inside:
		return errParameterized
	case s.Kind == Structure && inside:
		return typeError("Unexpected value type in payload")
	case collection || s.Kind == Structure:
		return typeError("Unexpected field type")
	case s.Kind == Blob:
		return typeError("only base-64-encoded strings are convertible to bytes")
	}
	return typeError(tokenName(c) + " cannot be converted to " + kindName(s.Kind))
}

// javaType returns the name of the class that holds values of s. Shapes only hold themselves through structures, which end the walk.
func javaType(schema *Schema, s *Shape) string {
	switch s.Kind {
	case Structure:
		return dynamoClasses + s.Name
	case List:
		return "java.util.List<" + javaType(schema, schema.Shape(s.Elem)) + ">"
	case Map:
		return "java.util.Map<java.lang.String, " + javaType(schema, schema.Shape(s.Elem)) + ">"
	case Blob:
		return "java.nio.ByteBuffer"
	}
	return "java.lang." + kindName(s.Kind)
}

// dynamoBoolean stores a truth value that is written as a string, of which DynamoDB takes a few.
func dynamoBoolean(text string, v reflect.Value) error {
	switch text {
	case "true", "yes", "1":
		setBool(v, true)
	case "false", "no", "0":
		setBool(v, false)
	default:
		return typeError("Unexpected token received from parser")
	}
	return nil
}
