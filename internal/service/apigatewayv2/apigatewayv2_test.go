package apigatewayv2_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	api "croft/internal/awsapi/apigatewayv2"
	"croft/internal/awsapi/lambda"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/service/apigatewayv2"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

const function = "arn:aws:lambda:us-east-1:000000000000:function:hello"

// fakeLambda answers invocations with what the test says.
type fakeLambda struct {
	lambda.Unimplemented
	invoke func(ctx context.Context, in *lambda.InvokeInput) (*lambda.InvokeOutput, error)
}

func (f *fakeLambda) Invoke(ctx context.Context, in *lambda.InvokeInput) (*lambda.InvokeOutput, error) {
	return f.invoke(ctx, in)
}

type world struct {
	*servicetest.Env
	t     *testing.T
	api   api.Client
	front *service.Front
	// event is the payload of the last invocation, call who made it, answer what it gets.
	event  map[string]any
	call   *cloud.Call
	name   string
	answer string
	fail   error
	failed *string
	wait   bool
}

func descriptor(d service.Deps) service.Descriptor { return apigatewayv2.New(d).Descriptor() }

func start(t *testing.T) *world {
	w := &world{t: t, answer: `{"ok":true}`}
	w.Env = servicetest.New(t, descriptor, func(service.Deps) service.Descriptor {
		return service.Descriptor{API: lambda.Service(), Impl: &fakeLambda{invoke: w.invoke}}
	})
	w.api = api.NewClient(w.Dispatcher)
	desc, _ := w.Dispatcher.Service("apigatewayv2")
	w.front = desc.Fronts[0]
	return w
}

