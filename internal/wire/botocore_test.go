package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// suitesVariable names the folder of botocore's protocol tests (tests/unit/protocols in its repository). They are not part of this
// one.
const suitesVariable = "CROFT_BOTOCORE_PROTOCOLS"

func suitesFolder(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(suitesVariable)
	if dir == "" {
		t.Skipf("SKIPPED, not checked against botocore's protocol tests: set %s to the folder tests/unit/protocols of a botocore checkout", suitesVariable)
	}
	return dir
}

type suiteShape struct {
	Type                                   string
	Members                                map[string]suiteRef
	Member, Key, Value                     *suiteRef
	Flattened, Document                    bool
	LocationName, Payload, TimestampFormat string
}

type suiteRef struct {
	Shape, LocationName, Location, TimestampFormat string
	Flattened, JSONValue, XMLAttribute             bool
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
	}
	Params     any
	Serialized struct {
		Method, URI string
		Body        string
		Headers     map[string]string
	}
	Result    any
	Error     any
	ErrorCode string
	Response  struct {
		StatusCode int `json:"status_code"`
		Headers    map[string]string
		Body       string
	}
}

type suite struct {
	Metadata struct{ Protocol, JSONVersion, TargetPrefix, XMLNamespace, APIVersion string }
	Shapes   map[string]suiteShape
	Cases    []suiteCase
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
}

var errRecursive = errors.New("recursive shape")

