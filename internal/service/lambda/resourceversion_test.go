package lambda_test

import (
	"context"
	"testing"

	api "croft/internal/awsapi/lambda"
	"croft/internal/cfn"
	"croft/internal/wire"
)

func TestVersionAndAliasResources(t *testing.T) {
	w := newWorld(t)
	arn := w.function(t, "f", "a.echo")
	version, alias := w.Resource("AWS::Lambda::Version"), w.Resource("AWS::Lambda::Alias")
	first := map[string]any{"FunctionName": arn, "Description": "first"}
	v1 := w.step(t, func(ctx context.Context) (*cfn.Result, error) { return version.Create(ctx, &cfn.Request{}, first) })
	if v1.PhysicalID != arn+":1" || v1.Attributes["Version"] != "1" || !version.Replaces(first, map[string]any{"FunctionName": arn}) {
		t.Errorf("%+v", v1)
	}
	if _, err := w.client.UpdateFunctionConfiguration(w.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "f", Timeout: wire.Ptr[int32](9)}); err != nil {
		t.Fatal(err)
	}
	v2 := w.step(t, func(ctx context.Context) (*cfn.Result, error) {
		return version.Create(ctx, &cfn.Request{}, map[string]any{"FunctionName": "f"})
	})
	old := map[string]any{
		"FunctionName": arn, "FunctionVersion": "1", "Name": "live",
		"RoutingConfig":                map[string]any{"AdditionalVersionWeights": []any{map[string]any{"FunctionVersion": "2", "FunctionWeight": "0.25"}}},
		"ProvisionedConcurrencyConfig": map[string]any{"ProvisionedConcurrentExecutions": 2},
	}
	a := w.step(t, func(ctx context.Context) (*cfn.Result, error) { return alias.Create(ctx, &cfn.Request{}, old) })
	got, err := w.client.GetAlias(w.Context(), &api.GetAliasInput{FunctionName: "f", Name: "live"})
	if err != nil || a.PhysicalID != arn+":live" || got.RoutingConfig.AdditionalVersionWeights["2"] != 0.25 {
		t.Errorf("%+v, %+v, %v", a, got, err)
	}
	if _, err := w.client.GetProvisionedConcurrencyConfig(w.Context(), &api.GetProvisionedConcurrencyConfigInput{FunctionName: "f", Qualifier: "live"}); err != nil {
		t.Error(err)
	}
	r := &cfn.Request{PhysicalID: a.PhysicalID}
	changed := map[string]any{"FunctionName": arn, "FunctionVersion": v2.Attributes["Version"], "Name": "live"}
	w.step(t, func(ctx context.Context) (*cfn.Result, error) { return alias.Update(ctx, r, old, changed) })
	got, err = w.client.GetAlias(w.Context(), &api.GetAliasInput{FunctionName: "f", Name: "live"})
	if err != nil || *got.FunctionVersion != "2" || got.RoutingConfig != nil {
		t.Errorf("%+v, %v", got, err)
	}
	list, err := w.client.ListProvisionedConcurrencyConfigs(w.Context(), &api.ListProvisionedConcurrencyConfigsInput{FunctionName: "f"})
	if err != nil || len(list.ProvisionedConcurrencyConfigs) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	for range 2 {
		w.step(t, func(ctx context.Context) (*cfn.Result, error) { return nil, alias.Delete(ctx, r, changed) })
		w.step(t, func(ctx context.Context) (*cfn.Result, error) {
			return nil, version.Delete(ctx, &cfn.Request{PhysicalID: v2.PhysicalID}, first)
		})
	}
	versions, err := w.client.ListVersionsByFunction(w.Context(), &api.ListVersionsByFunctionInput{FunctionName: "f"})
	if err != nil || len(versions.Versions) != 2 {
		t.Errorf("%+v, %v", versions, err)
	}
}

