package lambda

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"unicode/utf8"

	"croft/internal/cloud"
)

func FuzzReference(f *testing.F) {
	for _, s := range []string{"f", "f:1", "function:f:$LATEST", "arn:aws:lambda:us-east-1:000000000000:function:f", "123456789012:f", "123:live", "a-b-1:f", ":", "arn:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := parseReference(text, "000000000000", "us-east-1")
		if r.account == "" || r.region == "" {
			t.Errorf("%q: %+v", text, r)
		}
	})
}

// FuzzPrelude checks that a streamed answer comes out the same however it is cut into pieces.
func FuzzPrelude(f *testing.F) {
	f.Add([]byte(`{"statusCode":201,"headers":{"a":"b"}}`+preludeEnd+"body"), uint8(3))
	f.Add([]byte("[]"+preludeEnd), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		send := func(n int) (int, string, bool) {
			w := httptest.NewRecorder()
			v := &urlVisit{r: httptest.NewRequest(http.MethodGet, "/", http.NoBody), url: new(urlRow)}
			u := &urlStream{v: v, w: w, conn: http.NewResponseController(w)}
			if err := u.Begin(integrationType, true); err != nil {
				t.Fatal(err)
			}
			for rest := text; len(rest) > 0; {
				k := min(n, len(rest))
				if _, err := u.Write(rest[:k]); err != nil {
					t.Fatal(err)
				}
				rest = rest[k:]
			}
			began := u.finish(false)
			if began == (u.err != nil) {
				t.Errorf("it began: %v, and %v", began, u.err)
			}
			body, err := io.ReadAll(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			return w.Code, string(body), began
		}
		code, body, began := send(max(1, len(text)))
		if c, b, bg := send(1 + int(size)); c != code || b != body || bg != began {
			t.Errorf("in pieces of %d: %d %q %v, as a whole: %d %q %v", 1+int(size), c, b, bg, code, body, began)
		}
	})
}

func FuzzPayload(f *testing.F) {
	for _, s := range []string{"", "{}", "n\x87", "\x99", `{"a":`, "{\n!", " \xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		event, err := checkPayload(payload, "RequestResponse", maxPayload)
		if err == nil && !(json.Valid(event) && utf8.Valid(event)) {
			t.Errorf("%q is taken", payload)
		}
		if err != nil && cloud.Code(err) != "InvalidRequestContentException" {
			t.Errorf("%q: %v", payload, err)
		}
	})
}

func FuzzArnLike(f *testing.F) {
	f.Add("arn:aws:s3:::b*", "arn:aws:s3:::bucket")
	f.Fuzz(func(t *testing.T, pattern, arn string) {
		arnLike(pattern, arn)
		trusts(pattern)
		trustedService(json.RawMessage(pattern), arn)
	})
}

func TestArnLike(t *testing.T) {
	for _, c := range []struct {
		pattern, arn string
		want         bool
	}{
		{"arn:aws:s3:::b", "arn:aws:s3:::b", true},
		{"arn:aws:s3:::b*", "arn:aws:s3:::bucket", true},
		{"arn:aws:s3:::b?", "arn:aws:s3:::bucket", false},
		{"arn:aws:execute-api:us-east-1:0:id/*/GET/a", "arn:aws:execute-api:us-east-1:0:id/$default/GET/a", true},
		{"arn:aws:execute-api:us-east-1:0:id/*", "arn:aws:execute-api:us-east-1:0:id/a:b/c", true},
		{"arn:aws:*:us-east-1:0:x", "arn:aws:sns:us-east-1:0:x", true},
		{"arn:aws:*", "arn:aws:sns:us-east-1:0:x", false},
		{"arn:aws:sns:*:0:x", "arn:aws:sns:us-east-1:1:x", false},
		{"*", "arn:aws:sns:us-east-1:0:x", false},
		{"arn:aws:s3:::b", "", false},
	} {
		if got := arnLike(c.pattern, c.arn); got != c.want {
			t.Errorf("%s like %s: %t", c.arn, c.pattern, got)
		}
	}
}

func TestReference(t *testing.T) {
	for text, want := range map[string]reference{
		"f":                        {"1", "us-east-1", "f", ""},
		"f:$LATEST":                {"1", "us-east-1", "f", "$LATEST"},
		"function:f":               {"1", "us-east-1", "f", ""},
		"function:f:live":          {"1", "us-east-1", "f", "live"},
		"123456789012:function:f":  {"123456789012", "us-east-1", "f", ""},
		"123456789012:f":           {"123456789012", "us-east-1", "f", ""},
		"eu-west-1:123456789012:f": {"123456789012", "eu-west-1", "f", ""},
		"us-gov-west-1:f":          {"1", "us-gov-west-1", "f", ""},
		"123:live":                 {"1", "us-east-1", "123", "live"},
		"arn:aws:lambda:eu-west-1:123456789012:function:f:7": {"123456789012", "eu-west-1", "f", "7"},
		"arn:aws:lambda:eu-west-1:123:function:f":            {"123", "eu-west-1", "f", ""},
		"arn:aws:lambda:eu-west-1:123456789012:function":     {"123456789012", "eu-west-1", "function", ""},
	} {
		if got := parseReference(text, "1", "us-east-1"); got != want {
			t.Errorf("%s: got %+v", text, got)
		}
	}
}
