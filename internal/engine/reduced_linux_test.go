package engine

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"croft/internal/engine/sandbox"
)

// TestReducedIsolation runs a function as systems do that have no full isolation.
func TestReducedIsolation(t *testing.T) {
	t.Setenv("CROFT_TEST_SECRET", "of the server")
	w := newWorld(t, func(c *Config) {
		c.Isolation = sandbox.Reduced
		c.Endpoint = func(Environment) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "endpoint") })
		}
	})
	fn := w.function(`import os, tempfile, urllib.request
def handler(event, context):
    with tempfile.NamedTemporaryFile(delete=False) as f:
        f.write(b"x")
    here = os.path.dirname(os.path.abspath(__file__))
    return {
        "endpoint": urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"]).read().decode(),
        "task": os.getcwd() == here == os.environ["LAMBDA_TASK_ROOT"],
        "temp": f.name.startswith(os.environ["HOME"] + "/"),
        "secret": os.environ.get("CROFT_TEST_SECRET"),
    }
`)
	r := w.invoke(fn, "{}")
	if want := `{"endpoint": "endpoint", "task": true, "temp": true, "secret": null}`; string(r.Payload) != want {
		t.Errorf("got %s, want %s", r.Payload, want)
	}
	if r.MaxMemoryMB < 5 && sandbox.Default() == sandbox.Full {
		t.Errorf("peak memory %d MB", r.MaxMemoryMB)
	}
	report := ""
	for _, l := range strings.Split(w.log(), "\n") {
		if strings.HasPrefix(l, "REPORT ") {
			report = l
		}
	}
	if !strings.HasSuffix(report, "\tReduced isolation: "+sandbox.Reduction+"\t") || strings.Contains(report, "\t\t") {
		t.Errorf("%q", report)
	}
	fn = w.function("import os\ndef handler(event, context): os._exit(7)\n")
	if r := w.invoke(fn, "{}"); !strings.Contains(string(r.Payload), "Runtime exited with error: exit status 7") {
		t.Errorf("%s", r.Payload)
	}
}
