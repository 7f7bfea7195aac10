package wire

import (
	"reflect"
	"strconv"

	"croft/internal/cloud"
)

// formDecoder decodes a form into a Go structure by its shape.
type formDecoder struct {
	form    form
	schema  *Schema
	at      path
	values  int
	missing []string
}

// structure fills v from the parameters whose names begin with prefix, which is empty or ends in a dot.
func (d *formDecoder) structure(s *Shape, v reflect.Value, prefix string) error {
	if len(d.at) > maxDepth {
		return malformed("The parameters are nested too deep.")
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	for i := range s.Members {
		m := &s.Members[i]
		shape := d.schema.Shape(m.Shape)
		d.at.member(m.Name)
		name := prefix + m.Wire
		if m.Flat && shape.Kind == List {
			name = prefix + flatName(m, shape)
		}
		if d.form.has(name) {
			if err := d.value(shape, v.Field(i), name, m.Flat); err != nil {
				return err
			}
		} else if m.Required && isScalar(shape.Kind) {
			d.missing = append(d.missing, d.at.String())
		}
		d.at.pop()
	}
	return nil
}

func (d *formDecoder) value(s *Shape, v reflect.Value, name string, flat bool) error {
	switch s.Kind {
	case Structure:
		return d.structure(s, v, name+".")
	case List:
		return d.list(s, v, name, flat)
	case Map:
		return d.mapping(s, v, name, flat)
	}
	text, ok := d.form.get(name)
	if !ok {
		return d.bad(s, name, "a structure")
	}
	if err := parseText(s, v, text, ISOTime); err != nil {
		return d.bad(s, name, "'"+short(text)+"'")
	}
	return nil
}

func (d *formDecoder) bad(s *Shape, name, what string) *cloud.Error {
	return cloud.Errorf("MalformedInput", "The parameter %s has %s where a value of type %s is expected.", short(name), what, kindName(s.Kind))
}

func (d *formDecoder) count() error {
	if d.values++; d.values > maxValues {
		return malformed("The request has too many values.")
	}
	return nil
}

// list decodes name.member.1 and so on, or name.1 of a flattened list. A list that is present without elements is empty.
func (d *formDecoder) list(s *Shape, v reflect.Value, name string, flat bool) error {
	prefix := name + "."
	if !flat {
		prefix += or(s.ElemName, "member") + "."
	}
	elem := d.schema.Shape(s.Elem)
	indexes := d.form.indexes(prefix)
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for i, n := range indexes {
		if err := d.count(); err != nil {
			return err
		}
		v.Grow(1)
		v.SetLen(i + 1)
		d.at.element(i)
		if err := d.value(elem, v.Index(i), prefix+strconv.Itoa(n), elem.Flat); err != nil {
			return err
		}
		d.at.pop()
	}
	return nil
}

// mapping decodes name.entry.1.key and name.entry.1.value and so on, or name.1.key of a flattened map.
func (d *formDecoder) mapping(s *Shape, v reflect.Value, name string, flat bool) error {
	prefix := name + "."
	if !flat {
		prefix += "entry."
	}
	elem := d.schema.Shape(s.Elem)
	v.Set(reflect.MakeMap(v.Type()))
	for _, n := range d.form.indexes(prefix) {
		if err := d.count(); err != nil {
			return err
		}
		entry := prefix + strconv.Itoa(n) + "."
		key, ok := d.form.get(entry + or(s.KeyName, "key"))
		if !ok {
			return malformed("The parameter %s is missing.", short(entry+or(s.KeyName, "key")))
		}
		if v.MapIndex(reflect.ValueOf(key)).IsValid() {
			return malformed("%s has the key %s more than once.", short(name), short(key))
		}
		d.at.key(key)
		value := reflect.New(v.Type().Elem()).Elem()
		valueName := entry + or(s.ElemName, "value")
		if d.form.has(valueName) {
			if err := d.value(elem, value, valueName, elem.Flat); err != nil {
				return err
			}
		} else {
			d.missing = append(d.missing, d.at.String())
		}
		v.SetMapIndex(reflect.ValueOf(key), value)
		d.at.pop()
	}
	return nil
}
