package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// dropQueryMaps takes out the maps of all query parameters, which a server fills and the suites of REST XML leave out.
func dropQueryMaps(schema *Schema, s *Shape, got, want any) {
	given := want.(map[string]any)
	for i := range s.Members {
		m := &s.Members[i]
		if _, there := given[m.Name]; !there && m.In == InQuery && schema.Shape(m.Shape).Kind == Map {
			delete(got.(map[string]any), m.Name)
		}
	}
}

// plainValue turns a Go value into maps, lists and texts that compare easily.
func plainValue(schema *Schema, s *Shape, v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch s.Kind {
	case Structure:
		out := map[string]any{}
		for i := range s.Members {
			if f := v.Field(i); !isAbsent(f) {
				out[s.Members[i].Name] = plainValue(schema, schema.Shape(s.Members[i].Shape), f)
			}
		}
		return out
	case List:
		out := []any{}
		for i := range v.Len() {
			out = append(out, plainValue(schema, schema.Shape(s.Elem), v.Index(i)))
		}
		return out
	case Map:
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[k.String()] = plainValue(schema, schema.Shape(s.Elem), v.MapIndex(k))
		}
		return out
	case Blob:
		return string(v.Bytes())
	case Document:
		var doc any
		if err := json.Unmarshal(v.Bytes(), &doc); err != nil {
			return err
		}
		return fmt.Sprint(doc)
	case Timestamp:
		return strconv.FormatFloat(float64(v.Interface().(time.Time).UnixMilli())/1000, 'f', -1, 64)
	case Float, Double:
		return floatText(v.Float())
	}
	return fmt.Sprint(v.Interface())
}

func floatText(f float64) string {
	if math.IsNaN(f) {
		return "NaN"
	}
	return strconv.FormatFloat(float64(float32(f)), 'g', -1, 32)
}

// normalize turns a suite's parameters into the same form.
func normalize(schema *Schema, s *Shape, p any) any {
	switch s.Kind {
	case Structure:
		out := map[string]any{}
		values, _ := p.(map[string]any)
		for i := range s.Members {
			if v, ok := values[s.Members[i].Name]; ok && v != nil {
				out[s.Members[i].Name] = normalize(schema, schema.Shape(s.Members[i].Shape), v)
			}
		}
		return out
	case List:
		out := []any{}
		for _, v := range p.([]any) {
			out = append(out, normalize(schema, schema.Shape(s.Elem), v))
		}
		return out
	case Map:
		out := map[string]any{}
		for k, v := range p.(map[string]any) {
			out[k] = normalize(schema, schema.Shape(s.Elem), v)
		}
		return out
	case Float, Double:
		f, _ := strconv.ParseFloat(strings.Replace(fmt.Sprint(p), "Infinity", "Inf", 1), 64)
		return floatText(f)
	case Document:
		data, _ := json.Marshal(p)
		var doc any
		_ = json.Unmarshal(data, &doc)
		return fmt.Sprint(doc)
	}
	return fmt.Sprint(p)
}
