package runtimeapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMoves holds the table against a list of its own: what is not here is illegal.
func TestMoves(t *testing.T) {
	legal := map[[2]int]state{
		{int(starting), int(ask)}: waiting, {int(starting), int(restore)}: restoring, {int(starting), int(failInit)}: broken,
		{int(restoring), int(ask)}: waiting, {int(restoring), int(failInit)}: broken, {int(restoring), int(failRestore)}: broken,
		{int(waiting), int(ask)}: waiting, {int(waiting), int(take)}: running,
		{int(running), int(answer)}: answering, {int(running), int(abandon)}: broken,
		{int(answering), int(finish)}: answered, {int(answering), int(abandon)}: broken,
		{int(answered), int(ask)}: waiting,
	}
	for from := starting; from < states; from++ {
		legal[[2]int{int(from), int(breach)}] = broken
		for m := move(0); m < moves; m++ {
			s := New(Options{Restore: true})
			s.state = from
			err := s.move(m)
			want, ok := legal[[2]int{int(from), int(m)}]
			if !ok {
				want = from
			}
			if (err == nil) != ok || s.state != want {
				t.Errorf("%d, move %d: %v, to %d instead of %d", from, m, err, s.state, want)
			}
		}
	}
	if New(Options{}).move(restore) == nil {
		t.Error("restored without SnapStart")
	}
}

func TestRestore(t *testing.T) {
	s := New(Options{Restore: true})
	call := runtimeOf(t, s)
	if status, _, _ := call("POST", "restore/error", "{}"); status != 403 {
		t.Errorf("an error before there is anything to restore: %d", status)
	}
	if status, body, _ := call("GET", "restore/next", ""); status != 200 || body != "" {
		t.Errorf("%d %q", status, body)
	}
	<-s.Restoring()
	if status, _, _ := call("GET", "restore/next", ""); status != 403 {
		t.Errorf("twice: %d", status)
	}
	if status, _, _ := call("POST", "restore/error", `{"errorMessage":"m"}`, "Lambda-Runtime-Function-Error-Type", "Runtime.RestoreHook"); status != 202 {
		t.Errorf("%d", status)
	}
	<-s.Failed()
	if a := s.InitError(); a.ErrorType != "Runtime.RestoreHook" || string(a.Payload) != `{"errorMessage":"m"}` {
		t.Errorf("%+v", a)
	}
	if status, _, _ := runtimeOf(t, New(Options{}))("GET", "restore/next", ""); status != 404 {
		t.Errorf("without SnapStart: %d", status)
	}
}

func TestTexts(t *testing.T) {
	s := New(Options{})
	call := runtimeOf(t, s)
	got := invoke(t.Context(), s, Invocation{RequestID: "1", Identity: `{"cognitoIdentityId":"x"}`, Tenant: "blue"})
	if _, _, h := call("GET", "invocation/next", ""); h.Get("Lambda-Runtime-Cognito-Identity") != `{"cognitoIdentityId":"x"}` ||
		h.Get("Lambda-Runtime-Aws-Tenant-Id") != "blue" {
		t.Errorf("%v", h)
	}
	call("POST", "invocation/1/error", `{"errorMessage":"m","errorType":"E","stackTrace":["a"],"errorCause":{"exceptions":[]},"more":1}`,
		"Content-Type", "application/vnd.aws.lambda.error.cause+json")
	if o := <-got; string(o.Payload) != `{"errorMessage":"m","errorType":"E","stackTrace":["a"]}` || o.Cause != `{"exceptions":[]}` {
		t.Errorf("%s %s", o.Payload, o.Cause)
	}
	got = invoke(t.Context(), s, Invocation{RequestID: "2"})
	call("GET", "invocation/next", "")
	call("POST", "invocation/2/error", `{}`, "Lambda-Runtime-Function-XRay-Error-Cause", `{"a":1}`, "Content-Type", "text/x")
	if o := <-got; o.Cause != `{"a":1}` || o.MediaType != "text/x" {
		t.Errorf("%+v", o)
	}
}

// record is a Stream that keeps what it gets.
type record struct {
	mediaType string
	began     int
	pieces    []string
	whole     bool // it was not streamed
	fail      error
	got       chan string // when it is not nil each piece goes there
}

func (r *record) Begin(mediaType string, streamed bool) error {
	r.began++
	r.mediaType, r.whole = mediaType, !streamed
	return nil
}

