package engine

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestSegmentIn(t *testing.T) {
	const head = `{"format": "json", "version": 1}` + "\n"
	for _, c := range []struct{ in, want string }{
		{head + `{"id": "1"}`, `{"id": "1"}`},
		{`{"version":1,"format":"json"}` + "\n" + ` {"id": "1"} ` + "\n", `{"id": "1"}`},
		{head, ""},
		{head + `[1]`, ""},
		{head + `{"id": `, ""},
		{`{"id": "1"}`, ""},
		{`{"format": "json", "version": 2}` + "\n{}", ""},
		{`{"format": "xml", "version": 1}` + "\n{}", ""},
		{"\n{}", ""},
		{strings.Repeat(" ", 300) + head + "{}", ""},
		{"", ""},
	} {
		if got := string(segmentIn([]byte(c.in))); got != c.want {
			t.Errorf("%q: %q", c.in, got)
		}
	}
}

func FuzzSegmentIn(f *testing.F) {
	f.Add([]byte("{\"format\":\"json\",\"version\":1}\n{\"id\":1}"))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		if d := segmentIn(datagram); d != nil && (!json.Valid(d) || d[0] != '{') {
			t.Errorf("%q", d)
		}
	})
}

// TestSegments has a function send segments as SDKs do, beside what is none, and a flood. It asks for sampling rules, too.
func TestSegments(t *testing.T) {
	got := make(chan string, 10_000)
	w := newWorld(t, func(c *Config) {
		c.Segments = func(env Environment, document []byte) { got <- env.Function.Name + " " + string(document) }
	})
	fn := w.function(`import json, os, socket, urllib.request, urllib.error
def handler(event, context):
    host, port = os.environ["AWS_XRAY_DAEMON_ADDRESS"].split(":")
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    head = b'{"format":"json","version":1}\n'
    for body in (b"nonsense", head + b'{"name": "first"}', head + b"[]", head + b'{"big": "' + b"x" * 60000 + b'"}'):
        s.sendto(body, (host, int(port)))
    for i in range(event.get("flood", 0)):
        s.sendto(head + b'{"name": "flood"}', (host, int(port)))
    s.sendto(head + b'{"name": "last"}', (host, int(port)))
    try:
        urllib.request.urlopen(urllib.request.Request("http://%s:%s/GetSamplingRules" % (host, port), b"{}"))
        rules = None
    except urllib.error.HTTPError as e:
        rules = [e.code, json.loads(e.read())["message"]]
    return [rules, os.environ["AWS_XRAY_CONTEXT_MISSING"], os.environ["_AWS_XRAY_DAEMON_PORT"]]
`)
	r := w.invoke(fn, `{}`)
	if want := `[[501, "croft does not implement X-Ray's GetSamplingRules. SDKs sample by their own rules."], "LOG_ERROR", "2000"]`; string(r.Payload) != want {
		t.Errorf("%s", r.Payload)
	}
	if first := <-got; first != `f {"name": "first"}` {
		t.Errorf("%.60s", first)
	}
	if big := <-got; len(big) < 60_000 {
		t.Errorf("%.60s", big)
	}
	if last := <-got; last != `f {"name": "last"}` {
		t.Errorf("%.60s", last)
	}
	if r := w.invoke(fn, `{"flood": 5000}`); r.FunctionError != "" {
		t.Errorf("%s", r.Payload)
	}
	<-got // it is still there after the flood
}

func TestNoSegmentsWithoutAHook(t *testing.T) {
	if v := segmentVariables(Config{}); v != nil || segmentPackets(Config{}) != nil {
		t.Error(v)
	}
	rec := httptest.NewRecorder()
	samplingHandler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/SamplingTargets", nil))
	if rec.Code != http.StatusNotImplemented || !strings.Contains(rec.Body.String(), "GetSamplingTargets") {
		t.Error(rec.Code, rec.Body)
	}
}
