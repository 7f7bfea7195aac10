package wire

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"reflect"
	"runtime/debug"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
)

// Events is a stream of events, of each of which exactly one member is set: an operation's output that goes on after the operation has
// returned, or an input that is read while it comes.
//
// An output begins when somebody ranges over it, once: the server, or a caller in this process. It must hold nothing before that, end when
// the operation's context does, and let go of everything when it ends. An error is the last that it yields; a *cloud.Error of the
// service's model reaches the client as such.
type Events[T any] iter.Seq2[*T, error]

// eventSource is an Events of any type.
type eventSource interface {
	each(yield func(event reflect.Value, err error) bool)
}

func (e Events[T]) each(yield func(reflect.Value, error) bool) {
	for event, err := range e {
		if !yield(reflect.ValueOf(event), err) {
			return
		}
	}
}

// eventSink is a pointer to an Events of any type.
type eventSink interface {
	// fill makes the stream one of what next decodes. next returns io.EOF at the end.
	fill(next func(into reflect.Value) error)
}

func (e *Events[T]) fill(next func(into reflect.Value) error) {
	*e = func(yield func(*T, error) bool) {
		for {
			event := new(T)
			err := next(reflect.ValueOf(event).Elem())
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(event, nil) {
				return
			}
		}
	}
}

// eventCodec is a protocol that has event streams.
type eventCodec interface {
	// documentType is the content type of documents in messages.
	documentType() string
	// appendDocument writes a structure as a document of its own. Members that lie elsewhere are left out.
	appendDocument(b []byte, schema *Schema, s *Shape, v reflect.Value) ([]byte, error)
	// appendFault writes an error of the shape s.
	appendFault(b []byte, svc *Service, s *Shape, e *cloud.Error) []byte
	// readDocument reads what appendDocument writes, and returns the paths of required members that v cannot show to be absent.
	readDocument(data []byte, schema *Schema, s *Shape, v reflect.Value) (missing []string, err error)
}

// eventPatience is how long a client may take to accept one event before it is given up.
const eventPatience = 30 * time.Second

// isRPC reports whether a protocol has no place but the body for what is beside a stream.
func isRPC(p Protocol) bool { return p == AWSJSON || p == RPCv2CBOR }

// encodeEvents writes an answer that is an event stream, and returns when the stream has ended or the client has gone.
func (x *Exchange) encodeEvents(w http.ResponseWriter, requestID string, s *Shape, v reflect.Value) error {
	c, ok := x.codec.(eventCodec)
	source, ready := v.Field(s.Events - 1).Interface().(eventSource)
	if !ok || !ready || isAbsent(v.Field(s.Events-1)) {
		return &encodeFailure{fmt.Errorf("wire: %s:%s has no stream to answer with", x.Service.Name, x.Op.Name)}
	}
	status, err := writeHeaders(x.Op, s, v, w.Header())
	if err != nil {
		return &encodeFailure{err}
	}
	e := &eventWriter{x: x, codec: c, w: w, conn: http.NewResponseController(w), union: x.Op.Schema.Shape(s.Members[s.Events-1].Shape)}
	first := eventMessage{}
	if isRPC(x.Protocol) {
		if first, err = e.document("initial-response", s, v); err != nil {
			return &encodeFailure{err}
		}
	}
	h := w.Header()
	h[headerRequestID], h[headerType] = []string{requestID}, []string{eventStreamType}
	if x.Protocol == RPCv2CBOR {
		h[headerSmithyProto] = []string{cborProtocol}
	}
	w.WriteHeader(status)
	err = e.send(first)
	if err == nil {
		err = e.run(source)
	}
	// The connection may serve other requests, whatever the clock says by then.
	_ = e.conn.SetWriteDeadline(time.Time{})
	return err
}

// eventWriter writes the messages of one stream.
type eventWriter struct {
	x     *Exchange
	codec eventCodec
	w     http.ResponseWriter
	conn  *http.ResponseController
	union *Shape
}

func (e *eventWriter) run(source eventSource) (failed error) {
	defer func() {
		// The answer has begun: an error of another form would be garbage to the client.
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			m, err := e.fault(fmt.Errorf("wire: a stream of %s:%s panicked: %v\n%s", e.x.Service.Name, e.x.Op.Name, p, debug.Stack()))
			failed = errors.Join(err, e.send(m))
		} else if p != nil {
			panic(p)
		}
	}()
	source.each(func(event reflect.Value, err error) bool {
		if e.x.request.Context().Err() != nil {
			return false
		}
		var m eventMessage
		if err == nil {
			m, err = e.message(event.Elem())
		}
		if err != nil {
			m, failed = e.fault(err)
		}
		if sent := e.send(m); sent != nil {
			failed = sent
		}
		return err == nil && failed == nil
	})
	return failed
}

