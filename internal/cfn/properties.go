package cfn

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"croft/internal/cloud"
)

// JSON is a property that is passed on as a JSON document: a policy, a template body. Given as a string, it is taken as the
// document's text.
type JSON string

type field struct {
	name              string
	index             int
	required, replace bool
}

func fieldsOf(t reflect.Type) map[string]field {
	out := make(map[string]field, t.NumField())
	for i := range t.NumField() {
		tag := strings.Split(t.Field(i).Tag.Get("cfn"), ",")
		if tag[0] == "" {
			continue
		}
		f := field{name: tag[0], index: i}
		for _, o := range tag[1:] {
			f.required = f.required || o == "required"
			f.replace = f.replace || o == "replace"
		}
		out[f.name] = f
	}
	return out
}

// propertiesOf lists the properties of the struct type t. When all is set, a change of any needs a new resource.
func propertiesOf(t reflect.Type, all bool) []Property {
	var out []Property
	fields := fieldsOf(t)
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("cfn"), ",")
		f, known := fields[name]
		if !known {
			continue
		}
		p := Property{Name: name, Required: f.required, Replaces: f.replace || all}
		inner := t.Field(i).Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			p.Parts = propertiesOf(inner, false)
		}
		out = append(out, p)
	}
	return out
}

// Decode reads resolved properties into the struct that into points to. It converts between strings, numbers and booleans as CloudFormation
// does, and refuses what the struct does not have. typ names the resource type in errors.
func Decode(typ string, properties map[string]any, into any) error {
	return decodeStruct(typ, "", properties, reflect.ValueOf(into).Elem())
}

func validation(typ, path, format string, args ...any) error {
	where := typ
	if path != "" {
		where += " property " + strings.TrimPrefix(path, ".")
	}
	return cloud.Errorf("ValidationError", "%s: %s", where, fmt.Sprintf(format, args...))
}

func unsupported(typ, path string) error {
	return validation(typ, path, "not supported by croft")
}

func decodeStruct(typ, path string, in map[string]any, out reflect.Value) error {
	fields := fieldsOf(out.Type())
	for _, name := range sortedKeys(in) {
		f, ok := fields[name]
		if !ok {
			return unsupported(typ, path+"."+name)
		}
		if in[name] == nil {
			continue
		}
		if err := decodeValue(typ, path+"."+name, in[name], out.Field(f.index)); err != nil {
			return err
		}
	}
	for _, f := range fields {
		if f.required && in[f.name] == nil {
			return validation(typ, path+"."+f.name, "is required")
		}
	}
	return nil
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func decodeValue(typ, path string, in any, out reflect.Value) error {
	if out.Type() == reflect.TypeFor[JSON]() {
		return decodeJSON(typ, path, in, out)
	}
	switch out.Kind() {
	case reflect.Pointer:
		out.Set(reflect.New(out.Type().Elem()))
		return decodeValue(typ, path, in, out.Elem())
	case reflect.Interface:
		out.Set(reflect.ValueOf(in))
		return nil
	case reflect.Struct:
		m, ok := in.(map[string]any)
		if !ok {
			return validation(typ, path, "must be an object")
		}
		return decodeStruct(typ, path, m, out)
	case reflect.Map:
		return decodeMap(typ, path, in, out)
	case reflect.Slice:
		return decodeSlice(typ, path, in, out)
	default:
		return decodeScalar(typ, path, in, out)
	}
}

func decodeJSON(typ, path string, in any, out reflect.Value) error {
	if s, ok := in.(string); ok {
		out.SetString(s)
		return nil
	}
	b, err := json.Marshal(in)
	if err != nil {
		return validation(typ, path, "cannot be written as JSON: %v", err)
	}
	out.SetString(string(b))
	return nil
}

func decodeMap(typ, path string, in any, out reflect.Value) error {
	m, ok := in.(map[string]any)
	if !ok {
		return validation(typ, path, "must be an object")
	}
	out.Set(reflect.MakeMapWithSize(out.Type(), len(m)))
	for _, k := range sortedKeys(m) {
		v := reflect.New(out.Type().Elem()).Elem()
		if err := decodeValue(typ, path+"."+k, m[k], v); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(k), v)
	}
	return nil
}

// decodeSlice accepts a single value for a list, as CloudFormation does.
func decodeSlice(typ, path string, in any, out reflect.Value) error {
	list, ok := in.([]any)
	if !ok {
		list = []any{in}
	}
	out.Set(reflect.MakeSlice(out.Type(), len(list), len(list)))
	for i, e := range list {
		if err := decodeValue(typ, fmt.Sprintf("%s.%d", path, i), e, out.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func decodeScalar(typ, path string, in any, out reflect.Value) error {
	text, ok := scalarText(in)
	if !ok {
		return validation(typ, path, "must be a %s", kindName(out.Kind()))
	}
	switch out.Kind() {
	case reflect.String:
		out.SetString(text)
		return nil
	case reflect.Bool:
		if b, err := strconv.ParseBool(strings.ToLower(text)); err == nil {
			out.SetBool(b)
			return nil
		}
	case reflect.Int, reflect.Int32, reflect.Int64:
		if n, err := strconv.ParseInt(text, 10, out.Type().Bits()); err == nil {
			out.SetInt(n)
			return nil
		}
	case reflect.Float64:
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			out.SetFloat(f)
			return nil
		}
	}
	return validation(typ, path, "must be a %s", kindName(out.Kind()))
}

func kindName(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "number"
	default:
		return "whole number"
	}
}

func scalarText(in any) (string, bool) {
	switch v := in.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case json.Number:
		return v.String(), true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return strconv.FormatInt(int64(v), 10), true
		}
		return strconv.FormatFloat(v, 'g', -1, 64), true
	}
	return "", false
}

// check reports properties that t does not have, as deep as they are known. Values that are intrinsic functions are passed over.
func check(typ string, properties map[string]any, t reflect.Type) error {
	return checkStruct(typ, "", properties, t)
}

func isIntrinsic(m map[string]any) bool {
	if len(m) != 1 {
		return false
	}
	for k := range m {
		return k == "Ref" || strings.HasPrefix(k, "Fn::")
	}
	return false
}

func checkStruct(typ, path string, in map[string]any, t reflect.Type) error {
	if isIntrinsic(in) {
		return nil
	}
	fields := fieldsOf(t)
	for _, name := range sortedKeys(in) {
		f, ok := fields[name]
		if !ok {
			return unsupported(typ, path+"."+name)
		}
		if err := checkValue(typ, path+"."+name, in[name], t.Field(f.index).Type); err != nil {
			return err
		}
	}
	for _, f := range fields {
		if _, given := in[f.name]; f.required && !given {
			return validation(typ, path+"."+f.name, "is required")
		}
	}
	return nil
}

func checkValue(typ, path string, in any, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := in.(type) {
	case map[string]any:
		if t.Kind() == reflect.Struct {
			return checkStruct(typ, path, v, t)
		}
	case []any:
		if t.Kind() != reflect.Slice {
			return nil
		}
		for i, e := range v {
			if err := checkValue(typ, fmt.Sprintf("%s.%d", path, i), e, t.Elem()); err != nil {
				return err
			}
		}
	}
	return nil
}

func replaces(old, new map[string]any, t reflect.Type) bool {
	for name, f := range fieldsOf(t) {
		if f.replace && !reflect.DeepEqual(old[name], new[name]) {
			return true
		}
	}
	return false
}
