package wire

import (
	"math"
	"reflect"
	"strconv"
	"time"
)

// maxNumber bounds a number's text.
const maxNumber = 400

// typeError is a well-formed value of the wrong type. Its text is AWS's own.
type typeError string

func (e typeError) Error() string { return string(e) }

// scalar decodes a string, number, boolean, blob or timestamp that begins with c.
func (d *jsonDecoder) scalar(s *Shape, v reflect.Value, c byte) error {
	switch {
	case c == '"':
		return d.fromString(s, v)
	case c == 't' || c == 'f':
		word := "true"
		if c == 'f' {
			word = "false"
		}
		if err := d.word(word); err != nil {
			return err
		}
		if s.Kind != Boolean {
			return d.wrongType(s, c)
		}
		setBool(v, c == 't')
		return nil
	case c == '-' || (c >= '0' && c <= '9'):
		return d.fromNumber(s, v)
	case c == '{' || c == '[':
		return d.wrongType(s, c)
	}
	return d.fail("expected a value")
}

func (d *jsonDecoder) fromString(s *Shape, v reflect.Value) error {
	if s.Kind == Blob {
		return d.blob(v)
	}
	text, err := d.str()
	if err != nil {
		return err
	}
	switch {
	case s.Kind == String:
		setString(v, text)
	case s.Kind == Timestamp && s.Time != DefaultTime:
		t, err := parseTime(text, s.Time)
		if err != nil {
			return typeError(err.Error())
		}
		setTime(v, t)
	case s.Kind == Boolean && d.schema.Wording == DynamoWords:
		return dynamoBoolean(text, v)
	case s.Kind == Float || s.Kind == Double:
		f, ok := specialFloat(text)
		if !ok {
			return d.wrongType(s, '"')
		}
		setFloat(v, f)
	default:
		return d.wrongType(s, '"')
	}
	return nil
}

// specialFloat reads the three numbers that JSON cannot write as such.
func specialFloat(text string) (float64, bool) {
	switch text {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	return 0, false
}

func (d *jsonDecoder) blob(v reflect.Value) error {
	raw, plain, err := d.rawString()
	if err != nil {
		return err
	}
	if !plain {
		text, err := d.unescape(raw)
		if err != nil {
			return err
		}
		raw = []byte(text)
	}
	out, err := decodeBase64(raw)
	if err != nil {
		return typeError(err.Error())
	}
	v.SetBytes(out)
	return nil
}

func (d *jsonDecoder) fromNumber(s *Shape, v reflect.Value) error {
	text, whole, err := d.number()
	if err != nil {
		return err
	}
	if len(text) > maxNumber {
		return d.fail("number too long")
	}
	token := byte('0')
	if !whole {
		token = '.'
	}
	switch s.Kind {
	case Integer, Long:
		n, ok := wholeNumber(text, whole)
		if !ok || !setInt(v, n) {
			return d.wrongType(s, token)
		}
	case Float, Double:
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return d.wrongType(s, token)
		}
		setFloat(v, f)
	case Timestamp:
		t, err := epochTime(string(text))
		if err != nil {
			return d.wrongType(s, token)
		}
		setTime(v, t)
	default:
		return d.wrongType(s, token)
	}
	return nil
}

// wholeNumber returns the value of a number without a fraction, in whatever form it is written.
func wholeNumber(text []byte, whole bool) (int64, bool) {
	if whole && len(text) < 19 {
		digits, negative := text, text[0] == '-'
		if negative {
			digits = text[1:]
		}
		var n int64
		for _, c := range digits {
			n = n*10 + int64(c-'0')
		}
		if negative {
			n = -n
		}
		return n, true
	}
	if whole {
		n, err := strconv.ParseInt(string(text), 10, 64)
		return n, err == nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// wrongType returns the error for a value that begins with c where s is expected, in the service's wording.
// Source: answers of Athena, SQS and DynamoDB as published in the tests of other implementations.
func (d *jsonDecoder) wrongType(s *Shape, c byte) error {
	return wrongType(d.schema, s, c, d.at.inside())
}

func wrongType(schema *Schema, s *Shape, c byte, inside bool) error {
	if schema.Wording == DynamoWords {
		return dynamoWrongType(schema, s, c, inside)
	}
	switch {
	case c == '{':
		return typeError("Start of structure or map found where not expected.")
	case c == '[':
		return typeError("Start of list found where not expected")
	case s.Kind == List:
		return typeError("Expected list or null")
	case s.Kind == Structure || s.Kind == Map:
		return typeError("Expected null")
	case s.Kind == Timestamp:
		return typeError(tokenName(c) + " can not be converted to milliseconds since epoch")
	}
	article := "a "
	if s.Kind == Integer {
		article = "an "
	}
	return typeError(tokenName(c) + " can not be converted to " + article + kindName(s.Kind))
}

func tokenName(c byte) string {
	switch c {
	case '"':
		return "STRING_VALUE"
	case 't':
		return "TRUE_VALUE"
	case 'f':
		return "FALSE_VALUE"
	case '.':
		return "DECIMAL_VALUE"
	}
	return "NUMBER_VALUE"
}

func kindName(k Kind) string {
	switch k {
	case String:
		return "String"
	case Boolean:
		return "Boolean"
	case Integer:
		return "Integer"
	case Long:
		return "Long"
	case Float:
		return "Float"
	case Double:
		return "Double"
	case Blob:
		return "Blob"
	case Timestamp:
		return "Date"
	}
	return "value"
}

// The set functions store a scalar in a plain field or in a fresh pointer.

func setString(v reflect.Value, s string) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.ValueOf(&s))
		return
	}
	v.SetString(s)
}

func setBool(v reflect.Value, b bool) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.ValueOf(&b))
		return
	}
	v.SetBool(b)
}

// setInt reports whether n fits.
func setInt(v reflect.Value, n int64) bool {
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		v.Set(p)
		v = p.Elem()
	}
	if v.OverflowInt(n) {
		return false
	}
	v.SetInt(n)
	return true
}

func setFloat(v reflect.Value, f float64) {
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		v.Set(p)
		v = p.Elem()
	}
	v.SetFloat(f)
}

func setTime(v reflect.Value, t time.Time) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.ValueOf(&t))
		return
	}
	v.Set(reflect.ValueOf(t))
}
