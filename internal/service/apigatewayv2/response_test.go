package apigatewayv2

import (
	"encoding/json"
	"strings"
	"testing"
)

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestResponses(t *testing.T) {
	for _, c := range []struct {
		payload string
		format1 bool
		status  int
		body    string
		header  string
	}{
		{payload: `{"statusCode":201,"body":"x","headers":{"X-A":"1","x-n":2},"cookies":["a=b","c=d"]}`, status: 201, body: "x",
			header: "content-type: text/plain; charset=utf-8\r\nset-cookie: a=b\r\nset-cookie: c=d\r\nx-a: 1\r\nx-n: 2\r\n"},
		{payload: `{"statusCode":"200","body":"AAE=","isBase64Encoded":true,"headers":{"content-type":"image/png","content-length":"9"}}`,
			status: 200, body: "\x00\x01", header: "content-type: image/png\r\n"},
		{payload: `{"orderId":"1"}`, status: 200, body: `{"orderId":"1"}`, header: "content-type: application/json\r\n"},
		{payload: `"hello"`, status: 200, body: `"hello"`, header: "content-type: application/json\r\n"},
		{payload: `{"half":`, status: 200, body: `{"half":`, header: "content-type: application/json\r\n"},
		{payload: `null`, status: 200, body: `null`, header: "content-type: application/json\r\n"},
		{payload: `{"statusCode":200,"multiValueHeaders":{"X-A":["1","2"]},"headers":{"X-B":true},"body":null}`, format1: true, status: 200,
			header: "content-type: text/plain; charset=utf-8\r\nx-a: 1\r\nx-a: 2\r\nx-b: true\r\n"},
	} {
		parse := parseResponse2
		if c.format1 {
			parse = parseResponse1
		}
		got, err := parse([]byte(c.payload))
		if err != nil {
			t.Errorf("%s: %v", c.payload, err)
			continue
		}
		var header strings.Builder
		if err := got.header.Write(&header); err != nil {
			t.Fatal(err)
		}
		if got.status != c.status || string(got.body) != c.body || !strings.EqualFold(header.String(), c.header) {
			t.Errorf("%s: got %d %q\n%s", c.payload, got.status, got.body, header.String())
		}
	}
	for _, bad := range []string{
		`{"statusCode":200,"body":{}}`, `{"statusCode":"x"}`, `{"statusCode":100}`, `{"statusCode":600}`, `{"statusCode":200,"headers":{"a":[]}}`,
		`{"statusCode":200,"body":"~","isBase64Encoded":true}`, `{"statusCode":200,"headers":[]}`,
	} {
		if got, err := parseResponse2([]byte(bad)); err == nil {
			t.Errorf("%s: got %+v", bad, got)
		}
	}
	for _, bad := range []string{`{"orderId":"1"}`, `"hello"`, `null`, ``} {
		if got, err := parseResponse1([]byte(bad)); err == nil {
			t.Errorf("%s: got %+v", bad, got)
		}
	}
}

// FuzzResponse checks that whatever a function answers becomes an answer or an error.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(`{"statusCode":201,"body":"x","headers":{"X-A":"1"},"cookies":["a=b"]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, parse := range []func([]byte) (*response, error){parseResponse1, parseResponse2} {
			if got, err := parse(payload); err == nil && (got.status < 200 || got.status > 599 || got.header.Get("Content-Type") == "") {
				t.Errorf("got %+v", got)
			}
		}
	})
}

// FuzzImport checks that no definition does harm.
func FuzzImport(f *testing.F) {
	f.Add(`{"openapi":"3.0.1","info":{"title":"t"},"paths":{"/a":{"get":{"x-amazon-apigateway-integration":{"type":"aws_proxy"}}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		a := &apiRow{ID: "x"}
		if a.importDocument(text) != nil {
			return
		}
		if _, err := newLive(mustJSON(t, a)); err != nil {
			t.Errorf("what was imported cannot be served: %v", err)
		}
	})
}
