package wire

import (
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// xmlEncoder writes Go structures as XML by their shapes, in the form that the query protocol and REST XML have.
type xmlEncoder struct {
	schema *Schema
	// rest gives the elements of flattened lists their member's name always.
	rest bool
	b    []byte
}

func (e *xmlEncoder) open(name string) { e.b = append(append(append(e.b, '<'), name...), '>') }

func (e *xmlEncoder) close(name string) { e.b = append(append(append(e.b, '<', '/'), name...), '>') }

// openWith writes an opening tag with attributes, whose values are escaped already.
func (e *xmlEncoder) openWith(name string, attributes [][2]string) {
	e.b = append(append(e.b, '<'), name...)
	for _, a := range attributes {
		e.b = append(append(append(e.b, ' '), a[0]...), '=', '"')
		e.b = append(append(e.b, a[1]...), '"')
	}
	e.b = append(e.b, '>')
}

// schemaInstance is the namespace of the prefix xsi, which attributes of S3 bear.
const schemaInstance = "http://www.w3.org/2001/XMLSchema-instance"

// attributes returns the members of a structure that are attributes of its element; none is the common case.
func (e *xmlEncoder) attributes(s *Shape, v reflect.Value) (out [][2]string) {
	if s.Kind != Structure || v.NumField() != len(s.Members) {
		return nil
	}
	for i := range s.Members {
		m := &s.Members[i]
		if !m.Attribute || isAbsent(v.Field(i)) {
			continue
		}
		if strings.HasPrefix(m.Wire, "xsi:") {
			out = append(out, [2]string{"xmlns:xsi", schemaInstance})
		}
		f := v.Field(i)
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		shape := e.schema.Shape(m.Shape)
		if !isScalar(shape.Kind) || !fits(shape.Kind, f) {
			continue
		}
		text := xmlEncoder{schema: e.schema}
		text.scalar(shape, f)
		out = append(out, [2]string{m.Wire, strings.NewReplacer("\n", "&#xA;", "\t", "&#x9;").Replace(string(text.b))})
	}
	return out
}

// element writes <name>text</name>.
func (e *xmlEncoder) element(name, text string) {
	e.open(name)
	e.b = appendXMLText(e.b, text)
	e.close(name)
}

// members writes the members of a structure, without an element around them.
func (e *xmlEncoder) members(s *Shape, v reflect.Value) error {
	if v.Kind() != reflect.Struct || v.NumField() != len(s.Members) {
		return mismatch(s, v)
	}
	for i := range s.Members {
		m := &s.Members[i]
		f := v.Field(i)
		if isAbsent(f) || m.Attribute || m.In != InBody || !s.written(i) {
			continue
		}
		if err := e.member(m, f); err != nil {
			return err
		}
	}
	return nil
}

func (e *xmlEncoder) member(m *Member, f reflect.Value) error {
	s := e.schema.Shape(m.Shape)
	if m.Flat && s.Kind == List && fits(List, f) {
		name := m.Wire
		if !e.rest {
			name = flatName(m, s)
		}
		return e.list(s, f, name)
	}
	if m.Flat && s.Kind == Map && fits(Map, f) {
		return e.mapping(s, f, m.Wire)
	}
	return e.value(s, f, m.Wire)
}

// flatName returns the name of the elements of a flattened list in the query protocol: the member's where it has one of its own, else the elements'.
func flatName(m *Member, list *Shape) string {
	if m.Wire != m.Name {
		return m.Wire
	}
	return or(list.ElemName, m.Wire)
}

// value writes one element called name.
func (e *xmlEncoder) value(s *Shape, v reflect.Value, name string) error {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !fits(s.Kind, v) {
		return mismatch(s, v)
	}
	e.openWith(name, e.attributes(s, v))
	var err error
	switch s.Kind {
	case Structure:
		err = e.members(s, v)
	case List:
		err = e.list(s, v, or(s.ElemName, "member"))
	case Map:
		err = e.mapping(s, v, "entry")
	default:
		e.scalar(s, v)
	}
	e.close(name)
	return err
}

func or(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

func (e *xmlEncoder) list(s *Shape, v reflect.Value, name string) error {
	elem := e.schema.Shape(s.Elem)
	for i := range v.Len() {
		if err := e.value(elem, v.Index(i), name); err != nil {
			return err
		}
	}
	return nil
}

func (e *xmlEncoder) mapping(s *Shape, v reflect.Value, name string) error {
	elem := e.schema.Shape(s.Elem)
	for _, k := range sortedKeys(v) {
		e.open(name)
		e.element(or(s.KeyName, "key"), k.String())
		if err := e.value(elem, v.MapIndex(k), or(s.ElemName, "value")); err != nil {
			return err
		}
		e.close(name)
	}
	return nil
}

func (e *xmlEncoder) scalar(s *Shape, v reflect.Value) {
	switch s.Kind {
	case String:
		e.b = appendXMLText(e.b, v.String())
	case Document:
		e.b = appendXMLText(e.b, string(v.Bytes()))
	case Blob:
		e.b = base64.StdEncoding.AppendEncode(e.b, v.Bytes())
	case Timestamp:
		f := s.Time
		if f == DefaultTime {
			f = ISOTime
		}
		e.b = appendTime(e.b, v.Interface().(time.Time), f)
	default:
		e.b = appendPlain(e.b, s.Kind, v)
	}
}

// appendPlain writes a boolean or a number as it stands in text.
func appendPlain(b []byte, k Kind, v reflect.Value) []byte {
	switch k {
	case Boolean:
		return strconv.AppendBool(b, v.Bool())
	case Integer, Long:
		return strconv.AppendInt(b, v.Int(), 10)
	}
	f, bits := v.Float(), 64
	if k == Float {
		bits = 32
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		quoted := appendJSONFloat(nil, f, bits)
		return append(b, quoted[1:len(quoted)-1]...)
	}
	return appendJSONFloat(b, f, bits)
}

// appendXMLText writes s as character data. What XML 1.0 cannot hold becomes U+FFFD.
func appendXMLText(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		if esc := xmlEscape(r, n); esc != "" {
			b = append(b, s[start:i]...)
			b = append(b, esc...)
			start = i + n
		}
		i += n
	}
	return append(b, s[start:]...)
}

// xmlEscape returns what stands for r, which took n bytes, or "" when it stands for itself.
func xmlEscape(r rune, n int) string {
	switch {
	case r == '&':
		return "&amp;"
	case r == '<':
		return "&lt;"
	case r == '>':
		return "&gt;"
	case r == '"':
		return "&quot;"
	case r == '\r':
		return "&#xD;"
	case r == '\t' || r == '\n':
		return ""
	case r < 0x20, r == 0xfffe, r == 0xffff, r == utf8.RuneError && n == 1:
		return "\ufffd"
	}
	return ""
}
