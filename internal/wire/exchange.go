package wire

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"croft/internal/cloud"
)

// Exchange is one request to a service and the answer to it. It belongs to one goroutine.
type Exchange struct {
	Service *Service
	// Op is nil when Match failed.
	Op       *Operation
	Protocol Protocol

	// CheckEvent verifies the signature of one message of an input that is an event stream. Without it signed messages are refused.
	CheckEvent func(date time.Time, signature, payload []byte) error

	codec   codec
	request *http.Request
	body    []byte
	stream  *Stream // in place of body, for operations that take one
	form    form    // of the query protocol
	route   *Route  // of the REST protocols, with the path's segments
	path    []string
}

// codec is one protocol. It keeps nothing between calls.
type codec interface {
	// decode fills v, the input structure of x.Op, and returns the paths of required members that v cannot show to be absent.
	decode(x *Exchange, v reflect.Value) (missing []string, err error)
	// encode writes v, the output structure of x.Op.
	encode(x *Exchange, w http.ResponseWriter, requestID string, v reflect.Value) error
	// encodeError writes e.
	encodeError(svc *Service, w http.ResponseWriter, requestID string, e *cloud.Error) error
}

// codecOf returns the codec of a protocol, or nil for those that croft does not speak.
func codecOf(p Protocol) codec {
	switch p {
	case AWSJSON:
		return jsonRPC{}
	case Query:
		return queryRPC{}
	case RESTJSON:
		return restJSON{}
	case RESTXML:
		return restXML{}
	case RPCv2CBOR:
		return rpcCBOR{}
	}
	return nil
}

// Match finds the protocol and the operation of a request to svc, whose body has been read. It always returns an Exchange, so that
// EncodeError can answer in the protocol that the client speaks; the error is a *cloud.Error. Decode reads body, which must not
// change until then; what it returns does not refer to it.
func Match(svc *Service, r *http.Request, body []byte) (*Exchange, error) {
	x := &Exchange{Service: svc, request: r, body: body}
	x.Protocol = protocolOf(svc, r)
	if x.codec = codecOf(x.Protocol); x.codec == nil || !slices.Contains(svc.Protocols, x.Protocol) {
		if x.codec == nil {
			x.codec = queryRPC{} // EC2Query answers much like it
		}
		return x, noProtocol(x.Protocol.String(), svc)
	}
	if named := r.Header.Get(headerSmithyProto); named != "" && x.Protocol != RPCv2CBOR {
		return x, noProtocol(short(named), svc)
	}
	var cerr *cloud.Error
	switch x.Protocol {
	case AWSJSON:
		cerr = x.matchTarget()
	case Query:
		cerr = x.matchAction()
	case RPCv2CBOR:
		cerr = x.matchRPC()
	default:
		cerr = x.matchRoute()
	}
	if cerr != nil {
		return x, cerr
	}
	return x, nil
}

func noProtocol(name string, svc *Service) *cloud.Error {
	return cloud.Errorf("NotImplemented", "croft does not speak the protocol %s with the service %s.", name, svc.Name).WithStatus(http.StatusNotImplemented)
}

// String returns the protocol's name.
func (p Protocol) String() string {
	switch p {
	case AWSJSON:
		return "awsJson"
	case Query:
		return "awsQuery"
	case EC2Query:
		return "ec2Query"
	case RESTJSON:
		return "restJson1"
	case RESTXML:
		return "restXml"
	case RPCv2CBOR:
		return "rpcv2Cbor"
	}
	return "unknown"
}

// protocolOf tells which of the service's protocols a request speaks.
func protocolOf(svc *Service, r *http.Request) Protocol {
	if r.Header.Get(headerSmithyProto) == cborProtocol {
		return RPCv2CBOR
	}
	first := svc.Protocols[0]
	for _, p := range svc.Protocols {
		if (p == AWSJSON && r.Header.Get(headerTarget) != "") || (p == Query && looksLikeQuery(r)) {
			return p
		}
		if first == RPCv2CBOR {
			first = p // a request in CBOR says that it is one
		}
	}
	return first
}

