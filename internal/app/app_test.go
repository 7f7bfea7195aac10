package app

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/control"
	"croft/internal/engine/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

func start(t *testing.T, o Options) *App {
	t.Helper()
	o.Listen = "127.0.0.1:0"
	a, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestEphemeralCloudLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	killed := filepath.Join(os.TempDir(), ephemeralPrefix+"999999999-x")
	if err := os.Mkdir(killed, 0o700); err != nil {
		t.Fatal(err)
	}
	a, err := Start(context.Background(), Options{Ephemeral: true, Listen: "127.0.0.1:0", Version: "v"})
	if err != nil {
		t.Fatal(err)
	}
	if h, err := control.NewClient(a.URL()).Health(context.Background()); err != nil || h.Status != "ok" || h.Version != "v" {
		t.Errorf("%+v, %v", h, err)
	}
	if err := a.Close(context.Background()); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := http.Get(a.URL() + control.Health); err == nil {
		t.Error("it still serves")
	}
}

func TestResetMakesOldCredentialsWorthless(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	c := control.NewClient(a.URL())
	ctx := context.Background()
	before, err := c.Credentials(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	after, err := c.Credentials(ctx)
	if err != nil || after.AccessKeyID == before.AccessKeyID || after.SecretAccessKey == before.SecretAccessKey {
		t.Errorf("credentials after a reset: %v, %v", after.AccessKeyID, err)
	}
}

func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	a := start(t, Options{Dir: dir})
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"port in use":    {Options{Ephemeral: true, Listen: strings.TrimPrefix(a.URL(), "http://")}, "--listen"},
		"public address": {Options{Ephemeral: true, Listen: "0.0.0.0:0"}, "127.0.0.1:PORT"},
		"no port":        {Options{Ephemeral: true, Listen: "127.0.0.1"}, "HOST:PORT"},
		"folder in use":  {Options{Dir: dir, Listen: "127.0.0.1:0"}, "in use"},
		"data is a file": {Options{Dir: file, Listen: "127.0.0.1:0"}, file},
	} {
		_, err := Start(context.Background(), c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestDeployReportsWhyItFailed(t *testing.T) {
	a := start(t, Options{Ephemeral: true})
	c := control.NewClient(a.URL())
	template := `{"Resources":{"Q":{"Type":"AWS::SQS::Queue"},
		"S":{"Type":"AWS::SNS::Subscription","DependsOn":"Q","Properties":{"TopicArn":"arn:aws:sns:us-east-1:000000000000:none","Protocol":"sqs","Endpoint":{"Fn::GetAtt":["Q","Arn"]}}}}}`
	deploy := func(text string) (control.DeployEvent, error) {
		return c.Deploy(context.Background(), control.DeployRequest{Stack: "s", Template: text}, func(control.DeployEvent) {})
	}
	if _, err := deploy(template); err == nil || !strings.Contains(err.Error(), "ROLLBACK_COMPLETE") || !strings.Contains(err.Error(), "S: ") {
		t.Errorf("err = %v", err)
	}
	good := `{"Resources":{"Q":{"Type":"AWS::SQS::Queue"}},"Outputs":{"U":{"Value":{"Ref":"Q"}}}}`
	end, err := deploy(good)
	if err != nil || len(end.Outputs) != 1 || !strings.HasPrefix(end.Outputs[0].Value, a.URL()) {
		t.Errorf("after the failed stack was replaced: %+v, %v", end, err)
	}
	if end, err := deploy(good); err != nil || !end.Unchanged {
		t.Errorf("the same again: %+v, %v", end, err)
	}
}

func TestControlSaysWhatIsWrong(t *testing.T) {
	a := start(t, Options{Ephemeral: true})
	c := control.NewClient(a.URL())
	if _, err := c.Invoke(context.Background(), control.InvokeRequest{Function: "nobody"}, []byte("{}")); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("err = %v", err)
	}
	for _, bad := range []control.DeployRequest{{}, {Template: "Resources: {}"}, {Stack: "s"}} {
		if _, err := c.Deploy(context.Background(), bad, nil); err == nil || !strings.Contains(err.Error(), "names no stack") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	long := control.DeployRequest{Stack: "s", Template: strings.Repeat("#", maxControl)}
	if _, err := c.Deploy(context.Background(), long, nil); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a long request: %v", err)
	}
	if _, err := c.Deploy(context.Background(), control.DeployRequest{Stack: "s", Template: "["}, nil); err == nil || !strings.Contains(err.Error(), "Template") {
		t.Errorf("err = %v", err)
	}
	if err := control.NewClient("http://127.0.0.1:1").Reset(context.Background()); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("err = %v", err)
	}
}
