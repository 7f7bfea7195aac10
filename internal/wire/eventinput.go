package wire

import (
	"io"
	"reflect"
	"time"

	"croft/internal/cloud"
)

// readEvents decodes an input that is an event stream. What lies beside the stream has been decoded already where the protocol has a
// place for it; otherwise it is in the first message.
func (x *Exchange) readEvents(s *Shape, v reflect.Value) (missing []string, err error) {
	c, ok := x.codec.(eventCodec)
	sink, ready := v.Field(s.Events - 1).Addr().Interface().(eventSink)
	if !ok || !ready {
		return nil, NotImplemented(x.Service.Name, x.Op.Name)
	}
	r := &eventReader{x: x, codec: c, rest: x.body, union: x.Op.Schema.Shape(s.Members[s.Events-1].Shape)}
	if isRPC(x.Protocol) {
		m, err := r.next()
		if err != nil || m.text(":event-type") != initialRequest {
			return nil, badEvent("the first message is not the initial request")
		}
		if missing, err = c.readDocument(m.payload, x.Op.Schema, s, v); err != nil {
			return nil, badBody(err)
		}
	}
	sink.fill(r.event)
	return missing, nil
}

func badEvent(what string) *cloud.Error {
	return cloud.Errorf("SerializationException", "The request's event stream cannot be read: %s.", what)
}

// eventReader reads the messages of one stream.
type eventReader struct {
	x     *Exchange
	codec eventCodec
	rest  []byte
	union *Shape
}

// next returns the next message, or io.EOF. SDKs that sign wrap each message into another one, whose last has nothing in it.
func (r *eventReader) next() (eventMessage, error) {
	if len(r.rest) == 0 {
		return eventMessage{}, io.EOF
	}
	m, rest, err := readEvent(r.rest)
	if err != nil {
		return m, badEvent(err.Error())
	}
	r.rest = rest
	signature, signed := m.header(":chunk-signature").([]byte)
	if !signed {
		return m, nil
	}
	date, _ := m.header(":date").(time.Time)
	if r.x.CheckEvent == nil {
		return m, cloud.Errorf("NotImplemented", "croft does not verify the signatures of events, and takes none that are signed.").WithStatus(501)
	}
	if err := r.x.CheckEvent(date, signature, m.payload); err != nil {
		return m, err
	}
	if len(m.payload) == 0 {
		return m, io.EOF
	}
	inner, behind, err := readEvent(m.payload)
	if err != nil || len(behind) > 0 {
		return m, badEvent("a signed message does not hold one message")
	}
	return inner, nil
}

// event decodes the next event into v, a union.
func (r *eventReader) event(v reflect.Value) error {
	m, err := r.next()
	if err != nil {
		return err
	}
	name := m.text(":event-type")
	for i := range r.union.Members {
		member := &r.union.Members[i]
		if member.Wire == name && m.text(":message-type") == "event" {
			f := v.Field(i)
			f.Set(reflect.New(f.Type().Elem()))
			return r.fill(&m, r.x.Op.Schema.Shape(member.Shape), f.Elem())
		}
	}
	return badEvent("it has no event '" + short(name) + "'")
}

// fill decodes the headers and the payload of a message into an event, and checks it.
func (r *eventReader) fill(m *eventMessage, s *Shape, v reflect.Value) error {
	schema := r.x.Op.Schema
	for i := range s.Members {
		member := &s.Members[i]
		if member.In != InEventHeader {
			continue
		}
		if value := m.header(member.Wire); value != nil && !setEventHeader(schema.Shape(member.Shape), v.Field(i), value) {
			return badEvent("its header '" + member.Wire + "' is of another type")
		}
	}
	var missing []string
	var err error
	switch {
	case s.Payload == 0 && len(m.payload) > 0:
		missing, err = r.codec.readDocument(m.payload, schema, s, v)
	case s.Payload > 0:
		shape, f := schema.Shape(s.Members[s.Payload-1].Shape), v.Field(s.Payload-1)
		switch shape.Kind {
		case Blob:
			f.SetBytes(append([]byte{}, m.payload...))
		case String:
			err = parseText(shape, f, string(m.payload), ISOTime)
		case Structure:
			f.Set(reflect.New(f.Type().Elem()))
			missing, err = r.codec.readDocument(m.payload, schema, shape, f.Elem())
		}
	}
	if err != nil {
		return badBody(err)
	}
	return check(schema, s, v, missing)
}

// setEventHeader stores a header's value in a member, and reports whether the types agree.
func setEventHeader(s *Shape, f reflect.Value, value any) bool {
	switch v := value.(type) {
	case bool:
		if s.Kind == Boolean {
			setBool(f, v)
			return true
		}
	case int8, int16, int32, int64:
		return (s.Kind == Integer || s.Kind == Long) && setInt(f, reflect.ValueOf(v).Int())
	case []byte:
		if s.Kind == Blob {
			f.SetBytes(append([]byte{}, v...))
			return true
		}
	case string:
		if s.Kind == String {
			setString(f, v)
			return true
		}
	case time.Time:
		if s.Kind == Timestamp {
			setTime(f, v)
			return true
		}
	}
	return false
}