// SpeaksRPC reports whether the service has a protocol in which a body is the input's document and nothing else.
func (svc *Service) SpeaksRPC() bool {
	return slices.ContainsFunc(svc.Protocols, func(p Protocol) bool { return p == AWSJSON || p == Query || p == RPCv2CBOR })
}

func looksLikeQuery(r *http.Request) bool {
	return isForm(r) || strings.HasPrefix(r.URL.RawQuery, "Action=") || strings.Contains(r.URL.RawQuery, "&Action=")
}

func isForm(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get(headerType), "application/x-www-form-urlencoded")
}

// use takes the operation called name, and says why when there is none.
func (x *Exchange) use(name string, unknown func() *cloud.Error) *cloud.Error {
	if i, ok := slices.BinarySearchFunc(x.Service.Operations, name, func(op *Operation, n string) int { return strings.Compare(op.Name, n) }); ok {
		x.Op = x.Service.Operations[i]
		return nil
	}
	if _, ok := slices.BinarySearchFunc(x.Service.Others, name, func(op OtherOperation, n string) int { return strings.Compare(op.Name, n) }); ok {
		return NotImplemented(x.Service.Name, name)
	}
	return unknown()
}

// Decode returns a pointer to the operation's input structure, validated. The error is a *cloud.Error.
func (x *Exchange) Decode() (any, error) {
	in := x.Op.New()
	if x.Op.Input == NoRef {
		return in, nil
	}
	v := reflect.ValueOf(in).Elem()
	var missing []string
	s := x.Op.Schema.Shape(x.Op.Input)
	var err error
	if s.Events > 0 {
		if missing, err = x.readEvents(s, v); err != nil {
			return nil, err
		}
	}
	if s.Events == 0 || !isRPC(x.Protocol) {
		if missing, err = x.codec.decode(x, v); err != nil {
			return nil, err
		}
	}
	if err := validate(x.Op, v, missing); err != nil {
		return nil, err
	}
	return in, nil
}

// Encode writes the answer to w. out is a pointer to the operation's output structure; nil stands for an empty one. When out cannot be
// written, Encode answers InternalFailure and returns why; a client that went away is an error too.
func (x *Exchange) Encode(w http.ResponseWriter, requestID string, out any) error {
	v, err := x.output(out)
	if err == nil {
		if s := x.outputStream(v); s != nil {
			// Reading is all that is done with it; there is nothing to do about a failure to stop.
			defer func() { _ = s.Close() }()
		}
		if s := x.outputEvents(); s != nil {
			err = x.encodeEvents(w, requestID, s, v)
		} else {
			err = x.codec.encode(x, headOnly(x.request, w), requestID, v)
		}
	}
	var bad *encodeFailure
	if asEncodeFailure(err, &bad) {
		x.EncodeError(w, requestID, internalFailure())
	}
	return err
}

// outputEvents returns the shape of the output if it holds an event stream, or nil.
func (x *Exchange) outputEvents() *Shape {
	if x.Op.Output == NoRef {
		return nil
	}
	if s := x.Op.Schema.Shape(x.Op.Output); s.Events > 0 {
		return s
	}
	return nil
}

// output returns the structure to write, which is invalid for operations without output.
func (x *Exchange) output(out any) (reflect.Value, error) {
	if x.Op.Output == NoRef {
		return reflect.Value{}, nil
	}
	v := reflect.ValueOf(out)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return v, &encodeFailure{fmt.Errorf("wire: %s:%s answered with %T", x.Service.Name, x.Op.Name, out)}
	}
	return v.Elem(), nil
}

// EncodeError writes e in the service's protocol.
func (x *Exchange) EncodeError(w http.ResponseWriter, requestID string, e *cloud.Error) {
	// The only error left is that of a client that went away; there is nobody to tell.
	_ = x.codec.encodeError(x.Service, headOnly(x.request, w), requestID, e)
}
