package lambda_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	api "croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/service/lambda"
	"croft/internal/wire"
)

const integration = "application/vnd.awslambda.http-integration-response"

// streams makes the engine answer in pieces, and then as result and err say.
func (w *urlWorld) streams(media string, result engine.Result, err error, pieces ...string) {
	w.engine.run = func(_ context.Context, _ engine.Function, inv engine.Invocation) (*engine.Result, error) {
		if len(pieces) > 0 {
			w.check(inv.Stream.Begin(media, true))
		}
		for _, p := range pieces {
			if n, err := inv.Stream.Write([]byte(p)); n != len(p) || err != nil {
				w.t.Errorf("a piece of %d bytes: %d, %v", len(p), n, err)
			}
		}
		return &result, err
	}
}

// collect runs the function with a streamed answer and returns its payload and its end.
func (w *urlWorld) collect(in *api.InvokeWithResponseStreamInput) (payload string, chunks int, end *api.InvokeWithResponseStreamCompleteEvent, err error) {
	in.FunctionName = "f"
	out, err := w.client.InvokeWithResponseStream(w.Context(), in)
	if err != nil {
		return "", 0, nil, err
	}
	for event, err := range out.EventStream {
		if err != nil {
			return payload, chunks, nil, err
		}
		if event.PayloadChunk != nil {
			payload += string(event.PayloadChunk.Payload)
			chunks++
		}
		end = event.InvokeComplete
	}
	return payload, chunks, end, nil
}

