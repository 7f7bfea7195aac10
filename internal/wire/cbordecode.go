package wire

import (
	"math"
	"reflect"
	"time"
)

// cborDecoder decodes one CBOR document into a Go structure by its shape. It keeps the rules of jsonDecoder: the same bounds, no member
// or key twice, members that the shape lacks are skipped, null is absent.
type cborDecoder struct {
	cborScanner
	schema *Schema
	at     path
	values int
	// missing are the paths of required plain members that were absent, which the Go structure cannot show.
	missing []string
}

// document decodes the whole buffer as a structure.
func (d *cborDecoder) document(s *Shape, v reflect.Value) error {
	if d.peek() != cborMap {
		if d.pos == len(d.data) {
			return d.fail("expected a map")
		}
		return d.wrongType(s)
	}
	if err := d.value(s, v); err != nil {
		return err
	}
	if d.pos != len(d.data) {
		return d.fail("unexpected data after the end")
	}
	return nil
}

// wrongType returns the error for the next item where s is expected, in the words that JSON has for it.
func (d *cborDecoder) wrongType(s *Shape) error {
	h, err := d.head()
	if err != nil {
		return err
	}
	c := byte('0')
	switch {
	case h.major == cborBytes || h.major == cborText:
		c = '"'
	case h.major == cborArray:
		c = '['
	case h.major == cborMap:
		c = '{'
	case h.major == cborTag:
		return d.fail("a tag that has no meaning here")
	case h.major == cborOther && h.info == cborTrue:
		c = 't'
	case h.major == cborOther && h.info == cborFalse:
		c = 'f'
	case h.major == cborOther && h.info >= cborHalf && h.info <= cborDouble:
		c = '.'
	case h.major == cborOther:
		return d.fail("a simple value that has no meaning here")
	}
	return wrongType(d.schema, s, c, d.at.inside())
}

