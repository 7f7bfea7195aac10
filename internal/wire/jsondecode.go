package wire

import (
	"reflect"
)

// maxValues bounds the elements of all lists and maps of one input together. Three bytes of input can make an element of hundreds
// of bytes; without a bound a small body would need much memory.
const maxValues = 1 << 19

// jsonDecoder decodes one JSON document into a Go structure by its shape.
type jsonDecoder struct {
	jsonScanner
	schema *Schema
	// rest takes the names of REST JSON, which may differ from the model's.
	rest   bool
	at     path
	values int
	// missing are the paths of required plain members that were absent, which the Go structure cannot show.
	missing []string
}

// document decodes the whole buffer as a structure.
func (d *jsonDecoder) document(s *Shape, v reflect.Value) error {
	if c := d.peek(); c != '{' {
		if c == '[' {
			return d.wrongType(s, c)
		}
		return d.fail("expected an object")
	}
	if err := d.structure(s, v); err != nil {
		return err
	}
	return d.end()
}

// value decodes the next value, which is not null, into v.
func (d *jsonDecoder) value(s *Shape, v reflect.Value) error {
	if len(d.at) > maxDepth {
		return d.fail("nesting too deep")
	}
	c := d.peek()
	switch s.Kind {
	case Structure:
		if c != '{' {
			return d.wrongType(s, c)
		}
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		return d.structure(s, v)
	case List:
		if c != '[' {
			return d.wrongType(s, c)
		}
		return d.list(s, v)
	case Map:
		if c != '{' {
			return d.wrongType(s, c)
		}
		return d.mapping(s, v)
	case Document:
		start := d.pos
		if err := d.skip(len(d.at)); err != nil {
			return err
		}
		v.SetBytes(append([]byte(nil), d.data[start:d.pos]...))
		return nil
	}
	return d.scalar(s, v, c)
}

// null consumes null, if that is next.
func (d *jsonDecoder) null() (bool, error) {
	if d.peek() != 'n' {
		return false, nil
	}
	return true, d.word("null")
}

// memberSet is a set of a structure's members. The widest structures of the models have about sixty.
type memberSet [4]uint64

func (m *memberSet) add(i int) (fresh bool) {
	word, bit := &m[(i>>6)&3], uint64(1)<<(i&63)
	fresh = *word&bit == 0
	*word |= bit
	return fresh
}

func (m *memberSet) has(i int) bool { return m[(i>>6)&3]&(1<<(i&63)) != 0 }

func (d *jsonDecoder) structure(s *Shape, v reflect.Value) error {
	d.pos++
	var seen memberSet
	next := 0
	for first := true; ; first = false {
		more, err := d.more(first, '}')
		if err != nil {
			return err
		}
		if !more {
			d.noteMissing(s, &seen)
			return nil
		}
		i, name, err := d.findMember(s, next)
		if err != nil {
			return err
		}
		if i < 0 {
			if err := d.skip(len(d.at) + 1); err != nil {
				return err
			}
			continue
		}
		next = i + 1
		if null, err := d.null(); null || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if !seen.add(i) {
			return d.fail("duplicate field '" + name + "'")
		}
		m := &s.Members[i]
		d.at.member(m.Name)
		if err := d.value(d.schema.Shape(m.Shape), v.Field(i)); err != nil {
			return err
		}
		d.at.pop()
	}
}

// findMember consumes a member's name and colon and returns the member's index, or -1 when the shape has no such member. Clients
// mostly keep to the model's order, so the search begins at hint.
func (d *jsonDecoder) findMember(s *Shape, hint int) (int, string, error) {
	raw, plain, err := d.rawString()
	if err != nil {
		return -1, "", err
	}
	if !plain {
		text, err := d.unescape(raw)
		if err != nil {
			return -1, "", err
		}
		raw = []byte(text)
	}
	if err := d.expect(':'); err != nil {
		return -1, "", err
	}
	for i := range s.Members {
		at := i + hint
		if at >= len(s.Members) {
			at -= len(s.Members)
		}
		m := &s.Members[at]
		if d.rest {
			if string(raw) == m.Wire && m.In == InBody {
				return at, m.Wire, nil
			}
		} else if string(raw) == m.Name && s.written(at) {
			return at, m.Name, nil
		}
	}
	return -1, "", nil
}