func TestInvokeWithResponseStream(t *testing.T) {
	w := newURLWorld(t, lambda.Limits{})
	w.streams("text/plain", engine.Result{LogTail: []byte("log")}, nil, "one", strings.Repeat("x", 100<<10), "")
	payload, chunks, end, err := w.collect(&api.InvokeWithResponseStreamInput{LogType: wire.Ptr("Tail")})
	if err != nil || len(payload) != 3+100<<10 || chunks != 3 || end == nil || wire.Value(end.LogResult) != "bG9n" || end.ErrorCode != nil {
		t.Errorf("%d bytes in %d chunks, %+v, %v", len(payload), chunks, end, err)
	}
	w.streams("text/plain", engine.Result{FunctionError: "Unhandled", Payload: []byte(`{"errorType":"E"}`)}, nil, "half")
	payload, _, end, err = w.collect(new(api.InvokeWithResponseStreamInput))
	if err != nil || payload != "half" || end == nil || wire.Value(end.ErrorCode) != "Unhandled" || wire.Value(end.ErrorDetails) != `{"errorType":"E"}` {
		t.Errorf("a failure in the midst: %q, %+v, %v", payload, end, err)
	}
	w.streams("", engine.Result{}, cloud.Errorf("TooManyRequestsException", "Rate Exceeded.").WithStatus(429))
	var e *cloud.Error
	if _, _, _, err = w.collect(new(api.InvokeWithResponseStreamInput)); !errors.As(err, &e) || e.Status != 429 || e.Fields["retryAfterSeconds"] != "1" {
		t.Errorf("throttled: %+v", err)
	}
	w.streams("text/plain", engine.Result{}, errors.New("lost"), "half")
	if payload, _, _, err = w.collect(new(api.InvokeWithResponseStreamInput)); payload != "half" || err == nil || err.Error() != "lost" {
		t.Errorf("an engine that fails in the midst: %q, %v", payload, err)
	}
	w.engine.run = nil
	out, err := w.client.InvokeWithResponseStream(w.Context(), &api.InvokeWithResponseStreamInput{FunctionName: "f", InvocationType: wire.Ptr("DryRun")})
	if err != nil || *out.StatusCode != 204 {
		t.Errorf("a dry run: %+v, %v", out, err)
	}
	for want, in := range map[string]*api.InvokeWithResponseStreamInput{
		"InvalidParameterValueException": {TenantId: wire.Ptr("t")}, "ResourceNotFoundException": {Qualifier: wire.Ptr("none")},
		"InvalidRequestContentException": {Payload: []byte("{")}, "RequestEntityTooLargeException": {Payload: make([]byte, 6<<20+1)},
	} {
		if _, _, _, err := w.collect(in); cloud.Code(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestStreamsRunOn checks that a function runs to its end when nobody reads its answer any more.
func TestStreamsRunOn(t *testing.T) {
	w := newURLWorld(t, lambda.Limits{})
	ended := make(chan error, 1)
	w.engine.run = func(_ context.Context, _ engine.Function, inv engine.Invocation) (*engine.Result, error) {
		err := inv.Stream.Begin("text/plain", true)
		for range 10 {
			if _, werr := inv.Stream.Write([]byte("x")); err == nil {
				err = werr
			}
		}
		ended <- err
		return new(engine.Result), nil
	}
	ctx, cancel := context.WithCancel(w.Context())
	if _, err := w.client.InvokeWithResponseStream(ctx, &api.InvokeWithResponseStreamInput{FunctionName: "f"}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("a caller that went away: %v", err)
	}
	out, err := w.client.InvokeWithResponseStream(w.Context(), &api.InvokeWithResponseStreamInput{FunctionName: "f"})
	if err != nil {
		t.Fatal(err)
	}
	for range out.EventStream {
		break
	}
	if err := <-ended; err != nil {
		t.Errorf("a reader that stopped: %v", err)
	}
}

func TestStreamingURL(t *testing.T) {
	w := newURLWorld(t, lambda.Limits{})
	id := w.open(&api.CreateFunctionUrlConfigInput{AuthType: "NONE", InvokeMode: wire.Ptr("RESPONSE_STREAM")})
	w.public()
	const zeros = "\x00\x00\x00\x00\x00\x00\x00\x00"
	failed := engine.Result{FunctionError: "Unhandled", Payload: []byte(`{}`)}
	for name, c := range map[string]struct {
		media  string
		result engine.Result
		pieces []string
		status int
		body   string
		typed  string
	}{
		"as it is":            {"application/json", engine.Result{}, []string{`{"statusCode":404,"body":"x"}`}, 200, `{"statusCode":404,"body":"x"}`, "application/json"},
		"no type":             {"", engine.Result{}, []string{"a", "b"}, 200, "ab", "application/octet-stream"},
		"a prelude":           {integration, engine.Result{}, []string{`{"statusCode":201,"headers":{"Content-Type":"text/html"}}` + zeros + "body", "!"}, 201, "body!", "text/html"},
		"a prelude in pieces": {integration, engine.Result{}, []string{`{"status`, `Code":202}` + zeros[:3], zeros[3:6], zeros[6:] + "\x00b", ""}, 202, "\x00b", "application/octet-stream"},
		"no prelude":          {integration, engine.Result{}, []string{"body"}, 502, "Internal Server Error", "application/json"},
		"a bad prelude":       {integration, engine.Result{}, []string{"[]" + zeros + "body"}, 502, "Internal Server Error", "application/json"},
		"a prelude too long":  {integration, engine.Result{}, []string{strings.Repeat("x", 300<<10), zeros + "body"}, 502, "Internal Server Error", "application/json"},
		"a failure":           {"", failed, nil, 502, "Internal Server Error", "application/json"},
		"nothing":             {"", engine.Result{}, nil, 200, "", "application/octet-stream"},
	} {
		w.streams(c.media, c.result, nil, c.pieces...)
		r, body := w.do(id, "GET", "/", "")
		if r.StatusCode != c.status || body != c.body || r.Header.Get("Content-Type") != c.typed {
			t.Errorf("%s: %d %q %v", name, r.StatusCode, body, r.Header)
		}
	}
	w.streams("text/plain", failed, nil, "half")
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("half an answer: %v", p)
			}
		}()
		w.do(id, "GET", "/", "")
	}()
}

// TestStreamingURLFlushes checks that every piece is sent when it comes, and that a client that leaves does not disturb the function.
func TestStreamingURLFlushes(t *testing.T) {
	w := newURLWorld(t, lambda.Limits{})
	id := w.open(&api.CreateFunctionUrlConfigInput{AuthType: "NONE", InvokeMode: wire.Ptr("RESPONSE_STREAM")})
	w.public()
	next, ended := make(chan string), make(chan error, 1)
	w.engine.run = func(_ context.Context, _ engine.Function, inv engine.Invocation) (*engine.Result, error) {
		err := inv.Stream.Begin("text/plain", true)
		for piece := range next {
			if _, werr := io.WriteString(inv.Stream, piece); err == nil {
				err = werr
			}
		}
		ended <- err
		return new(engine.Result), nil
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.front.Serve(rw, r.WithContext(w.visitor(r.Context())), id)
	}))
	defer server.Close()
	r, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(r.Body)
	for _, want := range []string{"one\n", "two\n"} {
		next <- want
		if got, err := lines.ReadString('\n'); got != want || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if err := r.Body.Close(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		next <- strings.Repeat("x", 100<<10)
	}
	close(next)
	if err := <-ended; err != nil {
		t.Errorf("the function heard of it: %v", err)
	}
}
