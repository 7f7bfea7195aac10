package lambda_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	api "croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/wire"
)

// recordings returns the answers of a file of recordings of the real service, by the end of the test's name, or skips.
func recordings(t *testing.T, file string) map[string]map[string]any {
	t.Helper()
	root := os.Getenv("CROFT_SHARED")
	if root == "" {
		root = "../../../../shared"
	}
	raw, err := os.ReadFile(filepath.Join(root, "fixtures", "aws-recorded", "services", "lambda_", file))
	if err != nil {
		t.Skipf("SKIPPED: no recordings of Lambda at %s; set CROFT_SHARED", root)
	}
	var all map[string]struct {
		Content map[string]any `json:"recorded-content"`
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]any{}
	for name, c := range all {
		out[name[strings.LastIndex(name, "::")+2:]] = c.Content
	}
	return out
}

var (
	variable = regexp.MustCompile(`<[^<>]*>`)
	// deviating are members that are documented to be missing here.
	deviating = []string{"ResponseMetadata", "RuntimeVersionConfig", "log_stream_name"}
)

// agrees says where got differs from what was recorded; "" for nowhere. Parts of texts in angle brackets vary.
func agrees(path string, want, got any) string {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s: got %v, want an object", path, got)
		}
		for k, v := range want {
			if slices.Contains(deviating, k) {
				continue
			}
			if diff := agrees(path+"/"+k, v, g[k]); diff != "" {
				return diff
			}
		}
		for k := range g {
			if _, there := want[k]; !there && !slices.Contains(deviating, k) {
				return path + "/" + k + " was not recorded"
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return fmt.Sprintf("%s: got %v, want %v", path, got, want)
		}
		for i := range want {
			if diff := agrees(fmt.Sprint(path, "/", i), want[i], g[i]); diff != "" {
				return diff
			}
		}
	case string:
		if slices.Contains([]string{"date", "datetime", "timestamp", "lambda-url"}, want) {
			return ""
		}
		var pattern strings.Builder
		text := strings.NewReplacer("<partition>", "aws", "<region>", "us-east-1", "<wrong-region>", "eu-west-1", "111111111111", cloud.DefaultAccount).Replace(want)
		for i, fixed := range variable.Split(text, -1) {
			if i > 0 {
				pattern.WriteString("(?s:.+)")
			}
			pattern.WriteString(regexp.QuoteMeta(fixed))
		}
		if !regexp.MustCompile("^" + pattern.String() + "$").MatchString(fmt.Sprint(got)) {
			return fmt.Sprintf("%s: got %v, want %v", path, got, want)
		}
	default:
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Sprintf("%s: got %v, want %v", path, got, want)
		}
	}
	return ""
}

// replay makes calls and compares the answers with those of a recorded case. A call is written KEY OPERATION INPUT; without a key nothing is
// compared. It returns how many agree.
func (w *world) replay(t *testing.T, recorded map[string]any, calls ...string) (agreed int) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range calls {
		key, rest, _ := strings.Cut(c, " ")
		operation, input, _ := strings.Cut(rest, " ")
		text, err := w.Call("lambda."+operation, input)
		w.Settle()
		if key == "-" {
			if err != nil {
				t.Fatalf("%s: %v", c, err)
			}
			continue
		}
		want, ok := recorded[key].(map[string]any)
		if !ok {
			t.Fatalf("%s was not recorded", key)
		}
		seen[key] = true
		var got any
		var refused *cloud.Error
		switch {
		case errors.As(err, &refused):
			want = map[string]any{"Error": want["Error"]}
			got = map[string]any{"Error": map[string]any{"Code": refused.Code, "Message": refused.Message}}
		case err != nil:
			t.Fatal(err)
		default:
			if text != "" {
				if err := json.Unmarshal([]byte(text), &got); err != nil {
					t.Fatal(err)
				}
			}
			if got == nil {
				got = map[string]any{}
			}
		}
		if diff := agrees(key, want, got); diff != "" {
			t.Error(diff)
			continue
		}
		agreed++
	}
	for key := range recorded {
		if !seen[key] {
			t.Logf("%s is not replayed", key)
		}
	}
	return agreed
}

