package lambda_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	api "croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/service/lambda"
)

const (
	noFunction = `"FunctionName": "none"`
	noARN      = `"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:none"`
	ofAlias    = `"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:f:urlalias", "Qualifier": "other"`
)

// urlExceptions are the calls of the recorded test of errors: the same ones for four operations.
func urlExceptions() (lines []string) {
	for _, op := range []string{"create", "get", "delete", "update"} {
		operation, more := strings.ToUpper(op[:1])+op[1:]+"FunctionUrlConfig", ""
		if op == "create" {
			more = `, "AuthType": "NONE"`
		}
		for _, c := range [][2]string{
			{"name_doesnotexist", noFunction}, {"arn_doesnotexist", noARN}, {"name_doesnotexist_qualifier", noFunction + `, "Qualifier": "1"`},
			{"qualifier_version", `"FunctionName": "f", "Qualifier": "1"`}, {"qualifier_version_doesnotexist", `"FunctionName": "f", "Qualifier": "2"`},
			{"qualifier_alias_doesnotexist", `"FunctionName": "f", "Qualifier": "none"`}, {"qualifier_alias_doesnotmatch_arn", ofAlias},
			{"qualifier_latest", `"FunctionName": "f", "Qualifier": "$LATEST"`}, {"config_doesnotexist", `"FunctionName": "f"`},
		} {
			// What creates has no config to miss, and for one call AWS recorded an internal failure of its own.
			if op == "create" && c[0] == "config_doesnotexist" || op == "delete" && c[0] == "qualifier_alias_doesnotmatch_arn" {
				continue
			}
			lines = append(lines, op+"_function_url_config_"+c[0]+" "+operation+" {"+c[1]+more+"}")
		}
	}
	return lines
}

// TestRecordedURLs compares what the operations of function URLs answer with what AWS did.
func TestRecordedURLs(t *testing.T) {
	apiRecords, records := recordings(t, "test_lambda_api.snapshot.json"), recordings(t, "test_lambda.snapshot.json")
	const open = `CreateFunctionUrlConfig {"FunctionName": "f", "AuthType": "NONE"`
	setUp := []string{
		`- PublishVersion {"FunctionName": "f"}`, `create_alias_result CreateAlias {"FunctionName": "f", "Name": "urlalias", "FunctionVersion": "1"}`,
	}
	total := 0
	run := func(recorded map[string]any, calls ...string) {
		w := newWorld(t)
		w.function(t, "f", "a.echo")
		total += w.replay(t, recorded, calls...)
	}
	run(apiRecords["test_url_config_lifecycle"], `url_creation `+open+`}`, `failed_duplication `+open+`}`,
		`get_url_config GetFunctionUrlConfig {"FunctionName": "f"}`, `updated_url_config UpdateFunctionUrlConfig {"FunctionName": "f", "AuthType": "AWS_IAM"}`,
		`- DeleteFunctionUrlConfig {"FunctionName": "f"}`, `failed_getter GetFunctionUrlConfig {"FunctionName": "f"}`)
	run(apiRecords["test_url_config_list_paging"], append(setUp, `list_function_notfound ListFunctionUrlConfigs {"FunctionName": "none"}`,
		`list_all_empty ListFunctionUrlConfigs {"FunctionName": "f"}`, `url_config_fn `+open+`}`, `url_config_alias `+open+`, "Qualifier": "urlalias"}`,
		`list_all ListFunctionUrlConfigs {"FunctionName": "f"}`)...)
	run(apiRecords["test_url_config_exceptions"], append(setUp, urlExceptions()...)...)
	run(records["test_lambda_update_function_url_config"], `create_lambda_url_config `+open+`, "InvokeMode": "BUFFERED"}`,
		`get_url_config GetFunctionUrlConfig {"FunctionName": "f"}`, `modify_lambda_url_config UpdateFunctionUrlConfig {"FunctionName": "f", "InvokeMode": "RESPONSE_STREAM"}`,
		`get_url_config_2 GetFunctionUrlConfig {"FunctionName": "f"}`, `modify_lambda_url_config_none UpdateFunctionUrlConfig {"FunctionName": "f"}`,
		`get_url_config_3 GetFunctionUrlConfig {"FunctionName": "f"}`)
	run(records["test_lambda_url_invalid_invoke_mode"], `invoke_function_invalid_invoke_type `+open+`, "InvokeMode": "UNKNOWN"}`)
	run(apiRecords["test_get_function_wrong_region[get_function_url_config]"],
		`wrong_region_exception GetFunctionUrlConfig {"FunctionName": "arn:aws:lambda:eu-west-1:000000000000:function:f"}`)
	run(apiRecords["test_get_function_wrong_region[invoke]"],
		`wrong_region_exception Invoke {"FunctionName": "arn:aws:lambda:eu-west-1:000000000000:function:f"}`)
	if t.Logf("%d recorded answers are equal", total); total < 55 {
		t.Errorf("%d recorded answers are equal", total)
	}
}

