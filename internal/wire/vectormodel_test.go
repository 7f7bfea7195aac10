package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

type suiteShape struct {
	Type                                   string
	Members                                map[string]suiteRef
	Member, Key, Value                     *suiteRef
	Flattened, Document                    bool
	LocationName, Payload, TimestampFormat string
	Error                                  struct {
		Code           string
		HTTPStatusCode int
	}
}

type suiteRef struct {
	Shape, LocationName, Location, TimestampFormat string
	Flattened, XMLAttribute                        bool
}

type suiteCase struct {
	ID    string
	Given struct {
		Name string
		HTTP struct {
			Method, RequestURI string
			ResponseCode       int
		}
		Input, Output *suiteRef
		Errors        []suiteRef
	}
	Params     any
	Serialized struct {
		Method, URI string
		Body        string
		Headers     map[string]string
	}
	Result any
	Error  map[string]any

	ErrorCode, ErrorMessage string
	Response                struct {
		StatusCode int `json:"status_code"`
		Headers    map[string]string
		Body       string
	}
}

type suite struct {
	Metadata struct {
		Protocol, JSONVersion, TargetPrefix, XMLNamespace, APIVersion string
		AWSQueryCompatible                                            *struct{}
	}
	Shapes map[string]suiteShape
	Cases  []suiteCase
}

func readSuites(t *testing.T, dir, direction, name string) []suite {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, direction, name+".json"))
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	var out []suite
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// suiteModel is a suite's model as this package has models: a schema and Go types made for it.
type suiteModel struct {
	svc    *Service
	refs   map[string]Ref
	types  map[string]reflect.Type
	shapes map[string]suiteShape
	// unroll makes of a recursive shape, which reflect cannot make, one for each level.
	unroll bool
}

// maxUnrolled is how many levels recursive shapes have. It is more than any case goes down.
const maxUnrolled = 16

var errRecursive = errors.New("recursive shape")

func newSuiteModel(s suite, unroll bool) *suiteModel {
	m := &suiteModel{unroll: unroll, refs: map[string]Ref{}, types: map[string]reflect.Type{}, shapes: s.Shapes}
	m.svc = &Service{Name: "suite", TargetPrefix: s.Metadata.TargetPrefix, JSONVersion: s.Metadata.JSONVersion,
		XMLNamespace: s.Metadata.XMLNamespace, APIVersion: s.Metadata.APIVersion, Schema: &Schema{Shapes: make([]Shape, 1)}}
	protocols := map[string]Protocol{"json": AWSJSON, "query": Query, "rest-json": RESTJSON, "rest-xml": RESTXML, "smithy-rpc-v2-cbor": RPCv2CBOR, "ec2": EC2Query}
	m.svc.Protocols = []Protocol{protocols[s.Metadata.Protocol]}
	return m
}

var suiteKinds = map[string]Kind{
	"structure": Structure, "list": List, "map": Map, "string": String, "character": String, "blob": Blob, "boolean": Boolean,
	"integer": Integer, "long": Long, "float": Float, "double": Double, "timestamp": Timestamp,
}

var suiteTimes = map[string]TimeFormat{"": DefaultTime, "unixTimestamp": UnixTime, "iso8601": ISOTime, "rfc822": HTTPTime}

// add makes the shape that ref names, and its type. A reference with a time format of its own has a shape of its own.
func (m *suiteModel) add(ref suiteRef, under []string) (Ref, error) {
	key := m.key(ref, under)
	if r, ok := m.refs[key]; ok {
		return r, nil
	}
	if slices.Contains(under, key) {
		return 0, errRecursive
	}
	def := m.shapes[ref.Shape]
	if len(under) > maxUnrolled {
		def.Members = nil
		if def.Type == "list" || def.Type == "map" {
			def.Type = "structure"
		}
	}
	under = append(slices.Clip(under), key)
	s := Shape{Name: ref.Shape, Kind: suiteKinds[def.Type], Flat: def.Flattened, Time: suiteTimes[def.TimestampFormat]}
	if ref.TimestampFormat != "" {
		s.Time = suiteTimes[ref.TimestampFormat]
	}
	if def.Document {
		s.Kind = Document
	}
	if err := m.fill(&s, def, key, under); err != nil {
		return 0, err
	}
	m.svc.Schema.Shapes = append(m.svc.Schema.Shapes, s)
	m.refs[key] = Ref(len(m.svc.Schema.Shapes) - 1)
	return m.refs[key], nil
}

