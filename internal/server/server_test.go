package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/identity"
	"croft/internal/kv/pebblekv"
	"croft/internal/outbox"
	"croft/internal/service"
	"croft/internal/service/sns"
	"croft/internal/service/sqs"
	"croft/internal/sigv4"
	"croft/internal/timer"
)

// world is a server with SQS, SNS and a front door, on a clock of its own.
type world struct {
	*Server
	t     *testing.T
	clock *clock.Manual
	log   bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store, err := pebblekv.Open(pebblekv.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w := &world{t: t, clock: clock.NewManual(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))}
	keys, err := identity.New(context.Background(), store, w.clock)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	d := service.NewDispatcher()
	timers := timer.New(store, w.clock, log)
	deps := service.Deps{Clock: w.clock, Store: store, Caller: d, Log: log, Timers: timers, Outbox: outbox.New(store, timers, w.clock, log)}
	queues := sqs.New(deps).Descriptor()
	queues.Fronts = []*service.Front{{
		Label:       "execute-api",
		Serve:       func(w http.ResponseWriter, r *http.Request, id string) { io.WriteString(w, id+" "+r.URL.EscapedPath()) },
		AllowOrigin: func(_ context.Context, _, origin string) bool { return origin == "http://friend.example" },
	}}
	d.Add(queues)
	d.Add(sns.New(deps).Descriptor())
	w.Server = New(Config{
		Clock: w.clock, Log: log, Dispatcher: d, Keys: keys, Account: cloud.DefaultAccount,
		Control: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "control") }),
	})
	return w
}

type call struct {
	method, target, path, host, body string
	service, region                  string
	creds                            sigv4.Credentials
	header                           map[string]string
	unsigned                         bool
	at                               time.Duration
	env                              *Environment
}