// TestRecordedURLAnswers compares what requests to URLs are answered with what AWS answered.
func TestRecordedURLAnswers(t *testing.T) {
	records := recordings(t, "test_lambda.snapshot.json")
	w := newURLWorld(t, lambda.Limits{})
	id := w.open(&api.CreateFunctionUrlConfigInput{AuthType: "NONE"})
	total := 0
	compare := func(name string, want, got any) {
		t.Helper()
		if diff := agrees(name, want, got); diff != "" {
			t.Error(diff)
			return
		}
		total++
	}
	_, body := w.do(id, "POST", "/", "text")
	compare("forbidden", records["test_lambda_permission_url_invocation"]["lambda_url_invocation_missing_permission"], decoded(t, body))
	w.public() // the account of the recordings was let off the second permission, which others need
	for kind, payload := range map[string]string{
		"dict": `{"hello":"world"}`, "http-response": `{"statusCode":200,"body":"body123"}`, "http-response-json": `{"statusCode":200,"body":"{\"hello\": \"world\"}"}`,
		"list-mixed": `["hello",3,true]`, "string": `"hello"`, "integer": `3`, "float": `3.1`, "boolean": `true`,
	} {
		w.engine.answers(payload, "", nil)
		answer, body := w.do(id, "POST", "/custom_path/extend?test_param=test_value", `{'key':'value'}`)
		content := any(body)
		if strings.HasPrefix(body, "{") {
			content = decoded(t, body)
		}
		compare(kind, records["test_lambda_url_invocation["+kind+"]"]["lambda_url_invocation"], map[string]any{
			"content": content, "statuscode": answer.StatusCode,
			"headers": map[string]any{"Content-Length": fmt.Sprint(len(body)), "Content-Type": answer.Header.Get("Content-Type")},
		})
	}
	if t.Logf("%d recorded answers are equal", total); total != 9 {
		t.Errorf("%d recorded answers are equal", total)
	}
}

