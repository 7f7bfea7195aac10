package telemetry

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"croft/internal/clock"
)

func at() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC) }

// fixture is a Telemetry whose environment has one listener.
type fixture struct {
	*Telemetry
	t     *testing.T
	clock *clock.Manual
	addrs chan string
}

func (f *fixture) subscribe(api API, body string) {
	f.t.Helper()
	if no := f.Subscribe(api, "ext", []byte(body)); no != nil {
		f.t.Fatalf("%+v", no)
	}
}

// withListener returns a Telemetry for which every address leads to addr.
func withListener(t *testing.T, addr string, jsonLogs bool) *fixture {
	f := &fixture{t: t, clock: clock.NewManual(at()), addrs: make(chan string, 100)}
	f.Telemetry = New(Options{Clock: f.clock, Log: slog.New(slog.DiscardHandler), JSONLogs: jsonLogs, Dial: func(ctx context.Context, to string) (net.Conn, error) {
		f.addrs <- to
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}})
	t.Cleanup(f.Close)
	return f
}

type received struct {
	Time, Type string
	Record     json.RawMessage
}

// listener is an HTTP listener that gives what it gets to a channel, and answers with statuses, or 200 when there are none left.
func listener(t *testing.T, statuses ...int) (string, chan []received) {
	got := make(chan []received, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.Host != "sandbox.localdomain:4243" || r.URL.Path != "/logs" {
			t.Errorf("%s %s%s", r.Method, r.Host, r.URL)
		}
		var events []received
		if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
			t.Error(err)
		}
		got <- events
		if len(statuses) > 0 {
			w.WriteHeader(statuses[0])
			statuses = statuses[1:]
		}
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), got
}

const toHTTP = `"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:4243/logs"}`

func flat(events []received) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%s %s|", e.Type, e.Record)
	}
	return b.String()
}

func TestDelivery(t *testing.T) {
	addr, got := listener(t)
	f := withListener(t, addr, true)
	f.Platform(at(), KindInitStart, InitStart{InitializationType: OnDemand, Phase: PhaseInit})
	f.subscribe(API2022, `{"schemaVersion":"2022-07-01","types":["platform","function"],"buffering":{"timeoutMs":100},`+toHTTP+`}`)
	f.Seal()
	f.Function(at(), `{"a":1}`)
	f.Extension(at(), "not asked for")
	f.Platform(at(), KindEnd, End{"id"})
	f.clock.BlockUntil(1)
	f.clock.Advance(100 * time.Millisecond)
	events := <-got
	if want := `platform.initStart {"initializationType":"on-demand","phase":"init"}|` +
		`platform.telemetrySubscription {"name":"ext","state":"Subscribed","types":["platform","function"]}|function "{\"a\":1}"|`; flat(events) != want {
		t.Errorf("%s", flat(events))
	}
	if events[0].Time != "2026-01-02T03:04:05.006Z" || <-f.addrs != "127.0.0.1:4243" {
		t.Errorf("%+v", events[0])
	}
	f.Platform(at(), KindReport, Report{RequestID: "id", Status: StatusSuccess, Metrics: ReportMetrics{Duration: Millis(1234567 * time.Nanosecond), BilledDuration: 2, MemorySize: 128, MaxMemoryUsed: 7}})
	f.Flush(t.Context())
	if want := `platform.report {"requestId":"id","status":"success","metrics":{"durationMs":1.234,"billedDurationMs":2,"memorySizeMB":128,"maxMemoryUsedMB":7}}|`; flat(<-got) != want {
		t.Error(want)
	}
	f.Flush(t.Context()) // with nothing to send
}

func TestSchemas(t *testing.T) {
	for _, c := range []struct {
		api          API
		schema, want string
	}{
		{API2022, "2022-12-13", `function {"a":1}|platform.runtimeDone {"requestId":"id","status":"success"}|`},
		{API2022, "2025-01-29", `function {"a":1}|platform.runtimeDone {"requestId":"id","status":"success"}|`},
		{Logs, "2020-08-15", `function "{\"a\":1}\n"|platform.end {"requestId":"id"}|platform.fault "RequestId: id"|`},
		{Logs, "2021-03-18", `function "{\"a\":1}\n"|platform.end {"requestId":"id"}|platform.fault "RequestId: id"|platform.runtimeDone {"requestId":"id","status":"success"}|`},
	} {
		addr, got := listener(t)
		f := withListener(t, addr, true)
		f.subscribe(c.api, `{"schemaVersion":"`+c.schema+`","types":["platform","function"],`+toHTTP+`}`)
		f.Flush(t.Context())
		<-got
		f.Function(at(), "{\"a\":1}\n")
		f.Platform(at(), KindEnd, End{"id"})
		f.Platform(at(), KindFault, "RequestId: id")
		f.Platform(at(), KindRuntimeDone, RuntimeDone{RequestID: "id", Status: StatusSuccess})
		f.Flush(t.Context())
		if g := flat(<-got); g != c.want {
			t.Errorf("%s: %s", c.schema, g)
		}
	}
}

