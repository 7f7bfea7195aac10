package wire

import (
	"errors"
	"net/http"
	"reflect"

	"croft/internal/cloud"
)

// restXML is restXml: members lie in the path, the query, headers and an XML body.
type restXML struct{}

func (c restXML) decode(x *Exchange, v reflect.Value) ([]string, error) {
	s := x.Op.Schema.Shape(x.Op.Input)
	d := restDecoder{x: x, schema: x.Op.Schema, query: x.request.URL.Query()}
	err := d.outside(s, v)
	var missing []string
	if err == nil {
		missing, err = d.xmlBody(s, v)
	}
	if err != nil {
		return nil, c.refuse(x.Service, err)
	}
	return append(d.missing, missing...), nil
}

// refuse turns an error of a decoder into the answer to it.
func (restXML) refuse(svc *Service, err error) error {
	var fault *xmlFault
	if errors.As(err, &fault) {
		if svc.S3Rules {
			return cloud.Errorf("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema: %s", fault.what)
		}
		return cloud.Errorf("MalformedInput", "The request's body is not the XML that is expected: %s", fault.what)
	}
	e := badBody(err)
	if svc.S3Rules && e.Code == "SerializationException" {
		e.Code = "InvalidArgument"
	}
	return e
}

// xmlBody decodes the members that lie in the body, or the one that is the body.
func (d *restDecoder) xmlBody(s *Shape, v reflect.Value) (missing []string, err error) {
	x := xmlDecoder{schema: d.schema, at: make(path, 0, 16)}
	if s.Payload == 0 {
		if isBlank(d.x.body) {
			x.noteMissing(s, &memberSet{})
			return x.missing, nil
		}
		err = x.document(d.x.body, "", s, v)
		return x.missing, err
	}
	m, f, done, err := d.payload(s, v)
	if done || err != nil {
		return nil, err
	}
	x.at.member(m.Name)
	err = x.document(d.x.body, m.Wire, d.schema.Shape(m.Shape), f)
	return x.missing, err
}

func (c restXML) encode(x *Exchange, w http.ResponseWriter, requestID string, v reflect.Value) error {
	if !v.IsValid() {
		return c.send(x.Service, w, x.Op.Status, requestID, "", nil)
	}
	s := x.Op.Schema.Shape(x.Op.Output)
	if stream := x.outputStream(v); stream != nil {
		return c.encodeStream(x, w, requestID, s, v, stream)
	}
	buf := getBuffer()
	defer putBuffer(buf)
	e := xmlEncoder{schema: x.Op.Schema, rest: true, b: buf.b}
	contentType, err := e.answer(x.Service, x.Op, s, v)
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
	if x.Service.S3Rules && x.request.Method == http.MethodHead {
		contentType = xmlType
		status = partial(status, w.Header())
	}
	if w.Header()[headerType] != nil {
		contentType = ""
	}
	return c.send(x.Service, w, status, requestID, contentType, e.b)
}

func (restXML) encodeStream(x *Exchange, w http.ResponseWriter, requestID string, s *Shape, v reflect.Value, stream *Stream) error {
	status, err := writeHeaders(x.Op, s, v, w.Header())
	if err != nil {
		return &encodeFailure{err}
	}
	if x.Service.S3Rules {
		setS3Headers(w.Header(), requestID)
		status = partial(status, w.Header())
	} else {
		w.Header()[headerRequestID] = []string{requestID}
	}
	return sendStream(w, status, or(x.Op.ContentType, "application/octet-stream"), stream)
}

func (restXML) send(svc *Service, w http.ResponseWriter, status int, requestID, contentType string, body []byte) error {
	if svc.S3Rules {
		setS3Headers(w.Header(), requestID)
	}
	return send(w, status, requestID, contentType, body)
}

const xmlType = "application/xml"

// answer writes the body of an answer, which may be empty, and returns its content type.
func (e *xmlEncoder) answer(svc *Service, op *Operation, s *Shape, v reflect.Value) (contentType string, err error) {
	switch {
	case s.Payload > 0:
		return e.payload(svc, op, &s.Members[s.Payload-1], v.Field(s.Payload-1))
	case op.Unwrapped && len(s.Members) == 1:
		return xmlType, e.unwrapped(svc, &s.Members[0], v.Field(0))
	}
	for i := range s.Members {
		if s.Members[i].In == InBody {
			e.start(or(op.Root, s.Name), svc.XMLNamespace)
			err = e.members(s, v)
			e.close(or(op.Root, s.Name))
			return xmlType, err
		}
	}
	return "", nil
}

// payload writes the member that is the whole body.
func (e *xmlEncoder) payload(svc *Service, op *Operation, m *Member, f reflect.Value) (contentType string, err error) {
	s := e.schema.Shape(m.Shape)
	var raw bool
	if e.b, contentType, raw = appendRaw(e.b, op, s, f); raw || isAbsent(f) {
		return contentType, nil
	}
	if f.Kind() == reflect.Pointer {
		f = f.Elem()
	}
	if s.Kind != Structure || !fits(Structure, f) {
		return "", mismatch(s, f)
	}
	e.start(m.Wire, svc.XMLNamespace, e.attributes(s, f)...)
	err = e.members(s, f)
	e.close(m.Wire)
	return xmlType, err
}

// unwrapped writes an answer that consists of one member's element, which is there and empty when the member is absent.
func (e *xmlEncoder) unwrapped(svc *Service, m *Member, f reflect.Value) error {
	s := e.schema.Shape(m.Shape)
	e.start(m.Wire, svc.XMLNamespace)
	if !isAbsent(f) {
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		if !isScalar(s.Kind) || !fits(s.Kind, f) {
			return mismatch(s, f)
		}
		e.scalar(s, f)
	}
	e.close(m.Wire)
	return nil
}

func (restXML) encodeError(svc *Service, w http.ResponseWriter, requestID string, e *cloud.Error) error {
	if svc.S3Rules {
		return writeS3Error(w, requestID, e)
	}
	return writeQueryError(svc, w, requestID, e)
}
