package lambda

import (
	"encoding/json"
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