// zipped is a package of one line, in base64.
const zipped = `"UEsDBBQAAAAAAAAAIQAAz/SFBAAAAAQAAAAEAAAAYS5weXg9MQpQSwECFAMUAAAAAAAAACEAAM/0hQQAAAAEAAAABAAAAAAAAAAAAAAAgAEAAAAAYS5weVBLBQYAAAAAAQABADIAAAAmAAAAAAA="`

const (
	layerARN = "arn:aws:lambda:us-east-1:000000000000:layer:"
	create   = `CreateFunction {"FunctionName": "f", "Runtime": "python3.12", "Handler": "handler.handler", "Timeout": 30, "Architectures": ["x86_64"], ` +
		`"Environment": {"Variables": {}}, "Code": {"ZipFile": ` + zipped + `}, "Role": "arn:aws:iam::000000000000:role/r"}`
	publish = `PublishLayerVersion {"LayerName": "l", "Content": {"ZipFile": ` + zipped + `}, "CompatibleRuntimes": ["python3.12"], "CompatibleArchitectures": ["x86_64"]`
)

func TestRecordedLayers(t *testing.T) {
	all := recordings(t, "test_lambda_api.snapshot.json")
	agreed := 0
	run := func(name string, calls ...string) { agreed += newWorld(t).replay(t, all[name], calls...) }
	run("test_layer_exceptions",
		"publish_result "+publish+"}",
		`list_layers_exc_compatibleruntime_invalid ListLayers {"CompatibleRuntime": "runtimedoesnotexist"}`,
		`list_layers_exc_compatiblearchitecture_invalid ListLayers {"CompatibleArchitecture": "archdoesnotexist"}`,
		`list_nonexistent_layer ListLayerVersions {"LayerName": "nolayer"}`,
		`get_layer_version_exc_layer_doesnotexist GetLayerVersion {"LayerName": "nolayer", "VersionNumber": 1}`,
		`get_layer_version_exc_layer_version_doesnotexist_negative GetLayerVersion {"LayerName": "l", "VersionNumber": -1}`,
		`get_layer_version_exc_layer_version_doesnotexist_zero GetLayerVersion {"LayerName": "l", "VersionNumber": 0}`,
		`get_layer_version_exc_layer_version_doesnotexist_2 GetLayerVersion {"LayerName": "l", "VersionNumber": 2}`,
		`get_layer_version_by_arn_exc_nonexistentversion GetLayerVersionByArn {"Arn": "`+layerARN+`l:2"}`,
		`get_layer_version_by_arn_exc_invalidarn GetLayerVersionByArn {"Arn": "`+layerARN+`l"}`,
		`delete_nonexistent_response DeleteLayerVersion {"LayerName": "nolayer", "VersionNumber": 1}`,
		`delete_nonexistent_version_response DeleteLayerVersion {"LayerName": "l", "VersionNumber": 2}`,
		`delete_layer_response DeleteLayerVersion {"LayerName": "l", "VersionNumber": 1}`,
		`delete_layer_again_response DeleteLayerVersion {"LayerName": "l", "VersionNumber": 1}`,
		`delete_layer_version_exc_layerversion_invalid_version DeleteLayerVersion {"LayerName": "l", "VersionNumber": -1}`,
		`publish_empty_result PublishLayerVersion {"LayerName": "m", "Content": {"ZipFile": `+zipped+`}, "CompatibleRuntimes": [], "CompatibleArchitectures": []}`,
		`publish_layer_version_exc_invalid_runtime_arch PublishLayerVersion {"LayerName": "m", "Content": {"ZipFile": `+zipped+`}, "CompatibleRuntimes": ["invalidruntime"], "CompatibleArchitectures": ["invalidarch"]}`,
		`publish_layer_version_exc_partially_invalid_values PublishLayerVersion {"LayerName": "m", "Content": {"ZipFile": `+zipped+`}, "CompatibleRuntimes": ["invalidruntime", "invalidruntime2", "nodejs20.x"], "CompatibleArchitectures": ["invalidarch", "x86_64"]}`,
	)
	described := publish + `, "LicenseInfo": "MIT", "Description": "d"}`
	run("test_layer_lifecycle",
		"- "+create, `get_fn_result GetFunction {"FunctionName": "f"}`, `get_fn_config_result GetFunctionConfiguration {"FunctionName": "f"}`,
		"publish_result "+described, "publish_result_2 "+described,
		`update_fn_config UpdateFunctionConfiguration {"FunctionName": "f", "Layers": ["`+layerARN+`l:1"]}`,
		`get_fn_config GetFunctionConfiguration {"FunctionName": "f"}`,
		`get_layer_ver_result GetLayerVersion {"LayerName": "l", "VersionNumber": 1}`,
		`get_layer_by_arn_version GetLayerVersionByArn {"Arn": "`+layerARN+`l:1"}`,
		`list_layer_versions_predelete ListLayerVersions {"LayerName": "l"}`,
		`delete_layer_1 DeleteLayerVersion {"LayerName": "l", "VersionNumber": 1}`,
		`get_fn_config_postdelete GetFunctionConfiguration {"FunctionName": "f"}`,
		`delete_layer_2 DeleteLayerVersion {"LayerName": "l", "VersionNumber": 2}`,
		`list_layer_versions_postdelete ListLayerVersions {"LayerName": "l"}`, "publish_result_3 "+described,
	)
	run("test_layer_s3_content", `publish_layer_result PublishLayerVersion {"LayerName": "l", "Content": {"S3Bucket": "packages", "S3Key": "a.zip"}}`)
	plain := `PublishLayerVersion {"LayerName": "l", "Content": {"ZipFile": ` + zipped + `}, "CompatibleRuntimes": [], "CompatibleArchitectures": ["x86_64"]}`
	layers := func(key string, arns ...string) string {
		return key + ` UpdateFunctionConfiguration {"FunctionName": "f", "Layers": ["` + strings.Join(arns, `", "`) + `"]}`
	}
	one, two, three := layerARN+"l:1", layerARN+"l:2", layerARN+"l:3"
	run("test_layer_function_exceptions",
		"- "+create, `get_fn_result GetFunction {"FunctionName": "f"}`,
		"publish_result "+plain, "publish_result_2 "+plain, "publish_result_3 "+plain,
		layers("two_layer_versions_single_function_exc", one, two), layers("three_layer_versions_single_function_exc", one, two, three),
		layers("two_identical_layer_versions_single_function_exc", one, one), layers("add_nonexistent_layer_exc", layerARN+"doesnotexist:1"),
		layers("add_nonexistent_layer_version_exc", layerARN+"l:9"), layers("add_layer_arn_without_version_exc", layerARN+"l"),
		layers("create_function_with_layer_in_different_region", strings.Replace(one, "us-east-1", "eu-west-1", 1)),
	)
	for i := range 3 {
		name := fmt.Sprintf("test_layer_compatibilities[runtimes%d]", i)
		result, _ := all[name]["publish_result"].(map[string]any)
		runtimes, err := json.Marshal(result["CompatibleRuntimes"])
		if err != nil {
			t.Fatal(err)
		}
		run(name, `publish_result PublishLayerVersion {"LayerName": "l", "Content": {"ZipFile": `+zipped+`}, "CompatibleRuntimes": `+string(runtimes)+`, "CompatibleArchitectures": ["arm64", "x86_64"]}`)
	}
	t.Logf("%d answers about layers agree", agreed)
}

