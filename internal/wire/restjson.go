package wire

import (
	"bytes"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"croft/internal/cloud"
)

// restJSON is restJson1: members lie in the path, the query, headers and a JSON body.
type restJSON struct{}

func (restJSON) decode(x *Exchange, v reflect.Value) ([]string, error) {
	s := x.Op.Schema.Shape(x.Op.Input)
	d := restDecoder{x: x, schema: x.Op.Schema, query: x.request.URL.Query()}
	if err := d.outside(s, v); err != nil {
		return nil, err
	}
	missing, err := d.body(s, v)
	if err != nil {
		return nil, badBody(err)
	}
	return append(d.missing, missing...), nil
}

// restDecoder decodes the parts of a REST request that every REST protocol has alike.
type restDecoder struct {
	x       *Exchange
	schema  *Schema
	query   url.Values
	missing []string
}

// outside decodes the members that do not lie in the body.
func (d *restDecoder) outside(s *Shape, v reflect.Value) error {
	err := d.x.route.labels(d.x.path, func(name, value string) error {
		for i := range s.Members {
			if m := &s.Members[i]; m.In == InURI && m.Wire == name {
				return d.text(m, v.Field(i), value, ISOTime)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range s.Members {
		m := &s.Members[i]
		given := true
		switch m.In {
		case InQuery:
			given, err = d.fromQuery(m, v.Field(i))
		case InHeader:
			given, err = d.fromHeader(m, v.Field(i))
		case InHeaders:
			d.fromHeaders(m, v.Field(i))
		}
		if err != nil {
			return err
		}
		if !given && m.Required && isScalar(d.schema.Shape(m.Shape).Kind) {
			d.missing = append(d.missing, lowerFirst(m.Name))
		}
	}
	return nil
}

func (d *restDecoder) text(m *Member, v reflect.Value, text string, f TimeFormat) error {
	s := d.schema.Shape(m.Shape)
	if err := parseText(s, v, text, f); err != nil {
		return cloud.Errorf("SerializationException", "'%s' at '%s' can not be converted to a value of type %s", short(text), lowerFirst(m.Name), kindName(s.Kind))
	}
	return nil
}

func (d *restDecoder) fromQuery(m *Member, v reflect.Value) (bool, error) {
	s := d.schema.Shape(m.Shape)
	if s.Kind == Map {
		return true, d.allQuery(v)
	}
	values, given := d.query[m.Wire]
	if !given {
		return false, nil
	}
	if s.Kind == List {
		return true, d.texts(m, s, v, values, ISOTime)
	}
	return true, d.text(m, v, values[0], ISOTime)
}

// allQuery gives a map all the parameters, those of other members too (Smithy, the trait httpQueryParams).
func (d *restDecoder) allQuery(v reflect.Value) error {
	out := reflect.MakeMap(v.Type())
	for name, values := range d.query {
		value := reflect.New(v.Type().Elem()).Elem()
		if value.Kind() == reflect.Slice {
			value.Set(reflect.ValueOf(values))
		} else {
			value.SetString(values[0])
		}
		out.SetMapIndex(reflect.ValueOf(name), value)
	}
	if out.Len() > 0 {
		v.Set(out)
	}
	return nil
}

// texts decodes a list whose elements arrived as texts.
func (d *restDecoder) texts(m *Member, s *Shape, v reflect.Value, values []string, f TimeFormat) error {
	elem := Member{Name: m.Name, Shape: s.Elem}
	out := reflect.MakeSlice(v.Type(), len(values), len(values))
	for i, value := range values {
		if err := d.text(&elem, out.Index(i), value, f); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

func (d *restDecoder) fromHeader(m *Member, v reflect.Value) (bool, error) {
	values := d.x.request.Header.Values(m.Wire)
	if len(values) == 0 {
		return false, nil
	}
	s := d.schema.Shape(m.Shape)
	if s.Kind == List {
		return true, d.texts(m, s, v, splitHeader(strings.Join(values, ","), d.schema.Shape(s.Elem)), HTTPTime)
	}
	return true, d.text(m, v, values[0], HTTPTime)
}

// splitHeader splits a header that holds a list. HTTP dates hold a comma themselves; quoted elements may.
func splitHeader(text string, elem *Shape) []string {
	var out []string
	skip := 0
	if elem.Kind == Timestamp && (elem.Time == DefaultTime || elem.Time == HTTPTime) {
		skip = 1
	}
	var b strings.Builder
	quoted, seen := false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted && seen == skip:
			out = append(out, strings.TrimSpace(b.String()))
			b.Reset()
			seen = 0
		case c == ',' && !quoted:
			seen++
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return append(out, strings.TrimSpace(b.String()))
}

func (d *restDecoder) fromHeaders(m *Member, v reflect.Value) {
	prefix := strings.ToLower(m.Wire)
	out := map[string]string{}
	for name, values := range d.x.request.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, prefix) && len(values) > 0 {
			out[lower[len(prefix):]] = values[0]
		}
	}
	if len(out) > 0 {
		v.Set(reflect.ValueOf(out))
	}
}

// body decodes the members that lie in the body, or the one that is the body.
func (d *restDecoder) body(s *Shape, v reflect.Value) (missing []string, err error) {
	body := d.x.body
	js := jsonDecoder{jsonScanner: jsonScanner{data: body}, schema: d.schema, rest: true, at: make(path, 0, 16)}
	if s.Payload == 0 {
		if isBlank(body) {
			js.noteMissing(s, &memberSet{})
			return js.missing, nil
		}
		err = js.document(s, v)
		return js.missing, err
	}
	m, f, done, err := d.payload(s, v)
	if done || err != nil {
		return nil, err
	}
	js.at.member(m.Name)
	if err = js.value(d.schema.Shape(m.Shape), f); err == nil {
		err = js.end()
	}
	return js.missing, err
}

// payload returns the member that is the whole body. done reports that nothing is left to decode: the body is empty or the member
// takes it as it is.
func (d *restDecoder) payload(s *Shape, v reflect.Value) (m *Member, f reflect.Value, done bool, err error) {
	m, f = &s.Members[s.Payload-1], v.Field(s.Payload-1)
	body, kind := d.x.body, d.schema.Shape(m.Shape).Kind
	switch {
	case kind == EventStream:
		return m, f, true, nil // readEvents has it
	case kind == Streamed:
		if d.x.stream != nil {
			f.Set(reflect.ValueOf(d.x.stream))
		}
		return m, f, true, nil
	case len(body) == 0 || (kind != Blob && kind != String && isBlank(body)):
		return m, f, true, nil
	case kind == Blob:
		f.SetBytes(bytes.Clone(body))
		return m, f, true, nil
	case kind == String:
		return m, f, true, d.text(m, f, string(body), ISOTime)
	}
	return m, f, false, nil
}

func isBlank(body []byte) bool { return len(bytes.TrimSpace(body)) == 0 }

func (c restJSON) encode(x *Exchange, w http.ResponseWriter, requestID string, v reflect.Value) error {
	if !v.IsValid() {
		body, contentType := []byte(nil), ""
		if x.Op.Status != http.StatusNoContent {
			body, contentType = []byte("{}"), "application/json"
		}
		return send(w, x.Op.Status, requestID, contentType, body)
	}
	s := x.Op.Schema.Shape(x.Op.Output)
	buf := getBuffer()
	defer putBuffer(buf)
	e := jsonEncoder{schema: x.Op.Schema, rest: true, b: buf.b}
	contentType := "application/json"
	var err error
	if s.Payload == 0 {
		err = e.structure(s, v)
	} else {
		contentType, err = e.payload(x.Op, s, v.Field(s.Payload-1))
	}
	if err != nil {
		return &encodeFailure{err}
	}
	buf.b = e.b
	status, err := writeHeaders(x.Op, s, v, w.Header())
	if err != nil {
		return &encodeFailure{err}
	}
	if status == http.StatusNoContent {
		e.b, contentType = nil, ""
	}
	return send(w, status, requestID, contentType, e.b)
}

// payload writes the member that is the whole body and returns its content type.
func (e *jsonEncoder) payload(op *Operation, s *Shape, f reflect.Value) (string, error) {
	shape := e.schema.Shape(s.Members[s.Payload-1].Shape)
	b, contentType, raw := appendRaw(e.b, op, shape, f)
	if e.b = b; raw {
		return contentType, nil
	}
	if isAbsent(f) {
		e.b = append(e.b, '{', '}')
		return "application/json", nil
	}
	return "application/json", e.value(shape, f)
}

// appendRaw writes a payload that is no structure, which every REST protocol writes as it is, and returns its content type.
func appendRaw(b []byte, op *Operation, s *Shape, f reflect.Value) (out []byte, contentType string, raw bool) {
	switch {
	case s.Kind == Blob && fits(Blob, f):
		return append(b, f.Bytes()...), or(op.ContentType, "application/octet-stream"), true
	case s.Kind != String:
		return b, "", false
	case isAbsent(f):
		return b, "", true
	case f.Kind() == reflect.Pointer:
		f = f.Elem()
	}
	return append(b, f.String()...), or(op.ContentType, "text/plain"), true
}

func (c restJSON) encodeError(svc *Service, w http.ResponseWriter, requestID string, e *cloud.Error) error {
	w.Header()[headerErrorType] = []string{headerText(e.Code)}
	s := errorShape(svc, e)
	buf := getBuffer()
	defer putBuffer(buf)
	b := append(buf.b, '{')
	if m := memberByWire(s, "Type"); m != nil && e.Fields["Type"] == nil {
		b = append(appendJSONString(append(b, `"Type":`...), userOrService(e)), ',')
	}
	b = append(append(append(b, '"'), or(messageMember(s, true), "message")...), '"', ':')
	b = appendJSONString(b, e.Message)
	buf.b = append(appendErrorFields(b, svc, s, e, true, w.Header()), '}')
	return send(w, e.HTTPStatus(), requestID, "application/json", buf.b)
}

// userOrService is whose fault an error is in the words of the REST services' member Type.
func userOrService(e *cloud.Error) string {
	if e.HTTPStatus() >= http.StatusInternalServerError {
		return "Service"
	}
	return "User"
}