func (w *world) do(c call) *httptest.ResponseRecorder {
	w.t.Helper()
	set := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	set(&c.method, "POST")
	set(&c.path, "/")
	set(&c.host, "127.0.0.1:4566")
	set(&c.service, "sqs")
	set(&c.region, "us-east-1")
	if c.creds.AccessKey == "" {
		c.creds = sigv4.Credentials{AccessKey: "test", Secret: "test"}
	}
	r := httptest.NewRequest(c.method, "http://"+c.host+c.path, strings.NewReader(c.body))
	if c.target != "" {
		r.Header.Set("X-Amz-Target", c.target)
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	}
	if !c.unsigned {
		sigv4.Sign(r, []byte(c.body), c.creds, c.region, c.service, w.clock.Now().Add(c.at))
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	h := w.Handler()
	if c.env != nil {
		h = w.FunctionHandler(*c.env)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func TestBadRequestsGetTheVendorsErrors(t *testing.T) {
	w := newWorld(t)
	const list = "AmazonSQS.ListQueues"
	deep := strings.Repeat(`{"a":`, 100000) + "1" + strings.Repeat("}", 100000)
	for name, c := range map[string]struct {
		call
		status int
		want   string
	}{
		"works":                 {call{target: list, body: "{}"}, 200, ""},
		"unsigned":              {call{target: list, body: "{}", unsigned: true}, 400, "MissingAuthenticationTokenException"},
		"unsigned, nothing":     {call{body: "{}", unsigned: true}, 403, "MissingAuthenticationToken"},
		"half a signature":      {call{target: list, body: "{}", header: map[string]string{"Authorization": "AWS4-HMAC-SHA256 Credential=x"}}, 400, "IncompleteSignature"},
		"wrong secret":          {call{target: list, body: "{}", creds: sigv4.Credentials{AccessKey: "test", Secret: "tset"}}, 400, "InvalidSignatureException"},
		"wrong secret, query":   {call{body: "Action=ListTopics&Version=2010-03-31", service: "sns", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, creds: sigv4.Credentials{AccessKey: "test", Secret: "tset"}}, 403, "<Code>SignatureDoesNotMatch</Code>"},
		"expired":               {call{target: list, body: "{}", at: -time.Hour}, 400, "Signature expired: 20261123T110000Z is now earlier than 20261123T114500Z"},
		"from the future":       {call{target: list, body: "{}", at: time.Hour}, 400, "Signature not yet current"},
		"wrong region":          {call{target: list, body: "{}", region: "mars"}, 400, "Credential should be scoped to a valid region."},
		"wrong service":         {call{target: list, body: "{}", service: "sns"}, 400, "Credential should be scoped to correct service: 'sqs'"},
		"unknown service":       {call{body: "{}", service: "glue"}, 501, "glue"},
		"unknown target":        {call{target: "Glue.GetJobs", body: "{}", service: "glue"}, 501, "glue"},
		"unknown operation":     {call{target: "AmazonSQS.Frobnicate", body: "{}"}, 400, "Frobnicate"},
		"operation not built":   {call{service: "sns", body: "Action=CreateSMSSandboxPhoneNumber&Version=2010-03-31&PhoneNumber=%2B1", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 501, "sns:CreateSMSSandboxPhoneNumber"},
		"unknown action":        {call{service: "sns", body: "Action=Frobnicate&Version=2010-03-31", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 400, "InvalidAction"},
		"malformed JSON":        {call{target: list, body: `{"QueueNamePrefix": `}, 400, "SerializationException"},
		"wrong type":            {call{target: list, body: `{"QueueNamePrefix": 7}`}, 400, "SerializationException"},
		"deep nesting":          {call{target: list, body: deep}, 400, "SerializationException"},
		"made-up session token": {call{target: list, body: "{}", creds: sigv4.Credentials{AccessKey: "ASIAX", Secret: "x", Token: "x"}, env: &Environment{Function: "f"}}, 400, "UnrecognizedClientException"},
	} {
		t.Run(name, func(t *testing.T) {
			rec := w.do(c.call)
			got := rec.Header().Get("X-Amzn-ErrorType") + " " + rec.Body.String()
			if rec.Code != c.status || !strings.Contains(got, c.want) {
				t.Errorf("%d %s\nwant %d with %q", rec.Code, got, c.status, c.want)
			}
			if strings.Contains(rec.Body.String(), "goroutine") || rec.Header().Get("x-amzn-RequestId") == "" {
				t.Errorf("headers %v, body %s", rec.Header(), rec.Body)
			}
		})
	}
}

func TestBodyOverTheLimit(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest("POST", "http://127.0.0.1:4566/", io.LimitReader(neverEnding('x'), maxBody+10))
	r.Header.Set("X-Amz-Target", "AmazonSQS.ListQueues")
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	sigv4.Sign(r, nil, sigv4.Credentials{AccessKey: "test", Secret: "test"}, "us-east-1", "sqs", w.clock.Now())
	rec := httptest.NewRecorder()
	w.Handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusRequestEntityTooLarge || !strings.Contains(rec.Body.String(), "RequestEntityTooLarge") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if w.memory.left != maxBuffered {
		t.Errorf("%d bytes of the budget are gone", maxBuffered-w.memory.left)
	}
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

func TestHostileBrowser(t *testing.T) {
	w := newWorld(t)
	const list = "AmazonSQS.ListQueues"
	evil := map[string]string{"Origin": "http://evil.example"}
	for name, c := range map[string]struct {
		call
		status int
	}{
		"foreign origin, signed":       {call{target: list, body: "{}", header: evil}, 403},
		"opaque origin":                {call{target: list, body: "{}", header: map[string]string{"Origin": "null"}}, 403},
		"another port":                 {call{target: list, body: "{}", header: map[string]string{"Origin": "http://127.0.0.1:3000"}}, 403},
		"own origin":                   {call{target: list, body: "{}", header: map[string]string{"Origin": "http://127.0.0.1:4566"}}, 200},
		"cross-site fetch":             {call{target: list, body: "{}", header: map[string]string{"Sec-Fetch-Site": "cross-site"}}, 403},
		"unknown host":                 {call{target: list, body: "{}", host: "evil.example:4566"}, 403},
		"host that only looks local":   {call{target: list, body: "{}", host: "localhost.evil.example"}, 403},
		"name below localhost":         {call{target: list, body: "{}", host: "sqs.us-east-1.localhost:4566"}, 200},
		"IPv6 loopback":                {call{target: list, body: "{}", host: "[::1]:4566"}, 200},
		"control, foreign":             {call{path: "/_croft/health", method: "GET", header: evil, unsigned: true}, 403},
		"control, read":                {call{path: "/_croft/health", method: "GET", unsigned: true}, 200},
		"control, write without":       {call{path: "/_croft/reset", unsigned: true}, 403},
		"control, write with":          {call{path: "/_croft/reset", unsigned: true, header: map[string]string{ControlHeader: "1"}}, 200},
		"control, write from function": {call{path: "/_croft/reset", unsigned: true, header: map[string]string{ControlHeader: "1"}, env: &Environment{Function: "f"}}, 403},
		"control, read from function":  {call{path: "/_croft/health", method: "GET", unsigned: true, env: &Environment{Function: "f"}}, 403},
		"AWS's name, a tool":           {call{target: list, body: "{}", host: "sqs.us-east-1.amazonaws.com:4566"}, 200},
		"AWS's name, a page": {call{
			target: list, body: "{}", host: "x.amazonaws.com:4566", header: map[string]string{"Origin": "http://x.amazonaws.com:4566"},
		}, 403},
		"AWS's name, an API's own page": {call{
			host: "abc.execute-api.us-east-1.amazonaws.com", path: "/orders", unsigned: true, header: map[string]string{"Origin": "http://abc.execute-api.us-east-1.amazonaws.com"},
		}, 200},
		"control, under AWS's name":             {call{path: "/_croft/reset", unsigned: true, host: "x.amazonaws.com:4566", header: map[string]string{ControlHeader: "1"}}, 403},
		"control, read, under the proxy's name": {call{path: "/_croft/status", method: "GET", unsigned: true, host: "croft.internal"}, 403},
		"control, odd path":                     {call{path: "/_croft//../_croft/reset", unsigned: true}, 403},
		"front":                                 {call{path: "/_aws/execute-api/abc/orders%2Fx", unsigned: true}, 200},
		"front, foreign":                        {call{path: "/_aws/execute-api/abc/orders", unsigned: true, header: evil}, 403},
		"front's own host":                      {call{host: "abc.execute-api.localhost:4566", path: "/_croft/reset", unsigned: true, header: map[string]string{ControlHeader: "1"}}, 200},
		"front, friend":                         {call{path: "/_aws/execute-api/abc/orders", unsigned: true, header: map[string]string{"Origin": "http://friend.example"}}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			if rec := w.do(c.call); rec.Code != c.status {
				t.Errorf("%d %s, want %d", rec.Code, rec.Body, c.status)
			}
		})
	}
}

func TestFrontPaths(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{
		"/_aws/execute-api/abc":            "abc /",
		"/_aws/execute-api/abc/":           "abc /",
		"/_aws/execute-api/abc/a%2Fb/c":    "abc /a%2Fb/c",
		"http://abc.execute-api.localhost": "abc /x",
	} {
		c := call{path: path, method: "GET", unsigned: true}
		if host, ok := strings.CutPrefix(path, "http://"); ok {
			c.host, c.path = host, "/x"
		}
		if got := w.do(c).Body.String(); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestFunctionsHaveTheirOwnRoleAndNothingElse(t *testing.T) {
	w := newWorld(t)
	issue := func(function string) sigv4.Credentials {
		c, err := w.Keys.Issue(identity.Session{Account: "111122223333", ARN: "arn:aws:sts::111122223333:assumed-role/r/f", UserID: "AROA:f", Function: function}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return sigv4.Credentials{AccessKey: c.AccessKeyID, Secret: c.SecretAccessKey, Token: c.SessionToken}
	}
	mine, other := issue("f"), issue("g")
	env := &Environment{Function: "f"}
	create := call{target: "AmazonSQS.CreateQueue", body: `{"QueueName":"q"}`, env: env, creds: mine}
	rec := w.do(create)
	var out struct {
		QueueURL string `json:"QueueUrl"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || !strings.HasSuffix(out.QueueURL, "/111122223333/q") {
		t.Fatalf("own role: %d %s", rec.Code, rec.Body)
	}
	for name, c := range map[string]sigv4.Credentials{
		"another function's role": other,
		"the development key":     {AccessKey: "test", Secret: "test"},
		"a made-up key":           {AccessKey: "AKIAIOSFODNN7EXAMPLE", Secret: "x"},
		"own key, no token":       {AccessKey: mine.AccessKey, Secret: mine.Secret},
		"own key, wrong secret":   {AccessKey: mine.AccessKey, Secret: "x", Token: mine.Token},
	} {
		create.creds = c
		if rec := w.do(create); rec.Code == 200 {
			t.Errorf("%s was accepted: %s", name, rec.Body)
		}
	}
	w.clock.Advance(2 * time.Hour)
	create.creds = mine
	if rec := w.do(create); !strings.Contains(rec.Body.String(), "ExpiredTokenException") {
		t.Errorf("after its end: %d %s", rec.Code, rec.Body)
	}
}

func TestUnknownKeysNameAccounts(t *testing.T) {
	w := newWorld(t)
	for key, want := range map[string]string{"210987654321": "/210987654321/q", "AKIAIOSFODNN7EXAMPLE": "/000000000000/q"} {
		rec := w.do(call{target: "AmazonSQS.CreateQueue", body: `{"QueueName":"q"}`, creds: sigv4.Credentials{AccessKey: key, Secret: "anything"}})
		if rec.Code != 200 || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %d %s", key, rec.Code, rec.Body)
		}
	}
}

func TestPanicsStayInside(t *testing.T) {
	w := newWorld(t)
	w.fronts["execute-api"].Serve = func(http.ResponseWriter, *http.Request, string) { panic("secret detail") }
	rec := w.do(call{path: "/_aws/execute-api/abc/", unsigned: true})
	if rec.Code != 500 || strings.Contains(rec.Body.String(), "secret detail") || !strings.Contains(w.log.String(), "secret detail") {
		t.Errorf("%d %s\nlog: %s", rec.Code, rec.Body, w.log.String())
	}
}

func TestIsRegion(t *testing.T) {
	for region, want := range map[string]bool{
		"us-east-1": true, "ap-southeast-12": true, "us-gov-west-1": true, "": false, "mars": false, "us-east": false, "us_east-1": false,
		"us-east-1x": false, "-east-1": false, "us--1": false, strings.Repeat("a", 40): false,
	} {
		if isRegion(region) != want {
			t.Errorf("isRegion(%q) = %v", region, !want)
		}
	}
}