func TestRecordedEventConfigs(t *testing.T) {
	all := recordings(t, "test_lambda_api.snapshot.json")
	agreed := 0
	run := func(name string, calls ...string) { agreed += newWorld(t).replay(t, all[name], calls...) }
	const of = `EventInvokeConfig {"FunctionName": "f", `
	run("test_lambda_eventinvokeconfig_lifecycle",
		"- "+create, "put_invokeconfig_retries_0 PutFunction"+of+`"MaximumRetryAttempts": 0}`, "put_invokeconfig_eventage_60 PutFunction"+of+`"MaximumEventAgeInSeconds": 60}`,
		"update_invokeconfig_eventage_nochange UpdateFunction"+of+`"MaximumEventAgeInSeconds": 60}`, "update_invokeconfig_retries UpdateFunction"+of+`"MaximumRetryAttempts": 1}`,
		`get_invokeconfig GetFunctionEventInvokeConfig {"FunctionName": "f"}`, "get_invokeconfig_latest GetFunction"+of+`"Qualifier": "$LATEST"}`,
		`list_single_invokeconfig ListFunctionEventInvokeConfigs {"FunctionName": "f"}`,
		`publish_version_result PublishVersion {"FunctionName": "f"}`, "get_invokeconfig_postpublish GetFunction"+of+`"Qualifier": "1"}`,
		"put_published_invokeconfig PutFunction"+of+`"Qualifier": "1", "MaximumEventAgeInSeconds": 120}`, "get_published_invokeconfig GetFunction"+of+`"Qualifier": "1"}`,
		`- DeleteFunctionEventInvokeConfig {"FunctionName": "f"}`, `list_paging_nolimit_postdelete ListFunctionEventInvokeConfigs {"FunctionName": "f"}`,
	)
	run("test_ops_on_nonexisting_version[get_function_event_invoke_config]",
		"- "+create, "version_not_found_exception GetFunction"+of+`"Qualifier": "1221"}`)
	run("test_get_function_wrong_region[get_function_event_invoke_config]",
		`wrong_region_exception GetFunctionEventInvokeConfig {"FunctionName": "arn:aws:lambda:eu-west-1:000000000000:function:f"}`)
	run("test_put_function_recursion_config_invalid_value",
		"- "+create, `put_recursion_invalid_value_error PutFunctionRecursionConfig {"FunctionName": "f", "RecursiveLoop": "InvalidValue"}`)
	t.Logf("%d answers about event invoke configurations agree", agreed)
}

