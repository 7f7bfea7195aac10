package ric

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/clock"
	"croft/internal/engine/runtimeapi"
	"croft/internal/engine/runtimeapi/telemetry"
)

// otelExtension is an extension of a third party, published as source: Serverless' OpenTelemetry extension, on the Extensions and Logs APIs.
const otelExtension = "@serverless/aws-lambda-otel-extension-dist@0.1.11"

// TestThirdPartyExtension runs it until it reports a metric of its own making from a REPORT line and the line that its other half writes in the function.
func TestThirdPartyExtension(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skipf("SKIPPED: this test needs node: %v", err)
	}
	dir := install(t, otelExtension, "npm", "pack", "--silent", otelExtension)
	packed, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packed) != 1 {
		t.Fatalf("%v %v", packed, err)
	}
	for _, args := range [][]string{{"tar", "-xzf", packed[0]}, {"python3", "-m", "zipfile", "-e", "package/extension.zip", "."}} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: this test needs %s: %v %s", args[0], err, out)
		}
	}
	for _, port := range []string{"4243", "2772"} { // it has no others
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			t.Skipf("SKIPPED: %s needs port %s: %v", otelExtension, port, err)
		}
		_ = l.Close()
	}
	forget := func() {
		for _, f := range []string{"/tmp/sls-save-log.json", "/tmp/sent-requests.json"} {
			_ = os.Remove(f)
		}
	}
	forget()
	t.Cleanup(forget)
	sink, got := drain(t)
	e := newEnvironment(t, runtimeapi.Options{Extensions: []string{"otel-extension"}})
	ext := e.start(dir, []string{
		"AWS_SAM_LOCAL=true", "DEBUG_SLS_OTEL_LAYER=1", "SLS_OTEL_REPORT_METRICS_URL=http://" + sink,
	}, "node", "otel-extension/index.js")
	e.await(ext, "registered", e.api.Registered())
	p := e.startRuntime()
	e.await(p, "settled", e.api.Settled())
	e.invoke("r1", `{}`, nil)
	tellOtel(t)
	e.await(ext, "settled", e.api.Settled())
	e.api.Shutdown("spindown", clock.Real().Now().Add(within))
	tel, now := e.api.Telemetry(), clock.Real().Now()
	tel.Platform(now, telemetry.KindReport, telemetry.Report{
		RequestID: "r1", Status: telemetry.StatusSuccess, Metrics: telemetry.ReportMetrics{Duration: 12.5, BilledDuration: 13, MemorySize: 128, MaxMemoryUsed: 77},
	})
	tel.Flush(e.ctx)
	ctx, cancel := clock.WithTimeout(e.ctx, clock.Real(), within/2)
	defer cancel()
	for reported := false; !reported; {
		select {
		case report := <-got: // the first is of the function's half alone
			reported = strings.Contains(report, "faas.memory")
		case <-ctx.Done():
			t.Fatal("it reported nothing of the invocation")
		}
	}
	select {
	case <-ext.done:
	case <-ctx.Done():
		t.Log("it did not end by itself, as Lambda would have ended it by now")
	}
	if !strings.Contains(ext.out.String(), "Processing event:  SHUTDOWN") {
		t.Error("it did not take notice of the end")
	}
}

// tellOtel is the extension's other half, which is in the function: it says what it saw of invocation r1. The extension's event is not done before.
func tellOtel(t *testing.T) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(`{"function":{"functionName":"f"},"traces":{"resourceSpans":[{"instrumentationLibrarySpans":[]}]}}`)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	said, err := json.Marshal([]map[string]string{{"type": "function", "record": "time\tr1\tINFO\t⚡." + base64.StdEncoding.EncodeToString(b.Bytes())}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:2772/", bytes.NewReader(said))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}
