package lambda_test

import (
	"context"
	"strings"
	"testing"

	api "croft/internal/awsapi/lambda"
	"croft/internal/cfn"
)

func TestLayerResources(t *testing.T) {
	w := newWorld(t)
	layers, permissions := w.Resource("AWS::Lambda::LayerVersion"), w.Resource("AWS::Lambda::LayerVersionPermission")
	content := map[string]any{"S3Bucket": "packages", "S3Key": "a.zip"}
	of := map[string]any{"Content": content, "Description": "d", "CompatibleRuntimes": []any{"python3.12"}}
	r := &cfn.Request{GeneratedName: "stack-L-1"}
	out := w.step(t, func(ctx context.Context) (*cfn.Result, error) { return layers.Create(ctx, r, of) })
	arn := "arn:aws:lambda:us-east-1:000000000000:layer:stack-L-1:1"
	if out.PhysicalID != arn || out.Attributes["LayerVersionArn"] != arn {
		t.Errorf("got %+v", out)
	}
	if !layers.Replaces(of, map[string]any{"Content": content, "Description": "other"}) {
		t.Error("a version is changed")
	}
	permit := map[string]any{"LayerVersionArn": arn, "Action": "lambda:GetLayerVersion", "Principal": "111111111111"}
	p := &cfn.Request{GeneratedName: "stack-P-1"}
	made := w.step(t, func(ctx context.Context) (*cfn.Result, error) { return permissions.Create(ctx, p, permit) })
	policy, err := w.client.GetLayerVersionPolicy(w.Context(), &api.GetLayerVersionPolicyInput{LayerName: "stack-L-1", VersionNumber: 1})
	if err != nil || !strings.Contains(*policy.Policy, "111111111111") {
		t.Errorf("%+v, %v", policy, err)
	}
	p.PhysicalID, r.PhysicalID = made.PhysicalID, out.PhysicalID
	for range 2 {
		w.step(t, func(ctx context.Context) (*cfn.Result, error) { return nil, permissions.Delete(ctx, p, permit) })
		w.step(t, func(ctx context.Context) (*cfn.Result, error) { return nil, layers.Delete(ctx, r, of) })
	}
	if list, err := w.client.ListLayers(w.Context(), &api.ListLayersInput{}); err != nil || len(list.Layers) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestEventConfigResource(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.echo")
	rt := w.Resource("AWS::Lambda::EventInvokeConfig")
	first := map[string]any{
		"FunctionName": "f", "Qualifier": "$LATEST", "MaximumRetryAttempts": "1",
		"DestinationConfig": map[string]any{"OnFailure": map[string]any{"Destination": queueARN}},
	}
	r := &cfn.Request{GeneratedName: "stack-C-1"}
	r.PhysicalID = w.step(t, func(ctx context.Context) (*cfn.Result, error) { return rt.Create(ctx, r, first) }).PhysicalID
	second := map[string]any{"FunctionName": "f", "Qualifier": "$LATEST", "MaximumEventAgeInSeconds": "60"}
	w.step(t, func(ctx context.Context) (*cfn.Result, error) { return rt.Update(ctx, r, first, second) })
	c, err := w.client.GetFunctionEventInvokeConfig(w.Context(), &api.GetFunctionEventInvokeConfigInput{FunctionName: "f"})
	if err != nil || c.MaximumRetryAttempts != nil || *c.MaximumEventAgeInSeconds != 60 || c.DestinationConfig.OnFailure.Destination != nil {
		t.Errorf("%+v, %v", c, err)
	}
	for range 2 {
		w.step(t, func(ctx context.Context) (*cfn.Result, error) { return nil, rt.Delete(ctx, r, second) })
	}
	if _, err := w.client.GetFunctionEventInvokeConfig(w.Context(), &api.GetFunctionEventInvokeConfigInput{FunctionName: "f"}); err == nil {
		t.Error("it is still there")
	}
}

// A function keeps a layer whose version is deleted, and the body with it.
func TestFunctionLayers(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.echo")
	var arns []string
	for _, name := range []string{"l", "m"} {
		arns = append(arns, *w.layer(t, name, zipOf(t, "m.py", name)).LayerVersionArn)
	}
	out, err := w.client.UpdateFunctionConfiguration(w.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "f", Layers: arns})
	if err != nil || len(out.Layers) != 2 || *out.Layers[0].Arn != arns[0] || *out.Layers[1].CodeSize == 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	for _, name := range []string{"l", "m"} {
		if _, err := w.client.DeleteLayerVersion(w.Context(), &api.DeleteLayerVersionInput{LayerName: name, VersionNumber: 1}); err != nil {
			t.Fatal(err)
		}
	}
	w.later(t, 0)
	w.bodies(t, "layers are deleted", 3)
	if _, err := w.client.UpdateFunctionConfiguration(w.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "f", Layers: arns[1:]}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.invoke(w.Context(), &api.InvokeInput{FunctionName: "f"}); err != nil {
		t.Fatal(err)
	}
	if c := w.engine.taken(); len(c[0].fn.Layers) != 1 || c[0].fn.Layers[0].ARN != arns[1] || c[0].fn.Layers[0].ID == "" || len(c[0].fn.Layers[0].SHA) != 64 {
		t.Errorf("the engine got %+v", c[0].fn.Layers)
	}
	w.later(t, 0)
	w.bodies(t, "one is given up", 2)
	for _, c := range []struct {
		layers []string
		want   string
	}{
		{arns[:1], "InvalidParameterValueException: Layer version " + arns[0] + " does not exist."},
		{[]string{strings.Replace(arns[1], "us-east-1", "eu-west-1", 1)}, "InvalidParameterValueException: Layers are not in the same region as the function. Layers are expected to be in region us-east-1."},
		{[]string{arns[1], arns[1]}, "InvalidParameterValueException: Two different versions of the same layer are not allowed to be referenced in the same function. " +
			arns[1] + " and " + arns[1] + " are versions of the same layer."},
		{make6(arns[1]), "InvalidParameterValueException: Cannot reference more than 5 layers."},
	} {
		_, err := w.client.UpdateFunctionConfiguration(w.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "f", Layers: c.layers})
		check(t, strings.Join(c.layers, " "), err, c.want)
	}
	if _, err := w.client.DeleteFunction(w.Context(), &api.DeleteFunctionInput{FunctionName: "f"}); err != nil {
		t.Fatal(err)
	}
}

func make6(arn string) []string { return []string{arn, arn, arn, arn, arn, arn} }
