package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Kind is the sort of a Value.
type Kind uint8

// The kinds of values.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Map
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "boolean"
	case Number:
		return "number"
	case String:
		return "string"
	case List:
		return "list"
	case Map:
		return "map"
	}
	return "unknown"
}

// Value is a node of a template, or of what evaluating one yields. Maps keep the order of their keys. A Value is immutable:
// whoever wants another one builds it, sharing what stays the same.
type Value struct {
	kind   Kind
	pos    Pos
	text   string // a scalar's text; a number's is a valid JSON number, a bool's "true" or "false"
	items  []*Value
	fields []Field
}

// Field is one entry of a map.
type Field struct {
	Key   string
	Value *Value
}

// The constructors.

// NewNull returns a null.
func NewNull() *Value { return &Value{} }

// NewString returns a string.
func NewString(s string) *Value { return &Value{kind: String, text: s} }

// NewInt returns a number.
func NewInt(n int64) *Value { return &Value{kind: Number, text: strconv.FormatInt(n, 10)} }

// NewBool returns a boolean.
func NewBool(b bool) *Value { return &Value{kind: Bool, text: strconv.FormatBool(b)} }

// NewList returns a list of items, which it keeps.
func NewList(items ...*Value) *Value { return &Value{kind: List, items: items} }

// NewMap returns a map of fields, which it keeps. Keys must be distinct.
func NewMap(fields ...Field) *Value { return &Value{kind: Map, fields: fields} }

// F returns a Field.
func F(key string, v *Value) Field { return Field{Key: key, Value: v} }

// Kind returns v's kind; that of a nil Value is Null.
func (v *Value) Kind() Kind {
	if v == nil {
		return Null
	}
	return v.kind
}

// Is reports whether v is of kind k.
func (v *Value) Is(k Kind) bool { return v.Kind() == k }

// Pos returns where v stands in the template's text.
func (v *Value) Pos() Pos {
	if v == nil {
		return Pos{}
	}
	return v.pos
}

// WithPos returns v as though it stood at p.
func (v *Value) WithPos(p Pos) *Value {
	c := *v
	c.pos = p
	return &c
}

// Scalar returns the text of a string, number or boolean, and false for anything else. CloudFormation treats the three alike
// wherever it wants a string.
func (v *Value) Scalar() (string, bool) {
	switch v.Kind() {
	case String, Number, Bool:
		return v.text, true
	}
	return "", false
}

// Str returns the text of a string, and false for anything else.
func (v *Value) Str() (string, bool) {
	if v.Kind() != String {
		return "", false
	}
	return v.text, true
}

// IsTrue reports whether v is the boolean true.
func (v *Value) IsTrue() bool { return v.Is(Bool) && v.text == "true" }

// Items returns a list's items; the caller does not change them. Of anything else it returns nil.
func (v *Value) Items() []*Value {
	if v == nil {
		return nil
	}
	return v.items
}

// Fields returns a map's entries in order; the caller does not change them. Of anything else it returns nil.
func (v *Value) Fields() []Field {
	if v == nil {
		return nil
	}
	return v.fields
}

// Len returns the number of items of a list or entries of a map.
func (v *Value) Len() int { return len(v.Items()) + len(v.Fields()) }

// Get returns the value of key in a map, and nil when v has none or is no map.
func (v *Value) Get(key string) *Value {
	for _, f := range v.Fields() {
		if f.Key == key {
			return f.Value
		}
	}
	return nil
}

// Set returns a map like v with key set to x: in its old place, or at the end when it is new.
func (v *Value) Set(key string, x *Value) *Value {
	fields := make([]Field, 0, len(v.Fields())+1)
	found := false
	for _, f := range v.Fields() {
		if f.Key == key {
			f.Value, found = x, true
		}
		fields = append(fields, f)
	}
	if !found {
		fields = append(fields, Field{key, x})
	}
	return &Value{kind: Map, pos: v.Pos(), fields: fields}
}

// Without returns a map like v without key.
func (v *Value) Without(key string) *Value {
	fields := make([]Field, 0, len(v.Fields()))
	for _, f := range v.Fields() {
		if f.Key != key {
			fields = append(fields, f)
		}
	}
	return &Value{kind: Map, pos: v.Pos(), fields: fields}
}

// Equal reports whether v and w mean the same: the order of a map's keys and places in the text do not count, and scalars
// compare by text, because CloudFormation does not tell "2" from 2.
func (v *Value) Equal(w *Value) bool {
	if a, ok := v.Scalar(); ok {
		b, ok := w.Scalar()
		return ok && a == b
	}
	if v.Kind() != w.Kind() || v.Len() != w.Len() {
		return false
	}
	for i, item := range v.Items() {
		if !item.Equal(w.items[i]) {
			return false
		}
	}
	var index map[string]*Value
	for i, f := range v.Fields() {
		other := w.fields[i].Value
		if w.fields[i].Key != f.Key {
			if index == nil {
				index = w.index()
			}
			other = index[f.Key]
		}
		if other == nil || !f.Value.Equal(other) {
			return false
		}
	}
	return true
}

// index returns a map's entries by key, for maps that may be large.
func (v *Value) index() map[string]*Value {
	byKey := make(map[string]*Value, v.Len())
	for _, f := range v.Fields() {
		byKey[f.Key] = f.Value
	}
	return byKey
}

// Any returns v as encoding/json would decode it with UseNumber: map[string]any, []any, string, bool, json.Number or nil.
func (v *Value) Any() any {
	switch v.Kind() {
	case Bool:
		return v.text == "true"
	case Number:
		return json.Number(v.text)
	case String:
		return v.text
	case List:
		out := make([]any, len(v.items))
		for i, item := range v.items {
			out[i] = item.Any()
		}
		return out
	case Map:
		out := make(map[string]any, len(v.fields))
		for _, f := range v.fields {
			out[f.Key] = f.Value.Any()
		}
		return out
	}
	return nil
}

// FromAny returns x, as encoding/json decodes it, as a Value. The keys of a map come in sorted order.
func FromAny(x any) (*Value, error) {
	b, err := json.Marshal(x)
	if err != nil {
		return nil, err
	}
	return parseJSON(b)
}

// MarshalJSON returns v as JSON, with the keys of maps in their order.
func (v *Value) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	v.write(&b)
	return b.Bytes(), nil
}

// String returns v as JSON, for messages and tests.
func (v *Value) String() string {
	var b bytes.Buffer
	v.write(&b)
	return b.String()
}

func (v *Value) write(b *bytes.Buffer) {
	switch v.Kind() {
	case Null:
		b.WriteString("null")
	case Bool, Number:
		b.WriteString(v.text)
	case String:
		writeString(b, v.text)
	case List:
		b.WriteByte('[')
		for i, item := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.write(b)
		}
		b.WriteByte(']')
	case Map:
		b.WriteByte('{')
		for i, f := range v.fields {
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(b, f.Key)
			b.WriteByte(':')
			f.Value.write(b)
		}
		b.WriteByte('}')
	}
}

func writeString(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		// A string always encodes; a buffer never fails.
		fmt.Fprintf(b, "%q", s)
		return
	}
	b.Truncate(b.Len() - 1) // Encode ends with a newline
}
