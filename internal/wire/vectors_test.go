package wire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"croft/internal/cloud"
)

// exceptions are the cases that a server cannot pass, by a part of DIRECTION/SUITE/ID, each with the reason.
func exceptions() [][2]string {
	const (
		bodiless   = "the case gives no body"
		clients    = "which of two values a client sends is its own matter"
		nothing    = "the client sends nothing, which a server cannot tell from absent"
		autoFilled = "clients fill it in"
		noName     = "the element's name is not in the models that botocore ships"
		utc        = "we write UTC"
		unknown    = "we do not write what the model lacks"
	)
	return [][2]string{
		{"input/json/SDKApp", bodiless}, {"input/json_1_0/SDKApp", bodiless}, {"input/query/SDKApp", bodiless},
		{"input/rest-json/SDKApp", bodiless}, {"input/rest-xml/SDKApp", bodiless},
		{"output/query/QueryEmptyInputAndEmptyOutput", bodiless}, {"output/query/QueryNoInputAnd", bodiless},
		{"input/json/serializes_string_shapes_with_jsonvalue_trait", "JSON in a text, which clients alone take apart"},
		{"MediaTypeHeaderInputBase64", "JSON in a header, which clients alone take apart"},
		{"MediaTypeHeaderOutputBase64", "JSON in a header, which clients alone take apart"},
		{"input/rest-json/RestJsonHostWithPath", "an endpoint with a path is the client's matter"},
		{"QueryProtocolIdempotencyTokenAutoFill/", autoFilled}, {"QueryIdempotencyTokenAutoFill/", autoFilled},
		{"input/query/QueryEmptyQueryMaps", nothing}, {"HttpPrefixHeadersAreNotPresent", nothing}, {"RestJsonOmitsEmptyListQueryValues", nothing},
		{"QueryParamsStringListMap", clients}, {"QueryPrecedence", clients},
		{"RestJsonHttpWithEmptyStructurePayload", "an empty payload is there to a server"},
		{"RestJsonHttpWithHeadersButNoPayload", "an empty payload is there to a server"},
		{"output/rest-xml/BodyWithXmlName", noName}, {"rest-xml/HttpPayloadWithXmlName", noName}, {"rest-xml/RestXmlHttpPayloadWithUnion", noName},
		{"rest-xml/XmlAttributesOnPayload", noName},
		{"output/query/QueryXmlLists", "botocore's own list says that its model differs"},
		{"DateTimeWithNegativeOffset", utc}, {"DateTimeWithPositiveOffset", utc},
		{"unexpected_json_output", unknown}, {"HandlesUnexpectedJsonOutput", unknown}, {"RpcV2CborExtraFieldsInTheBody", unknown},
		{"RpcV2CborPayloadWithUnsetUnion", unknown},
		{"output/rest-xml/IgnoreQueryParamsInResponse", "the member has no place in an answer"},
		{"RpcV2CborDeserializesDenseSetMapAndSkipsNull", "a null has no Go form"},
	}
}

// vectorRun counts what became of the cases.
type vectorRun struct {
	excepted map[string]int
	ran      map[string]int
}

// TestVectors runs botocore's protocol tests the other way round: its requests are decoded to the parameters they were made of, its results
// encoded to the answers they were read from.
func TestVectors(t *testing.T) {
	dir := vectorsFolder(t)
	run := &vectorRun{excepted: map[string]int{}, ran: map[string]int{}}
	for _, name := range []string{"json", "json_1_0", "json_1_0-query-compatible", "query", "rest-json", "rest-xml", "ec2",
		"smithy-rpc-v2-cbor", "smithy-rpc-v2-cbor-query-compatible", "smithy-rpc-v2-cbor-non-query-compatible"} {
		run.suites(t, dir, "input", name, runInput)
		if name != "ec2" { // refused, whatever the operation
			run.suites(t, dir, "output", name, runOutput)
		}
	}
	total, excepted := 0, 0
	for _, name := range slices.Sorted(maps.Keys(run.ran)) {
		t.Logf("%s: %d cases", name, run.ran[name])
		total += run.ran[name]
	}
	for _, e := range exceptions() {
		excepted += run.excepted[e[0]]
		if run.excepted[e[0]] == 0 {
			t.Errorf("the exception %q excepts nothing", e[0])
		}
	}
	t.Logf("%d cases run, %d excepted", total, excepted)
}

func (run *vectorRun) suites(t *testing.T, dir, direction, name string, do func(*testing.T, suite, suiteCase)) {
	for _, s := range readSuites(t, dir, direction, name) {
		for _, c := range s.Cases {
			id := direction + "/" + name + "/" + c.ID
			t.Run(id, func(t *testing.T) {
				for _, e := range exceptions() {
					if strings.Contains(id+"/", e[0]) {
						run.excepted[e[0]]++
						t.Skip("SKIPPED: " + e[1])
					}
				}
				run.ran[direction+"/"+name]++
				do(t, s, c)
			})
		}
	}
}