func newSuiteModel(s suite) *suiteModel {
	m := &suiteModel{refs: map[string]Ref{}, types: map[string]reflect.Type{}, shapes: s.Shapes}
	m.svc = &Service{Name: "suite", TargetPrefix: s.Metadata.TargetPrefix, JSONVersion: s.Metadata.JSONVersion,
		XMLNamespace: s.Metadata.XMLNamespace, APIVersion: s.Metadata.APIVersion, Schema: &Schema{Shapes: make([]Shape, 1)}}
	protocols := map[string]Protocol{"json": AWSJSON, "query": Query, "rest-json": RESTJSON, "rest-xml": RESTXML}
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
	key := ref.Shape + "/" + ref.TimestampFormat
	if r, ok := m.refs[key]; ok {
		return r, nil
	}
	if slices.Contains(under, key) || ref.JSONValue {
		return 0, errRecursive
	}
	under = append(under, key)
	def := m.shapes[ref.Shape]
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
			m.types[key] = reflect.SliceOf(m.typeOf(*def.Member))
		}
	case Map:
		s.KeyName, s.ElemName = def.Key.LocationName, def.Value.LocationName
		if s.Key, err = m.add(*def.Key, under); err == nil {
			s.Elem, err = m.add(*def.Value, under)
		}
		if err == nil {
			m.types[key] = reflect.MapOf(reflect.TypeFor[string](), m.typeOf(*def.Value))
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

func (m *suiteModel) typeOf(ref suiteRef) reflect.Type {
	return m.types[ref.Shape+"/"+ref.TimestampFormat]
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
		typ := m.typeOf(ref)
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
		typ := m.typeOf(*in)
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

// skipped returns why a case cannot be passed by a server, or "".
func skipped(id string) string {
	for _, c := range [...][2]string{
		{"SDKAppliedContentEncoding", "compressed requests, for operations that have the trait alone"},
		{"SDKAppendedGzip", "compressed requests, for operations that have the trait alone"},
		{"SDKAppendsGzip", "compressed requests, for operations that have the trait alone"},
		{"HostWithPath", "an endpoint with a path is the client's matter"},
		{"AwsJson10EndpointTrait", "the case has no X-Amz-Target"},
		{"IdempotencyTokenAutoFill", "filled in by clients"},
		{"QueryEmptyQueryMaps", "the client sends nothing"},
		{"HttpPrefixHeadersAreNotPresent", "the client sends nothing"},
		{"RestJsonOmitsEmptyListQueryValues", "the client sends nothing"},
		{"QueryParamsStringListMap", "what one member hides from another is the client's matter"},
		{"QueryPrecedence", "what one member hides from another is the client's matter"},
		{"BodyWithXmlName", "the element's name is not in the models that botocore ships"},
		{"PayloadWithXmlName", "the element's name is not in the models that botocore ships"},
		{"RestXmlHttpPayloadWithUn", "the element's name is not in the models that botocore ships"},
		{"XmlAttributesOnPayload", "the element's name is not in the models that botocore ships"},
		{"/IgnoreQueryParamsInResponse", "the member lies in no place of an answer"},
		{"RestJsonHttpWithEmptyStructurePayload", "an empty payload and none look alike"},
		{"RestJsonHttpWithHeadersButNoPayload", "an empty payload and none look alike"},
		{"DateTimeWithNegativeOffset", "we write UTC"},
		{"DateTimeWithPositiveOffset", "we write UTC"},
		{"nexpected", "we do not write what the model lacks"},
		{"QueryEmptyInputAndEmptyOutput", "the case has no body"},
		{"QueryNoInputAnd", "the case has no body"},
		{"QueryXmlLists", "botocore's own list says that its model differs"},
	} {
		if strings.Contains("/"+id, c[0]) {
			return c[1]
		}
	}
	return ""
}

func TestBotocoreInput(t *testing.T) {
	dir := suitesFolder(t)
	for _, name := range []string{"json", "json_1_0", "json_1_0-query-compatible", "query", "rest-json", "rest-xml"} {
		for _, s := range readSuites(t, dir, "input", name) {
			for _, c := range s.Cases {
				t.Run(name+"/"+c.ID, func(t *testing.T) { runInput(t, s, c) })
			}
		}
	}
}

func runInput(t *testing.T, s suite, c suiteCase) {
	if why := skipped(c.ID); why != "" {
		t.Skip("SKIPPED: " + why)
	}
	m := newSuiteModel(s)
	op, err := m.operation(c)
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	r := httptest.NewRequest(or(c.Serialized.Method, "POST"), or(c.Serialized.URI, "/"), nil)
	for k, v := range c.Serialized.Headers {
		r.Header.Set(k, v)
	}
	body := []byte(c.Serialized.Body)
	x, err := Match(m.svc, r, body)
	if err != nil {
		t.Fatal(err)
	}
	in, err := x.Decode()
	if err != nil {
		t.Fatal(err)
	}
	if op.Input == NoRef {
		return
	}
	got := plainValue(m.svc.Schema, m.svc.Schema.Shape(op.Input), reflect.ValueOf(in))
	want := normalize(m.svc.Schema, m.svc.Schema.Shape(op.Input), c.Params)
	dropQueryMaps(m.svc.Schema, m.svc.Schema.Shape(op.Input), got, want)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %.300v\nwant %.300v\nbody %.300s", fmt.Sprint(got), fmt.Sprint(want), body)
	}
}

// dropQueryMaps takes out the maps of all query parameters, which a server fills and the suites of REST XML leave out.
func dropQueryMaps(schema *Schema, s *Shape, got, want any) {
	given := want.(map[string]any)
	for i := range s.Members {
		m := &s.Members[i]
		if _, there := given[m.Name]; !there && m.In == InQuery && schema.Shape(m.Shape).Kind == Map {
			delete(got.(map[string]any), m.Name)
		}
	}
}

// plainValue turns a Go value into maps, lists and texts that compare easily.
func plainValue(schema *Schema, s *Shape, v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch s.Kind {
	case Structure:
		out := map[string]any{}
		for i := range s.Members {
			if f := v.Field(i); !isAbsent(f) {
				out[s.Members[i].Name] = plainValue(schema, schema.Shape(s.Members[i].Shape), f)
			}
		}
		return out
	case List:
		out := []any{}
		for i := range v.Len() {
			out = append(out, plainValue(schema, schema.Shape(s.Elem), v.Index(i)))
		}
		return out
	case Map:
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[k.String()] = plainValue(schema, schema.Shape(s.Elem), v.MapIndex(k))
		}
		return out
	case Blob:
		return string(v.Bytes())
	case Document:
		var doc any
		if err := json.Unmarshal(v.Bytes(), &doc); err != nil {
			return err
		}
		return fmt.Sprint(doc)
	case Timestamp:
		return strconv.FormatFloat(float64(v.Interface().(time.Time).UnixMilli())/1000, 'f', -1, 64)
	case Float, Double:
		return floatText(v.Float())
	}
	return fmt.Sprint(v.Interface())
}

