// Package seed runs the code blocks of the source article about Lambda, untouched, on a real cloud: deployed with the AWS CLI, with the services that they
// need beside it. The blocks lie outside the tree; where they are not at hand, the tests say so and skip themselves.
package seed

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/test/harness"
)

// within bounds what one thing may take on a busy machine.
const within = time.Minute

// app returns the folder of one of the article's applications, and skips the test, loudly, where they are not at hand.
func app(t *testing.T, name string) string {
	t.Helper()
	shared := os.Getenv("CROFT_SHARED")
	if shared == "" {
		shared = filepath.Join(harness.Root(t), "..", "shared")
	}
	dir := filepath.Join(shared, "seed-apps", name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("NOT TESTED: the article's application %s is not here (set CROFT_SHARED): %v", name, err)
	}
	return dir
}

// need skips the test, loudly, when a tool is missing. CI installs them all.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TESTED: %s is not on the PATH", tool)
		}
	}
}

// user is somebody at a terminal beside a running cloud, with a folder to work in.
type user struct {
	*harness.Cloud
	t      *testing.T
	binary string
	dir    string
}

func newUser(t *testing.T, args ...string) *user {
	t.Helper()
	binary := harness.Binary(t)
	u := &user{harness.New(t, binary, args...), t, binary, t.TempDir()}
	u.Start()
	return u
}

// try runs a tool in the user's folder so that it finds the cloud, and returns what it printed.
func (u *user) try(args ...string) (string, error) {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), u.binary, append([]string{"--endpoint", u.URL, "exec", "--"}, args...)...)
	cmd.Dir = u.dir
	cmd.Env = append(os.Environ(), "HOME="+u.dir, "AWS_PAGER=", "AWS_DEFAULT_OUTPUT=text")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

// run is try for what must succeed.
func (u *user) run(args ...string) string {
	u.t.Helper()
	out, err := u.try(args...)
	if err != nil {
		u.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// aws runs the AWS CLI, the arguments as one writes them.
func (u *user) aws(command string, more ...string) string {
	u.t.Helper()
	return u.run(append(append([]string{"aws"}, strings.Fields(command)...), more...)...)
}

// shell runs a command line in the user's folder, without the cloud.
func (u *user) shell(line string) error {
	u.t.Helper()
	ctx, cancel := clock.WithTimeout(u.t.Context(), clock.Real(), 4*within)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = u.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		u.t.Logf("%s: %v\n%s", line, err, out)
	}
	return err
}

// write writes a file of the user's folder.
func (u *user) write(name, text string, mode fs.FileMode) string {
	u.t.Helper()
	path := filepath.Join(u.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		u.t.Fatal(err)
	}
	return path
}

// copy copies a file into the user's folder, with its mode.
func (u *user) copy(from, name string) {
	u.t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		u.t.Fatal(err)
	}
	info, err := os.Stat(from)
	if err != nil {
		u.t.Fatal(err)
	}
	u.write(name, string(text), info.Mode().Perm())
}

// zip packs paths of the user's folder.
func (u *user) zip(name string, paths ...string) {
	u.t.Helper()
	if err := u.shell("zip -qr " + name + " " + strings.Join(paths, " ")); err != nil {
		u.t.Fatal(err)
	}
}

// role makes the execution role of all functions and returns its ARN.
func (u *user) role() string {
	u.t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	return u.aws("iam create-role --role-name fn --query Role.Arn --assume-role-policy-document", trust)
}

// create makes a function of a zip file of the user's folder and waits for it.
func (u *user) create(name, runtime, handler, zip string, more ...string) {
	u.t.Helper()
	u.aws("lambda create-function --timeout 60 --memory-size 512 --function-name "+name+" --runtime "+runtime+" --handler "+handler+" --role "+u.role()+" --zip-file fileb://"+zip, more...)
	u.aws("lambda wait function-active-v2 --function-name " + name)
}

// invoke invokes a function and returns its answer, and what the CLI says about it.
func (u *user) invoke(name, payload string, more ...string) (answer, says string) {
	u.t.Helper()
	says = u.aws("lambda invoke answer.json --function-name "+name, append([]string{"--payload", payload}, more...)...)
	text, err := os.ReadFile(filepath.Join(u.dir, "answer.json"))
	if err != nil {
		u.t.Fatal(err)
	}
	return string(text), says
}

// log waits until a function's log group holds all texts.
func (u *user) log(function string, texts ...string) {
	u.t.Helper()
	var out string
	defer func() {
		if u.t.Failed() {
			u.t.Logf("the log of %s:\n%s", function, out)
		}
	}()
	u.Until("the log of "+function+" holds "+strings.Join(texts, ", "), within, func() bool {
		out, _ = u.try("aws", "logs", "filter-log-events", "--log-group-name", "/aws/lambda/"+function, "--query", "events[].[message]")
		for _, text := range texts {
			if !strings.Contains(out, text) {
				return false
			}
		}
		return true
	})
}