func decoded(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// invokeNames are inputs of Invoke by the name of the recorded test that they are refused in.
func invokeNames() map[string]string {
	const arn = `"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function`
	long := func(n int) string { return strings.Repeat("a", n) }
	return map[string]string{
		"function_name_is_single_invalid":           `"FunctionName": "*"`,
		"invalid_characters_in_function_name":       `"FunctionName": "my-function!"`,
		"invalid_characters_in_qualifier":           `"FunctionName": "my-function", "Qualifier": "invalid!"`,
		"qualifier_too_long0":                       `"FunctionName": "my-function", "Qualifier": "` + long(129) + `"`,
		"qualifier_too_long":                        `"FunctionName": "my-function", "Qualifier": "` + long(129) + `"`,
		"qualifier_too_long1":                       `"FunctionName": "my-function:` + long(65) + `"`,
		"function_name_and_qualifier_too_long":      `"FunctionName": "my-function", "Qualifier": "` + long(65) + `"`,
		"invalid_account_id_in_partial_arn":         `"FunctionName": "invalid-account:function:my-function"`,
		"invalid_region_in_arn":                     `"FunctionName": "arn:aws:lambda:invalid-region:000000000000:function:my-function"`,
		"non_lambda_arn":                            `"FunctionName": "arn:aws:ec2:us-east-1:000000000000:instance:i-1234567890abcdef0"`,
		"function_name_too_long":                    `"FunctionName": "` + long(65) + `"`,
		"full_arn_with_multiple_qualifiers":         arn + `:my-function:1:2"`,
		"incomplete_arn":                            arn + `"`,
		"partial_arn_with_extra_qualifier":          `"FunctionName": "function:my-function:$LATEST:extra"`,
		"latest_version_with_additional_qualifier":  `"FunctionName": "my-function:$LATEST", "Qualifier": "1"`,
		"lowercase_latest_qualifier":                `"FunctionName": "my-function", "Qualifier": "$latest"`,
		"missing_region_in_arn":                     `"FunctionName": "arn:aws:lambda::000000000000:function:my-function"`,
		"missing_account_id_in_arn":                 `"FunctionName": "arn:aws:lambda:us-east-1::function:my-function"`,
		"misspelled_latest_in_arn":                  arn + `:my-function:$LATES"`,
		"function_name_too_long_and_invalid_region": `"FunctionName": "arn:aws:lambda:invalid-region:000000000000:function:my-function` + long(170) + `"`,
		"full_arn_and_qualifier_too_long_and_invalid_region": `"FunctionName": "arn:aws:lambda:invalid-region:000000000000:function:my-function-` + long(170) +
			`", "Qualifier": "` + long(129) + `"`,
	}
}

// TestRecordedInvokeNames compares how names are refused with what AWS said, whatever patterns its newer models have.
func TestRecordedInvokeNames(t *testing.T) {
	records := recordings(t, "test_lambda_api.snapshot.json")
	pattern := regexp.MustCompile(`regular expression pattern: \S+`)
	w := newWorld(t)
	total := 0
	for name, input := range invokeNames() {
		_, err := w.Call("lambda.Invoke", "{"+input+"}")
		var refused *cloud.Error
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, _ := records["test_function_name_and_qualifier_validation["+name+"-invoke]"]["invoke_exception"].(map[string]any)
		message, many := want["Message"], want["Errors"] != nil
		got := refused.Message
		if many {
			_, got, _ = strings.Cut(got, ": ")
			recorded, _ := want["Errors"].([]any)
			var lines []string
			for _, e := range recorded {
				lines = append(lines, fmt.Sprint(e))
			}
			given := strings.Split(got, "; ")
			slices.Sort(lines)
			slices.Sort(given)
			message, got = strings.Join(lines, "; "), strings.Join(given, "; ")
		}
		if want["Code"] != refused.Code {
			t.Errorf("%s: %v, recorded %v", name, err, want)
			continue
		}
		if diff := agrees(name, pattern.ReplaceAllString(fmt.Sprint(message), "…"), pattern.ReplaceAllString(got, "…")); diff != "" {
			t.Error(diff)
			continue
		}
		total++
	}
	if t.Logf("%d recorded refusals are equal", total); total != 21 {
		t.Errorf("%d recorded refusals are equal", total)
	}
}

// TestRecordedInvocations compares what Invoke answers with what AWS did.
func TestRecordedInvocations(t *testing.T) {
	records := recordings(t, "test_lambda.snapshot.json")
	w := newURLWorld(t, lambda.Limits{})
	w.engine.answers("null", "", nil)
	total := 0
	for name, kind := range map[string]string{
		"no_return_payload[python-RequestResponse]": "RequestResponse", "no_return_payload[nodejs-RequestResponse]": "RequestResponse",
		"no_return_payload[python-Event]": "Event", "no_return_payload[nodejs-Event]": "Event",
		"dry_run[python3.9]": "DryRun", "dry_run[python3.10]": "DryRun", "dry_run[nodejs16.x]": "DryRun",
	} {
		text, err := w.Call("lambda.Invoke", `{"FunctionName": "f", "InvocationType": "`+kind+`"}`)
		w.check(err)
		got, _ := decoded(t, text).(map[string]any)
		payload, _ := got["Payload"].(string)
		plain, err := base64.StdEncoding.DecodeString(payload)
		w.check(err)
		got["Payload"] = string(plain)
		if diff := agrees(name, records["test_invocation_type_"+name]["invoke-result"], got); diff != "" {
			t.Error(diff)
			continue
		}
		total++
	}
	if t.Logf("%d recorded answers are equal", total); total != 7 {
		t.Errorf("%d recorded answers are equal", total)
	}
}