func (r *record) Write(b []byte) (int, error) {
	r.pieces = append(r.pieces, string(b))
	if r.got != nil {
		r.got <- string(b)
	}
	return len(b), r.fail
}

func TestStreamOverHTTP(t *testing.T) {
	s := New(Options{})
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	rec := &record{got: make(chan string)}
	got := invoke(t.Context(), s, Invocation{RequestID: "id", Stream: rec})
	if res, err := srv.Client().Get(srv.URL + "/2018-06-01/runtime/invocation/next"); err != nil || res.Body.Close() != nil {
		t.Fatal(err)
	}
	body, pieces := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/2018-06-01/runtime/invocation/id/response", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Lambda-Runtime-Function-Response-Mode", "streaming")
	req.Header.Set("Content-Type", "text/plain")
	req.Trailer = http.Header{"Lambda-Runtime-Function-Error-Type": nil, "Lambda-Runtime-Function-Error-Body": nil}
	status := make(chan int, 1)
	go func() {
		res, err := srv.Client().Do(req)
		if err != nil {
			status <- 0
			return
		}
		_ = res.Body.Close()
		status <- res.StatusCode
	}()
	for _, p := range []string{"one", "two"} { // each arrives before the next is sent
		if _, err := io.WriteString(pieces, p); err != nil {
			t.Fatal(err)
		}
		if g := <-rec.got; g != p {
			t.Errorf("%q instead of %q", g, p)
		}
	}
	req.Trailer.Set("Lambda-Runtime-Function-Error-Type", "Boom")
	req.Trailer.Set("Lambda-Runtime-Function-Error-Body", "e30=")
	_ = pieces.Close()
	o := <-got
	if o.err != nil || !o.Streamed || o.ErrorType != "Boom" || string(o.Payload) != "{}" || o.Size != 6 || <-status != 202 {
		t.Errorf("%+v", o)
	}
	if rec.began != 1 || rec.whole || rec.mediaType != "text/plain" {
		t.Errorf("%+v", rec)
	}
	if status, _, _ := runtimeOf(t, s)("POST", "invocation/id/response", "x"); status != 403 {
		t.Errorf("a second answer: %d", status)
	}
}

func TestStreamOverFrames(t *testing.T) {
	s := New(Options{MaxStreamed: 10, MaxResponse: 5})
	b := readied(t, s)
	run := func(stream Stream, errorHeader string, chunks ...string) outcome {
		t.Helper()
		got := invoke(t.Context(), s, Invocation{RequestID: "id", Stream: stream})
		b.receive('N')
		b.send('S', `{"type":"text/plain"}`, "")
		for _, c := range chunks {
			b.send('C', ``, c)
		}
		b.send('Z', errorHeader, "")
		o := <-got
		<-s.Settled()
		return o
	}
	rec := &record{}
	if o := run(rec, ``, "one", "", "two"); o.err != nil || !o.Streamed || o.ErrorType != "" || o.Size != 6 || !slices.Equal(rec.pieces, []string{"one", "two"}) {
		t.Errorf("%+v %v", o, rec.pieces)
	}
	if o := run(&record{}, `{"type":"E","error":"e30="}`); o.ErrorType != "E" || string(o.Payload) != "{}" {
		t.Errorf("%+v", o)
	}
	if o := run(nil, ``, "on", "e"); string(o.Payload) != "one" || !o.Streamed || o.MediaType != "text/plain" || o.Size != 3 {
		t.Errorf("collected: %+v", o)
	}
	if o := run(nil, ``, "one", "two"); o.ErrorType != "Function.ResponseSizeTooLarge" {
		t.Errorf("collected beyond the bound: %+v", o)
	}
	rec = &record{}
	if o := run(rec, ``, "12345", "67890", "x"); o.ErrorType != "Function.ResponseSizeTooLarge" || strings.Join(rec.pieces, "") != "1234567890" {
		t.Errorf("streamed beyond the bound: %+v %v", o, rec.pieces)
	}
	rec = &record{fail: io.ErrClosedPipe}
	if o := run(rec, ``, "one", "two"); o.err != nil || o.ErrorType != "" || len(rec.pieces) != 1 {
		t.Errorf("nobody listens: %+v %v", o, rec.pieces)
	}
}

