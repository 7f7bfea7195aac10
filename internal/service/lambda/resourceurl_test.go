package lambda_test

import (
	"context"
	"strings"
	"testing"

	api "croft/internal/awsapi/lambda"
	"croft/internal/cfn"
	"croft/internal/wire"
)

func TestURLResource(t *testing.T) {
	w := newWorld(t)
	arn := w.function(t, "f", "a.echo")
	url, permission := w.Resource("AWS::Lambda::Url"), w.Resource("AWS::Lambda::Permission")
	first := map[string]any{
		"TargetFunctionArn": "f", "AuthType": "NONE", "InvokeMode": "RESPONSE_STREAM",
		"Cors": map[string]any{"AllowOrigins": []any{"*"}, "MaxAge": "10", "AllowCredentials": "true"},
	}
	out := w.step(t, func(ctx context.Context) (*cfn.Result, error) { return url.Create(ctx, &cfn.Request{}, first) })
	address, _ := out.Attributes["FunctionUrl"].(string)
	if out.PhysicalID != arn || out.Attributes["FunctionArn"] != arn || !strings.Contains(address, "/_aws/lambda-url/") {
		t.Errorf("got %+v", out)
	}
	r := &cfn.Request{PhysicalID: out.PhysicalID}
	got, err := w.client.GetFunctionUrlConfig(w.Context(), &api.GetFunctionUrlConfigInput{FunctionName: "f"})
	if err != nil || got.AuthType != "NONE" || *got.InvokeMode != "RESPONSE_STREAM" || *got.Cors.MaxAge != 10 || !*got.Cors.AllowCredentials {
		t.Errorf("got %+v, %v", got, err)
	}
	second := map[string]any{"TargetFunctionArn": "f", "AuthType": "AWS_IAM"}
	if url.Replaces(first, second) || !url.Replaces(first, map[string]any{"TargetFunctionArn": "g", "AuthType": "NONE"}) {
		t.Error("what replaces a URL is another function, and nothing else")
	}
	w.step(t, func(ctx context.Context) (*cfn.Result, error) { return url.Update(ctx, r, first, second) })
	got, err = w.client.GetFunctionUrlConfig(w.Context(), &api.GetFunctionUrlConfigInput{FunctionName: "f"})
	if err != nil || got.AuthType != "AWS_IAM" || wire.Value(got.InvokeMode) != "BUFFERED" || got.Cors != nil || got.FunctionUrl != address {
		t.Errorf("got %+v, %v", got, err)
	}
	p := map[string]any{
		"FunctionName": "f", "Action": "lambda:InvokeFunction", "Principal": "*", "InvokedViaFunctionUrl": "true",
	}
	w.step(t, func(ctx context.Context) (*cfn.Result, error) {
		return permission.Create(ctx, &cfn.Request{GeneratedName: "via"}, p)
	})
	p["FunctionUrlAuthType"], p["Action"] = "NONE", "lambda:InvokeFunctionUrl"
	delete(p, "InvokedViaFunctionUrl")
	w.step(t, func(ctx context.Context) (*cfn.Result, error) {
		return permission.Create(ctx, &cfn.Request{GeneratedName: "url"}, p)
	})
	policy, err := w.client.GetPolicy(w.Context(), &api.GetPolicyInput{FunctionName: "f"})
	if err != nil || !strings.Contains(*policy.Policy, `{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}`) ||
		!strings.Contains(*policy.Policy, `{"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}}`) {
		t.Errorf("%+v, %v", policy, err)
	}
	for range 2 {
		w.step(t, func(ctx context.Context) (*cfn.Result, error) { return nil, url.Delete(ctx, r, second) })
	}
}
