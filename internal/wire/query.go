package wire

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"croft/internal/cloud"
)

// queryRPC is the query protocol: a form comes in, XML goes out.
type queryRPC struct{}

// matchAction finds the operation that the parameter Action names.
func (x *Exchange) matchAction() *cloud.Error {
	var cerr *cloud.Error
	if x.form, cerr = readForm(x.request, x.body); cerr != nil {
		return cerr
	}
	action, ok := x.form.get("Action")
	if !ok {
		return cloud.Errorf("MissingAction", "The request must contain the parameter Action.")
	}
	version, given := x.form.get("Version")
	if !given {
		version = "NO_VERSION_SPECIFIED"
	}
	unknown := func() *cloud.Error {
		return cloud.Errorf("InvalidAction", "Could not find operation %s for version %s", short(action), short(version))
	}
	// The services that answer older clients in this protocol have more than one version, and a default.
	if version != x.Service.APIVersion && !x.Service.QueryCompatible {
		return unknown()
	}
	return x.use(action, unknown)
}

func (queryRPC) decode(x *Exchange, v reflect.Value) ([]string, error) {
	d := formDecoder{form: x.form, schema: x.Op.Schema, at: make(path, 0, 16)}
	s := x.Op.Schema.Shape(x.Op.Input)
	if name := x.Service.PathMember; name != "" && !x.form.has(name) && memberByWire(s, name) != nil {
		if p := strings.Trim(x.request.URL.Path, "/"); p != "" {
			d.form = slices.Clone(d.form)
			at, _ := slices.BinarySearchFunc(d.form, name, func(p param, k string) int { return strings.Compare(p.key, k) })
			d.form = slices.Insert(d.form, at, param{name, baseURL(x.request) + "/" + p})
		}
	}
	if err := d.structure(s, v, ""); err != nil {
		return nil, err
	}
	return d.missing, nil
}

func baseURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (queryRPC) encode(x *Exchange, w http.ResponseWriter, requestID string, v reflect.Value) error {
	buf := getBuffer()
	defer putBuffer(buf)
	e := xmlEncoder{schema: x.Op.Schema, b: buf.b}
	response, result := x.Op.Name+"Response", x.Op.Name+"Result"
	e.start(response, x.Service.XMLNamespace)
	if v.IsValid() {
		e.open(result)
		if err := e.members(x.Op.Schema.Shape(x.Op.Output), v); err != nil {
			return &encodeFailure{err}
		}
		e.close(result)
	}
	e.open("ResponseMetadata")
	e.element("RequestId", requestID)
	e.close("ResponseMetadata")
	e.close(response)
	buf.b = e.b
	return send(w, http.StatusOK, requestID, "text/xml", e.b)
}

// start writes the opening tag of a document.
func (e *xmlEncoder) start(name, namespace string, attributes ...[2]string) {
	e.b = append(e.b, "<?xml version=\"1.0\"?>\n"...)
	if namespace != "" {
		attributes = append([][2]string{{"xmlns", namespace}}, attributes...)
	}
	e.openWith(name, attributes)
}

func (queryRPC) encodeError(svc *Service, w http.ResponseWriter, requestID string, e *cloud.Error) error {
	return writeQueryError(svc, w, requestID, e)
}

func writeQueryError(svc *Service, w http.ResponseWriter, requestID string, e *cloud.Error) error {
	buf := getBuffer()
	defer putBuffer(buf)
	x := xmlEncoder{b: buf.b}
	x.start("ErrorResponse", svc.XMLNamespace)
	x.open("Error")
	x.element("Type", faultOf(e))
	x.element("Code", or(e.QueryCode, e.Code))
	x.element("Message", e.Message)
	if svc.QueryCompatible {
		x.element("Detail", "")
	}
	x.errorFields(svc, e, w.Header())
	x.close("Error")
	x.element("RequestId", requestID)
	x.close("ErrorResponse")
	buf.b = x.b
	return send(w, e.HTTPStatus(), requestID, "text/xml", x.b)
}

// errorFields writes e's further members: by their shapes, or those that are text where the model has no such member. Members that are
// headers are set in h.
func (x *xmlEncoder) errorFields(svc *Service, e *cloud.Error, h http.Header) {
	s := errorShape(svc, e)
	for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
		m, text := memberByWire(s, name), ""
		if t, ok := e.Fields[name].(string); ok {
			text = t
		}
		switch {
		case m == nil && (text != "" || name == "ArgumentValue"):
			x.element(name, text)
		case m != nil && m.In == InHeader:
			h.Set(m.Wire, headerText(text))
		case m != nil:
			enc := xmlEncoder{schema: svc.Schema, b: x.b}
			if err := enc.member(m, reflect.ValueOf(e.Fields[name])); err == nil {
				x.b = enc.b
			}
		}
	}
}