// received returns what a recorded case received from a queue.
func received(t *testing.T, c map[string]any, key string) map[string]any {
	t.Helper()
	v, _ := c[key].(map[string]any)
	if list, ok := v["Messages"].([]any); ok && len(list) == 1 {
		v, _ = list[0].(map[string]any)
	}
	if v == nil {
		t.Fatalf("%s was not recorded", key)
	}
	return v
}

// TestRecordedDestinations makes events end as the recorded ones did and compares what the queues got.
func TestRecordedDestinations(t *testing.T) {
	all := recordings(t, "test_lambda_destinations.snapshot.json")
	agreed := 0
	retries := func(n int32) *int32 { return &n }
	for _, c := range []struct {
		name, key, handler, payload string
		retries, age                *int32
		minutes                     int
	}{
		{"test_assess_lambda_destination_invocation[Success-payload0]", "receive_message_result", "a.echo", `{}`, nil, nil, 0},
		{"test_assess_lambda_destination_invocation[payload0]", "receive_message_result", "a.echo", `{}`, retries(0), nil, 0},
		{"test_assess_lambda_destination_invocation[payload1]", "receive_message_result", "a.fail", `{"raise_error": 1}`, retries(0), nil, 0},
		{"test_lambda_destination_default_retries", "receive_message_result", "a.fail", `{"raise_error": 1}`, nil, nil, 3},
		{"test_retries", "queue_destination_payload", "a.fail", `{"message": "m"}`, retries(2), nil, 3},
		{"test_maxeventage", "no_retry_failure_message", "a.fail", `{"message": "m"}`, retries(2), retries(60), 0},
		{"test_maxeventage", "single_retry_failure_message", "a.fail", `{"message": "m"}`, retries(2), retries(120), 1},
	} {
		w := newEventWorld(t)
		want := received(t, all[c.name], c.key)["Body"].(map[string]any)
		if own, ok := want["responsePayload"].(map[string]any); ok {
			delete(own, "context") // the function's own words, full of what varies
		}
		answer, err := json.Marshal(want["responsePayload"])
		if err != nil {
			t.Fatal(err)
		}
		w.engine.answer, w.engine.failure = answer, answer
		w.function(t, "f", c.handler)
		w.configure(t, api.PutFunctionEventInvokeConfigInput{
			DestinationConfig: destinations(queueARN, queueARN), MaximumRetryAttempts: c.retries, MaximumEventAgeInSeconds: c.age,
		})
		if _, err := w.invoke(w.Context(), &api.InvokeInput{FunctionName: "f", InvocationType: wire.Ptr("Event"), Payload: []byte(c.payload)}); err != nil {
			t.Fatal(err)
		}
		w.Settle()
		for range c.minutes {
			w.Advance(time.Minute)
		}
		letters := w.post.take()
		var got any
		if len(letters) != 1 || json.Unmarshal([]byte(letters[0].body), &got) != nil {
			t.Errorf("%s: got %+v", c.name, letters)
			continue
		}
		if diff := agrees(c.name, want, got); diff != "" {
			t.Error(diff)
			continue
		}
		agreed++
	}
	t.Logf("%d records agree", agreed)
}
