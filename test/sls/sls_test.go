// Package sls deploys with tools that know nothing of croft: the Serverless Framework, and the AWS CLI's own packaging.
package sls

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"croft/test/harness"
)

// framework is the version that the tests install: the last of the framework that needs no account with its maker.
const framework = "serverless@3.40.0"

// tool runs tools against a cloud.
type tool struct {
	t      *testing.T
	croft  string
	cloud  *harness.Cloud
	folder string
}

// TestTools runs them on one cloud.
func TestTools(t *testing.T) {
	croft := harness.Binary(t)
	c := harness.New(t, croft)
	c.Start()
	for name, test := range map[string]func(*tool){"Serverless": testServerless, "Package": testPackage} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits half a minute for the AWS CLI's pauses between two looks at a stack
			test(&tool{t, croft, c, t.TempDir()})
		})
	}
}

// run runs a command through croft exec and returns what it wrote.
func (w *tool) run(command ...string) (string, error) {
	w.t.Helper()
	args := append([]string{"exec", "--endpoint", w.cloud.URL, "--"}, command...)
	cmd := exec.CommandContext(w.t.Context(), w.croft, args...)
	cmd.Dir = w.folder
	home := filepath.Join(w.folder, "..", "home")
	cmd.Env = append(os.Environ(), "HOME="+home, "SLS_TELEMETRY_DISABLED=1", "SLS_TRACKING_DISABLED=1", "SLS_NOTIFICATIONS_MODE=off", "CI=1", "AWS_PAGER=")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// must runs a command that succeeds and says want.
func (w *tool) must(want string, command ...string) string {
	w.t.Helper()
	out, err := w.run(command...)
	if err != nil || !strings.Contains(out, want) {
		w.t.Fatalf("%s: %v, want %q\n%s", strings.Join(command, " "), err, want, out)
	}
	return out
}

// testServerless deploys, invokes, and deploys again with other code, as the framework's users do.
func testServerless(w *tool) {
	sls := install(w.t)
	if err := os.CopyFS(w.folder, os.DirFS("testdata/greet")); err != nil {
		w.t.Fatal(err)
	}
	w.must("Service deployed to stack greet-dev", sls, "deploy")
	w.must(`"hello": "you"`, sls, "invoke", "-f", "hello", "-d", `{"name":"you"}`)
	code := []byte("def hello(event, context):\n    return {'again': event.get('name')}\n")
	if err := os.WriteFile(filepath.Join(w.folder, "handler.py"), code, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.must("Service deployed to stack greet-dev", sls, "deploy")
	w.must(`"again": "you"`, sls, "invoke", "-f", "hello", "-d", `{"name":"you"}`)
}

// install installs the framework, once for all runs, outside the tree, and returns its command.
func install(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"node", "npm", "python3"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("SKIPPED: this test needs %s: %v", name, err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("SKIPPED: no place for the Serverless Framework: %v", err)
	}
	dir := filepath.Join(cache, "croft-test", strings.ReplaceAll(framework, "@", "-"))
	command := filepath.Join(dir, "node_modules", ".bin", "serverless")
	if _, err := os.Stat(filepath.Join(dir, "done")); err == nil {
		return command
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts", framework)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this test needs %s, which npm cannot install here: %v\n%s", framework, err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "done"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return command
}

// testPackage has the AWS CLI put the example's code into a bucket and deploy the template that says so; the example works then.
func testPackage(w *tool) {
	if _, err := exec.LookPath("aws"); err != nil {
		w.t.Skipf("SKIPPED: this test needs the AWS CLI: %v", err)
	}
	template := filepath.Join(harness.Root(w.t), "examples", "orders", "template.yaml")
	w.must("make_bucket: deploys", "aws", "s3", "mb", "s3://deploys")
	w.must("Successfully packaged", "aws", "cloudformation", "package", "--template-file", template, "--s3-bucket", "deploys", "--output-template-file", "packaged.yaml")
	w.must("Successfully created/updated stack", "aws", "cloudformation", "deploy", "--template-file", "packaged.yaml", "--stack-name", "orders",
		"--capabilities", "CAPABILITY_IAM", "--s3-bucket", "deploys", "--force-upload")
	name := strings.TrimSpace(w.must("CreateOrder", "aws", "cloudformation", "describe-stack-resource", "--stack-name", "orders", "--logical-resource-id", "CreateOrder",
		"--query", "StackResourceDetail.PhysicalResourceId", "--output", "text"))
	event := filepath.Join(harness.Root(w.t), "examples", "orders", "event.json")
	w.must(`"StatusCode": 200`, "aws", "lambda", "invoke", "--function-name", name, "--payload", "file://"+event, "out.json")
	// The template itself from the bucket, which the CLI does not do for small ones.
	w.must("upload:", "aws", "s3", "cp", "packaged.yaml", "s3://deploys/some folder/it.yaml")
	w.must("Parameters", "aws", "cloudformation", "validate-template", "--template-url", "https://s3.amazonaws.com/deploys/some%20folder/it.yaml")
	w.must("CREATE_COMPLETE", "aws", "cloudformation", "describe-stacks", "--stack-name", "orders")
}
