package iac

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/control"
	"croft/internal/watch"
)

// living is a project under Live, with a cloud that only remembers.
type living struct {
	t        *testing.T
	dir      string
	deployed chan string
	reports  chan Redeployment
	warnings chan error
	// hold makes a deployment wait for a token.
	hold chan struct{}
	fail chan error
	done chan error
}

func live(t *testing.T, files map[string]string) *living {
	t.Helper()
	dir := write(t, files)
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	l := &living{t, dir, make(chan string, 10), make(chan Redeployment, 10), make(chan error, 10), nil, make(chan error, 10), make(chan error, 1)}
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := watch.New(clock.Real())
	if err != nil {
		t.Fatal(err)
	}
	uploads := 0
	b := p.Builder(func(_ context.Context, zip []byte) (control.Asset, error) {
		uploads++
		return control.Asset{Bucket: "assets", Key: fmt.Sprintf("%d-%x", uploads, zip[max(0, len(zip)-30):])}, nil
	}, func(string) {})
	ctx, cancel := context.WithCancel(t.Context())
	run := &Live{
		Clock: clock.Real(), Project: p, Builder: b, Watcher: w, Deploy: l.deploy,
		Report: func(r Redeployment) { l.reports <- r }, Warn: func(err error) { l.warnings <- err },
		Check: func(_ context.Context, path string) error {
			if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), "(((") {
				return errors.New("bad syntax")
			}
			return nil
		},
	}
	go func() { l.done <- run.Run(ctx, false) }()
	t.Cleanup(func() {
		cancel()
		if err := <-l.done; err != nil {
			t.Error(err)
		}
		w.Close()
	})
	return l
}

func (l *living) deploy(_ context.Context, template string, step func(control.DeployEvent)) (bool, error) {
	l.deployed <- template
	select {
	case err := <-l.fail:
		return false, err
	default:
	}
	step(control.DeployEvent{Type: "AWS::Lambda::Function", LogicalID: "A", Status: "UPDATE_COMPLETE"})
	step(control.DeployEvent{Type: "AWS::CloudFormation::Stack", LogicalID: "app", Status: "UPDATE_COMPLETE"})
	return false, nil
}

func (l *living) write(name, text string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l *living) report() Redeployment {
	l.t.Helper()
	select {
	case r := <-l.reports:
		return r
	case <-l.t.Context().Done():
	case err := <-l.done:
		l.done <- err
		l.t.Fatalf("the watching ended: %v", err)
	}
	return Redeployment{}
}

const oneFunction = `Transform: AWS::Serverless-2016-10-31
Resources:
  A: {Type: AWS::Serverless::Function, Properties: {CodeUri: code/, Handler: a.h}}
`

func TestLiveRedeploysWhatIsSaved(t *testing.T) {
	l := live(t, map[string]string{"template.yaml": oneFunction, "code/a.py": "x = 1", "README.md": "x"})
	if r := l.report(); r.Err != nil || !strings.Contains(<-l.deployed, `"1-`) {
		t.Fatalf("%+v", r)
	}
	l.write("README.md", "not of the application")
	l.write("code/a.py", "x = 2")
	r := l.report()
	if r.Err != nil || r.Changed != "code/a.py" || strings.Join(r.Updated, " ") != "A" || r.Took <= 0 || r.Took > time.Minute {
		t.Errorf("%+v", r)
	}
	if text := <-l.deployed; !strings.Contains(text, `"2-`) {
		t.Errorf("not packed again: %s", text)
	}
	// A template that names other code, which is not there yet.
	l.write("template.yaml", strings.ReplaceAll(oneFunction, "code/", "later/"))
	if r := l.report(); r.Err == nil || !strings.Contains(r.Err.Error(), "later/ cannot be packed") {
		t.Errorf("%+v", r)
	}
	if err := os.Mkdir(filepath.Join(l.dir, "later"), 0o755); err != nil {
		t.Fatal(err)
	}
	if r := l.report(); r.Err != nil {
		t.Errorf("%+v", r)
	}
	if text := <-l.deployed; !strings.Contains(text, `"3-`) {
		t.Errorf("%s", text)
	}
}

