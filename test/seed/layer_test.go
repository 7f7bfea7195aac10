package seed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// commands returns what the article's build specification has a shell run, phase by phase.
func commands(t *testing.T, path string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var spec struct {
		Phases struct{ Install, Build struct{ Commands []string } }
	}
	if err := yaml.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	lines = append(spec.Phases.Install.Commands, spec.Phases.Build.Commands...)
	if len(lines) != 2 {
		t.Fatalf("the build specification has the commands %q", lines)
	}
	return lines
}

// version is a function that says which package it found, and where.
const version = `import requests
def handler(event, context):
    return [requests.__version__, requests.__file__]
`

// TestLayerBuild builds the article's layer as its build specification says, publishes it and uses it, also when it has been deleted.
func TestLayerBuild(t *testing.T) {
	need(t, "aws", "zip", "pip")
	dir := app(t, "layer-build")
	u := newUser(t)
	u.copy(filepath.Join(dir, "requirements.txt"), "requirements.txt")
	for i, line := range commands(t, filepath.Join(dir, "buildspec.yml")) {
		if err := u.shell(line); err != nil && i == 0 {
			t.Skip("NOT TESTED: the article's layer: pip cannot install what it needs")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	layer := u.aws("lambda publish-layer-version --layer-name deps --compatible-runtimes python3.11 --zip-file fileb://layer.zip --query LayerVersionArn")
	if !strings.HasSuffix(layer, ":layer:deps:1") {
		t.Errorf("the layer's ARN: %s", layer)
	}
	u.write("app.py", version, 0o600)
	u.zip("code.zip", "app.py")
	u.create("uses", "python3.11", "app.handler", "code.zip", "--layers", layer)
	const want = `["2.31.0", "/opt/python/lib/python3.11/site-packages/requests/__init__.py"]`
	if answer, _ := u.invoke("uses", `{}`); answer != want {
		t.Errorf("the function found %s", answer)
	}
	// A function keeps a version that is deleted, even over a new environment; nobody else gets it.
	u.aws("lambda delete-layer-version --layer-name deps --version-number 1")
	u.aws("lambda update-function-configuration --function-name uses --memory-size 256")
	if answer, _ := u.invoke("uses", `{}`); answer != want {
		t.Errorf("with a deleted layer the function found %s", answer)
	}
	if out, err := u.try("aws", "lambda", "get-layer-version", "--layer-name", "deps", "--version-number", "1"); err == nil || !strings.Contains(out, "ResourceNotFoundException") {
		t.Errorf("a deleted version: %v %s", err, out)
	}
	if again := u.aws("lambda publish-layer-version --layer-name deps --zip-file fileb://layer.zip --query Version"); again != "2" {
		t.Errorf("the next version is %s", again)
	}
}