func TestRetries(t *testing.T) {
	addr, got := listener(t, 500, 302)
	f := withListener(t, addr, false)
	f.subscribe(API2022, `{"schemaVersion":"2022-07-01","types":["function"],`+toHTTP+`}`)
	f.Function(at(), "line")
	done := make(chan struct{})
	go func() {
		f.Flush(t.Context())
		close(done)
	}()
	first := flat(<-got)
	f.clock.BlockUntil(1)
	f.clock.Advance(firstPause)
	<-got
	f.clock.BlockUntil(1)
	f.clock.Advance(2 * firstPause)
	if again := flat(<-got); again != first || first != `function "line"|` {
		t.Errorf("%s, %s", first, again)
	}
	<-done
}

// TestDeadListener: what it does not take is dropped, and it is told so when it is back.
func TestDeadListener(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil || dead.Close() != nil {
		t.Fatal(err)
	}
	live, got := listener(t)
	addr := dead.Addr().String()
	f := withListener(t, "", false)
	f.opt.Dial = func(ctx context.Context, to string) (net.Conn, error) {
		f.addrs <- to
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}
	f.subscribe(API2022, `{"schemaVersion":"2022-07-01","types":["function","platform"],`+toHTTP+`}`)
	f.Function(at(), "lost")
	done := make(chan struct{})
	go func() {
		f.Flush(t.Context())
		close(done)
	}()
	for try := 1; try < maxTries; try++ {
		<-f.addrs
		f.clock.BlockUntil(1)
		f.clock.Advance(time.Minute)
	}
	<-done
	addr = live
	f.Function(at(), "kept")
	f.Flush(t.Context())
	if g := flat(<-got); !strings.HasPrefix(g, `platform.logsDropped {"reason":"`+reasonError+`","droppedRecords":2,"droppedBytes":`) || !strings.HasSuffix(g, `function "kept"|`) {
		t.Error(g)
	}
}

// TestSlowListener never answers its first request: the function goes on, and what is too much is dropped.
func TestSlowListener(t *testing.T) {
	release := make(chan struct{})
	got := make(chan []received, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var events []received
		_ = json.NewDecoder(r.Body).Decode(&events)
		got <- events
		<-release
	}))
	defer srv.Close()
	f := withListener(t, srv.Listener.Addr().String(), false)
	f.subscribe(API2022, `{"schemaVersion":"2022-07-01","types":["function","platform"],"buffering":{"maxItems":1000},`+toHTTP+`}`)
	line := strings.Repeat("x", 1000)
	for range 1000 {
		f.Function(at(), line)
	}
	first := <-got
	for range 1000 {
		f.Function(at(), line)
	}
	close(release)
	f.Flush(t.Context())
	total, dropped := 0, 0
	for batch := first; batch != nil; {
		for _, e := range batch {
			if e.Type != KindLogsDropped {
				total++
				continue
			}
			var d LogsDropped
			if err := json.Unmarshal(e.Record, &d); err != nil || d.Reason != reasonSlow || d.Bytes < 1000*d.Records {
				t.Errorf("%s", e.Record)
			}
			dropped += d.Records
		}
		batch = nil
		if len(got) > 0 {
			batch = <-got
		}
	}
	if total+dropped != 2001 || dropped < 1000 {
		t.Errorf("%d delivered, %d dropped", total, dropped)
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := withListener(t, l.Addr().String(), false)
	f.subscribe(Logs, `{"types":["extension"],"destination":{"protocol":"TCP","port":4243}}`)
	f.Extension(at(), "one")
	f.Extension(at(), "two")
	go f.Flush(t.Context())
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, want := range []string{"one", "two"} {
		line, err := r.ReadString('\n')
		if err != nil || line != `{"time":"2026-01-02T03:04:05.006Z","type":"extension","record":"`+want+"\"}\n" {
			t.Errorf("%q %v", line, err)
		}
	}
}

// TestClose has a listener that takes a connection and reads nothing.
func TestClose(t *testing.T) {
	for _, destination := range []string{toHTTP, `"destination":{"protocol":"TCP","port":4243}`} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f := withListener(t, l.Addr().String(), false)
		f.subscribe(API2022, `{"schemaVersion":"2022-07-01","types":["function"],"buffering":{"maxBytes":1048576},`+destination+`}`)
		for range 100 {
			f.Function(at(), strings.Repeat("x", 20000))
		}
		<-f.addrs
		f.Close() // returns
		f.Function(at(), "after the end")
		f.Flush(t.Context())
		_ = l.Close()
	}
}

