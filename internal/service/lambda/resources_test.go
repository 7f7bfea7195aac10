package lambda_test

import (
	"context"
	"strings"
	"testing"

	api "croft/internal/awsapi/lambda"
	"croft/internal/cfn"
	"croft/internal/wire"
)

// step runs one step of a resource type as the deployment engine does.
func (w *world) step(t *testing.T, fn func(context.Context) (*cfn.Result, error)) (out *cfn.Result) {
	t.Helper()
	err := w.Update(func(ctx context.Context) (err error) {
		out, err = fn(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFunctionResource(t *testing.T) {
	w := newWorld(t)
	rt := w.Resource("AWS::Lambda::Function")
	first := map[string]any{
		"Runtime": "python3.12", "Role": roleARN, "Handler": "index.handler", "Code": map[string]any{"ZipFile": "def handler(e, c): pass"},
		"Timeout": "30", "Environment": map[string]any{"Variables": map[string]any{"TABLE": "t"}},
		"Tags": []any{map[string]any{"Key": "lambda:createdBy", "Value": "SAM"}},
	}
	r := &cfn.Request{GeneratedName: "stack-F-1", Tags: map[string]string{"team": "a"}}
	out := w.step(t, func(ctx context.Context) (*cfn.Result, error) { return rt.Create(ctx, r, first) })
	if out.PhysicalID != "stack-F-1" || out.Attributes["Arn"] != "arn:aws:lambda:us-east-1:000000000000:function:stack-F-1" {
		t.Errorf("got %+v", out)
	}
	f, err := w.client.GetFunction(w.Context(), &api.GetFunctionInput{FunctionName: "stack-F-1"})
	if err != nil || *f.Configuration.Timeout != 30 || f.Tags["team"] != "a" || f.Tags["lambda:createdBy"] != "SAM" || f.Configuration.Environment.Variables["TABLE"] != "t" {
		t.Errorf("got %+v, %v", f, err)
	}
	code := *f.Configuration.CodeSha256

	second := map[string]any{"Runtime": "python3.12", "Role": roleARN, "Handler": "index.handler", "Code": map[string]any{"ZipFile": "def handler(e, c): pass"}}
	r.PhysicalID = "stack-F-1"
	if rt.Replaces(first, second) {
		t.Error("a change of the configuration replaces")
	}
	w.step(t, func(ctx context.Context) (*cfn.Result, error) { return rt.Update(ctx, r, first, second) })
	f, err = w.client.GetFunction(w.Context(), &api.GetFunctionInput{FunctionName: "stack-F-1"})
	if err != nil || *f.Configuration.Timeout != 3 || *f.Configuration.CodeSha256 != code || len(f.Tags) != 1 || len(f.Configuration.Environment.Variables) != 0 {
		t.Errorf("got %+v, %v", f.Configuration, err)
	}
	third := map[string]any{"Runtime": "python3.12", "Role": roleARN, "Handler": "index.handler", "Code": map[string]any{"ZipFile": "def handler(e, c): return 1"}}
	w.step(t, func(ctx context.Context) (*cfn.Result, error) { return rt.Update(ctx, r, second, third) })
	if f, err = w.client.GetFunction(w.Context(), &api.GetFunctionInput{FunctionName: "stack-F-1"}); err != nil || *f.Configuration.CodeSha256 == code {
		t.Errorf("the code is the old one (%v)", err)
	}
	for range 2 {
		w.step(t, func(ctx context.Context) (*cfn.Result, error) { return nil, rt.Delete(ctx, r, third) })
	}
	err = rt.Check(map[string]any{"Role": "r", "Code": map[string]any{}, "VpcConfig": map[string]any{}})
	if err == nil || !strings.Contains(err.Error(), "VpcConfig") {
		t.Errorf("VpcConfig: %v", err)
	}
	if !rt.Replaces(map[string]any{"FunctionName": "a"}, map[string]any{"FunctionName": "b"}) {
		t.Error("another name does not replace")
	}
}

func TestPermissionAndMappingResources(t *testing.T) {
	w := newWorld(t)
	arn := w.function(t, "f", "a.echo")
	permission, mapping := w.Resource("AWS::Lambda::Permission"), w.Resource("AWS::Lambda::EventSourceMapping")
	properties := map[string]any{"FunctionName": arn, "Action": "lambda:InvokeFunction", "Principal": "sns.amazonaws.com"}
	r := &cfn.Request{GeneratedName: "stack-P-1"}
	if out := w.step(t, func(ctx context.Context) (*cfn.Result, error) { return permission.Create(ctx, r, properties) }); out.PhysicalID != "stack-P-1" {
		t.Errorf("got %+v", out)
	}
	policy, err := w.client.GetPolicy(w.Context(), &api.GetPolicyInput{FunctionName: "f"})
	if err != nil || !strings.Contains(*policy.Policy, `"Sid":"stack-P-1"`) {
		t.Errorf("%+v, %v", policy, err)
	}
	r.PhysicalID = "stack-P-1"
	for range 2 {
		w.step(t, func(ctx context.Context) (*cfn.Result, error) { return nil, permission.Delete(ctx, r, properties) })
	}

	old := map[string]any{"FunctionName": arn, "EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q", "BatchSize": 5, "Enabled": false, "ScalingConfig": map[string]any{"MaximumConcurrency": 3}}
	out := w.step(t, func(ctx context.Context) (*cfn.Result, error) { return mapping.Create(ctx, &cfn.Request{}, old) })
	r = &cfn.Request{PhysicalID: out.PhysicalID, Tags: map[string]string{"a": "b"}}
	changed := map[string]any{"FunctionName": "f", "EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q", "Enabled": false, "FunctionResponseTypes": []any{"ReportBatchItemFailures"}}
	w.step(t, func(ctx context.Context) (*cfn.Result, error) { return mapping.Update(ctx, r, old, changed) })
	m, err := w.client.GetEventSourceMapping(w.Context(), &api.GetEventSourceMappingInput{UUID: out.PhysicalID})
	if err != nil || *m.BatchSize != 10 || m.ScalingConfig != nil || len(m.FunctionResponseTypes) != 1 || wire.Value(m.State) != "Disabled" {
		t.Errorf("%+v, %v", m, err)
	}
	for range 2 {
		w.step(t, func(ctx context.Context) (*cfn.Result, error) { return nil, mapping.Delete(ctx, r, changed) })
	}
}
