package ric

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/clock"
	"croft/internal/engine/runtimeapi"
	"croft/internal/engine/runtimeapi/telemetry"
	"croft/test/harness"
)

// startRuntime starts a runtime of a few lines of Python beside the extensions.
func (e *environment) startRuntime() *program {
	return e.start(testdata(e.t, "extension"), nil, "python3", "runtime.py")
}

// TestExtension has an extension in Python that subscribes to telemetry and passes on what it gets.
func TestExtension(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skipf("SKIPPED: this test needs python3: %v", err)
	}
	sink, got := drain(t)
	e := newEnvironment(t, runtimeapi.Options{Extensions: []string{"watcher.py"}, Function: runtimeapi.Function{Name: "f", Version: "7", Handler: "h", Account: "123456789012"}})
	tel := e.api.Telemetry()
	tel.Platform(clock.Real().Now(), telemetry.KindInitStart, telemetry.InitStart{InitializationType: telemetry.OnDemand, Phase: telemetry.PhaseInit})
	ext := e.start(testdata(t, "extension"), []string{"SINK=" + sink}, "python3", "watcher.py")
	e.await(ext, "registered", e.api.Registered())
	p := e.startRuntime()
	e.await(p, "settled", e.api.Settled())
	if x := e.api.Extensions(); len(x) != 1 || x[0].State != runtimeapi.Ready || x[0].Name != "watcher.py" {
		t.Errorf("%+v", x)
	}
	tel.Function(clock.Real().Now(), "hello")
	e.invoke("r1", `{}`, nil)
	e.await(ext, "settled", e.api.Settled())
	tel.Flush(e.ctx)
	e.api.Shutdown("spindown", clock.Real().Now().Add(within))
	<-ext.done
	var all []string
	for len(got) > 0 {
		all = append(all, <-got)
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{
		`registered {"accountId":"123456789012","functionName":"f","functionVersion":"7","handler":"h"}`, `"type":"platform.initStart"`,
		`"type":"platform.telemetrySubscription"`, `"record":"hello"`, `"eventType":"INVOKE"`, `"requestId":"r1"`, `"shutdownReason":"spindown"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// TestArticleExtension runs the article's extension, unmodified, until it sends its metrics: at its tenth invocation.
func TestArticleExtension(t *testing.T) {
	shared := os.Getenv("CROFT_SHARED")
	if shared == "" {
		shared = filepath.Join(harness.Root(t), "..", "shared")
	}
	path := filepath.Join(shared, "seed-apps", "extension-metrics", "extensions", "custom-metrics-extension")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("NOT TESTED: the article's extension is not here: %v", err)
	}
	if out, err := exec.Command("python3", "-c", "import boto3, requests").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this test needs python3 with boto3 and requests: %v\n%s", err, out)
	}
	sink, got := drain(t)
	e := newEnvironment(t, runtimeapi.Options{Extensions: []string{filepath.Base(path)}})
	ext := e.start(t.TempDir(), []string{"AWS_ENDPOINT_URL=http://" + sink, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "PYTHONUNBUFFERED=1"}, "python3", path)
	e.await(ext, "registered", e.api.Registered())
	p := e.startRuntime()
	e.await(p, "settled", e.api.Settled())
	for range 11 {
		var a map[string]any
		if err := json.Unmarshal(e.invoke("r", `{}`, nil).Payload, &a); err != nil {
			t.Fatal(err)
		}
		e.await(ext, "settled", e.api.Settled())
	}
	if len(got) == 0 {
		t.Errorf("it sent no metrics")
	}
	e.api.Shutdown("spindown", clock.Real().Now().Add(within))
	<-ext.done
	if !strings.Contains(ext.out.String(), "Extension shutting down") {
		t.Errorf("it did not take notice of the end")
	}
}
