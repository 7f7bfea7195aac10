package sigv4

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"croft/internal/cloud"
)

// The credentials of AWS's published examples.
const (
	exampleKey    = "AKIDEXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	s3Key         = "AKIAIOSFODNN7EXAMPLE"
	s3Secret      = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

type keyMap map[string]string

func (k keyMap) Secret(_ context.Context, accessKey string) (string, bool, error) {
	secret, ok := k[accessKey]
	if !ok {
		return "", false, UnknownKey("")
	}
	return secret, true, nil
}

var exampleKeys = keyMap{exampleKey: exampleSecret, s3Key: s3Secret}

func parseRequest(t testing.TB, text string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	out, err := time.Parse(timeFormat, text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// published are requests with signatures from AWS's documentation.
var published = [...]struct{ name, request, now string }{
	{"IAM User Guide, ListUsers", `GET /?Action=ListUsers&Version=2010-05-08 HTTP/1.1
Host: iam.amazonaws.com
Content-Type: application/x-www-form-urlencoded; charset=utf-8
X-Amz-Date: 20150830T123600Z
Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7`, "20150830T123600Z"},
	{"S3 API reference, GET object", `GET /test.txt HTTP/1.1
Host: examplebucket.s3.amazonaws.com
Range: bytes=0-9
X-Amz-Content-Sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
X-Amz-Date: 20130524T000000Z
Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41`, "20130524T001000Z"},
	{"S3 API reference, bucket lifecycle", `GET /?lifecycle HTTP/1.1
Host: examplebucket.s3.amazonaws.com
X-Amz-Content-Sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
X-Amz-Date: 20130524T000000Z
Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543`, "20130524T000000Z"},
	{"S3 API reference, list objects", `GET /?max-keys=2&prefix=J HTTP/1.1
Host: examplebucket.s3.amazonaws.com
X-Amz-Content-Sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
X-Amz-Date: 20130524T000000Z
Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7`, "20130524T000000Z"},
	{"S3 API reference, presigned URL", `GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1
Host: examplebucket.s3.amazonaws.com`, "20130524T230000Z"},
}

func TestPublishedExamples(t *testing.T) {
	for _, c := range published {
		t.Run(c.name, func(t *testing.T) {
			r := parseRequest(t, c.request)
			id, err := Verify(r, nil, at(t, c.now), exampleKeys)
			if err != nil {
				t.Fatal(err)
			}
			scope, ok := Parse(r)
			if !ok || scope != id.Scope || !id.Verified {
				t.Fatalf("Parse has %+v, Verify %+v", scope, id)
			}
		})
	}
}

func TestSignThenVerify(t *testing.T) {
	now := at(t, "20260101T120000Z")
	v := &Verifier{}
	for _, target := range []string{"/", "/a//b/../c d/%2F", "/2015-03-31/functions/arn%3Aaws%3Alambda/invocations?b=2&a=1&a=0&c=x%20y+z&d", "/b/ä?k=ü"} {
		for _, service := range []string{"s3", "sqs"} {
			for range 2 {
				r, err := http.NewRequest("POST", "http://127.0.0.1:4566"+target, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("X-Amz-Meta-Note", "  two   words ")
				body := []byte("hello")
				Sign(r, body, Credentials{exampleKey, exampleSecret, "token"}, "eu-west-1", service, now)
				id, cerr := v.Verify(r, body, now.Add(14*time.Minute), exampleKeys)
				if cerr != nil {
					t.Fatalf("%s %s: %v", service, target, cerr)
				}
				if id.AccessKey != exampleKey || id.Region != "eu-west-1" || id.Service != service || id.Token != "token" {
					t.Fatalf("%+v", id)
				}
				if _, cerr := v.Verify(r, []byte("other"), now, exampleKeys); cerr == nil {
					t.Fatalf("%s %s: another body passes", service, target)
				}
			}
		}
	}
}

func signed(t testing.TB, service string, now time.Time) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", "http://127.0.0.1:4566/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
	Sign(r, nil, Credentials{AccessKey: exampleKey, Secret: exampleSecret}, "us-east-1", service, now)
	return r
}

func TestRefusals(t *testing.T) {
	now := at(t, "20260101T120000Z")
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	replace := func(old, with string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, with, 1))
		}
	}
	for _, c := range []struct {
		name, service string
		change        func(*http.Request)
		after         time.Duration
		code, message string
	}{
		{"none", "sqs", func(r *http.Request) { r.Header.Del("Authorization") }, 0, MissingAuthenticationToken, "Missing Authentication Token"},
		{"bearer", "sqs", header("Authorization", "Bearer x"), 0, IncompleteSignature, "Unsupported AWS 'algorithm': 'Bearer'"},
		{"empty", "sqs", header("Authorization", "AWS4-HMAC-SHA256"), 0, IncompleteSignature, "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."},
		{"no date", "sqs", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, 0, IncompleteSignature, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."},
		{"bad date", "sqs", header("X-Amz-Date", "yesterday"), 0, IncompleteSignature, "Date must be in ISO-8601 'basic format'. Got 'yesterday'"},
		{"bad scope", "sqs", replace("/aws4_request", "/aws5_request"), 0, IncompleteSignature, "Credential must have exactly 5 slash-delimited elements"},
		{"scope's day", "sqs", replace("/20260101/", "/20260102/"), 0, SignatureDoesNotMatch, "'20260102' != '20260101', from '20260101T120000Z'."},
		{"host unsigned", "sqs", replace("host;", ""), 0, SignatureDoesNotMatch, "'Host' or ':authority' must be a 'SignedHeader'"},
		{"target unsigned", "sqs", replace(";x-amz-target", ""), 0, SignatureDoesNotMatch, "'X-Amz-Target' must be a 'SignedHeader'"},
		{"header unsigned for S3", "s3", header("X-Amz-Acl", "public-read"), 0, "AccessDenied", "There were headers present in the request which were not signed"},
		{"wrong signature", "sqs", replace("Signature=", "Signature=00"), 0, SignatureDoesNotMatch, "The request signature we calculated does not match"},
		{"signature not hex", "sqs", replace("Signature=", "Signature=zz"), 0, SignatureDoesNotMatch, "The request signature we calculated does not match"},
		{"changed header", "sqs", header("X-Amz-Target", "AmazonSQS.DeleteQueue"), 0, SignatureDoesNotMatch, "The request signature we calculated does not match"},
		{"unknown key", "sqs", replace(exampleKey, "AKOTHER"), 0, InvalidClientTokenID, "The security token included in the request is invalid."},
		{"too old", "sqs", nil, 16 * time.Minute, SignatureDoesNotMatch, "Signature expired: 20260101T120000Z is now earlier than 20260101T120100Z (20260101T121600Z - 15 min.)"},
		{"too new", "sqs", nil, -16 * time.Minute, SignatureDoesNotMatch, "Signature not yet current: 20260101T120000Z is still later than 20260101T115900Z (20260101T114400Z + 15 min.)"},
		{"too old for S3", "s3", nil, 16 * time.Minute, RequestTimeTooSkewed, "The difference between the request time and the current time is too large."},
		{"streaming", "s3", header("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), 0, "NotImplemented", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
		{"wrong hash", "s3", header("X-Amz-Content-Sha256", strings.Repeat("0", 64)), 0, ContentSHA256Mismatch, "The provided 'x-amz-content-sha256' header does not match"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := signed(t, c.service, now)
			if c.change != nil {
				c.change(r)
			}
			_, err := Verify(r, nil, now.Add(c.after), exampleKeys)
			if err == nil || err.Code != c.code || !strings.Contains(err.Message, c.message) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestPresignedRefusals(t *testing.T) {
	base := published[4].request
	for _, c := range []struct{ name, old, with, now, code, message string }{
		{"expired", "", "", "20130525T000001Z", "AccessDenied", "Request has expired"},
		{"another path", "/test.txt", "/other.txt", "20130524T000000Z", SignatureDoesNotMatch, "does not match"},
		{"too long", "Expires=86400", "Expires=604801", "20130524T000000Z", QueryParametersError, "less than a week"},
		{"negative", "Expires=86400", "Expires=-1", "20130524T000000Z", QueryParametersError, "non-negative"},
		{"no number", "Expires=86400", "Expires=x", "20130524T000000Z", QueryParametersError, "should be a number"},
		{"no date", "X-Amz-Date=20130524T000000Z&", "", "20130524T000000Z", QueryParametersError, "must include 'X-Amz-Date'"},
		{"other service, expired", "s3%2Faws4", "sqs%2Faws4", "20130525T000001Z", RequestExpired, "20130525T000000Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := parseRequest(t, strings.Replace(base, c.old, c.with, 1))
			_, err := Verify(r, nil, at(t, c.now), exampleKeys)
			if err == nil || err.Code != c.code || !strings.Contains(err.Message, c.message) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

type fixedKeys struct {
	known bool
	err   error
}

func (k fixedKeys) Secret(context.Context, string) (string, bool, error) {
	return exampleSecret, k.known, k.err
}

func TestKeys(t *testing.T) {
	now := at(t, "20260101T120000Z")
	r := signed(t, "sqs", now)
	id, err := Verify(r, []byte("another body"), now, fixedKeys{})
	if err != nil || id.Verified || id.AccessKey != exampleKey {
		t.Fatalf("a key that is accepted unknown: %+v %v", id, err)
	}
	_, err = Verify(r, nil, now, fixedKeys{err: errors.New("disk on fire")})
	if err == nil || err.Code != "InternalFailure" || strings.Contains(err.Message, "fire") {
		t.Fatalf("a failing look-up: %v", err)
	}
	_, err = Verify(r, nil, now, fixedKeys{err: cloud.Errorf("ExpiredToken", "expired")})
	if err == nil || err.Code != "ExpiredToken" {
		t.Fatalf("a refusal: %v", err)
	}
}

func TestDerivedKeysAreBounded(t *testing.T) {
	v := &Verifier{}
	for i := range maxDerived*2 + 10 {
		v.key(fmt.Sprint(i), &Scope{Date: "20260101"})
	}
	if n := len(v.derived.keys); n > maxDerived {
		t.Fatalf("%d keys are remembered", n)
	}
}

func FuzzVerify(f *testing.F) {
	for _, c := range published {
		f.Add(c.request, "body")
	}
	now := at(f, "20130524T000000Z")
	v := &Verifier{}
	f.Fuzz(func(t *testing.T, request, body string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(request, "\n", "\r\n") + "\r\n\r\n")))
		if err != nil {
			return
		}
		scope, ok := Parse(r)
		id, cerr := v.Verify(r, []byte(body), now, exampleKeys)
		if cerr == nil && (!ok || scope != id.Scope) {
			t.Fatalf("Verify passes %+v, Parse has %+v", id, scope)
		}
		if cerr != nil && (cerr.Code == "" || cerr.HTTPStatus() >= 500 && cerr.Code != "NotImplemented") {
			t.Fatalf("%v %d", cerr, cerr.HTTPStatus())
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	now := at(b, "20260101T120000Z")
	body := []byte(`{"QueueUrl":"http://127.0.0.1:4566/000000000000/orders","MessageBody":"hello"}`)
	r, _ := http.NewRequest("POST", "http://127.0.0.1:4566/", nil)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
	Sign(r, body, Credentials{AccessKey: exampleKey, Secret: exampleSecret}, "us-east-1", "sqs", now)
	for name, v := range map[string]*Verifier{"cached": {}, "uncached": nil} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(r, body, now, exampleKeys); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
