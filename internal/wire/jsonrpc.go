package wire

import (
	"hash/crc32"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"croft/internal/cloud"
)

// jsonRPC is awsJson 1.0 and 1.1.
type jsonRPC struct{}

// matchTarget finds the operation that X-Amz-Target names.
func (x *Exchange) matchTarget() *cloud.Error {
	target := x.request.Header.Get(headerTarget)
	prefix, name, ok := strings.Cut(target, ".")
	unknown := func() *cloud.Error {
		if target == "" {
			return cloud.Errorf("UnknownOperationException", "The request has no header X-Amz-Target.")
		}
		return cloud.Errorf("UnknownOperationException", "%q in the header X-Amz-Target is no operation of %s.", short(target), x.Service.Name)
	}
	if !ok || prefix != x.Service.TargetPrefix {
		return unknown()
	}
	return x.use(name, unknown)
}

// short bounds what a message repeats of a request.
func short(s string) string {
	if len(s) > 128 {
		return strings.ToValidUTF8(s[:128], "") + "..."
	}
	return s
}

func (jsonRPC) decode(x *Exchange, v reflect.Value) ([]string, error) {
	d := jsonDecoder{jsonScanner: jsonScanner{data: x.body}, schema: x.Op.Schema, at: make(path, 0, 16)}
	if err := d.document(x.Op.Schema.Shape(x.Op.Input), v); err != nil {
		return nil, badBody(err)
	}
	return d.missing, nil
}

func (jsonRPC) contentType(svc *Service) string {
	if svc.JSONVersion == "1.1" {
		return "application/x-amz-json-1.1"
	}
	return "application/x-amz-json-1.0"
}

func (c jsonRPC) encode(x *Exchange, w http.ResponseWriter, requestID string, v reflect.Value) error {
	buf := getBuffer()
	defer putBuffer(buf)
	e := jsonEncoder{schema: x.Op.Schema, b: buf.b}
	if !v.IsValid() {
		e.b = append(e.b, '{', '}')
	} else if err := e.structure(x.Op.Schema.Shape(x.Op.Output), v); err != nil {
		return &encodeFailure{err}
	}
	buf.b = e.b
	return c.send(x.Service, w, http.StatusOK, requestID, e.b)
}

func (c jsonRPC) send(svc *Service, w http.ResponseWriter, status int, requestID string, body []byte) error {
	if svc.CRC32 {
		w.Header()[headerCRC32] = []string{strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)}
	}
	return send(w, status, requestID, c.contentType(svc), body)
}

// coralErrors are the errors that the framework under AWS's services raises itself. They bear its name, not the service's, and
// spell Message with a capital letter. Source: answers of DynamoDB and SQS.
var coralErrors = [...]string{
	"AccessDeniedException", "ExpiredTokenException", "IncompleteSignatureException", "InternalFailure",
	"InvalidSignatureException", "MissingAuthenticationTokenException", "SerializationException", "ServiceUnavailableException",
	"ThrottlingException", "UnknownOperationException", "UnrecognizedClientException",
}

func (c jsonRPC) encodeError(svc *Service, w http.ResponseWriter, requestID string, e *cloud.Error) error {
	if svc.QueryCompatible {
		w.Header()[headerQueryError] = []string{headerText(or(e.QueryCode, e.Code)) + ";" + faultOf(e)}
	}
	s := errorShape(svc, e)
	name, namespace := or(messageMember(s, false), "message"), svc.ErrorPrefix
	switch {
	case s == nil && slices.Contains(coralErrors[:], e.Code):
		name, namespace = "Message", "com.amazon.coral.service#"
	case s == nil && e.Code == "ValidationException":
		namespace = "com.amazon.coral.validate#"
	}
	if svc.ErrorPrefix == "" {
		namespace = ""
	}
	buf := getBuffer()
	defer putBuffer(buf)
	b := appendJSONString(append(buf.b, `{"__type":`...), namespace+e.Code)
	b = append(append(append(b, ',', '"'), name...), '"', ':')
	b = appendJSONString(b, e.Message)
	buf.b = append(appendErrorFields(b, svc, s, e, false, w.Header()), '}')
	return c.send(svc, w, e.HTTPStatus(), requestID, buf.b)
}

// headerText makes s safe as a header's value: net/http would drop a value with control characters.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return -1
		}
		return r
	}, s)
}
