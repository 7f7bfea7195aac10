package wire

import (
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"croft/internal/cloud"
)

// rpcCBOR is Smithy's RPC v2 with CBOR: the operation lies in the path, everything else in one map.
type rpcCBOR struct{}

const (
	cborProtocol = "rpc-v2-cbor"
	cborType     = "application/cbor"
)

// matchRPC finds the operation that the path names: /service/NAME/operation/OP, below whatever path the endpoint has.
func (x *Exchange) matchRPC() *cloud.Error {
	parts := strings.Split(strings.TrimPrefix(x.request.URL.Path, "/"), "/")
	unknown := func() *cloud.Error {
		return cloud.Errorf("UnknownOperationException", "%s %s is no operation of %s.", short(x.request.Method), short(x.request.URL.Path), x.Service.Name).
			WithStatus(http.StatusNotFound)
	}
	n := len(parts) - 4
	if n < 0 || parts[n] != "service" || parts[n+2] != "operation" || parts[n+1] != x.Service.TargetPrefix || x.request.Method != http.MethodPost {
		return unknown()
	}
	return x.use(parts[n+3], unknown)
}

// RPCService returns the service that a request's path names in the form of Smithy's RPC v2, or "".
func RPCService(r *http.Request) string {
	if r.Header.Get(headerSmithyProto) == "" {
		return ""
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if n := len(parts) - 4; n >= 0 && parts[n] == "service" && parts[n+2] == "operation" {
		return parts[n+1]
	}
	return ""
}

func (rpcCBOR) decode(x *Exchange, v reflect.Value) ([]string, error) {
	if len(x.body) == 0 {
		d := cborDecoder{schema: x.Op.Schema, at: make(path, 0, 4)}
		d.noteMissing(x.Op.Schema.Shape(x.Op.Input), &memberSet{})
		return d.missing, nil
	}
	// botocore names the type of the answer where that is an event stream.
	t, _, err := mime.ParseMediaType(x.request.Header.Get(headerType))
	if err != nil || t != cborType && (t != eventStreamType || x.outputEvents() == nil) {
		return nil, cloud.Errorf("UnsupportedMediaTypeException", "The body of a request in the protocol %s is of the type %s.", cborProtocol, cborType).
			WithStatus(http.StatusUnsupportedMediaType)
	}
	d := cborDecoder{cborScanner: cborScanner{data: x.body}, schema: x.Op.Schema, at: make(path, 0, 16)}
	if err := d.document(x.Op.Schema.Shape(x.Op.Input), v); err != nil {
		return nil, badBody(err)
	}
	return d.missing, nil
}

func (c rpcCBOR) encode(x *Exchange, w http.ResponseWriter, requestID string, v reflect.Value) error {
	if !v.IsValid() {
		return c.send(w, http.StatusOK, requestID, "", nil)
	}
	buf := getBuffer()
	defer putBuffer(buf)
	e := cborEncoder{schema: x.Op.Schema, b: buf.b}
	if err := e.structure(x.Op.Schema.Shape(x.Op.Output), v); err != nil {
		return &encodeFailure{err}
	}
	buf.b = e.b
	return c.send(w, http.StatusOK, requestID, cborType, e.b)
}

func (rpcCBOR) send(w http.ResponseWriter, status int, requestID, contentType string, body []byte) error {
	w.Header()[headerSmithyProto] = []string{cborProtocol}
	return send(w, status, requestID, contentType, body)
}

func (c rpcCBOR) encodeError(svc *Service, w http.ResponseWriter, requestID string, e *cloud.Error) error {
	if svc.QueryCompatible {
		w.Header()[headerQueryError] = []string{headerText(or(e.QueryCode, e.Code)) + ";" + faultOf(e)}
	}
	s := errorShape(svc, e)
	buf := getBuffer()
	defer putBuffer(buf)
	// How many of e's fields can be written shows only when they are: the length stays open.
	b := append(buf.b, cborMap<<5|cborIndefinite)
	b = appendCBORText(appendCBORText(b, "__type"), svc.ErrorPrefix+e.Code)
	buf.b = appendCBORFault(b, svc, s, e)
	return c.send(w, e.HTTPStatus(), requestID, cborType, buf.b)
}

// appendCBORFault writes the message and the further members of an error into the open map that b ends in, and closes it.
func appendCBORFault(b []byte, svc *Service, s *Shape, e *cloud.Error) []byte {
	b = appendCBORText(appendCBORText(b, or(messageMember(s, false), "message")), e.Message)
	for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
		enc := cborEncoder{schema: svc.Schema, b: appendCBORText(b, name)}
		if err := enc.field(memberByWire(s, name), reflect.ValueOf(e.Fields[name])); err == nil {
			b = enc.b
		}
	}
	return append(b, cborBreak)
}

// field writes one further member of an error: by its shape, or by its Go type where the model has no such member.
func (e *cborEncoder) field(m *Member, v reflect.Value) error {
	if m != nil {
		return e.value(e.schema.Shape(m.Shape), v)
	}
	k := kindOf(v)
	return e.value(&Shape{Name: "field", Kind: k}, v)
}