func (w *world) invoke(ctx context.Context, in *lambda.InvokeInput) (*lambda.InvokeOutput, error) {
	w.call, w.name, w.event = cloud.CallOf(ctx), in.FunctionName, nil
	if err := json.Unmarshal(in.Payload, &w.event); err != nil {
		w.t.Error(err)
	}
	if w.wait {
		w.Clock.BlockUntil(1)
		w.Clock.Advance(30 * time.Second)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &lambda.InvokeOutput{Payload: []byte(w.answer), FunctionError: w.failed}, w.fail
}

// make makes an API with a stage "$default" and one "dev", an integration of the format and the routes given.
func (w *world) make(format string, cors *api.Cors, routes ...string) string {
	w.t.Helper()
	created, err := w.api.CreateApi(w.Context(), &api.CreateApiInput{Name: "a", ProtocolType: "HTTP", CorsConfiguration: cors})
	w.check(err)
	id := *created.ApiId
	i, err := w.api.CreateIntegration(w.Context(), &api.CreateIntegrationInput{
		ApiId: id, IntegrationType: "AWS_PROXY", PayloadFormatVersion: &format,
		IntegrationUri: wire.Ptr("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/" + function + "/invocations"),
	})
	w.check(err)
	for _, key := range routes {
		_, err := w.api.CreateRoute(w.Context(), &api.CreateRouteInput{ApiId: id, RouteKey: key, Target: wire.Ptr("integrations/" + *i.IntegrationId)})
		w.check(err)
	}
	for _, name := range []string{"$default", "dev"} {
		_, err := w.api.CreateStage(w.Context(), &api.CreateStageInput{
			ApiId: id, StageName: name, AutoDeploy: wire.Ptr(true), StageVariables: map[string]string{"stage": strings.Trim(name, "$")},
		})
		w.check(err)
	}
	return id
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// do sends a request to the API.
func (w *world) do(id, method, target, body string, headers ...string) *http.Response {
	w.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = id + ".execute-api.localhost:4566"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	call := &cloud.Call{SourceIP: "192.0.2.7", Principal: cloud.Principal{Kind: cloud.Anonymous}}
	recorder := httptest.NewRecorder()
	w.front.Serve(recorder, r.WithContext(cloud.WithCall(w.t.Context(), call)), id)
	return recorder.Result()
}

func (w *world) want(r *http.Response, status int, body string) {
	w.t.Helper()
	got, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != status || string(got) != body || r.Header.Get("Apigw-Requestid") == "" {
		w.t.Errorf("got %d %s (%v), want %d %s", r.StatusCode, got, err, status, body)
	}
}

// wantEvent compares the last event with JSON in which "*" stands for any value.
func (w *world) wantEvent(text string) {
	w.t.Helper()
	var want any
	w.check(json.Unmarshal([]byte(text), &want))
	w.compare("event", want, w.event)
}

func (w *world) compare(path string, want, got any) {
	w.t.Helper()
	wantMap, isMap := want.(map[string]any)
	gotMap, _ := got.(map[string]any)
	if !isMap {
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(got)
		if want != "*" && string(a) != string(b) {
			w.t.Errorf("%s: got %s, want %s", path, b, a)
		}
		return
	}
	for k, v := range wantMap {
		w.compare(path+"."+k, v, gotMap[k])
	}
	for k := range gotMap {
		if _, ok := wantMap[k]; !ok {
			w.t.Errorf("%s.%s was not expected: %v", path, k, gotMap[k])
		}
	}
}

func TestScripts(t *testing.T) { servicetest.Run(t, "testdata/*.txtar", descriptor) }

func TestFormat2(t *testing.T) {
	w := start(t)
	id := w.make("2.0", nil, "POST /orders/{id}")
	r := w.do(id, "POST", "/orders/a%20b?x=1&y=%2B&x=2", `{"a":1}`, "Content-Type", "application/json; charset=utf-8",
		"X-Two", "1", "X-Two", "2", "Cookie", "c=1; d=2", "User-Agent", "test/1", "Connection", "close")
	w.want(r, 200, `{"ok":true}`)
	w.wantEvent(`{"version":"2.0","routeKey":"POST /orders/{id}","rawPath":"/orders/a b","rawQueryString":"x=1&y=%2B&x=2",
		"cookies":["c=1","d=2"],"queryStringParameters":{"x":"1,2","y":"+"},"pathParameters":{"id":"a b"},
		"stageVariables":{"stage":"default"},"body":"{\"a\":1}","isBase64Encoded":false,
		"headers":{"content-type":"application/json; charset=utf-8","x-two":"1,2","user-agent":"test/1","host":"` + id + `.execute-api.localhost:4566",
			"content-length":"7","x-forwarded-for":"192.0.2.7","x-forwarded-port":"4566","x-forwarded-proto":"http","x-amzn-trace-id":"*"},
		"requestContext":{"accountId":"000000000000","apiId":"` + id + `","domainName":"` + id + `.execute-api.localhost","domainPrefix":"` + id + `",
			"http":{"method":"POST","path":"/orders/a b","protocol":"HTTP/1.1","sourceIp":"192.0.2.7","userAgent":"test/1"},
			"requestId":"` + r.Header.Get("Apigw-Requestid") + `","routeKey":"POST /orders/{id}","stage":"$default",
			"time":"02/Jan/2026:03:04:05 +0000","timeEpoch":1767323045000}}`)
	if w.name != function || w.call.Principal.Service != "apigateway.amazonaws.com" || w.call.Account != "000000000000" || w.call.Region != "us-east-1" ||
		w.call.SourceARN != "arn:aws:execute-api:us-east-1:000000000000:"+id+"/$default/POST/orders/{id}" {
		t.Errorf("got %s called by %+v", w.name, w.call)
	}
}

func TestFormat1(t *testing.T) {
	w := start(t)
	id := w.make("1.0", nil, "ANY /orders/{proxy+}")
	w.answer = `{"statusCode":200,"body":"done"}`
	r := w.do(id, "GET", "/dev/orders/1/2?x=1&x=2", "", "X-Two", "1", "X-Two", "2", "User-Agent", "test/1")
	w.want(r, 200, "done")
	request := r.Header.Get("Apigw-Requestid")
	w.wantEvent(`{"version":"1.0","resource":"/orders/{proxy+}","path":"/dev/orders/1/2","httpMethod":"GET",
		"queryStringParameters":{"x":"2"},"multiValueQueryStringParameters":{"x":["1","2"]},"pathParameters":{"proxy":"1/2"},
		"stageVariables":{"stage":"dev"},"body":null,"isBase64Encoded":false,
		"headers":{"x-two":"2","User-Agent":"test/1","Host":"*","Content-Length":"0","X-Forwarded-For":"*","X-Forwarded-Port":"*",
			"X-Forwarded-Proto":"*","X-Amzn-Trace-Id":"*"},
		"multiValueHeaders":{"x-two":["1","2"],"User-Agent":["test/1"],"Host":"*","Content-Length":["0"],"X-Forwarded-For":"*",
			"X-Forwarded-Port":"*","X-Forwarded-Proto":"*","X-Amzn-Trace-Id":"*"},
		"requestContext":{"accountId":"000000000000","apiId":"` + id + `","domainName":"*","domainPrefix":"*","extendedRequestId":"` + request + `",
			"httpMethod":"GET","identity":{"accessKey":null,"accountId":null,"caller":null,"cognitoAuthenticationProvider":null,
				"cognitoAuthenticationType":null,"cognitoIdentityId":null,"cognitoIdentityPoolId":null,"principalOrgId":null,
				"sourceIp":"192.0.2.7","user":null,"userAgent":"test/1","userArn":null},
			"path":"/dev/orders/1/2","protocol":"HTTP/1.1","requestId":"` + request + `","requestTime":"02/Jan/2026:03:04:05 +0000",
			"requestTimeEpoch":1767323045000,"resourceId":null,"resourcePath":"/orders/{proxy+}","stage":"dev"}}`)
}

func TestBodiesThatAreNoTextAreEncoded(t *testing.T) {
	w := start(t)
	id := w.make("2.0", nil, "$default")
	for media, encoded := range map[string]bool{
		"text/csv": false, "application/json": false, "application/xml": false, "application/javascript": false,
		"": true, "application/x-www-form-urlencoded": true, "image/png": true, "application/vnd.x+json": true,
	} {
		w.do(id, "POST", "/", "abc", "Content-Type", media)
		want := "abc"
		if encoded {
			want = "YWJj"
		}
		if w.event["isBase64Encoded"] != encoded || w.event["body"] != want {
			t.Errorf("%s: got %v, %v", media, w.event["isBase64Encoded"], w.event["body"])
		}
	}
	w.do(id, "POST", "/", "a\xff", "Content-Type", "text/plain")
	if w.event["body"] != "Yf8=" {
		t.Errorf("got %v", w.event["body"])
	}
}

func TestFailures(t *testing.T) {
	w := start(t)
	id := w.make("2.0", nil, "GET /a")
	const internal = `{"message":"Internal Server Error"}`
	w.want(w.do("none", "GET", "/a", ""), 404, `{"message":"Not Found"}`)
	w.want(w.do(id, "GET", "/b", ""), 404, `{"message":"Not Found"}`)
	w.want(w.do(id, "POST", "/a", ""), 404, `{"message":"Not Found"}`)
	w.want(w.do(id, "GET", "/a", strings.Repeat("x", 10<<20+1)), 413, `{"message":"Request Entity Too Large"}`)
	w.want(w.do(id, "GET", "/a", "", "X-Big", strings.Repeat("x", 10240)), 431, `{"message":"Request Header Fields Too Large"}`)
	w.failed = wire.Ptr("Unhandled")
	w.want(w.do(id, "GET", "/a", ""), 500, internal)
	w.failed, w.answer = nil, `{"statusCode":"x"}`
	w.want(w.do(id, "GET", "/a", ""), 500, internal)
	w.fail = lambda.NewResourceNotFoundException("no such function")
	w.want(w.do(id, "GET", "/a", ""), 500, internal)
	w.fail = lambda.NewTooManyRequestsException("slow down")
	w.want(w.do(id, "GET", "/a", ""), 503, `{"message":"Service Unavailable"}`)
	w.fail, w.wait = nil, true
	w.want(w.do(id, "GET", "/a", ""), 503, `{"message":"Service Unavailable"}`)
	w.wait = false
	_, err := w.api.UpdateApi(w.Context(), &api.UpdateApiInput{ApiId: id, DisableExecuteApiEndpoint: wire.Ptr(true)})
	w.check(err)
	w.want(w.do(id, "GET", "/a", ""), 404, `{"message":"Not Found"}`)
}

func TestCORS(t *testing.T) {
	w := start(t)
	id := w.make("2.0", &api.Cors{
		AllowOrigins: []string{"https://a.example", "http://*"}, AllowMethods: []string{"GET", "POST"}, AllowHeaders: []string{"x-a"},
		ExposeHeaders: []string{"x-b"}, MaxAge: wire.Ptr[int32](60), AllowCredentials: wire.Ptr(true),
	}, "ANY /a")
	w.answer = `{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"*","X-Mine":"1"}}`
	r := w.do(id, "OPTIONS", "/a", "", "Origin", "https://a.example", "Access-Control-Request-Method", "POST")
	w.want(r, 204, "")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://a.example", "Access-Control-Allow-Methods": "GET,POST", "Access-Control-Allow-Headers": "x-a",
		"Access-Control-Max-Age": "60", "Access-Control-Allow-Credentials": "true",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if w.event != nil {
		t.Error("a preflight request reached the function")
	}
	r = w.do(id, "GET", "/a", "", "Origin", "https://b.example")
	if r.Header.Get("Access-Control-Allow-Origin") != "" || r.Header.Get("X-Mine") != "1" {
		t.Errorf("got %v", r.Header)
	}
	r = w.do(id, "GET", "/a", "", "Origin", "http://c.example:8080")
	if r.Header.Get("Access-Control-Allow-Origin") != "http://c.example:8080" || r.Header.Get("Access-Control-Expose-Headers") != "x-b" {
		t.Errorf("got %v", r.Header)
	}
	for origin, want := range map[string]bool{"https://a.example": true, "https://b.example": false, "http://x": true, "": false} {
		if got := w.front.AllowOrigin(w.Context(), id, origin); got != want {
			t.Errorf("%s: got %v", origin, got)
		}
	}
	if w.front.AllowOrigin(w.Context(), "none", "http://x") {
		t.Error("an API that is not there allows an origin")
	}
}

func TestQuickCreate(t *testing.T) {
	w := start(t)
	out, err := w.api.CreateApi(w.Context(), &api.CreateApiInput{Name: "q", ProtocolType: "HTTP", Target: wire.Ptr(function)})
	w.check(err)
	w.want(w.do(*out.ApiId, "DELETE", "/any/thing", ""), 200, `{"ok":true}`)
	if w.event["routeKey"] != "$default" || w.call.SourceARN != "arn:aws:execute-api:us-east-1:000000000000:"+*out.ApiId+"/$default/$default" {
		t.Errorf("got %v from %s", w.event["routeKey"], w.call.SourceARN)
	}
}

// body is a definition as the SAM transform emits it.
func body(path, method string) map[string]any {
	return map[string]any{
		"openapi": "3.0.1", "info": map[string]any{"version": "1.0", "title": "stack"},
		"paths": map[string]any{path: map[string]any{method: map[string]any{
			"x-amazon-apigateway-integration": map[string]any{
				"httpMethod": "POST", "type": "aws_proxy", "payloadFormatVersion": "2.0",
				"uri": "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/" + function + "/invocations",
			},
			"responses": map[string]any{},
		}}},
		"tags":                     []any{map[string]any{"name": "httpapi:createdBy", "x-amazon-apigateway-tag-value": "SAM"}},
		"x-amazon-apigateway-cors": map[string]any{"allowOrigins": []any{"*"}},
	}
}

func TestResourcesWithBody(t *testing.T) {
	w := start(t)
	rt, stage := w.Resource("AWS::ApiGatewayV2::Api"), w.Resource("AWS::ApiGatewayV2::Stage")
	before := map[string]any{"Body": body("/orders", "post"), "FailOnWarnings": true}
	after := map[string]any{"Body": body("/$default", "x-amazon-apigateway-any-method")}
	w.check(rt.Check(before))
	r := &cfn.Request{Tags: map[string]string{"k": "v"}}
	w.check(w.Update(func(ctx context.Context) error {
		res, err := rt.Create(ctx, r, before)
		if err != nil {
			return err
		}
		r.PhysicalID = res.PhysicalID
		if res.Attributes["ApiEndpoint"] != servicetest.Endpoint+"/_aws/execute-api/"+res.PhysicalID {
			t.Errorf("got %+v", res)
		}
		_, err = stage.Create(ctx, &cfn.Request{}, map[string]any{"ApiId": res.PhysicalID, "StageName": "$default", "AutoDeploy": "true"})
		return err
	}))
	w.want(w.do(r.PhysicalID, "POST", "/orders", "{}"), 200, `{"ok":true}`)
	w.want(w.do(r.PhysicalID, "GET", "/orders", ""), 404, `{"message":"Not Found"}`)
	got, err := w.api.GetApi(w.Context(), &api.GetApiInput{ApiId: r.PhysicalID})
	w.check(err)
	if *got.Name != "stack" || got.Tags["httpapi:createdBy"] != "SAM" || got.Tags["k"] != "v" || got.CorsConfiguration.AllowOrigins[0] != "*" {
		t.Errorf("got %+v", got)
	}
	w.check(w.Update(func(ctx context.Context) error { _, err := rt.Update(ctx, r, before, after); return err }))
	w.want(w.do(r.PhysicalID, "GET", "/else", ""), 200, `{"ok":true}`)
	for range 2 {
		w.check(w.Update(func(ctx context.Context) error { return rt.Delete(ctx, r, after) }))
	}
	w.want(w.do(r.PhysicalID, "GET", "/else", ""), 404, `{"message":"Not Found"}`)
}

func TestResourcesWithoutBody(t *testing.T) {
	w := start(t)
	ids := map[string]string{}
	create := func(name string, properties map[string]any) {
		w.t.Helper()
		rt := w.Resource("AWS::ApiGatewayV2::" + name)
		w.check(w.Update(func(ctx context.Context) error {
			res, err := rt.Create(ctx, &cfn.Request{}, properties)
			if err == nil {
				ids[name] = res.PhysicalID
			}
			return err
		}))
	}
	create("Api", map[string]any{"Name": "n", "ProtocolType": "HTTP", "CorsConfiguration": map[string]any{"AllowOrigins": []any{"*"}}})
	create("Integration", map[string]any{"ApiId": ids["Api"], "IntegrationType": "AWS_PROXY", "IntegrationUri": function, "PayloadFormatVersion": "2.0"})
	route := map[string]any{"ApiId": ids["Api"], "RouteKey": "GET /a", "Target": "integrations/" + ids["Integration"], "AuthorizationType": "NONE"}
	create("Route", route)
	stage := map[string]any{"ApiId": ids["Api"], "StageName": "dev"}
	create("Stage", stage)
	w.want(w.do(ids["Api"], "GET", "/dev/a", ""), 404, `{"message":"Not Found"}`)
	update := func(name string, old, new map[string]any) {
		w.t.Helper()
		w.check(w.Update(func(ctx context.Context) error {
			_, err := w.Resource("AWS::ApiGatewayV2::"+name).Update(ctx, &cfn.Request{PhysicalID: ids[name]}, old, new)
			return err
		}))
	}
	update("Stage", stage, map[string]any{"ApiId": ids["Api"], "StageName": "dev", "AutoDeploy": true})
	w.want(w.do(ids["Api"], "GET", "/dev/a", ""), 200, `{"ok":true}`)
	update("Route", route, map[string]any{"ApiId": ids["Api"], "RouteKey": "GET /b", "Target": "integrations/" + ids["Integration"]})
	w.want(w.do(ids["Api"], "GET", "/dev/b", ""), 200, `{"ok":true}`)
	w.want(w.do(ids["Api"], "GET", "/dev/a", ""), 404, `{"message":"Not Found"}`)
	if err := w.Resource("AWS::ApiGatewayV2::Route").Check(map[string]any{"ApiId": "a", "RouteKey": "b", "AuthorizerId": "c"}); err == nil ||
		!strings.Contains(err.Error(), "AuthorizerId") {
		t.Errorf("an authorizer is not refused by name: %v", err)
	}
}
