package wire

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"croft/internal/cloud"
)

// encodeFailure is an output that cannot be written, found before anything was sent.
type encodeFailure struct{ cause error }

func (e *encodeFailure) Error() string { return e.cause.Error() }
func (e *encodeFailure) Unwrap() error { return e.cause }

func asEncodeFailure(err error, target **encodeFailure) bool {
	return err != nil && errors.As(err, target)
}

func internalFailure() *cloud.Error {
	return cloud.Errorf("InternalFailure", "The request processing has failed because of an unknown error, exception or failure.").
		WithStatus(http.StatusInternalServerError)
}

// badBody turns an error of a decoder into the answer to it.
func badBody(err error) *cloud.Error {
	var e *cloud.Error
	if errors.As(err, &e) {
		return e
	}
	return cloud.Errorf("SerializationException", "%s", err)
}

// errorShape returns the shape of the error whose code e bears, or nil.
func errorShape(svc *Service, e *cloud.Error) *Shape {
	for _, ref := range svc.Errors {
		if s := svc.Schema.Shape(ref); s.Error != nil && s.Error.Code == e.Code {
			return s
		}
	}
	return nil
}

// messageMember returns the wire name of the member that holds the message: services spell it both ways.
func messageMember(s *Shape, rest bool) string {
	if s == nil {
		return ""
	}
	for i := range s.Members {
		m := &s.Members[i]
		if strings.EqualFold(m.Name, "message") {
			if rest {
				return m.Wire
			}
			return m.Name
		}
	}
	return ""
}

// faultOf says whose fault an error is, in the words of the query protocol.
func faultOf(e *cloud.Error) string {
	if e.HTTPStatus() >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// appendErrorFields writes e's further members into the JSON object that b ends in, and sets those that are headers.
func appendErrorFields(b []byte, svc *Service, s *Shape, e *cloud.Error, rest bool, h http.Header) []byte {
	names := make([]string, 0, len(e.Fields))
	for name := range e.Fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m := memberByWire(s, name)
		if rest && m != nil && m.In == InHeader {
			if text, ok := e.Fields[name].(string); ok {
				h.Set(m.Wire, text)
			}
			continue
		}
		enc := jsonEncoder{schema: svc.Schema, rest: rest, b: append(append(append(b, ',', '"'), name...), '"', ':')}
		if err := enc.field(m, reflect.ValueOf(e.Fields[name])); err != nil {
			continue // b stays as it was before this member
		}
		b = enc.b
	}
	return b
}

func memberByWire(s *Shape, name string) *Member {
	if s == nil {
		return nil
	}
	for i := range s.Members {
		if s.Members[i].Wire == name || s.Members[i].Name == name {
			return &s.Members[i]
		}
	}
	return nil
}

// field writes one further member of an error: by its shape, or by its Go type where the model has no such member.
func (e *jsonEncoder) field(m *Member, v reflect.Value) error {
	if m != nil {
		return e.value(e.schema.Shape(m.Shape), v)
	}
	return e.value(&Shape{Name: "field", Kind: kindOf(v)}, v)
}

// kindOf returns the kind that a scalar's Go type has, or NoKind, which no value fits.
func kindOf(v reflect.Value) Kind {
	for _, k := range [...]Kind{String, Boolean, Long, Double} {
		if fits(k, v) {
			return k
		}
	}
	return NoKind
}
