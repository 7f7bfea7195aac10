package wire

import (
	"net/http"
	"reflect"

	"croft/internal/cloud"
)

var (
	_ eventCodec = jsonRPC{}
	_ eventCodec = restJSON{}
	_ eventCodec = restXML{}
	_ eventCodec = rpcCBOR{}
)

const jsonType = "application/json"

func (jsonRPC) documentType() string { return jsonType }

func (jsonRPC) appendDocument(b []byte, schema *Schema, s *Shape, v reflect.Value) ([]byte, error) {
	e := jsonEncoder{schema: schema, b: b}
	err := e.structure(s, v)
	return e.b, err
}

func (jsonRPC) appendFault(b []byte, svc *Service, s *Shape, e *cloud.Error) []byte {
	return appendJSONFault(b, svc, s, e, false)
}

func appendJSONFault(b []byte, svc *Service, s *Shape, e *cloud.Error, rest bool) []byte {
	b = append(append(append(b, '{', '"'), or(messageMember(s, rest), "message")...), '"', ':')
	return append(appendErrorFields(appendJSONString(b, e.Message), svc, s, e, rest, http.Header{}), '}')
}

func (jsonRPC) readDocument(data []byte, schema *Schema, s *Shape, v reflect.Value) ([]string, error) {
	return readJSONDocument(data, schema, s, v, false)
}

func readJSONDocument(data []byte, schema *Schema, s *Shape, v reflect.Value, rest bool) ([]string, error) {
	d := jsonDecoder{jsonScanner: jsonScanner{data: data}, schema: schema, rest: rest, at: make(path, 0, 16)}
	err := d.document(s, v)
	return d.missing, err
}

func (restJSON) documentType() string { return jsonType }

func (restJSON) appendDocument(b []byte, schema *Schema, s *Shape, v reflect.Value) ([]byte, error) {
	e := jsonEncoder{schema: schema, rest: true, b: b}
	err := e.structure(s, v)
	return e.b, err
}

func (restJSON) appendFault(b []byte, svc *Service, s *Shape, e *cloud.Error) []byte {
	return appendJSONFault(b, svc, s, e, true)
}

func (restJSON) readDocument(data []byte, schema *Schema, s *Shape, v reflect.Value) ([]string, error) {
	return readJSONDocument(data, schema, s, v, true)
}

func (restXML) documentType() string { return xmlType }

func (restXML) appendDocument(b []byte, schema *Schema, s *Shape, v reflect.Value) ([]byte, error) {
	e := xmlEncoder{schema: schema, rest: true, b: b}
	e.open(s.Name)
	err := e.members(s, v)
	e.close(s.Name)
	return e.b, err
}

func (restXML) appendFault(b []byte, svc *Service, s *Shape, e *cloud.Error) []byte {
	x := xmlEncoder{schema: svc.Schema, b: b}
	x.open(s.Name)
	x.element(or(messageMember(s, true), "message"), e.Message)
	x.errorFields(svc, e, http.Header{})
	x.close(s.Name)
	return x.b
}

func (restXML) readDocument(data []byte, schema *Schema, s *Shape, v reflect.Value) ([]string, error) {
	d := xmlDecoder{schema: schema, at: make(path, 0, 16)}
	err := d.document(data, "", s, v)
	return d.missing, err
}

func (rpcCBOR) documentType() string { return cborType }

func (rpcCBOR) appendDocument(b []byte, schema *Schema, s *Shape, v reflect.Value) ([]byte, error) {
	e := cborEncoder{schema: schema, b: b}
	err := e.structure(s, v)
	return e.b, err
}

func (rpcCBOR) appendFault(b []byte, svc *Service, s *Shape, e *cloud.Error) []byte {
	return appendCBORFault(append(b, cborMap<<5|cborIndefinite), svc, s, e)
}

func (rpcCBOR) readDocument(data []byte, schema *Schema, s *Shape, v reflect.Value) ([]string, error) {
	d := cborDecoder{cborScanner: cborScanner{data: data}, schema: schema, at: make(path, 0, 16)}
	err := d.document(s, v)
	return d.missing, err
}