// model makes the model of a case.
func (s suite) model(t *testing.T, c suiteCase) (*suiteModel, *Operation) {
	t.Helper()
	m := newSuiteModel(s, false)
	op, err := m.operation(c)
	if errors.Is(err, errRecursive) {
		m = newSuiteModel(s, true)
		op, err = m.operation(c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m, op
}

// body returns what a suite calls a body, which is base64 where it is no text.
func (s suite) body(t *testing.T, text string) []byte {
	t.Helper()
	if s.Metadata.Protocol != "smithy-rpc-v2-cbor" {
		return []byte(text)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func runInput(t *testing.T, s suite, c suiteCase) {
	m, op := s.model(t, c)
	r := httptest.NewRequest(or(c.Serialized.Method, "POST"), or(c.Serialized.URI, "/"), nil)
	if m.svc.Protocols[0] == AWSJSON {
		r.Header.Set("X-Amz-Target", m.svc.TargetPrefix+"."+op.Name) // some cases leave it out
	}
	for k, v := range c.Serialized.Headers {
		r.Header.Set(k, v)
	}
	x, err := Match(m.svc, r, s.body(t, c.Serialized.Body))
	if s.Metadata.Protocol == "ec2" {
		if cloud.Code(err) != "NotImplemented" || !strings.Contains(err.Error(), "ec2Query") {
			t.Errorf("a request in a protocol that is not there: %v", err)
		}
		return
	}
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
	shape := m.svc.Schema.Shape(op.Input)
	got := plainValue(m.svc.Schema, shape, reflect.ValueOf(in))
	want := normalize(m.svc.Schema, shape, c.Params)
	dropQueryMaps(m.svc.Schema, shape, got, want)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %.300v\nwant %.300v\nbody %.300s", fmt.Sprint(got), fmt.Sprint(want), c.Serialized.Body)
	}
}

func runOutput(t *testing.T, s suite, c suiteCase) {
	m, op := s.model(t, c)
	p := m.svc.Protocols[0]
	x := &Exchange{Service: m.svc, Op: op, Protocol: p, codec: codecOf(p), request: httptest.NewRequest("GET", "/", nil)}
	w := httptest.NewRecorder()
	if c.ErrorCode != "" {
		x.EncodeError(w, "the-id", m.failure(t, s, c))
		compareErrors(t, p, w, c)
		return
	}
	var out any
	if op.Output != NoRef {
		v := reflect.New(m.typeOf(*c.Given.Output, nil))
		if err := assign(m.svc.Schema, m.svc.Schema.Shape(op.Output), v.Elem(), c.Result); err != nil {
			t.Fatal(err)
		}
		out = v.Interface()
	}
	if err := x.Encode(w, "the-id", out); err != nil {
		t.Fatal(err)
	}
	if w.Code != c.Response.StatusCode {
		t.Errorf("status %d, want %d", w.Code, c.Response.StatusCode)
	}
	compareBodies(t, w.Body.String(), string(s.body(t, c.Response.Body)), p)
	if p == RESTJSON || p == RESTXML {
		compareHeaders(t, w.Header(), c.Response.Headers)
	}
}

// failure returns the error of a case, and gives the service its shape.
func (m *suiteModel) failure(t *testing.T, s suite, c suiteCase) *cloud.Error {
	t.Helper()
	e := &cloud.Error{Code: c.ErrorCode, Message: c.ErrorMessage, Status: c.Response.StatusCode, Fields: map[string]any{}}
	if len(c.Given.Errors) == 0 {
		return e
	}
	ref := c.Given.Errors[0]
	if def := s.Shapes[ref.Shape]; m.svc.QueryCompatible && def.Error.Code != "" {
		e.Code, e.QueryCode = ref.Shape, def.Error.Code
	}
	r, err := m.add(ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	shape := m.svc.Schema.Shape(r)
	shape.Error = &ErrorTrait{Code: e.Code}
	m.svc.Errors = []Ref{r}
	v := reflect.New(m.typeOf(ref, nil)).Elem()
	if err := assign(m.svc.Schema, shape, v, c.Error); err != nil {
		t.Fatal(err)
	}
	for i := range shape.Members {
		f := v.Field(i)
		if isAbsent(f) || strings.EqualFold(shape.Members[i].Name, "message") {
			continue
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		e.Fields[shape.Members[i].Wire] = f.Interface()
	}
	return e
}

func compareHeaders(t *testing.T, got http.Header, want map[string]string) {
	for k, v := range want {
		if strings.EqualFold(k, "Content-Type") || strings.EqualFold(k, "X-Amzn-Requestid") || strings.EqualFold(k, "Content-Length") {
			continue
		}
		g := "" // headers with a prefix keep their case
		for name, values := range got {
			if strings.EqualFold(name, k) {
				g = values[0]
			}
		}
		if g != v {
			t.Errorf("header %s: %q, want %q", k, g, v)
		}
	}
}
