package seed

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestExtensionMetrics runs the article's extension, from a layer, beside a function: it sends its metrics at the tenth invocation and when the environment ends.
// There is no CloudWatch yet: the cloud refuses them by name, and the extension says so.
func TestExtensionMetrics(t *testing.T) {
	need(t, "aws", "zip", "pip")
	dir := app(t, "extension-metrics")
	u := newUser(t)
	if err := u.shell("pip install --quiet --target python requests==2.31.0"); err != nil {
		t.Skip("NOT TESTED: the article's extension: pip cannot install requests")
	}
	u.copy(filepath.Join(dir, "extensions", "custom-metrics-extension"), "extensions/custom-metrics-extension")
	u.zip("layer.zip", "extensions", "python")
	layer := u.aws("lambda publish-layer-version --layer-name metrics --zip-file fileb://layer.zip --query LayerVersionArn")
	u.write("app.py", "def handler(event, context):\n    return event\n", 0o600)
	u.zip("code.zip", "app.py")
	u.create("measured", "python3.11", "app.handler", "code.zip", "--layers", layer, "--environment", "Variables={PYTHONUNBUFFERED=1,PYTHONPATH=/opt/python}")
	for range 11 {
		if answer, _ := u.invoke("measured", `{"n":1}`); answer != `{"n": 1}` {
			t.Fatalf("beside the extension the function answered %s", answer)
		}
	}
	u.log("measured", "EXTENSION\tName: custom-metrics-extension\tState: Ready\tEvents: [INVOKE", "Failed to send metrics", "PutMetricData")
	// The new configuration ends the environment: the extension gets its time for what it has left.
	u.aws("lambda update-function-configuration --function-name measured --memory-size 256")
	if answer, _ := u.invoke("measured", `{}`); answer != `{}` {
		t.Errorf("after the update: %s", answer)
	}
	u.log("measured", "Extension shutting down")
	if out := u.aws("logs filter-log-events --log-group-name /aws/lambda/measured --query events[].[message]"); strings.Count(out, "Failed to send metrics") < 2 {
		t.Errorf("no metrics at the end of the environment:\n%s", out)
	}
}