func floatText(f float64) string {
	if math.IsNaN(f) {
		return "NaN"
	}
	return strconv.FormatFloat(float64(float32(f)), 'g', -1, 32)
}

// normalize turns a suite's parameters into the same form.
func normalize(schema *Schema, s *Shape, p any) any {
	switch s.Kind {
	case Structure:
		out := map[string]any{}
		values, _ := p.(map[string]any)
		for i := range s.Members {
			if v, ok := values[s.Members[i].Name]; ok && v != nil {
				out[s.Members[i].Name] = normalize(schema, schema.Shape(s.Members[i].Shape), v)
			}
		}
		return out
	case List:
		out := []any{}
		for _, v := range p.([]any) {
			out = append(out, normalize(schema, schema.Shape(s.Elem), v))
		}
		return out
	case Map:
		out := map[string]any{}
		for k, v := range p.(map[string]any) {
			out[k] = normalize(schema, schema.Shape(s.Elem), v)
		}
		return out
	case Float, Double:
		f, _ := strconv.ParseFloat(strings.Replace(fmt.Sprint(p), "Infinity", "Inf", 1), 64)
		return floatText(f)
	case Document:
		data, _ := json.Marshal(p)
		var doc any
		_ = json.Unmarshal(data, &doc)
		return fmt.Sprint(doc)
	}
	return fmt.Sprint(p)
}

func TestBotocoreOutput(t *testing.T) {
	dir := suitesFolder(t)
	for _, name := range []string{"json", "json_1_0", "json_1_0-query-compatible", "query", "rest-json", "rest-xml"} {
		for _, s := range readSuites(t, dir, "output", name) {
			for _, c := range s.Cases {
				t.Run(name+"/"+c.ID, func(t *testing.T) { runOutput(t, s, c) })
			}
		}
	}
}

func runOutput(t *testing.T, s suite, c suiteCase) {
	if why := skipped(c.ID); why != "" || c.Error != nil || c.ErrorCode != "" {
		t.Skip("SKIPPED: " + or(why, "errors have tests of their own"))
	}
	m := newSuiteModel(s)
	op, err := m.operation(c)
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	var out any
	if op.Output != NoRef {
		v := reflect.New(m.typeOf(*c.Given.Output))
		if err := assign(m.svc.Schema, m.svc.Schema.Shape(op.Output), v.Elem(), c.Result); err != nil {
			t.Skipf("SKIPPED: %v", err)
		}
		out = v.Interface()
	}
	x := &Exchange{Service: m.svc, Op: op, Protocol: m.svc.Protocols[0], codec: codecOf(m.svc.Protocols[0])}
	w := httptest.NewRecorder()
	if err := x.Encode(w, "the-id", out); err != nil {
		t.Fatal(err)
	}
	if w.Code != c.Response.StatusCode {
		t.Errorf("status %d, want %d", w.Code, c.Response.StatusCode)
	}
	compareBodies(t, w.Body.String(), c.Response.Body, m.svc.Protocols[0])
	if p := m.svc.Protocols[0]; p == RESTJSON || p == RESTXML {
		compareHeaders(t, w.Header(), c.Response.Headers)
	}
}

func compareHeaders(t *testing.T, got http.Header, want map[string]string) {
	for k, v := range want {
		if strings.EqualFold(k, "Content-Type") || strings.EqualFold(k, "X-Amzn-Requestid") || strings.EqualFold(k, "Content-Length") {
			continue
		}
		if g := got.Get(k); g != v {
			t.Errorf("header %s: %q, want %q", k, g, v)
		}
	}
}
