package httpevent

import (
	"strings"
	"testing"
)

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
		parse := Parse2
		if c.format1 {
			parse = Parse1
		}
		got, err := parse([]byte(c.payload))
		if err != nil {
			t.Errorf("%s: %v", c.payload, err)
			continue
		}
		var header strings.Builder
		if err := got.Header.Write(&header); err != nil {
			t.Fatal(err)
		}
		if got.Status != c.status || string(got.Body) != c.body || !strings.EqualFold(header.String(), c.header) {
			t.Errorf("%s: got %d %q\n%s", c.payload, got.Status, got.Body, header.String())
		}
	}
	for _, bad := range []string{
		`{"statusCode":200,"body":{}}`, `{"statusCode":"x"}`, `{"statusCode":100}`, `{"statusCode":600}`, `{"statusCode":200,"headers":{"a":[]}}`,
		`{"statusCode":200,"body":"~","isBase64Encoded":true}`, `{"statusCode":200,"headers":[]}`,
	} {
		if got, err := Parse2([]byte(bad)); err == nil {
			t.Errorf("%s: got %+v", bad, got)
		}
	}
	for _, bad := range []string{`{"orderId":"1"}`, `"hello"`, `null`, ``} {
		if got, err := Parse1([]byte(bad)); err == nil {
			t.Errorf("%s: got %+v", bad, got)
		}
	}
}

// FuzzResponse checks that whatever a function answers becomes an answer or an error.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(`{"statusCode":201,"body":"x","headers":{"X-A":"1"},"cookies":["a=b"]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, parse := range []func([]byte) (*Response, error){Parse1, Parse2, ParseURL, ParsePrelude} {
			if got, err := parse(payload); err == nil && (got.Status < 200 || got.Status > 599 || got.Header.Get("Content-Type") == "") {
				t.Errorf("got %+v", got)
			}
		}
	})
}

func TestURLResponses(t *testing.T) {
	for _, c := range []struct{ payload, body, media string }{
		{`{"statusCode":200,"body":"body123"}`, "body123", "application/json"},
		{`{"statusCode":200,"body":"x","headers":{"Content-Type":"text/html"}}`, "x", "text/html"},
		{`{"hello":"world"}`, `{"hello":"world"}`, "application/json"},
		{`["hello",3,true]`, `["hello",3,true]`, "application/json"},
		{`"hello"`, "hello", "application/json"},
		{`"a\"b"`, `a"b`, "application/json"},
		{`3.1`, "3.1", "application/json"},
		{`null`, "null", "application/json"},
	} {
		got, err := ParseURL([]byte(c.payload))
		if err != nil || got.Status != 200 || string(got.Body) != c.body || got.Header.Get("Content-Type") != c.media {
			t.Errorf("%s: got %+v, %v", c.payload, got, err)
		}
	}
	if got, err := ParseURL([]byte(`{"statusCode":"418","body":"i'm a teapot"}`)); err != nil || got.Status != 418 {
		t.Errorf("a status in quotes: %+v, %v", got, err)
	}
	got, err := ParsePrelude([]byte(`{"headers":{"x-a":"1"},"cookies":["a=b"]}`))
	if err != nil || got.Status != 200 || got.Header.Get("X-A") != "1" || got.Header.Get("Set-Cookie") != "a=b" ||
		got.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("a prelude: %+v, %v", got, err)
	}
	if got, err := ParsePrelude([]byte(`{"statusCode":99}`)); err == nil {
		t.Errorf("got %+v", got)
	}
}