func TestRefusals(t *testing.T) {
	f := withListener(t, "", false)
	to := func(d string) string {
		return `{"schemaVersion":"2022-07-01","types":["platform"],"destination":` + d + `}`
	}
	for body, want := range map[string]string{
		`{`:                              "not valid",
		`{}`:                             "schemaVersion",
		`{"schemaVersion":"2022-07-02"}`: "schemaVersion",
		`{"schemaVersion":"2022-07-01",` + toHTTP + `}`:                                                      "types should not be empty",
		`{"schemaVersion":"2022-07-01","types":["other"],` + toHTTP + `}`:                                    "types should be",
		`{"schemaVersion":"2022-07-01","types":["platform"]}`:                                                "destination",
		`{"schemaVersion":"2022-07-01","types":["platform"],"buffering":{"maxItems":999},` + toHTTP + `}`:    "maxItems",
		`{"schemaVersion":"2022-07-01","types":["platform"],"buffering":{"maxItems":0},` + toHTTP + `}`:      "maxItems",
		`{"schemaVersion":"2022-07-01","types":["platform"],"buffering":{"maxBytes":262143},` + toHTTP + `}`: "maxBytes",
		`{"schemaVersion":"2022-07-01","types":["platform"],"buffering":{"timeoutMs":30001},` + toHTTP + `}`: "timeoutMs",
		to(`{"protocol":"UDP"}`):                                                        "protocol",
		to(`{"protocol":"TCP"}`):                                                        "port",
		to(`{"protocol":"TCP","port":70000}`):                                           "port",
		to(`{"protocol":"TCP","port":9001}`):                                            "reserved",
		to(`{"protocol":"HTTP"}`):                                                       "URI",
		to(`{"protocol":"HTTP","URI":"https://sandbox:1"}`):                             "http URI",
		to(`{"protocol":"HTTP","URI":"http://example.com:80"}`):                         "host",
		to(`{"protocol":"HTTP","URI":"http://127.0.0.1:80"}`):                           "host",
		to(`{"protocol":"HTTP","URI":"http://sandbox.localdomain"}`):                    "URI port is not provided",
		to(`{"protocol":"HTTP","URI":"http://sandbox.localdomain:9001"}`):               "reserved",
		to(`{"protocol":"HTTP","URI":"http://sandbox.localdomain:1","encoding":"XML"}`): "encoding",
	} {
		if no := f.Subscribe(API2022, "ext", []byte(body)); no == nil || no.Status != 400 || no.Type != "ValidationError" || !strings.Contains(no.Message, want) {
			t.Errorf("%s: %+v", body, no)
		}
	}
	if no := f.Subscribe(Logs, "ext", []byte(`{}`)); no == nil || no.Type != "Logs.ValidationError" {
		t.Errorf("%+v", no)
	}
	ok := `{"schemaVersion":"2022-07-01","types":["function"],` + toHTTP + `}`
	f.subscribe(API2022, ok)
	f.subscribe(API2022, ok)
	f.subscribe(API2022, strings.Replace(ok, "function", "extension", 1))
	f.mu.Lock()
	if len(f.subs) != 1 || !slices.Equal(f.subs[0].types, []string{"extension"}) {
		t.Errorf("%d subscriptions", len(f.subs))
	}
	f.mu.Unlock()
	if no := f.Subscribe(Logs, "ext", []byte(`{"types":["function"],`+toHTTP+`}`)); no == nil || no.Status != 400 {
		t.Errorf("the other API: %+v", no)
	}
	f.Seal()
	if no := f.Subscribe(API2022, "late", []byte(ok)); no == nil || no.Status != 403 || no.Type != "Telemetry.SubscriptionClosed" {
		t.Errorf("%+v", no)
	}
	none := New(Options{Clock: f.clock})
	if no := none.Subscribe(API2022, "ext", []byte(ok)); no == nil || no.Status != 202 || no.Type != "Telemetry.NotSupported" {
		t.Errorf("%+v", no)
	}
	none.Close()
}

func TestDeaf(t *testing.T) {
	f := withListener(t, "", false)
	f.Function(at(), "early")
	if len(f.early) != 1 {
		t.Error("nothing is kept for those who come later")
	}
	for range 100 {
		f.Function(at(), strings.Repeat("x", 10000))
	}
	if f.earlyBytes > maxEarly {
		t.Errorf("%d bytes are kept", f.earlyBytes)
	}
	f.Seal()
	if !f.deaf.Load() || f.early != nil {
		t.Error("it goes on listening for nobody")
	}
	if n := testing.AllocsPerRun(10, func() { f.Function(at(), "line") }); n != 0 {
		t.Errorf("%v allocations for nobody", n)
	}
}

func FuzzSubscription(f *testing.F) {
	f.Add(`{"schemaVersion":"2022-07-01","types":["platform"],` + toHTTP + `}`)
	f.Add(`{"types":["platform"],"destination":{"protocol":"TCP","port":1}}`)
	f.Fuzz(func(t *testing.T, body string) {
		for _, api := range []API{API2022, Logs} {
			if s, err := parse(api, []byte(body)); err == nil && (s.port < 1 || s.port > 65535 || s.port == reserved || s.maxBytes > 1<<20 || len(s.types) > 3) {
				t.Errorf("%+v", s)
			}
		}
	})
}
