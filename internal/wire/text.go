package wire

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

var errNotText = errors.New("wire: the text has another type")

// parseText stores a scalar or blob that arrived as text: a form's parameter, a header, a part of the path. f is the form of
// timestamps where the model does not say.
func parseText(s *Shape, v reflect.Value, text string, f TimeFormat) error {
	switch s.Kind {
	case String:
		if !utf8.ValidString(text) {
			return errNotText
		}
		setString(v, text)
	case Blob:
		raw, err := decodeBase64([]byte(text))
		if err != nil {
			return err
		}
		v.SetBytes(raw)
	case Boolean:
		if !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") {
			return errNotText
		}
		setBool(v, strings.EqualFold(text, "true"))
	case Integer, Long:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || !setInt(v, n) {
			return errNotText
		}
	case Float, Double:
		return parseFloat(v, text)
	case Timestamp:
		if s.Time != DefaultTime {
			f = s.Time
		}
		t, err := parseTime(text, f)
		if err != nil {
			return err
		}
		setTime(v, t)
	default:
		return errNotText
	}
	return nil
}

func parseFloat(v reflect.Value, text string) error {
	if f, ok := specialFloat(text); ok {
		setFloat(v, f)
		return nil
	}
	if len(text) > maxNumber || strings.ContainsAny(text, "xXpP_iInN") {
		return errNotText
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return errNotText
	}
	setFloat(v, f)
	return nil
}
