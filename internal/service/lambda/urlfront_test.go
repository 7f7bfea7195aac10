package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"croft/internal/awsapi/iam"
	api "croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/service"
	"croft/internal/service/lambda"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

// hooked is an engine that answers as a test says.
type hooked struct {
	engineFake
	run func(ctx context.Context, fn engine.Function, inv engine.Invocation) (*engine.Result, error)
}

func (h *hooked) Invoke(ctx context.Context, fn engine.Function, inv engine.Invocation) (*engine.Result, error) {
	return h.run(ctx, fn, inv)
}

// answers makes the engine give one answer to all.
func (h *hooked) answers(payload, failure string, err error) {
	h.run = func(context.Context, engine.Function, engine.Invocation) (*engine.Result, error) {
		return &engine.Result{Payload: []byte(payload), FunctionError: failure}, err
	}
}

type urlWorld struct {
	*servicetest.Env
	t      *testing.T
	engine *hooked
	client api.Client
	front  *service.Front
	// signer is who signed the requests; nil for nobody.
	signer *cloud.Principal
}

func newURLWorld(t *testing.T, limits lambda.Limits) *urlWorld {
	t.Helper()
	w := &urlWorld{t: t, engine: new(hooked)}
	w.Env = servicetest.New(t, func(d service.Deps) service.Descriptor { return lambda.New(d, w.engine).Lift(limits).Descriptor() },
		func(service.Deps) service.Descriptor { return service.Descriptor{API: iam.Service(), Impl: roles{}} })
	w.client = api.NewClient(w.Dispatcher)
	desc, _ := w.Dispatcher.Service("lambda")
	for _, f := range desc.Fronts {
		if f.Label == "lambda-url" {
			w.front = f
		}
	}
	_, err := w.client.CreateFunction(w.Context(), &api.CreateFunctionInput{
		FunctionName: "f", Runtime: wire.Ptr("python3.12"), Role: roleARN, Handler: wire.Ptr("a.b"),
		Code: &api.FunctionCode{ZipFile: zipOf(t, "a.py", "x = 1")},
	})
	w.check(err)
	return w
}

func (w *urlWorld) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// open makes a URL and returns its id.
func (w *urlWorld) open(in *api.CreateFunctionUrlConfigInput) string {
	w.t.Helper()
	in.FunctionName = "f"
	out, err := w.client.CreateFunctionUrlConfig(w.Context(), in)
	w.check(err)
	id, ok := strings.CutPrefix(out.FunctionUrl, servicetest.Endpoint+"/_aws/lambda-url/")
	if id = strings.TrimSuffix(id, "/"); !ok || len(id) != 32 {
		w.t.Fatalf("the URL is %s", out.FunctionUrl)
	}
	return id
}

func (w *urlWorld) permit(id, action, principal string, authType *string, via *bool) {
	w.t.Helper()
	_, err := w.client.AddPermission(w.Context(), &api.AddPermissionInput{
		FunctionName: "f", StatementId: id, Action: "lambda:" + action, Principal: principal, FunctionUrlAuthType: authType, InvokedViaFunctionUrl: via,
	})
	w.check(err)
}

// public lets anybody call the function by its URL.
func (w *urlWorld) public() {
	w.permit("url", "InvokeFunctionUrl", "*", wire.Ptr("NONE"), nil)
	w.permit("via", "InvokeFunction", "*", nil, wire.Ptr(true))
}

// do sends a request to a URL and returns the answer with its body.
func (w *urlWorld) do(id, method, target, body string, headers ...string) (*http.Response, string) {
	w.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = id + ".lambda-url.us-east-1.localhost:4566"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	w.front.Serve(recorder, r.WithContext(w.visitor(w.t.Context())), id)
	answer := recorder.Result()
	text, err := io.ReadAll(answer.Body)
	w.check(err)
	return answer, string(text)
}

// visitor returns the context of a request to a front door.
func (w *urlWorld) visitor(ctx context.Context) context.Context {
	call := &cloud.Call{
		RequestID: cloud.NewRequestID(), Account: "000000000000", Region: "us-east-1", Now: w.Clock.Now(), SourceIP: "192.0.2.7",
		Principal: cloud.Principal{Kind: cloud.Anonymous}, Trace: cloud.NewTrace(w.Clock.Now()),
	}
	return service.WithAuthenticator(cloud.WithCall(ctx, call), func(body []byte, signing string) (*cloud.Call, error) {
		if w.signer == nil {
			return nil, cloud.Errorf("MissingAuthenticationTokenException", "Missing Authentication Token").WithStatus(403)
		}
		if signing != "lambda" || w.signer.ARN == "forger" {
			return nil, cloud.Errorf("InvalidSignatureException", "The signature of %d bytes is wrong", len(body)).WithStatus(403)
		}
		signed := *call
		signed.Principal, signed.Account = *w.signer, w.signer.Account
		return &signed, nil
	})
}