func TestLiveGoesOnAfterMistakes(t *testing.T) {
	l := live(t, map[string]string{"template.yaml": "Resources: [", "code/a.py": "x = 1"})
	if r := l.report(); r.Err == nil {
		t.Errorf("%+v", r)
	}
	l.write("template.yaml", "Resources: {")
	if r := l.report(); r.Err == nil || !strings.Contains(r.Err.Error(), "template.yaml:") {
		t.Errorf("%+v", r)
	}
	l.fail <- errors.New("the stack does not like it")
	l.write("template.yaml", oneFunction)
	if r := l.report(); r.Err == nil || r.Changed != "template.yaml" || len(l.deployed) != 1 {
		t.Errorf("%+v", r)
	}
	l.write("code/a.py", "(((")
	if r := l.report(); r.Err != nil {
		t.Errorf("%+v", r)
	}
	if err := <-l.warnings; err.Error() != "code/a.py: bad syntax" {
		t.Error(err)
	}
}

func TestSavesDuringADeploymentAreOne(t *testing.T) {
	dir := write(t, map[string]string{"template.yaml": oneFunction, "code/a.py": "x = 1"})
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := watch.New(clock.Real())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	begun, hold := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	reports := make(chan Redeployment, 10)
	packed := 0
	b := p.Builder(func(context.Context, []byte) (control.Asset, error) {
		packed++
		return control.Asset{Key: fmt.Sprint(packed)}, nil
	}, func(string) {})
	run := &Live{
		Clock: clock.Real(), Project: p, Builder: b, Watcher: w, Report: func(r Redeployment) { reports <- r },
		Deploy: func(context.Context, string, func(control.DeployEvent)) (bool, error) {
			begun <- struct{}{}
			<-hold
			return false, nil
		},
	}
	done := make(chan error, 1)
	go func() { done <- run.Run(ctx, false) }()
	<-begun
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(dir, "code", "a.py"), fmt.Appendf(nil, "x = %d", i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	hold <- struct{}{}
	<-begun
	hold <- struct{}{}
	<-reports
	<-reports
	cancel()
	if err := <-done; err != nil || packed != 2 || len(reports) != 0 {
		t.Errorf("packed %d times, %d more reports, %v", packed, len(reports), err)
	}
}

func TestNothingIsSaidOfNothing(t *testing.T) {
	l := &Live{
		Clock: clock.Real(), Project: &Project{dir: "/p"}, Builder: (&Project{}).Builder(nil, nil),
		Deploy: func(context.Context, string, func(control.DeployEvent)) (bool, error) { return true, nil },
		Report: func(r Redeployment) { t.Errorf("%+v", r) },
	}
	if got := l.redeploy(t.Context(), "text", nil, watch.Change{}, l.Clock.Now()); got != "text" {
		t.Errorf("%q", got)
	}
	if got := l.name(watch.Change{Paths: []string{"/p/a", "/p/b", "/p/c/d", "/p/e", "/p/f"}}); got != "a, b, c/d, 2 more" {
		t.Errorf("%q", got)
	}
}

func TestSyntax(t *testing.T) {
	dir := write(t, map[string]string{
		"good.py": "x = 1\n", "bad.py": "x = 1\ndef f(:\n", "null.py": "x = 1\x00", "good.js": "1", "bad.js": "let a = 1\nlet = = 2", "esm.js": "import x from 'x'\nexport default x", "x.txt": "(((",
	})
	for name, want := range map[string]string{"good.py": "", "bad.py": "line 2", "null.py": "null bytes", "good.js": "", "bad.js": "line 2", "esm.js": "", "x.txt": "", "gone.py": ""} {
		program := map[string]string{".py": "python3", ".js": "node"}[filepath.Ext(name)]
		if _, err := exec.LookPath(program); program != "" && err != nil {
			t.Logf("NO %s HERE, %s IS NOT TESTED", program, name)
			continue
		}
		err := Syntax(t.Context(), clock.Real(), filepath.Join(dir, name))
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestWhatIsGoneIsNamedWhenNothingElseIs(t *testing.T) {
	dir := write(t, map[string]string{"template.yaml": oneFunction, "code/a.py": "x = 1"})
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	l := &Live{Project: p}
	kept, gone := filepath.Join(dir, "code", "a.py"), filepath.Join(dir, "code", "sedoHY6sc")
	for want, paths := range map[string][]string{"code/a.py": {kept, gone}, "code/sedoHY6sc": {gone}, p.File: nil} {
		if got := l.name(watch.Change{Paths: paths}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
