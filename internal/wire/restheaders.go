package wire

import (
	"encoding/base64"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// writeHeaders sets the headers that hold members of a REST answer, and returns its status.
func writeHeaders(op *Operation, s *Shape, v reflect.Value, h http.Header) (int, error) {
	status := op.Status
	for i := range s.Members {
		m := &s.Members[i]
		f := v.Field(i)
		if m.In == InBody || isAbsent(f) {
			continue
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		shape := op.Schema.Shape(m.Shape)
		if !fits(shape.Kind, f) {
			return 0, mismatch(shape, f)
		}
		switch m.In {
		case InStatus:
			if n := int(f.Int()); n >= 200 && n <= 599 {
				status = n
			}
		case InHeader:
			if text := headerValue(op.Schema, shape, f); text != "" {
				h.Set(m.Wire, text)
			}
		case InHeaders:
			for _, k := range sortedKeys(f) {
				// As the model spells them: clients take the rest of the name as it is.
				h[m.Wire+headerText(k.String())] = []string{headerText(f.MapIndex(k).String())}
			}
		}
	}
	return status, nil
}

// headerValue returns a value as a header has it.
func headerValue(schema *Schema, s *Shape, v reflect.Value) string {
	switch s.Kind {
	case String:
		return headerText(v.String())
	case Blob:
		return base64.StdEncoding.EncodeToString(v.Bytes())
	case Timestamp:
		f := s.Time
		if f == DefaultTime {
			f = HTTPTime
		}
		return string(appendTime(nil, v.Interface().(time.Time), f))
	case List:
		elem := schema.Shape(s.Elem)
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = headerValue(schema, elem, v.Index(i))
			if elem.Kind == String && strings.ContainsAny(parts[i], `,"`) {
				parts[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(parts[i]) + `"`
			}
		}
		return strings.Join(parts, ", ")
	case Boolean, Integer, Long, Float, Double:
		return string(appendPlain(nil, s.Kind, v))
	}
	return ""
}