const forbidden = `{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}`

func TestURLEvent(t *testing.T) {
	w := newURLWorld(t, lambda.Limits{})
	id := w.open(&api.CreateFunctionUrlConfigInput{AuthType: "NONE"})
	w.public()
	var got map[string]any
	var inv engine.Invocation
	w.engine.run = func(_ context.Context, fn engine.Function, i engine.Invocation) (*engine.Result, error) {
		inv = i
		return &engine.Result{Payload: []byte(`{"statusCode":201,"body":"ok","cookies":["a=b"]}`)}, json.Unmarshal(i.Payload, &got)
	}
	r, body := w.do(id, "POST", "/pa2%25Fth/1?q=query&q=%2Fbar", `{"foo":"bar"}`, "Content-Type", "application/json", "Cookie", "c=d; e=f", "ExTrA", "X")
	if r.StatusCode != 201 || body != "ok" || r.Header.Get("Set-Cookie") != "a=b" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %q %v", r.StatusCode, body, r.Header)
	}
	if r.Header.Get("X-Amzn-Requestid") != inv.RequestID || r.Header.Get("X-Amzn-Trace-Id") == "" || inv.InvokedARN != "arn:aws:lambda:us-east-1:000000000000:function:f" {
		t.Errorf("%+v, %v", inv, r.Header)
	}
	c := got["requestContext"].(map[string]any)
	h := got["headers"].(map[string]any)
	for _, have := range []struct{ got, want any }{
		{got["version"], "2.0"}, {got["routeKey"], "$default"}, {got["rawPath"], "/pa2%Fth/1"}, {got["rawQueryString"], "q=query&q=%2Fbar"},
		{got["queryStringParameters"].(map[string]any)["q"], "query,/bar"}, {got["body"], `{"foo":"bar"}`}, {got["isBase64Encoded"], false},
		{len(got["cookies"].([]any)), 2}, {c["accountId"], "anonymous"}, {c["apiId"], id}, {c["domainPrefix"], id},
		{c["domainName"], id + ".lambda-url.us-east-1.localhost"}, {c["requestId"], inv.RequestID}, {c["stage"], "$default"}, {c["authorizer"], nil},
		{c["http"].(map[string]any)["sourceIp"], "192.0.2.7"}, {h["extra"], "X"}, {h["cookie"], nil}, {h["x-forwarded-for"], "192.0.2.7"},
	} {
		if have.got != have.want {
			t.Errorf("got %v, want %v", have.got, have.want)
		}
	}
	if root, _, _ := strings.Cut(inv.TraceID, ";"); h["x-amzn-trace-id"] != root {
		t.Errorf("the traces %q and %v", inv.TraceID, h["x-amzn-trace-id"])
	}
}

func TestURLAnswers(t *testing.T) {
	w := newURLWorld(t, lambda.Limits{})
	id := w.open(&api.CreateFunctionUrlConfigInput{AuthType: "NONE"})
	w.public()
	throttled := &cloud.Error{Code: "TooManyRequestsException", Status: 429, Message: "Rate Exceeded.", Fields: map[string]any{"Reason": "R"}}
	for _, c := range []struct {
		payload, failure string
		err              error
		status           int
		body, kind       string
	}{
		{`"hello"`, "", nil, 200, "hello", ""},
		{`{"hello":"world"}`, "", nil, 200, `{"hello":"world"}`, ""},
		{`{"errorMessage":"no"}`, "Unhandled", nil, 502, "Internal Server Error", "InternalServerErrorException"},
		{`{"statusCode":"x"}`, "", nil, 502, "Internal Server Error", "InternalServerErrorException"},
		{``, "", throttled, 429, `{"Reason":"R","Type":"User","message":"Rate Exceeded."}`, "TooManyRequestsException"},
		{``, "", errors.New("secret"), 502, "Internal Server Error", "InternalServerErrorException"},
	} {
		w.engine.answers(c.payload, c.failure, c.err)
		r, body := w.do(id, "GET", "/", "")
		if r.StatusCode != c.status || body != c.body || r.Header.Get("X-Amzn-Errortype") != c.kind || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %q %v", c.payload, r.StatusCode, body, r.Header)
		}
	}
	r, body := w.do("nothing", "GET", "/", "")
	if r.StatusCode != 403 || body != `{"Message":null}` || r.Header.Get("X-Amzn-Errortype") != "AccessDeniedException" {
		t.Errorf("a URL that is none: %d %q", r.StatusCode, body)
	}
	w.engine.answers(`{}`, "", nil)
	if r, body := w.do(id, "POST", "/", strings.Repeat("x", 6<<20)); r.StatusCode != 413 || !strings.Contains(body, "6291456") {
		t.Errorf("a large body: %d %.200q", r.StatusCode, body)
	}
	lifted := newURLWorld(t, lambda.Limits{MaxPayload: 10 << 20})
	lifted.engine.answers(`{}`, "", nil)
	id = lifted.open(&api.CreateFunctionUrlConfigInput{AuthType: "NONE"})
	lifted.public()
	if r, body := lifted.do(id, "POST", "/", strings.Repeat("x", 6<<20), "Content-Type", "text/plain"); r.StatusCode != 200 {
		t.Errorf("a large body with the limit lifted: %d %.200q", r.StatusCode, body)
	}
}