// send writes one message, at once. A message without headers is none.
func (e *eventWriter) send(m eventMessage) error {
	buf := getBuffer()
	defer putBuffer(buf)
	var err error
	if m.headers != nil {
		if buf.b, err = m.appendTo(buf.b); err != nil {
			return err
		}
		// It fails for a connection that has no deadlines, such as a test's. The machine's time is meant, whatever the cloud's clock says.
		_ = e.conn.SetWriteDeadline(clock.Real().Now().Add(eventPatience))
		if _, err := e.w.Write(buf.b); err != nil {
			return err
		}
	}
	if err := e.conn.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// message makes the message of an event: the one member of the union that is set.
func (e *eventWriter) message(v reflect.Value) (eventMessage, error) {
	if v.Kind() != reflect.Struct || v.NumField() != len(e.union.Members) {
		return eventMessage{}, mismatch(e.union, v)
	}
	for i := range e.union.Members {
		if f := v.Field(i); !isAbsent(f) {
			m := &e.union.Members[i]
			return e.event(m.Wire, e.x.Op.Schema.Shape(m.Shape), f.Elem())
		}
	}
	return eventMessage{}, fmt.Errorf("wire: an event of %s has no member", e.union.Name)
}

func (e *eventWriter) event(name string, s *Shape, v reflect.Value) (eventMessage, error) {
	schema := e.x.Op.Schema
	if !fits(Structure, v) || v.NumField() != len(s.Members) {
		return eventMessage{}, mismatch(s, v)
	}
	if s.Payload == 0 {
		return e.document(name, s, v)
	}
	m := eventMessage{headers: append(eventHeaders(name, ""), memberHeaders(schema, s, v)...)}
	f, shape := v.Field(s.Payload-1), schema.Shape(s.Members[s.Payload-1].Shape)
	if isAbsent(f) {
		return m, nil
	}
	if f.Kind() == reflect.Pointer {
		f = f.Elem()
	}
	if !fits(shape.Kind, f) {
		return m, mismatch(shape, f)
	}
	contentType := e.codec.documentType()
	var err error
	switch shape.Kind {
	case Blob:
		contentType, m.payload = "application/octet-stream", f.Bytes()
	case String:
		contentType, m.payload = "text/plain", []byte(f.String())
	default:
		m.payload, err = e.codec.appendDocument(nil, schema, shape, f)
	}
	m.headers = append(m.headers, eventHeader{":content-type", contentType})
	return m, err
}

// document makes a message whose payload is a document of those members of v that lie nowhere else. There is none when all do.
func (e *eventWriter) document(name string, s *Shape, v reflect.Value) (eventMessage, error) {
	m := eventMessage{}
	for i := range s.Members {
		if s.written(i) || name == initialResponse {
			var err error
			m.payload, err = e.codec.appendDocument(nil, e.x.Op.Schema, s, v)
			m.headers = append(eventHeaders(name, e.codec.documentType()), memberHeaders(e.x.Op.Schema, s, v)...)
			return m, err
		}
	}
	m.headers = append(eventHeaders(name, ""), memberHeaders(e.x.Op.Schema, s, v)...)
	return m, nil
}

// The names of the messages that hold what is beside the stream.
const (
	initialResponse = "initial-response"
	initialRequest  = "initial-request"
)

func eventHeaders(name, contentType string) []eventHeader {
	h := []eventHeader{{":message-type", "event"}, {":event-type", name}}
	if contentType != "" {
		h = append(h, eventHeader{":content-type", contentType})
	}
	return h
}

// memberHeaders returns the members of an event that are headers.
func memberHeaders(schema *Schema, s *Shape, v reflect.Value) (out []eventHeader) {
	for i := range s.Members {
		m, f := &s.Members[i], v.Field(i)
		if m.In != InEventHeader || isAbsent(f) {
			continue
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		h := eventHeader{name: m.Wire}
		switch schema.Shape(m.Shape).Kind {
		case Boolean:
			h.value = f.Bool()
		case Integer:
			h.value = int32(f.Int())
		case Long:
			h.value = f.Int()
		case Blob:
			h.value = f.Bytes()
		case String:
			h.value = f.String()
		case Timestamp:
			h.value = f.Interface()
		}
		out = append(out, h)
	}
	return out
}

// fault makes the last message of a stream that ends with err, and returns what the client does not learn.
func (e *eventWriter) fault(err error) (eventMessage, error) {
	var c *cloud.Error
	if !errors.As(err, &c) {
		c = internalFailure()
	} else {
		err = nil
	}
	for i := range e.union.Exceptions {
		m := &e.union.Exceptions[i]
		if s := e.x.Op.Schema.Shape(m.Shape); s.Error != nil && s.Error.Code == c.Code {
			return eventMessage{
				headers: []eventHeader{{":message-type", "exception"}, {":exception-type", m.Wire}, {":content-type", e.codec.documentType()}},
				payload: e.codec.appendFault(nil, e.x.Service, s, c),
			}, err
		}
	}
	return eventMessage{headers: []eventHeader{{":message-type", "error"}, {":error-code", c.Code}, {":error-message", clip(c.Message)}}}, err
}

// clip bounds a text to what a header takes.
func clip(s string) string {
	if len(s) > maxEventValue {
		s = s[:maxEventValue]
	}
	return toUTF8(s)
}
