package wire

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// jsonEncoder writes Go structures as JSON by their shapes.
type jsonEncoder struct {
	schema *Schema
	rest   bool
	b      []byte
}

// structure writes v with its body members. Absent members are left out.
func (e *jsonEncoder) structure(s *Shape, v reflect.Value) error {
	if v.Kind() != reflect.Struct || v.NumField() != len(s.Members) {
		return mismatch(s, v)
	}
	e.b = append(e.b, '{')
	first := true
	for i := range s.Members {
		m := &s.Members[i]
		if e.rest && m.In != InBody || !s.written(i) {
			continue
		}
		f := v.Field(i)
		if isAbsent(f) {
			continue
		}
		if !first {
			e.b = append(e.b, ',')
		}
		first = false
		name := m.Name
		if e.rest {
			name = m.Wire
		}
		e.b = append(e.b, '"')
		e.b = append(e.b, name...)
		e.b = append(e.b, '"', ':')
		if err := e.value(e.schema.Shape(m.Shape), f); err != nil {
			return err
		}
	}
	e.b = append(e.b, '}')
	return nil
}

func mismatch(s *Shape, v reflect.Value) error {
	return fmt.Errorf("wire: %s cannot be written from a %s", s.Name, v.Kind())
}

// fits reports whether a Go value of kind k holds a value of shape kind s.
func fits(s Kind, v reflect.Value) bool {
	k := v.Kind()
	switch s {
	case Structure:
		return k == reflect.Struct
	case List:
		return k == reflect.Slice
	case Map:
		return k == reflect.Map && v.Type().Key().Kind() == reflect.String
	case String:
		return k == reflect.String
	case Blob, Document:
		return k == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8
	case Boolean:
		return k == reflect.Bool
	case Integer, Long:
		return k == reflect.Int32 || k == reflect.Int64 || k == reflect.Int
	case Float, Double:
		return k == reflect.Float32 || k == reflect.Float64
	case Timestamp:
		return v.IsValid() && v.Type() == reflect.TypeFor[time.Time]()
	}
	return false
}

func (e *jsonEncoder) value(s *Shape, v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !fits(s.Kind, v) {
		return mismatch(s, v)
	}
	switch s.Kind {
	case Structure:
		return e.structure(s, v)
	case List:
		return e.list(s, v)
	case Map:
		return e.mapping(s, v)
	case Document:
		e.b = append(e.b, v.Bytes()...)
	case String:
		e.b = appendJSONString(e.b, v.String())
	case Blob:
		e.b = append(e.b, '"')
		e.b = base64.StdEncoding.AppendEncode(e.b, v.Bytes())
		e.b = append(e.b, '"')
	case Boolean:
		e.b = strconv.AppendBool(e.b, v.Bool())
	case Integer, Long:
		e.b = strconv.AppendInt(e.b, v.Int(), 10)
	case Float:
		e.b = appendJSONFloat(e.b, v.Float(), 32)
	case Double:
		e.b = appendJSONFloat(e.b, v.Float(), 64)
	case Timestamp:
		e.b = appendJSONTime(e.b, v.Interface().(time.Time), s.Time)
	}
	return nil
}

func (e *jsonEncoder) list(s *Shape, v reflect.Value) error {
	elem := e.schema.Shape(s.Elem)
	e.b = append(e.b, '[')
	for i := range v.Len() {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		if err := e.value(elem, v.Index(i)); err != nil {
			return err
		}
	}
	e.b = append(e.b, ']')
	return nil
}

// mapping writes a map with its keys in order.
func (e *jsonEncoder) mapping(s *Shape, v reflect.Value) error {
	if texts, ok := v.Interface().(map[string]string); ok {
		e.texts(texts)
		return nil
	}
	elem := e.schema.Shape(s.Elem)
	e.b = append(e.b, '{')
	for i, k := range sortedKeys(v) {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.b = append(appendJSONString(e.b, k.String()), ':')
		if err := e.value(elem, v.MapIndex(k)); err != nil {
			return err
		}
	}
	e.b = append(e.b, '}')
	return nil
}

func (e *jsonEncoder) texts(m map[string]string) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	e.b = append(e.b, '{')
	for i, k := range keys {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.b = append(appendJSONString(e.b, k), ':')
		e.b = appendJSONString(e.b, m[k])
	}
	e.b = append(e.b, '}')
}

func appendJSONTime(b []byte, t time.Time, f TimeFormat) []byte {
	if f == DefaultTime || f == UnixTime {
		return appendTime(b, t, UnixTime)
	}
	return append(appendTime(append(b, '"'), t, f), '"')
}

// appendJSONFloat writes f as Java does where it matters: the three special values are strings.
func appendJSONFloat(b []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	if math.Abs(f) >= 1e21 || (f != 0 && math.Abs(f) < 1e-6) {
		return strconv.AppendFloat(b, f, 'e', -1, bits)
	}
	return strconv.AppendFloat(b, f, 'f', -1, bits)
}

const hexDigits = "0123456789abcdef"

// appendJSONString writes s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(b, s[start:i]...)
				b = append(b, "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		b = append(b, s[start:i]...)
		b = appendJSONEscape(b, c)
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

func appendJSONEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