func TestURLsAreClosedUntilTheyAreOpened(t *testing.T) {
	w := newURLWorld(t, lambda.Limits{})
	w.engine.answers(`{}`, "", nil)
	none := w.open(&api.CreateFunctionUrlConfigInput{AuthType: "NONE"})
	status := func(id string) int {
		r, body := w.do(id, "GET", "/", "")
		if r.StatusCode == 403 && body != forbidden {
			t.Errorf("got %q", body)
		}
		return r.StatusCode
	}
	steps := []func(){
		func() {},
		func() { w.permit("service", "InvokeFunctionUrl", "sns.amazonaws.com", nil, nil) },
		func() { w.permit("iam", "InvokeFunctionUrl", "*", wire.Ptr("AWS_IAM"), nil) },
		func() { w.permit("url", "InvokeFunctionUrl", "*", wire.Ptr("NONE"), nil) },
		func() { w.permit("account", "InvokeFunction", "111111111111", nil, nil) },
	}
	for i, step := range steps {
		if step(); status(none) != 403 {
			t.Errorf("open after step %d", i)
		}
	}
	if w.permit("via", "InvokeFunction", "*", nil, wire.Ptr(true)); status(none) != 200 {
		t.Error("closed after all")
	}
	_, err := w.client.DeleteFunctionUrlConfig(w.Context(), &api.DeleteFunctionUrlConfigInput{FunctionName: "f"})
	w.check(err)
	if r, body := w.do(none, "GET", "/", ""); r.StatusCode != 403 || body != `{"Message":null}` {
		t.Errorf("a deleted URL: %d %s", r.StatusCode, body)
	}
}

func TestURLsOfSigners(t *testing.T) {
	w := newURLWorld(t, lambda.Limits{})
	id := w.open(&api.CreateFunctionUrlConfigInput{AuthType: "AWS_IAM"})
	var event struct {
		RequestContext struct {
			AccountID  string
			Authorizer struct{ IAM map[string]any }
		}
	}
	w.engine.run = func(_ context.Context, _ engine.Function, i engine.Invocation) (*engine.Result, error) {
		return &engine.Result{Payload: []byte(`{}`)}, json.Unmarshal(i.Payload, &event)
	}
	status := func(p *cloud.Principal) int {
		w.signer = p
		r, _ := w.do(id, "GET", "/", "")
		return r.StatusCode
	}
	own := &cloud.Principal{Kind: cloud.Root, Account: "000000000000", ARN: "arn:aws:iam::000000000000:root", UserID: "u", AccessKeyID: "k"}
	other := &cloud.Principal{Kind: cloud.AssumedRole, Account: "111111111111", ARN: "arn:aws:sts::111111111111:assumed-role/r/s"}
	if status(nil) != 403 || status(&cloud.Principal{ARN: "forger"}) != 403 || status(other) != 403 {
		t.Error("strangers are let in")
	}
	if status(own) != 200 || event.RequestContext.AccountID != own.Account || event.RequestContext.Authorizer.IAM["userArn"] != own.ARN ||
		event.RequestContext.Authorizer.IAM["accessKey"] != "k" {
		t.Errorf("the owner is not let in: %+v", event)
	}
	w.permit("one", "InvokeFunctionUrl", "111111111111", wire.Ptr("AWS_IAM"), nil)
	if status(other) != 403 {
		t.Error("one action of two is enough")
	}
	if w.permit("two", "InvokeFunction", "arn:aws:iam::111111111111:role/r", nil, nil); status(other) != 200 {
		t.Error("another account's role is not let in")
	}
	other.ARN = "arn:aws:sts::111111111111:assumed-role/q/s"
	if status(other) != 403 {
		t.Error("another role is let in")
	}
}