// TestStreamOfWhole: who wants a stream of a function that does not gets its answer in one piece, and its error as an error.
func TestStreamOfWhole(t *testing.T) {
	s := New(Options{})
	b := readied(t, s)
	rec := &record{}
	got := invoke(t.Context(), s, Invocation{RequestID: "id", Stream: rec})
	b.receive('N')
	b.send('O', `{"type":"application/json"}`, "whole")
	if o := <-got; o.err != nil || o.Streamed || o.Size != 5 || len(o.Payload) != 0 || !rec.whole || rec.mediaType != "application/json" ||
		!slices.Equal(rec.pieces, []string{"whole"}) {
		t.Errorf("%+v %+v", o, rec)
	}
	rec = &record{}
	got = invoke(t.Context(), s, Invocation{RequestID: "id", Stream: rec})
	b.receive('N')
	b.send('E', `{"type":"E"}`, "{}")
	if o := <-got; o.ErrorType != "E" || string(o.Payload) != "{}" || rec.began != 0 {
		t.Errorf("%+v %+v", o, rec)
	}
}

func TestStreamGivenUp(t *testing.T) {
	s := New(Options{})
	call := runtimeOf(t, s)
	ctx, cancel := clockless(t)
	rec := &record{got: make(chan string)}
	got := invoke(ctx, s, Invocation{RequestID: "id", Stream: rec})
	call("GET", "invocation/next", "")
	body, pieces := io.Pipe()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "http://127.0.0.1/2018-06-01/runtime/invocation/id/response", body)
	r.Header.Set("Lambda-Runtime-Function-Response-Mode", "streaming")
	done := make(chan struct{})
	go func() {
		s.Handler().ServeHTTP(w, r)
		close(done)
	}()
	_, _ = io.WriteString(pieces, "one")
	<-rec.got
	cancel()
	if o := <-got; errors.Is(o.err, ErrNotTaken) || o.err == nil {
		t.Errorf("%+v", o)
	}
	_, _ = io.WriteString(pieces, "two")
	<-done
	if w.Code != 403 || len(rec.pieces) != 1 {
		t.Errorf("%d %v", w.Code, rec.pieces)
	}
}

// extensionOf serves s and returns what an extension calls it with.
func extensionOf(t *testing.T, s *Server) func(method, path, body string, headers ...string) (int, string, http.Header) {
	call := runtimeOf(t, s)
	return func(method, path, body string, headers ...string) (int, string, http.Header) {
		t.Helper()
		return call(method, "../../2020-01-01/extension/"+path, body, headers...)
	}
}

func TestExtension(t *testing.T) {
	s := New(Options{Extensions: []string{"metrics"}, Function: Function{Name: "f", Version: "3", Handler: "app.h", Account: "123456789012"}})
	call, runtime := extensionOf(t, s), runtimeOf(t, s)
	status, body, h := call("POST", "register", `{"events":["INVOKE","SHUTDOWN"]}`, "Lambda-Extension-Name", "metrics", "Lambda-Extension-Accept-Feature", "x, accountId")
	if status != 200 || body != `{"accountId":"123456789012","functionName":"f","functionVersion":"3","handler":"app.h"}` {
		t.Fatalf("%d %s", status, body)
	}
	<-s.Registered()
	id := h.Get("Lambda-Extension-Identifier")
	type reply struct {
		status int
		body   string
		header http.Header
	}
	next := func() <-chan reply {
		c := make(chan reply, 1)
		go func() {
			status, body, h := call("GET", "event/next", "", "Lambda-Extension-Identifier", id)
			c <- reply{status, body, h}
		}()
		return c
	}
	event := next()
	got := invoke(t.Context(), s, Invocation{RequestID: "r1", Deadline: time.UnixMilli(99), FunctionARN: "arn:x", TraceID: "Root=1"})
	runtime("GET", "invocation/next", "")
	e := <-event
	var v map[string]any
	if err := json.Unmarshal([]byte(e.body), &v); err != nil || e.status != 200 || v["eventType"] != "INVOKE" || v["deadlineMs"] != 99.0 ||
		v["requestId"] != "r1" || v["invokedFunctionArn"] != "arn:x" || v["tracing"].(map[string]any)["value"] != "Root=1" ||
		len(e.header.Get("Lambda-Extension-Event-Identifier")) != 36 {
		t.Errorf("%+v", e)
	}
	settled := s.Settled()
	runtime("POST", "invocation/r1/response", "x")
	<-got
	if _, err := s.ask(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-settled:
		t.Error("settled before the extension was done")
	default:
	}
	event = next()
	<-settled
	if x := s.Extensions(); len(x) != 1 || x[0].State != Ready || !x[0].External || !slices.Equal(x[0].Events, []string{"INVOKE", "SHUTDOWN"}) {
		t.Errorf("%+v", x)
	}
	if status, body, _ := call("GET", "event/next", "", "Lambda-Extension-Identifier", id); status != 403 || !strings.Contains(body, "from Ready to Ready") {
		t.Errorf("a second request: %d %s", status, body)
	}
	s.Shutdown("spindown", time.UnixMilli(77))
	if e := <-event; e.body != `{"eventType":"SHUTDOWN","deadlineMs":77,"shutdownReason":"spindown"}` {
		t.Errorf("%+v", e)
	}
	if _, err := s.Invoke(t.Context(), Invocation{RequestID: "late"}); !errors.Is(err, ErrNotTaken) {
		t.Errorf("an invocation after the end: %v", err)
	}
}

