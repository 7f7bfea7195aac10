package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/sigv4"
)

// TestFrontsKnowWhoSigned checks that a front door learns who signed a request: by the address as the client wrote it and over the whole body.
func TestFrontsKnowWhoSigned(t *testing.T) {
	w := newWorld(t)
	w.fronts["execute-api"].Serve = func(rw http.ResponseWriter, r *http.Request, _ string) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		call, err := service.Authenticate(r.Context(), body, "lambda")
		if err != nil {
			io.WriteString(rw, cloud.Code(err))
			return
		}
		io.WriteString(rw, call.Principal.Account+" "+call.Region)
	}
	path, host := "/_aws/execute-api/abc/a%2Fb?x=1", "abc.execute-api.localhost:4566"
	for name, c := range map[string]struct {
		call
		want string
	}{
		"by path":               {call{path: path, service: "lambda", body: "x"}, "000000000000 us-east-1"},
		"by host":               {call{path: "/a%2Fb?x=1", host: host, service: "lambda", region: "eu-west-1"}, "000000000000 eu-west-1"},
		"another account":       {call{path: path, service: "lambda", creds: sigv4.Credentials{AccessKey: "111122223333", Secret: "x"}}, "111122223333 us-east-1"},
		"nobody":                {call{path: path, unsigned: true}, "MissingAuthenticationTokenException"},
		"for another service":   {call{path: path, service: "execute-api"}, "InvalidSignatureException"},
		"a wrong secret":        {call{path: path, service: "lambda", creds: sigv4.Credentials{AccessKey: "test", Secret: "wrong"}}, "InvalidSignatureException"},
		"from an environment":   {call{path: path, service: "lambda", env: &Environment{Function: "f"}}, "UnrecognizedClientException"},
		"a header that is none": {call{path: path, unsigned: true, header: map[string]string{"Authorization": "AWS4-HMAC-SHA256 nonsense"}}, "IncompleteSignatureException"},
	} {
		if got := w.do(c.call).Body.String(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	r := httptest.NewRequest("POST", "http://"+host+"/", strings.NewReader("another body"))
	sigv4.Sign(r, []byte("a body"), sigv4.Credentials{AccessKey: "test", Secret: "test"}, "us-east-1", "lambda", w.clock.Now())
	rec := httptest.NewRecorder()
	if w.Handler().ServeHTTP(rec, r); rec.Body.String() != "InvalidSignatureException" {
		t.Errorf("another body than was signed: %q", rec.Body)
	}
}

func TestTraces(t *testing.T) {
	w := newWorld(t)
	var got string
	w.fronts["execute-api"].Serve = func(_ http.ResponseWriter, r *http.Request, _ string) { got = cloud.CallOf(r.Context()).Trace }
	const trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	for given, want := range map[string]string{trace: trace, "": "Root=1-", "nonsense": "Root=1-"} {
		w.do(call{path: "/_aws/execute-api/abc/", unsigned: true, header: map[string]string{cloud.TraceHeader: given}})
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q: the call has %q", given, got)
		}
	}
	desc, _ := w.Dispatcher.Service("sqs")
	for _, traced := range []bool{true, false} {
		d := service.NewDispatcher()
		desc.Traced = traced
		d.Add(desc)
		config := w.Config
		config.Dispatcher = d
		other := *w
		other.Server = New(config)
		rec := other.do(call{target: "AmazonSQS.ListQueues", body: "{}"})
		if got := rec.Header().Get(cloud.TraceHeader); rec.Code != 200 || (got != "") != traced {
			t.Errorf("traced %v: the answer has %q", traced, got)
		}
	}
}
