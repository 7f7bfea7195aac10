package servicetest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"croft/internal/wire"
)

// decode reads JSON, with the model's member names, into the structure that into points to.
func decode(schema *wire.Schema, ref wire.Ref, text string, into any) error {
	if text == "" {
		text = "{}"
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	return set(schema, ref, v, reflect.ValueOf(into).Elem())
}

func set(schema *wire.Schema, ref wire.Ref, in any, out reflect.Value) error {
	if out.Kind() == reflect.Pointer && schema.Shape(ref).Kind != wire.Streamed {
		out.Set(reflect.New(out.Type().Elem()))
		return set(schema, ref, in, out.Elem())
	}
	shape := schema.Shape(ref)
	switch shape.Kind {
	case wire.Structure:
		return setStructure(schema, shape, in, out)
	case wire.List:
		list, ok := in.([]any)
		if !ok {
			return fmt.Errorf("%s wants a list", shape.Name)
		}
		out.Set(reflect.MakeSlice(out.Type(), len(list), len(list)))
		for i, e := range list {
			if err := set(schema, shape.Elem, e, out.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case wire.Map:
		m, ok := in.(map[string]any)
		if !ok {
			return fmt.Errorf("%s wants an object", shape.Name)
		}
		out.Set(reflect.MakeMap(out.Type()))
		for k, e := range m {
			v := reflect.New(out.Type().Elem()).Elem()
			if err := set(schema, shape.Elem, e, v); err != nil {
				return err
			}
			out.SetMapIndex(reflect.ValueOf(k).Convert(out.Type().Key()), v)
		}
		return nil
	default:
		return setScalar(shape, in, out)
	}
}

func setStructure(schema *wire.Schema, shape *wire.Shape, in any, out reflect.Value) error {
	m, ok := in.(map[string]any)
	if !ok {
		return fmt.Errorf("%s wants an object", shape.Name)
	}
	known := map[string]bool{}
	for i, member := range shape.Members {
		known[member.Name] = true
		if v, given := m[member.Name]; given {
			if err := set(schema, member.Shape, v, out.Field(i)); err != nil {
				return fmt.Errorf("%s: %w", member.Name, err)
			}
		}
	}
	for name := range m {
		if !known[name] {
			return fmt.Errorf("%s has no member %s", shape.Name, name)
		}
	}
	return nil
}

func setScalar(shape *wire.Shape, in any, out reflect.Value) error {
	switch shape.Kind {
	case wire.Timestamp:
		text, _ := in.(string)
		t, err := time.Parse(time.RFC3339, text)
		out.Set(reflect.ValueOf(t))
		return err
	case wire.Document:
		raw, err := json.Marshal(in)
		out.Set(reflect.ValueOf(wire.RawDocument(raw)))
		return err
	case wire.Streamed:
		text, ok := in.(string)
		if !ok {
			return fmt.Errorf("%s wants a text", shape.Name)
		}
		out.Set(reflect.ValueOf(wire.NewStream(strings.NewReader(text), int64(len(text)))))
		return nil
	default:
		// Strings, numbers and booleans as JSON has them; blobs in base64.
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, out.Addr().Interface())
	}
}

// encode writes the structure that v points to as JSON with the model's member names.
func encode(schema *wire.Schema, ref wire.Ref, v any) (string, error) {
	if ref == wire.NoRef {
		return "{}", nil
	}
	out, _ := value(schema, ref, reflect.ValueOf(v))
	text, err := json.Marshal(out)
	return string(text), err
}

// value returns v as encoding/json has it, and whether it is present.
func value(schema *wire.Schema, ref wire.Ref, v reflect.Value) (any, bool) {
	if stream, ok := v.Interface().(*wire.Stream); ok {
		return drain(stream)
	}
	if v.Kind() == reflect.Func {
		return events(schema, ref, v)
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, false
		}
		return value(schema, ref, v.Elem())
	}
	shape := schema.Shape(ref)
	switch shape.Kind {
	case wire.Structure:
		out := map[string]any{}
		for i, member := range shape.Members {
			if e, present := value(schema, member.Shape, v.Field(i)); present {
				out[member.Name] = e
			}
		}
		return out, true
	case wire.List:
		out := []any{}
		for i := range v.Len() {
			e, _ := value(schema, shape.Elem, v.Index(i))
			out = append(out, e)
		}
		return out, !v.IsNil()
	case wire.Map:
		out := map[string]any{}
		for iter := v.MapRange(); iter.Next(); {
			out[iter.Key().String()], _ = value(schema, shape.Elem, iter.Value())
		}
		return out, !v.IsNil()
	case wire.Blob:
		return base64.StdEncoding.EncodeToString(v.Bytes()), !v.IsNil()
	case wire.Timestamp:
		t, ok := v.Interface().(time.Time)
		return t.UTC().Format(time.RFC3339Nano), ok && !t.IsZero()
	case wire.Document:
		return json.RawMessage(v.Bytes()), !v.IsNil()
	default:
		return v.Interface(), true
	}
}

// maxEvents bounds how much of a stream of events is read.
const maxEvents = 1000

// events returns what a stream of events yields, and at its end how it failed, if it did.
func events(schema *wire.Schema, ref wire.Ref, v reflect.Value) (any, bool) {
	if v.IsNil() {
		return nil, false
	}
	out := []any{}
	for event, err := range v.Seq2() {
		if !err.IsNil() {
			return append(out, fmt.Sprintf("failed: %v", err)), true
		}
		e, _ := value(schema, ref, event)
		if out = append(out, e); len(out) == maxEvents {
			break
		}
	}
	return out, true
}

// drain returns what a stream yields as text, or how it failed.
func drain(s *wire.Stream) (any, bool) {
	if s == nil {
		return nil, false
	}
	text, err := io.ReadAll(s)
	if err = errors.Join(err, s.Close()); err != nil {
		return "failed: " + err.Error(), true
	}
	return string(text), true
}
