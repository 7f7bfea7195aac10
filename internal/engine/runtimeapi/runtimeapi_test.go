package runtimeapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// runtimeOf serves s and returns what a runtime calls it with: method, path below /2018-06-01/runtime, body and headers in pairs.
func runtimeOf(t *testing.T, s *Server) func(method, path, body string, headers ...string) (int, string, http.Header) {
	t.Helper()
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return func(method, path, body string, headers ...string) (int, string, http.Header) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+"/2018-06-01/runtime/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b), res.Header
	}
}

type outcome struct {
	Answer
	err error
}

func invoke(ctx context.Context, s *Server, inv Invocation) <-chan outcome {
	out := make(chan outcome, 1)
	go func() {
		a, err := s.Invoke(ctx, inv)
		out <- outcome{a, err}
	}()
	return out
}

func TestInvocation(t *testing.T) {
	s := New(Options{})
	call := runtimeOf(t, s)
	got := invoke(t.Context(), s, Invocation{
		RequestID: "id-1", Payload: []byte(`{"a":1}`), Deadline: time.UnixMilli(1234567), FunctionARN: "arn:x",
		TraceID: "Root=1", ClientContext: `{"custom":{"ü":"1"}}`,
	})
	status, body, h := call("GET", "invocation/next", "")
	if status != 200 || body != `{"a":1}` {
		t.Fatalf("next: %d %s", status, body)
	}
	for name, want := range map[string]string{
		"Lambda-Runtime-Aws-Request-Id": "id-1", "Lambda-Runtime-Deadline-Ms": "1234567", "Lambda-Runtime-Invoked-Function-Arn": "arn:x",
		"Lambda-Runtime-Trace-Id": "Root=1", "Lambda-Runtime-Client-Context": `{"custom":{"ü":"1"}}`, "Content-Type": "application/json",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q", name, h.Get(name))
		}
	}
	<-s.Ready()
	if status, body, _ = call("POST", "invocation/id-1/response", "done"); status != 202 || body != `{"status":"OK"}` {
		t.Errorf("response: %d %s", status, body)
	}
	if o := <-got; o.err != nil || string(o.Payload) != "done" || o.ErrorType != "" {
		t.Errorf("got %+v", o)
	}
	got = invoke(t.Context(), s, Invocation{RequestID: "id-2"})
	if status, body, h = call("GET", "invocation/next", ""); status != 200 || body != "" || h.Get("Lambda-Runtime-Trace-Id") != "" {
		t.Errorf("next: %d %q %v", status, body, h)
	}
	status, _, _ = call("POST", "invocation/id-2/error", `{"errorMessage":"m"}`, "Lambda-Runtime-Function-Error-Type", "ValueError")
	if o := <-got; status != 202 || o.err != nil || string(o.Payload) != `{"errorMessage":"m"}` || o.ErrorType != "ValueError" {
		t.Errorf("error: %d %+v", status, o)
	}
}