func TestFunctionResourceSettings(t *testing.T) {
	w := newWorld(t)
	rt := w.Resource("AWS::Lambda::Function")
	with := func(more map[string]any) map[string]any {
		p := map[string]any{"Runtime": "python3.12", "Role": roleARN, "Handler": "index.handler", "Code": map[string]any{"ZipFile": "def handler(e, c): pass"}}
		for k, v := range more {
			p[k] = v
		}
		return p
	}
	full := with(map[string]any{
		"ReservedConcurrentExecutions": 5, "RecursiveLoop": "Allow", "RuntimeManagementConfig": map[string]any{"UpdateRuntimeOn": "FunctionUpdate"},
		"EphemeralStorage": map[string]any{"Size": 600}, "TracingConfig": map[string]any{"Mode": "Active"},
		"LoggingConfig": map[string]any{"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "LogGroup": "g"},
	})
	r := &cfn.Request{GeneratedName: "n"}
	out := w.step(t, func(ctx context.Context) (*cfn.Result, error) { return rt.Create(ctx, r, full) })
	r.PhysicalID = out.PhysicalID
	check := func(reserved *int32, loop, manage string, tmp int32, tracing, format, group string) {
		t.Helper()
		f, err := w.client.GetFunction(w.Context(), &api.GetFunctionInput{FunctionName: "n"})
		if err != nil {
			t.Fatal(err)
		}
		c := f.Configuration
		if c.EphemeralStorage.Size != tmp || *c.TracingConfig.Mode != tracing || *c.LoggingConfig.LogFormat != format || *c.LoggingConfig.LogGroup != group {
			t.Errorf("%+v", c)
		}
		if (f.Concurrency == nil) != (reserved == nil) || reserved != nil && *f.Concurrency.ReservedConcurrentExecutions != *reserved {
			t.Errorf("%+v", f.Concurrency)
		}
		got, err := w.client.GetFunctionRecursionConfig(w.Context(), &api.GetFunctionRecursionConfigInput{FunctionName: "n"})
		if err != nil || *got.RecursiveLoop != loop {
			t.Errorf("%+v, %v", got, err)
		}
		on, err := w.client.GetRuntimeManagementConfig(w.Context(), &api.GetRuntimeManagementConfigInput{FunctionName: "n"})
		if err != nil || *on.UpdateRuntimeOn != manage {
			t.Errorf("%+v, %v", on, err)
		}
	}
	check(wire.Ptr[int32](5), "Allow", "FunctionUpdate", 600, "Active", "JSON", "g")
	bare := with(nil)
	w.step(t, func(ctx context.Context) (*cfn.Result, error) { return rt.Update(ctx, r, full, bare) })
	check(nil, "Terminate", "Auto", 512, "PassThrough", "Text", "/aws/lambda/n")
}

// TestProvisionerFollows sees the engine told of what is provisioned, of an alias that moves, and of the end.
func TestProvisionerFollows(t *testing.T) {
	w := newWorld(t)
	told := make(chan struct{}, 100)
	w.engine.mu.Lock()
	w.engine.told = told
	w.engine.mu.Unlock()
	arn := w.function(t, "f", "a.echo")
	ctx := w.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f"}))
	must(w.client.UpdateFunctionConfiguration(ctx, &api.UpdateFunctionConfigurationInput{FunctionName: "f", Timeout: wire.Ptr[int32](9)}))
	must(w.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f"}))
	must(w.client.CreateAlias(ctx, &api.CreateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: "1"}))
	must(w.client.PutProvisionedConcurrencyConfig(ctx, &api.PutProvisionedConcurrencyConfigInput{FunctionName: "f", Qualifier: "live", ProvisionedConcurrentExecutions: 4}))
	until := func(want map[string]int) {
		t.Helper()
		for {
			w.engine.mu.Lock()
			same := true
			for version, n := range want {
				same = same && w.engine.provisioned[arn+":"+version] == n
			}
			w.engine.mu.Unlock()
			if same {
				return
			}
			select {
			case <-told:
			case <-t.Context().Done():
				t.Fatal("the engine was not told")
			}
		}
	}
	until(map[string]int{"1": 4})
	must(w.client.UpdateAlias(ctx, &api.UpdateAliasInput{
		FunctionName: "f", Name: "live", RoutingConfig: &api.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 0.25}},
	}))
	until(map[string]int{"1": 3, "2": 1})
	must(w.client.UpdateAlias(ctx, &api.UpdateAliasInput{
		FunctionName: "f", Name: "live", FunctionVersion: wire.Ptr("2"), RoutingConfig: &api.AliasRoutingConfiguration{},
	}))
	until(map[string]int{"1": 0, "2": 4})
	must(w.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: "f"}))
	until(map[string]int{"2": 0})
}