func (m *suiteModel) fill(s *Shape, def suiteShape, key string, under []string) error {
	var err error
	switch s.Kind {
	case List:
		s.ElemName = def.Member.LocationName
		s.Elem, err = m.add(*def.Member, under)
		if err == nil {
			m.types[key] = reflect.SliceOf(m.typeOf(*def.Member, under))
		}
	case Map:
		s.KeyName, s.ElemName = def.Key.LocationName, def.Value.LocationName
		if s.Key, err = m.add(*def.Key, under); err == nil {
			s.Elem, err = m.add(*def.Value, under)
		}
		if err == nil {
			m.types[key] = reflect.MapOf(reflect.TypeFor[string](), m.typeOf(*def.Value, under))
		}
	case Structure:
		err = m.fillStructure(s, def, key, under)
	default:
		m.types[key] = map[Kind]reflect.Type{
			String: reflect.TypeFor[string](), Blob: reflect.TypeFor[[]byte](), Boolean: reflect.TypeFor[bool](), Integer: reflect.TypeFor[int32](),
			Long: reflect.TypeFor[int64](), Float: reflect.TypeFor[float32](), Double: reflect.TypeFor[float64](), Timestamp: reflect.TypeFor[time.Time](),
			Document: reflect.TypeFor[RawDocument](),
		}[s.Kind]
	}
	return err
}

func (m *suiteModel) key(ref suiteRef, under []string) string {
	key := ref.Shape + "/" + ref.TimestampFormat
	if m.unroll {
		key += "/" + strconv.Itoa(len(under))
	}
	return key
}

func (m *suiteModel) typeOf(ref suiteRef, under []string) reflect.Type {
	return m.types[m.key(ref, under)]
}

func (m *suiteModel) fillStructure(s *Shape, def suiteShape, key string, under []string) error {
	names := make([]string, 0, len(def.Members))
	for name := range def.Members {
		names = append(names, name)
	}
	slices.Sort(names)
	locations := map[string]Location{"": InBody, "header": InHeader, "headers": InHeaders, "querystring": InQuery, "uri": InURI, "statusCode": InStatus}
	var fields []reflect.StructField
	for i, name := range names {
		ref := def.Members[name]
		r, err := m.add(ref, under)
		if err != nil {
			return err
		}
		shape := m.svc.Schema.Shape(r)
		member := Member{Name: name, Wire: ref.LocationName, Shape: r, In: locations[ref.Location], Flat: ref.Flattened || shape.Flat, Attribute: ref.XMLAttribute}
		if member.Wire == "" && member.In != InHeaders {
			member.Wire = name
		}
		s.Members = append(s.Members, member)
		if def.Payload == name {
			s.Payload = i + 1
		}
		typ := m.typeOf(ref, under)
		if isScalar(shape.Kind) || shape.Kind == Structure {
			typ = reflect.PointerTo(typ)
		}
		fields = append(fields, reflect.StructField{Name: "F" + strconv.Itoa(i), Type: typ})
	}
	m.types[key] = reflect.StructOf(fields)
	return nil
}

// operation adds the operation of a case.
func (m *suiteModel) operation(c suiteCase) (*Operation, error) {
	op := &Operation{Name: c.Given.Name, Status: or0(c.Given.HTTP.ResponseCode, 200), Schema: m.svc.Schema, New: func() any { return &struct{}{} }}
	path, query, _ := strings.Cut(c.Given.HTTP.RequestURI, "?")
	op.Route = Route{Method: c.Given.HTTP.Method, Segments: strings.Split(strings.Trim(path, "/"), "/")}
	if query != "" {
		op.Route.Query = strings.Split(query, "&")
	}
	var err error
	if in := c.Given.Input; in != nil {
		if op.Input, err = m.add(*in, nil); err != nil {
			return nil, err
		}
		typ := m.typeOf(*in, nil)
		op.New = func() any { return reflect.New(typ).Interface() }
	}
	if out := c.Given.Output; out != nil {
		if op.Output, err = m.add(*out, nil); err != nil {
			return nil, err
		}
	}
	m.svc.Operations = []*Operation{op}
	return op, nil
}

func or0(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}