// value decodes the next item, which is not null, into v.
func (d *cborDecoder) value(s *Shape, v reflect.Value) error {
	if len(d.at) > maxDepth {
		return d.fail("nesting too deep")
	}
	want := d.peek()
	switch s.Kind {
	case Structure, Map:
		want = cborMap
	case List:
		want = cborArray
	case Document:
		return d.fail("a document, of which this protocol has none,")
	}
	if d.peek() != want {
		return d.wrongType(s)
	}
	if isScalar(s.Kind) || s.Kind == Blob {
		return d.scalar(s, v)
	}
	h, err := d.head()
	if err != nil {
		return err
	}
	it, err := d.items(h)
	if err != nil {
		return err
	}
	switch s.Kind {
	case List:
		return d.list(s, v, it)
	case Map:
		return d.mapping(s, v, it)
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	return d.structure(s, v, it)
}

func (d *cborDecoder) structure(s *Shape, v reflect.Value, it cborItems) error {
	var seen memberSet
	next := 0
	for {
		more, err := d.more(&it)
		if err != nil {
			return err
		}
		if !more {
			d.noteMissing(s, &seen)
			return nil
		}
		name, err := d.key()
		if err != nil {
			return err
		}
		i := s.find(name, next)
		if i < 0 {
			if err := d.skip(len(d.at) + 1); err != nil {
				return err
			}
			continue
		}
		next = i + 1
		if d.null() {
			continue
		}
		m := &s.Members[i]
		if !seen.add(i) {
			return d.fail("duplicate field '" + m.Name + "'")
		}
		d.at.member(m.Name)
		if err := d.value(d.schema.Shape(m.Shape), v.Field(i)); err != nil {
			return err
		}
		d.at.pop()
	}
}

// find returns the index of the member that the model calls name, or -1. The search begins at hint.
func (s *Shape) find(name []byte, hint int) int {
	for i := range s.Members {
		at := i + hint
		if at >= len(s.Members) {
			at -= len(s.Members)
		}
		if string(name) == s.Members[at].Name && s.written(at) {
			return at
		}
	}
	return -1
}

// key consumes a text string: a map's key.
func (d *cborDecoder) key() ([]byte, error) {
	if d.peek() != cborText {
		return nil, d.fail("expected a text as a map's key")
	}
	h, err := d.head()
	if err != nil {
		return nil, err
	}
	return d.bytes(h)
}

func (d *cborDecoder) noteMissing(s *Shape, seen *memberSet) {
	for i := range s.Members {
		if m := &s.Members[i]; m.Required && !seen.has(i) && isScalar(d.schema.Shape(m.Shape).Kind) {
			d.at.member(m.Name)
			d.missing = append(d.missing, d.at.String())
			d.at.pop()
		}
	}
}

func (d *cborDecoder) count() error {
	d.values++
	if d.values > maxValues {
		return d.fail("too many values")
	}
	return nil
}

// entry decodes an element of a list or map. Null elements have no Go form; they are noted as missing.
func (d *cborDecoder) entry(s *Shape, v reflect.Value) error {
	if d.null() {
		d.missing = append(d.missing, d.at.String())
		return nil
	}
	return d.value(s, v)
}

func (d *cborDecoder) list(s *Shape, v reflect.Value, it cborItems) error {
	elem := d.schema.Shape(s.Elem)
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for n := 0; ; n++ {
		more, err := d.more(&it)
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

func (d *cborDecoder) mapping(s *Shape, v reflect.Value, it cborItems) error {
	elem := d.schema.Shape(s.Elem)
	v.Set(reflect.MakeMap(v.Type()))
	value := reflect.New(v.Type().Elem()).Elem() // one for all entries: the map takes copies
	for {
		more, err := d.more(&it)
		if err != nil || !more {
			return err
		}
		if err := d.count(); err != nil {
			return err
		}
		raw, err := d.key()
		if err != nil {
			return err
		}
		key := string(raw)
		k := reflect.ValueOf(key)
		if v.MapIndex(k).IsValid() {
			return d.fail("duplicate field '" + short(key) + "'")
		}
		d.at.key(key)
		value.SetZero()
		if err := d.entry(elem, value); err != nil {
			return err
		}
		v.SetMapIndex(k, value)
		d.at.pop()
	}
}

// scalar decodes a string, number, boolean, blob or timestamp.
func (d *cborDecoder) scalar(s *Shape, v reflect.Value) error {
	start := d.pos
	h, err := d.head()
	if err != nil {
		return err
	}
	ok := false
	switch {
	case s.Kind == Timestamp && h.major == cborTag && h.arg == cborEpoch:
		return d.time(s, v)
	case s.Kind == String && h.major == cborText || s.Kind == Blob && h.major == cborBytes:
		raw, err := d.bytes(h)
		if err != nil {
			return err
		}
		if ok = true; s.Kind == String {
			setString(v, string(raw))
		} else {
			v.SetBytes(append([]byte{}, raw...))
		}
	case s.Kind == Boolean && h.major == cborOther:
		if ok = h.info == cborTrue || h.info == cborFalse; ok {
			setBool(v, h.info == cborTrue)
		}
	case s.Kind == Integer || s.Kind == Long:
		var n int64
		if n, ok = h.integer(); ok {
			ok = setInt(v, n)
		}
	case s.Kind == Float || s.Kind == Double:
		var f float64
		if f, ok = h.number(); ok {
			setFloat(v, f)
		}
	}
	if !ok {
		d.pos = start
		return d.wrongType(s)
	}
	return nil
}

// integer returns the whole number that an item is, in whatever form it is written.
func (h cborHead) integer() (int64, bool) {
	if h.major <= cborNegative {
		return h.whole()
	}
	f, ok := h.number()
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// number returns the number that an item is, in whatever form it is written.
func (h cborHead) number() (float64, bool) {
	switch h.major {
	case cborUint:
		return float64(h.arg), true
	case cborNegative:
		return -1 - float64(h.arg), true
	case cborOther:
		return h.float()
	}
	return 0, false
}

// time decodes what follows the tag of a time, to the millisecond.
func (d *cborDecoder) time(s *Shape, v reflect.Value) error {
	start := d.pos
	h, err := d.head()
	if err != nil {
		return err
	}
	f, ok := h.number()
	if !ok {
		d.pos = start
		return d.wrongType(s)
	}
	if !(f >= minTime && f <= maxTime) {
		return typeError("Invalid timestamp")
	}
	setTime(v, time.UnixMilli(int64(math.Round(f*1000))).UTC())
	return nil
}