// TestIllegalMoves takes a runtime into each state and tries everything that is not legal there.
func TestIllegalMoves(t *testing.T) {
	const next, response, failure, initError = "GET invocation/next", "POST invocation/id/response", "POST invocation/id/error", "POST init/error"
	refused := map[string][]string{
		"running":  {next, initError},
		"answered": {response, failure, initError},
		"failed":   {next, initError},
	}
	for state, moves := range refused {
		for _, move := range moves {
			s := New(Options{})
			call := runtimeOf(t, s)
			bring(t, s, call, state)
			method, path, _ := strings.Cut(move, " ")
			status, body, _ := call(method, path, "x")
			if status != 403 || !strings.Contains(body, `"errorType":"InvalidStateTransition"`) {
				t.Errorf("%s, %s: %d %s", state, move, status, body)
			}
		}
	}
	s := New(Options{})
	call := runtimeOf(t, s)
	if status, body, _ := call("POST", "invocation/id/response", "x"); status != 400 || !strings.Contains(body, `"InvalidRequestID"`) {
		t.Errorf("an answer before there was an event: %d %s", status, body)
	}
	bring(t, s, call, "running")
	for _, path := range []string{"invocation/other/response", "invocation/other/error"} {
		if status, body, _ := call("POST", path, "x"); status != 400 || !strings.Contains(body, `"InvalidRequestID"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _, _ := call("POST", "invocation/id/response", "x"); status != 202 {
		t.Errorf("the right id afterwards: %d", status)
	}
	if status, _, _ := call("GET", "nothing", ""); status != 404 {
		t.Errorf("an unknown route: %d", status)
	}
}

func bring(t *testing.T, s *Server, call func(string, string, string, ...string) (int, string, http.Header), state string) {
	t.Helper()
	if state == "failed" {
		call("POST", "init/error", "{}")
		return
	}
	if state == "starting" {
		return
	}
	got := invoke(t.Context(), s, Invocation{RequestID: "id"})
	call("GET", "invocation/next", "")
	if state == "answered" {
		call("POST", "invocation/id/response", "x")
		<-got
	}
}

func TestInitError(t *testing.T) {
	s := New(Options{})
	call := runtimeOf(t, s)
	status, _, _ := call("POST", "init/error", `{"errorType":"E"}`, "Lambda-Runtime-Function-Error-Type", "Runtime.ImportModuleError")
	<-s.Failed()
	if a := s.InitError(); status != 202 || a.ErrorType != "Runtime.ImportModuleError" || string(a.Payload) != `{"errorType":"E"}` {
		t.Errorf("%d %+v", status, a)
	}
	if _, err := s.Invoke(t.Context(), Invocation{}); !errors.Is(err, ErrNotTaken) {
		t.Errorf("an invocation afterwards: %v", err)
	}
}

// TestOneInitError has a report under way: another is refused before its body is read.
func TestOneInitError(t *testing.T) {
	s := New(Options{})
	if s.beginFail(failInit) != nil {
		t.Fatal("the first report is refused")
	}
	read := false
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("POST", "http://127.0.0.1/2018-06-01/runtime/init/error", readerFunc(func([]byte) (int, error) {
		read = true
		return 0, io.EOF
	})))
	if w.Code != 403 || read {
		t.Errorf("%d, read %v", w.Code, read)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestSizes(t *testing.T) {
	for size, want := range map[int]string{MaxPayload: "", MaxPayload + 1: "Function.ResponseSizeTooLarge"} {
		for _, chunked := range []bool{false, true} {
			s := New(Options{})
			srv := httptest.NewServer(s.Handler())
			got := invoke(t.Context(), s, Invocation{RequestID: "id"})
			if res, err := srv.Client().Get(srv.URL + "/2018-06-01/runtime/invocation/next"); err != nil || res.Body.Close() != nil {
				t.Fatal(err)
			}
			var body io.Reader = bytes.NewReader(make([]byte, size))
			if chunked {
				body = io.MultiReader(body)
			}
			res, err := srv.Client().Post(srv.URL+"/2018-06-01/runtime/invocation/id/response", "", body)
			if err == nil {
				res.Body.Close()
			}
			o := <-got
			if o.err != nil || o.ErrorType != want || want == "" && len(o.Payload) != size {
				t.Errorf("%d bytes, chunked %v: %q %v", size, chunked, o.ErrorType, o.err)
			}
			if want != "" && !strings.Contains(string(o.Payload), "(6291556 bytes)") {
				t.Errorf("payload %s", o.Payload)
			}
			srv.Close()
		}
	}
}

func TestTruncatedResponse(t *testing.T) {
	s := New(Options{})
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	got := invoke(t.Context(), s, Invocation{RequestID: "id"})
	if res, err := srv.Client().Get(srv.URL + "/2018-06-01/runtime/invocation/next"); err != nil || res.Body.Close() != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(c, "POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nhalf")
	if err != nil || c.Close() != nil {
		t.Fatal(err)
	}
	if o := <-got; o.ErrorType != "Runtime.TruncatedResponse" {
		t.Errorf("got %+v", o)
	}
}

// TestWebPagesAreRefused: they can neither take an invocation nor answer one.
func TestWebPagesAreRefused(t *testing.T) {
	s := New(Options{})
	got := invoke(t.Context(), s, Invocation{RequestID: "id", Payload: []byte("secret")})
	for name, change := range map[string]func(*http.Request){
		"another origin":  func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") },
		"no origin":       func(r *http.Request) { r.Header.Set("Origin", "null") },
		"an image":        func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a name":          func(r *http.Request) { r.Host = "evil.example:9001" },
		"a name, no port": func(r *http.Request) { r.Host = "127.0.0.1.evil.example" },
	} {
		for _, path := range []string{"GET invocation/next", "POST invocation/id/response"} {
			method, rest, _ := strings.Cut(path, " ")
			r := httptest.NewRequest(method, "http://127.0.0.1:9001/2018-06-01/runtime/"+rest, nil)
			change(r)
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			if w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s: %s: %d %s", name, path, w.Code, w.Body)
			}
		}
	}
	for _, host := range []string{"127.0.0.1:9001", "localhost:9001", "[::1]:9001", "127.0.0.1"} {
		r := httptest.NewRequest("POST", "http://"+host+"/2018-06-01/runtime/invocation/other/response", nil)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code == http.StatusForbidden && strings.Contains(w.Body.String(), "web pages") {
			t.Errorf("%s: %s", host, w.Body)
		}
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next", nil))
	if w.Body.String() != "secret" {
		t.Errorf("the runtime got %s", w.Body)
	}
	w = httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("POST", "http://127.0.0.1:9001/2018-06-01/runtime/invocation/id/response", strings.NewReader("{}")))
	if o := <-got; string(o.Payload) != "{}" {
		t.Errorf("got %+v", o)
	}
}

func TestUnknownResponseMode(t *testing.T) {
	s := New(Options{})
	call := runtimeOf(t, s)
	got := invoke(t.Context(), s, Invocation{RequestID: "id"})
	call("GET", "invocation/next", "")
	status, body, _ := call("POST", "invocation/id/response", "x", "Lambda-Runtime-Function-Response-Mode", "whole")
	if status != 400 || !strings.Contains(body, "InvalidFunctionResponseMode") {
		t.Errorf("%d %s", status, body)
	}
	if o := <-got; o.err != nil || o.ErrorType != "Runtime.InvalidResponseModeHeader" {
		t.Errorf("%+v", o)
	}
}

func TestGivingUp(t *testing.T) {
	why := errors.New("why")
	s := New(Options{})
	call := runtimeOf(t, s)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := s.Invoke(ctx, Invocation{RequestID: "id"}); !errors.Is(err, ErrNotTaken) || !errors.Is(err, why) {
		t.Errorf("before the runtime asked: %v", err)
	}
	// The runtime has seen nothing of it, and the next one goes through.
	ctx, cancel = context.WithCancelCause(t.Context())
	got := invoke(ctx, s, Invocation{RequestID: "id-2"})
	if _, _, h := call("GET", "invocation/next", ""); h.Get("Lambda-Runtime-Aws-Request-Id") != "id-2" {
		t.Errorf("the runtime got %v", h)
	}
	cancel(why)
	if o := <-got; errors.Is(o.err, ErrNotTaken) || !errors.Is(o.err, why) {
		t.Errorf("while it ran: %v", o.err)
	}
	if status, _, _ := call("POST", "invocation/id-2/response", "x"); status != 403 {
		t.Errorf("an answer too late: %d", status)
	}
	if _, err := s.Invoke(t.Context(), Invocation{}); !errors.Is(err, ErrNotTaken) {
		t.Errorf("another invocation: %v", err)
	}
}

// TestAskedAgain is about a runtime that lost its connection while it waited, and asks on a new one.
func TestAskedAgain(t *testing.T) {
	s := New(Options{})
	first, _ := s.ask()
	_, wait := s.take(first)
	second, err := s.ask()
	if err != nil || wait == nil {
		t.Fatal("could not ask again")
	}
	got := invoke(t.Context(), s, Invocation{RequestID: "id"})
	<-wait
	if e, wait := s.take(first); e != nil || wait != nil {
		t.Error("the event went to the connection that was lost")
	}
	if e, _ := s.take(second); e == nil || e.RequestID != "id" {
		t.Errorf("got %v", e)
	}
	call := runtimeOf(t, s)
	call("POST", "invocation/id/response", "x")
	if o := <-got; string(o.Payload) != "x" {
		t.Errorf("got %+v", o)
	}
}