// noteMissing records the required members that only a decoder can know to be absent.
func (d *jsonDecoder) noteMissing(s *Shape, seen *memberSet) {
	for i := range s.Members {
		m := &s.Members[i]
		if m.Required && m.In == InBody && !seen.has(i) && isScalar(d.schema.Shape(m.Shape).Kind) {
			d.at.member(m.Name)
			d.missing = append(d.missing, d.at.String())
			d.at.pop()
		}
	}
}

func (d *jsonDecoder) count() error {
	d.values++
	if d.values > maxValues {
		return d.fail("too many values")
	}
	return nil
}

func (d *jsonDecoder) list(s *Shape, v reflect.Value) error {
	d.pos++
	elem := d.schema.Shape(s.Elem)
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for n := 0; ; n++ {
		more, err := d.more(n == 0, ']')
		if err != nil || !more {
			return err
		}
		if err := d.count(); err != nil {
			return err
		}
		v.Grow(1)
		v.SetLen(n + 1)
		d.at.element(n)
		if err := d.entry(elem, v.Index(n)); err != nil {
			return err
		}
		d.at.pop()
	}
}

func (d *jsonDecoder) mapping(s *Shape, v reflect.Value) error {
	d.pos++
	elem := d.schema.Shape(s.Elem)
	v.Set(reflect.MakeMap(v.Type()))
	texts, _ := v.Addr().Interface().(*map[string]string)
	var value reflect.Value // one for all entries: the map takes copies
	if texts == nil {
		value = reflect.New(v.Type().Elem()).Elem()
	}
	for first := true; ; first = false {
		more, err := d.more(first, '}')
		if err != nil || !more {
			return err
		}
		if err := d.count(); err != nil {
			return err
		}
		key, err := d.mapKey()
		if err != nil {
			return err
		}
		d.at.key(key)
		if texts != nil {
			err = d.textEntry(elem, *texts, key)
		} else {
			value.SetZero()
			err = d.mapEntry(elem, v, value, key)
		}
		if err != nil {
			return err
		}
		d.at.pop()
	}
}

func (d *jsonDecoder) mapEntry(elem *Shape, v, value reflect.Value, key string) error {
	k := reflect.ValueOf(key)
	if v.MapIndex(k).IsValid() {
		return d.fail("duplicate field '" + key + "'")
	}
	if err := d.entry(elem, value); err != nil {
		return err
	}
	v.SetMapIndex(k, value)
	return nil
}

// textEntry is mapEntry for maps of strings, without reflection.
func (d *jsonDecoder) textEntry(elem *Shape, into map[string]string, key string) error {
	if _, dup := into[key]; dup {
		return d.fail("duplicate field '" + key + "'")
	}
	if d.peek() != '"' {
		var value string
		into[key] = ""
		return d.entry(elem, reflect.ValueOf(&value).Elem())
	}
	value, err := d.str()
	into[key] = value
	return err
}

func (d *jsonDecoder) mapKey() (string, error) {
	if d.peek() != '"' {
		return "", d.fail("expected a member's name")
	}
	key, err := d.str()
	if err != nil {
		return "", err
	}
	return key, d.expect(':')
}

// entry decodes an element of a list or map. Null elements have no Go form; they are noted as missing.
func (d *jsonDecoder) entry(s *Shape, v reflect.Value) error {
	null, err := d.null()
	if err != nil {
		return err
	}
	if null {
		d.missing = append(d.missing, d.at.String())
		return nil
	}
	return d.value(s, v)
}

func isScalar(k Kind) bool {
	switch k {
	case String, Boolean, Integer, Long, Float, Double, Timestamp:
		return true
	}
	return false
}