func TestExtensionRefusals(t *testing.T) {
	s := New(Options{Extensions: []string{"ext"}})
	call := extensionOf(t, s)
	refused := func(wantStatus int, want, method, path, body string, headers ...string) {
		t.Helper()
		if status, got, _ := call(method, path, body, headers...); status != wantStatus || !strings.Contains(got, want) {
			t.Errorf("%s %v: %d %s", path, headers, status, got)
		}
	}
	const name, id = "Lambda-Extension-Name", "Lambda-Extension-Identifier"
	refused(403, "Extension.InvalidExtensionName", "POST", "register", `{}`)
	refused(403, "InvalidRequestFormat", "POST", "register", `{`, name, "ext")
	refused(403, "configurationKeys", "POST", "register", `{"configurationKeys":["a"]}`, name, "ext")
	refused(403, "Extension.InvalidEventType", "POST", "register", `{"events":["OTHER"]}`, name, "ext")
	refused(403, "Extension.InvalidEventType", "POST", "register", `{"events":["SHUTDOWN"]}`, name, "internal")
	refused(403, "Extension.MissingExtensionIdentifier", "GET", "event/next", "")
	refused(403, "Extension.InvalidExtensionIdentifier", "GET", "event/next", "", id, "x")
	refused(403, "Extension.UnknownExtensionIdentifier", "GET", "event/next", "", id, "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
	_, _, h := call("POST", "register", `{"events":[]}`, name, "ext")
	mine := h.Get(id)
	refused(403, "from Registered to Registered failed for extension ext", "POST", "register", `{"events":[]}`, name, "ext")
	refused(403, "Extension.MissingHeader", "POST", "init/error", "", id, mine)
	for i := range 9 {
		if status, body, _ := call("POST", "register", `{"events":["INVOKE"]}`, name, "internal"+string(rune('0'+i))); status != 200 {
			t.Errorf("%d %s", status, body)
		}
	}
	refused(403, "already registered", "POST", "register", `{}`, name, "internal1")
	refused(403, "Extension.TooManyExtensions", "POST", "register", `{}`, name, "one more")
	const kind = "Lambda-Extension-Function-Error-Type"
	if status, body, _ := call("POST", "init/error", `{}`, id, mine, kind, "Extension.Config"); status != 202 || body != `{"status":"OK"}` {
		t.Errorf("%d %s", status, body)
	}
	if f := <-s.Broken(); f != (Fault{"ext", "Extension.Config", "init"}) {
		t.Errorf("%+v", f)
	}
	refused(202, "OK", "POST", "init/error", `{}`, id, mine, kind, "Again")
	refused(403, "from InitError to ExitError", "POST", "exit/error", `{}`, id, mine, kind, "Again")
	refused(403, "from InitError to Ready", "GET", "event/next", "", id, mine)
	if x := s.Extensions(); x[0].State != InitError || x[0].ErrorType != "Extension.Config" {
		t.Errorf("%+v", x[0])
	}
	bring(t, s, runtimeOf(t, s), "running")
	refused(403, "Extension.RegistrationClosed", "POST", "register", `{}`, name, "late")
}

// TestSettledWithoutExtensions: it is then the runtime's matter alone.
func TestSettledWithoutExtensions(t *testing.T) {
	s := New(Options{})
	<-s.Registered()
	first := s.Settled()
	b := readied(t, s)
	<-first
	<-s.Settled()
	got := invoke(t.Context(), s, Invocation{RequestID: "id"})
	b.receive('N')
	second := s.Settled()
	select {
	case <-second:
		t.Error("settled while it runs")
	default:
	}
	b.send('O', "", "")
	<-got
	<-second
}
