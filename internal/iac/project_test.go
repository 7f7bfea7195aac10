package iac

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/cfn/template"
	"croft/internal/control"
)

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "my app_2")
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const serverless = `Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {Runtime: python3.11}
Resources:
  A: {Type: AWS::Serverless::Function, Properties: {CodeUri: code/, Handler: a.h, Environment: {Variables: {X: !Sub "${A}"}}}}
  B: {Type: AWS::Serverless::Function, Properties: {CodeUri: code/, Handler: b.h}}
  C: {Type: AWS::Serverless::Function, Properties: {CodeUri: s3://bucket/key, Handler: b.h}}
  D: {Type: AWS::Lambda::Function, Properties: {Code: code/, Handler: b.h}}
  E: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: code/}}
  F: {Type: AWS::Lambda::LayerVersion, Properties: {Content: code/}}
`

func TestBuildUploadsLocalCodeOnce(t *testing.T) {
	p, err := Open(write(t, map[string]string{"template.yaml": serverless, "code/a.py": "x = 1", "code/requirements.txt": "requests"}))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "my-app-2" {
		t.Errorf("stack name %q", p.Name)
	}
	uploads, warnings := 0, []string{}
	text, err := p.Build(context.Background(), func(_ context.Context, zip []byte) (control.Asset, error) {
		uploads++
		if string(zip[:2]) != "PK" {
			t.Error("not a zip")
		}
		return control.Asset{Bucket: "croft-assets", Key: "abc"}, nil
	}, func(s string) { warnings = append(warnings, s) })
	if err != nil {
		t.Fatal(err)
	}
	if uploads != 1 || len(warnings) != 1 || !strings.Contains(warnings[0], "requirements.txt") {
		t.Errorf("%d uploads, warnings %v", uploads, warnings)
	}
	root, _, err := template.ParseValue([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	get := func(path ...string) string {
		v := root.Get("Resources")
		for _, p := range path {
			v = v.Get(p)
		}
		s, _ := v.Str()
		return s
	}
	for _, c := range []struct{ got, want string }{
		{get("A", "Properties", "CodeUri", "Key"), "abc"},
		{get("B", "Properties", "CodeUri", "Bucket"), "croft-assets"},
		{get("C", "Properties", "CodeUri"), "s3://bucket/key"},
		{get("D", "Properties", "Code", "S3Key"), "abc"},
		{get("E", "Properties", "ContentUri", "Key"), "abc"},
		{get("F", "Properties", "Content", "S3Bucket"), "croft-assets"},
		{get("A", "Properties", "Environment", "Variables", "X", "Fn::Sub"), "${A}"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q in %s", c.got, c.want, text)
		}
	}
}

func TestBuildSaysWhereTheFaultIs(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"missing code": {"Resources:\n  A:\n    Type: AWS::Lambda::Function\n    Properties:\n      Code: nowhere/\n", "template.yaml:5:13: the code at nowhere/ cannot be packed"},
		"not YAML":     {"Resources: [", "template.yaml:"},
		"why not YAML": {"Resources:\n  A: x\n   B: y\n", "mapping values are not allowed in this context"},
		"empty":        {" \n", "template.yaml is empty"},
		"no transform": {"Resources:\n  A:\n    Type: AWS::Serverless::Function\n", "template.yaml:3:11: AWS::Serverless::Function needs this line"},
	} {
		p, err := Open(write(t, map[string]string{"template.yaml": c.text}))
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Build(context.Background(), nil, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestOpenNamesWhatIsMissing(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "nowhere")); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("err = %v", err)
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "template.yaml") {
		t.Errorf("err = %v", err)
	}
}

func TestStackName(t *testing.T) {
	for in, want := range map[string]string{"orders": "orders", "1st": "app-1st", "__": "app", "a.b c": "a-b-c", strings.Repeat("x", 200): strings.Repeat("x", 128)} {
		if got := stackName(in); got != want {
			t.Errorf("stackName(%q) = %q, want %q", in, got, want)
		}
	}
}