func TestURLCORS(t *testing.T) {
	w := newURLWorld(t, lambda.Limits{})
	w.engine.answers(`{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"x"}}`, "", nil)
	id := w.open(&api.CreateFunctionUrlConfigInput{AuthType: "NONE"})
	w.public()
	const origin = "https://a.example"
	if r, _ := w.do(id, "GET", "/", "", "Origin", origin); r.Header.Get("Access-Control-Allow-Origin") != "x" {
		t.Errorf("without a configuration: %v", r.Header)
	}
	_, err := w.client.UpdateFunctionUrlConfig(w.Context(), &api.UpdateFunctionUrlConfigInput{FunctionName: "f", Cors: &api.Cors{
		AllowOrigins: []string{origin}, AllowMethods: []string{"GET", "PUT"}, AllowHeaders: []string{"x-a"}, ExposeHeaders: []string{"x-b"},
		MaxAge: wire.Ptr[int32](60), AllowCredentials: wire.Ptr(true),
	}})
	w.check(err)
	r, _ := w.do(id, "OPTIONS", "/", "", "Origin", origin, "Access-Control-Request-Method", "PUT")
	for name, want := range map[string]string{
		"Allow-Origin": origin, "Allow-Methods": "GET,PUT", "Allow-Headers": "x-a", "Max-Age": "60", "Allow-Credentials": "true",
	} {
		if got := r.Header.Get("Access-Control-" + name); r.StatusCode != 200 || got != want {
			t.Errorf("%d %s: %q", r.StatusCode, name, got)
		}
	}
	if r, _ := w.do(id, "GET", "/", "", "Origin", origin); r.Header.Get("Access-Control-Allow-Origin") != origin || r.Header.Get("Access-Control-Expose-Headers") != "x-b" {
		t.Errorf("an answer: %v", r.Header)
	}
	if r, _ := w.do(id, "GET", "/", "", "Origin", "https://b.example"); r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin: %v", r.Header)
	}
	for o, want := range map[string]bool{origin: true, "https://b.example": false} {
		if got := w.front.AllowOrigin(w.visitor(t.Context()), id, o); got != want {
			t.Errorf("%s: %v", o, got)
		}
	}
	if w.front.AllowOrigin(w.visitor(t.Context()), "nothing", origin) {
		t.Error("a URL that is none allows pages")
	}
}

func TestURLOutlivesItsAlias(t *testing.T) {
	w := newURLWorld(t, lambda.Limits{})
	w.engine.run = func(_ context.Context, fn engine.Function, i engine.Invocation) (*engine.Result, error) {
		return &engine.Result{Payload: []byte(`"` + fn.Version + " " + i.InvokedARN[len(i.InvokedARN)-4:] + `"`)}, nil
	}
	_, err := w.client.PublishVersion(w.Context(), &api.PublishVersionInput{FunctionName: "f"})
	w.check(err)
	_, err = w.client.CreateAlias(w.Context(), &api.CreateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: "1"})
	w.check(err)
	id := w.open(&api.CreateFunctionUrlConfigInput{AuthType: "NONE", Qualifier: wire.Ptr("live")})
	for _, p := range []api.AddPermissionInput{
		{StatementId: "a", Action: "lambda:InvokeFunctionUrl", FunctionUrlAuthType: wire.Ptr("NONE")}, {StatementId: "b", Action: "lambda:InvokeFunction"},
	} {
		p.FunctionName, p.Principal, p.Qualifier = "f", "*", wire.Ptr("live")
		_, err := w.client.AddPermission(w.Context(), &p)
		w.check(err)
	}
	if r, body := w.do(id, "GET", "/", ""); r.StatusCode != 200 || body != "1 live" {
		t.Errorf("%d %q", r.StatusCode, body)
	}
	_, err = w.client.DeleteAlias(w.Context(), &api.DeleteAliasInput{FunctionName: "f", Name: "live"})
	w.check(err)
	if r, body := w.do(id, "GET", "/", ""); r.StatusCode != 403 || body != forbidden {
		t.Errorf("%d %q", r.StatusCode, body)
	}
}
