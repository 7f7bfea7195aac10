package wire

import (
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// cborEncoder writes Go structures as CBOR by their shapes. Lengths are definite, maps are in the order of their keys.
type cborEncoder struct {
	schema *Schema
	b      []byte
}

// appendCBORHead writes the shortest head that holds n.
func appendCBORHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// appendCBORText writes a text string. Bytes that are not UTF-8 become U+FFFD.
func appendCBORText(b []byte, s string) []byte {
	s = toUTF8(s)
	return append(appendCBORHead(b, cborText, uint64(len(s))), s...)
}

// toUTF8 returns s with U+FFFD for bytes that are not UTF-8.
func toUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

func appendCBORInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendCBORHead(b, cborNegative, uint64(-1-n))
	}
	return appendCBORHead(b, cborUint, uint64(n))
}

func appendCBORDouble(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, cborOther<<5|cborDouble), math.Float64bits(f))
}

// appendCBORTime writes seconds since 1970, to the millisecond.
func appendCBORTime(b []byte, t time.Time) []byte {
	b = appendCBORHead(b, cborTag, cborEpoch)
	if ms := t.UnixMilli(); ms%1000 != 0 {
		return appendCBORDouble(b, float64(ms)/1000)
	}
	return appendCBORInt(b, t.Unix())
}

// structure writes v. Absent members are left out.
func (e *cborEncoder) structure(s *Shape, v reflect.Value) error {
	if v.Kind() != reflect.Struct || v.NumField() != len(s.Members) {
		return mismatch(s, v)
	}
	n := 0
	for i := range s.Members {
		if s.written(i) && !isAbsent(v.Field(i)) {
			n++
		}
	}
	e.b = appendCBORHead(e.b, cborMap, uint64(n))
	for i := range s.Members {
		f := v.Field(i)
		if !s.written(i) || isAbsent(f) {
			continue
		}
		e.b = appendCBORText(e.b, s.Members[i].Name)
		if err := e.value(e.schema.Shape(s.Members[i].Shape), f); err != nil {
			return err
		}
	}
	return nil
}

func (e *cborEncoder) value(s *Shape, v reflect.Value) error {
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
		elem := e.schema.Shape(s.Elem)
		e.b = appendCBORHead(e.b, cborArray, uint64(v.Len()))
		for i := range v.Len() {
			if err := e.value(elem, v.Index(i)); err != nil {
				return err
			}
		}
	case Map:
		elem := e.schema.Shape(s.Elem)
		e.b = appendCBORHead(e.b, cborMap, uint64(v.Len()))
		for _, k := range sortedKeys(v) {
			e.b = appendCBORText(e.b, k.String())
			if err := e.value(elem, v.MapIndex(k)); err != nil {
				return err
			}
		}
	case Document:
		return mismatch(s, v)
	default:
		e.scalar(s, v)
	}
	return nil
}

func (e *cborEncoder) scalar(s *Shape, v reflect.Value) {
	switch s.Kind {
	case String:
		e.b = appendCBORText(e.b, v.String())
	case Blob:
		e.b = append(appendCBORHead(e.b, cborBytes, uint64(v.Len())), v.Bytes()...)
	case Boolean:
		b := byte(cborOther<<5 | cborFalse)
		if v.Bool() {
			b = cborOther<<5 | cborTrue
		}
		e.b = append(e.b, b)
	case Integer, Long:
		e.b = appendCBORInt(e.b, v.Int())
	case Float:
		e.b = binary.BigEndian.AppendUint32(append(e.b, cborOther<<5|cborSingle), math.Float32bits(float32(v.Float())))
	case Double:
		e.b = appendCBORDouble(e.b, v.Float())
	case Timestamp:
		e.b = appendCBORTime(e.b, v.Interface().(time.Time))
	}
}
