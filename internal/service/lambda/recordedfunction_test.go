package lambda_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	api "croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/wire"
)

const (
	functionARN = "arn:aws:lambda:us-east-1:000000000000:function:"
	// plain is a function as the recorded tests of versions make it.
	plain = `"FunctionName": "f", "Runtime": "python3.12", "Handler": "index.handler", "Architectures": ["x86_64"], ` +
		`"Code": {"ZipFile": ` + zipped + `}, "Role": "arn:aws:iam::000000000000:role/r"`
	other = `"UEsDBBQAAAAAAAAAIVxeEWItGQAAABkAAAAEAAAAYS5weWRlZiBlY2hvKGUsIGMpOiByZXR1cm4gMQpQSwECFAMUAAAAAAAAACFcXhFiLRkAAAAZAAAABAAAAAAAAAAAAAAApAEAAAAAYS5weVBLBQYAAAAAAQABADIAAAA7AAAAAAA="`
)

func TestRecordedVersions(t *testing.T) {
	all := recordings(t, "test_lambda_api.snapshot.json")
	agreed := 0
	run := func(name string, calls ...string) { agreed += newWorld(t).replay(t, all[name], calls...) }
	run("test_publish_version_on_create", "create_response CreateFunction {"+plain+`, "Publish": true}`,
		`get_function_result GetFunction {"FunctionName": "f"}`, `get_function_version_result GetFunction {"FunctionName": "f", "Qualifier": "1"}`,
		`get_function_latest_result GetFunction {"FunctionName": "f", "Qualifier": "$LATEST"}`, `list_versions_result ListVersionsByFunction {"FunctionName": "f"}`,
		`repeated_publish_response PublishVersion {"FunctionName": "f"}`, `list_versions_result_after_publish ListVersionsByFunction {"FunctionName": "f"}`)
	run("test_publish_with_wrong_sha256", "create_response CreateFunction {"+plain+"}", `get_fn_response GetFunction {"FunctionName": "f"}`,
		`publish_wrong_sha256_exc PublishVersion {"FunctionName": "f", "CodeSha256": "somenonexistentsha256"}`, `publish_result PublishVersion {"FunctionName": "f"}`)
	run("test_publish_with_wrong_revisionid", "- CreateFunction {"+plain+"}", `publish_wrong_revisionid_exc PublishVersion {"FunctionName": "f", "RevisionId": "doesntexist"}`)
	run("test_publish_with_update", "create_response CreateFunction {"+plain+"}", `get_function_result GetFunction {"FunctionName": "f"}`,
		`update_function_code_result UpdateFunctionCode {"FunctionName": "f", "ZipFile": `+other+`, "Publish": true}`)
	run("test_ops_on_nonexisting_version[get_function]", "- CreateFunction {"+plain+"}", `version_not_found_exception GetFunction {"FunctionName": "f", "Qualifier": "1221"}`)
	run("test_ops_on_nonexisting_version[get_function_configuration]", "- CreateFunction {"+plain+"}",
		`version_not_found_exception GetFunctionConfiguration {"FunctionName": "f", "Qualifier": "1221"}`)
	run("test_delete_on_nonexisting_version", `delete_function_response_non_existent DeleteFunction {"FunctionName": "nobody"}`,
		`delete_function_response_non_existent_with_qualifier DeleteFunction {"FunctionName": "nobody", "Qualifier": "1221"}`)
	stage := func(name string) string { return `"Environment": {"Variables": {"testenv": "` + name + `"}}` }
	staging := "create_response CreateFunction {" + plain + ", " + stage("staging") + "}"
	const of = `Alias {"FunctionName": "f", "Name": "aliasname`
	run("test_alias_lifecycle", staging, `publish_v1 PublishVersion {"FunctionName": "f"}`,
		`- UpdateFunctionConfiguration {"FunctionName": "f", `+stage("prod")+"}", `publish_v2 PublishVersion {"FunctionName": "f"}`,
		"create_alias_1_1 Create"+of+`1_1", "FunctionVersion": "1", "Description": "custom-alias", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.2}}}`,
		"get_alias_1_1 Get"+of+`1_1"}`, `get_function_alias_1_1 GetFunction {"FunctionName": "f", "Qualifier": "aliasname1_1"}`,
		`get_function_byarn_alias_1_1 GetFunction {"FunctionName": "`+functionARN+`f:aliasname1_1"}`,
		`get_function_alias_notfound_exc GetFunction {"FunctionName": "f", "Qualifier": "aliasdoesnotexist"}`,
		`get_function_alias_byarn_notfound_exc GetFunction {"FunctionName": "`+functionARN+`f:aliasdoesnotexist"}`,
		"create_alias_1_2 Create"+of+`1_2", "FunctionVersion": "1", "Description": "custom-alias"}`, "get_alias_1_2 Get"+of+`1_2"}`,
		"create_alias_1_3 Create"+of+`1_3", "FunctionVersion": "1"}`, "get_alias_1_3 Get"+of+`1_3"}`,
		"create_alias_2 Create"+of+`2", "FunctionVersion": "2", "Description": "custom-alias"}`, "get_alias_2 Get"+of+`2"}`,
		`list_aliases_for_fnname ListAliases {"FunctionName": "f"}`,
		"update_alias_1_1 Update"+of+`1_1", "RoutingConfig": {"AdditionalVersionWeights": {}}}`, "get_alias_1_1_after_update Get"+of+`1_1"}`,
		`list_aliases_for_fnname_after_update ListAliases {"FunctionName": "f"}`,
		"update_alias_1_2 Update"+of+`1_2", "RoutingConfig": {"AdditionalVersionWeights": {}}}`, "get_alias_1_2_after_update Get"+of+`1_2"}`,
		`list_aliases_for_fnname_after_update_2 ListAliases {"FunctionName": "f"}`, `list_aliases_for_version ListAliases {"FunctionName": "f", "FunctionVersion": "1"}`,
		"delete_alias_response Delete"+of+`1_1"}`, `list_aliases_for_fnname_afterdelete ListAliases {"FunctionName": "f"}`)
	run("test_alias_naming", staging, `publish_v1 PublishVersion {"FunctionName": "f"}`,
		`create_alias_date CreateAlias {"FunctionName": "f", "Name": "2024-01-02", "FunctionVersion": "1", "Description": "custom-alias"}`,
		`get_alias_date GetAlias {"FunctionName": "f", "Name": "2024-01-02"}`,
		`create_alias_number_exception CreateAlias {"FunctionName": "f", "Name": "2024", "FunctionVersion": "1"}`)
	run("test_non_existent_alias_deletion", staging, `delete_alias_response DeleteAlias {"FunctionName": "f", "Name": "non-existent"}`)
	run("test_non_existent_alias_update", staging, `update_alias_response UpdateAlias {"FunctionName": "f", "Name": "non-existent"}`)
	t.Logf("%d answers about versions and aliases agree", agreed)
}

func TestRecordedConcurrency(t *testing.T) {
	all := recordings(t, "test_lambda_api.snapshot.json")
	agreed := 0
	run := func(name string, calls ...string) { agreed += newWorld(t).replay(t, all[name], calls...) }
	const reserve, provision = `PutFunctionConcurrency {"ReservedConcurrentExecutions": `, `PutProvisionedConcurrencyConfig {"FunctionName": "f", "ProvisionedConcurrentExecutions": `
	run("test_function_concurrency_exceptions",
		"put_function_concurrency_with_function_name_doesnotexist "+reserve+`1, "FunctionName": "doesnotexist"}`,
		"put_function_concurrency_with_function_name_doesnotexist_and_invalid_concurrency "+reserve+`1001, "FunctionName": "doesnotexist"}`,
		"- "+create, "put_function_concurrency_with_qualified_arn "+reserve+`1, "FunctionName": "`+functionARN+`f:$LATEST"}`)
	run("test_function_concurrency", "- "+create, "put_function_concurrency_with_reserved_0 "+reserve+`0, "FunctionName": "f"}`,
		"put_function_concurrency_with_reserved_1 "+reserve+`1, "FunctionName": "f"}`, `get_function_concurrency GetFunctionConcurrency {"FunctionName": "f"}`,
		`delete_response DeleteFunctionConcurrency {"FunctionName": "f"}`, `get_function_concurrency_after_delete GetFunctionConcurrency {"FunctionName": "f"}`)
	run("test_function_concurrency_limits", "- "+create, "put_function_concurrency_account_limit_exceeded "+reserve+`1001, "FunctionName": "f"}`,
		"put_function_concurrency_below_unreserved_min_value "+reserve+`901, "FunctionName": "f"}`)
	run("test_provisioned_concurrency_limits", "- "+create, `- PublishVersion {"FunctionName": "f"}`,
		"put_provisioned_concurrency_account_limit_exceeded "+provision+`1001, "Qualifier": "1"}`,
		"put_provisioned_concurrency_below_unreserved_min_value "+provision+`901, "Qualifier": "1"}`)
	all = recordings(t, "test_lambda.snapshot.json")
	run("test_lambda_concurrency_crud", "- "+create, `get_function_concurrency_default GetFunctionConcurrency {"FunctionName": "f"}`,
		"put_function_concurrency "+reserve+`0, "FunctionName": "f"}`, `get_function_concurrency_updated GetFunctionConcurrency {"FunctionName": "f"}`,
		`- DeleteFunctionConcurrency {"FunctionName": "f"}`, `get_function_concurrency_deleted GetFunctionConcurrency {"FunctionName": "f"}`)
	run("test_reserved_provisioned_overlap", "- "+create, `- PublishVersion {"FunctionName": "f"}`, "put_provisioned_5 "+provision+`2, "Qualifier": "1"}`,
		"reserved_lower_than_provisioned_exc "+reserve+`1, "FunctionName": "f"}`, "- "+reserve+`2, "FunctionName": "f"}`,
		`get_concurrency GetFunctionConcurrency {"FunctionName": "f"}`,
		`- UpdateFunctionConfiguration {"FunctionName": "f", "Timeout": 15}`, `- PublishVersion {"FunctionName": "f"}`,
		"reserved_equals_provisioned_another_provisioned_exc "+provision+`1, "Qualifier": "2"}`,
		"reserved_equals_provisioned_increase_provisioned_exc "+provision+`3, "Qualifier": "1"}`)
	run("test_provisioned_concurrency_on_alias", "- "+create, `- PublishVersion {"FunctionName": "f"}`,
		`- CreateAlias {"FunctionName": "f", "Name": "a", "FunctionVersion": "1"}`, "put_provisioned_5 "+provision+`5, "Qualifier": "a"}`)
	t.Logf("%d answers about concurrency agree", agreed)
}

func TestRecordedConfiguration(t *testing.T) {
	all := recordings(t, "test_lambda_api.snapshot.json")
	agreed := 0
	run := func(name string, calls ...string) { agreed += newWorld(t).replay(t, all[name], calls...) }
	const get, config, update = `GetFunction {"FunctionName": "f"}`, `GetFunctionConfiguration {"FunctionName": "f"}`, `UpdateFunctionConfiguration {"FunctionName": "f", "LoggingConfig": {`
	made := strings.Replace(create, `"Timeout": 30`, `"Timeout": 5, "MemorySize": 256`, 1)
	with := func(logging string) string {
		return strings.TrimSuffix(made, "}") + `, "LoggingConfig": {` + logging + `}}`
	}
	run("test_function_advanced_logging_configuration", "- "+with(`"LogFormat": "JSON"`), "get_function_response "+get, "function_config "+config,
		"updated_config "+update+`"LogGroup": "cool_lambda"}}`, "received_config "+config)
	run("test_advanced_logging_configuration_format_switch", "- "+made, "get_function_response "+get, "function_config "+config,
		"updated_config "+update+`"LogFormat": "JSON"}}`, "received_config "+config, "updated_config_v2 "+update+`"LogFormat": "Text"}}`, "received_config_v2 "+config)
	for i, partial := range []string{
		`"LogFormat": "JSON"`, `"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"`, `"LogFormat": "JSON", "SystemLogLevel": "DEBUG"`, `"LogGroup": "cool_lambda"`,
	} {
		run(fmt.Sprintf("test_function_partial_advanced_logging_configuration_update[partial_config%d]", i), "- "+made,
			"get_function_response "+get, "function_config "+config, "updated_config "+update+partial+"}}", "received_config "+config)
	}
	for _, v := range []string{"python3.12", "python3.13"} {
		snap := `"FunctionName": "f", "Runtime": "` + v + `", "Handler": "handler.handler", "Timeout": 5, "MemorySize": 1024, "Architectures": ["x86_64"], ` +
			`"Code": {"ZipFile": ` + zipped + `}, "Role": "arn:aws:iam::000000000000:role/r"`
		run("test_snapstart_update_function_configuration["+v+"]", "create_function_response CreateFunction {"+snap+"}",
			`update_function_response UpdateFunctionConfiguration {"FunctionName": "f", "SnapStart": {"ApplyOn": "PublishedVersions"}}`)
	}
	run("test_snapstart_exceptions", "create_function_invalid_snapstart_apply CreateFunction {"+plain+`, "SnapStart": {"ApplyOn": "invalidOption"}}`)
	run("test_update_lambda_exceptions", "- "+create, `invalid_role_arn_exc UpdateFunctionConfiguration {"FunctionName": "f", "Role": "r1"}`,
		`invalid_runtime_exc UpdateFunctionConfiguration {"FunctionName": "f", "Runtime": "non-existent-runtime"}`,
		`uppercase_runtime_exc UpdateFunctionConfiguration {"FunctionName": "f", "Runtime": "PYTHON3.9"}`)
	run("test_redundant_updates", "- "+create, `first_update_result UpdateFunctionConfiguration {"FunctionName": "f", "Description": "1st update description"}`,
		"get_fn_config_result "+config, "get_fn_result "+get, `redundant_update_result UpdateFunctionConfiguration {"FunctionName": "f", "Description": "1st update description"}`,
		"get_fn_result_after_redundant_update "+get)
	far := strings.Replace(functionARN, "us-east-1", "eu-west-1", 1)
	for name, op := range map[string]string{
		"get_function": "GetFunction", "get_function_configuration": "GetFunctionConfiguration", "delete_function": "DeleteFunction", "invoke": "Invoke",
		"get_function_code_signing_config": "GetFunctionCodeSigningConfig", "get_function_concurrency": "GetFunctionConcurrency",
	} {
		run("test_get_function_wrong_region["+name+"]", "wrong_region_exception "+op+` {"FunctionName": "`+far+`f"}`)
	}
	t.Logf("%d answers about configurations agree", agreed)
}

func TestRecordedTagsAndPermissions(t *testing.T) {
	all := recordings(t, "test_lambda_api.snapshot.json")
	agreed := 0
	run := func(name string, calls ...string) { agreed += newWorld(t).replay(t, all[name], calls...) }
	tag := func(key, arn, tags string) string {
		return key + ` TagResource {"Resource": "` + arn + `", "Tags": {` + tags + `}}`
	}
	f, nobody := functionARN+"f", functionARN+"doesnotexist"
	run("test_tag_exceptions", "- "+create, tag("tag_lambda_invalidarn", "arn:aws:something", `"A": "a"`), tag("tag_lambda_doesnotexist", nobody, `"A": "a"`),
		tag("tag_lambda_qualifier_doesnotexist", f+":v1", `"A": "a"`), `list_tag_lambda_empty ListTags {"Resource": "`+f+`"}`,
		`untag_nomatch UntagResource {"Resource": "`+f+`", "TagKeys": ["somekey"]}`, tag("tag_empty_tags", f, ""))
	run("test_tag_versions", "- "+create, `- PublishVersion {"FunctionName": "f"}`, tag("tag_resource_exception", f+":1", `"A": "a"`),
		tag("tag_resource_latest_exception", f+":$LATEST", `"A": "a"`))
	run("test_tag_exceptions[lambda_function]", tag("not_found_exception_tag", nobody, `"A": "a"`),
		`not_found_exception_untag UntagResource {"Resource": "`+nobody+`", "TagKeys": ["A"]}`, `not_found_exception_list ListTags {"Resource": "`+nobody+`"}`,
		tag("aliased_arn_exception", nobody+":alias", `"A": "a"`), tag("invalid_arn_exception", strings.Replace(nobody, ":function:", ":foobar:", 1), `"A": "a"`))
	add := func(key, name, more string) string {
		return key + ` AddPermission {"FunctionName": "` + name + `", "Action": "lambda:InvokeFunction"` + more + `}`
	}
	const s3 = `, "StatementId": "s3", "Principal": "s3.amazonaws.com"`
	run("test_permission_exceptions", "- "+create, add("add_permission_invalid_statement_id", "f", `, "StatementId": "example.com", "Principal": "s3.amazonaws.com"`),
		add("add_permission_fn_qualifier_mismatch", f+":alias-not-42", s3+`, "Qualifier": "42"`), add("add_permission_fn_qualifier_latest", "f", s3+`, "Qualifier": "$LATEST"`),
		add("add_permission_principal_invalid", "f", `, "StatementId": "lambda", "Principal": "invalid.nonaws.com"`),
		`get_policy_fn_doesnotexist GetPolicy {"FunctionName": "doesnotexist"}`, `get_policy_fn_version_doesnotexist GetPolicy {"FunctionName": "f", "Qualifier": "42"}`,
		add("add_permission_fn_doesnotexist", "doesnotexist", s3), `remove_permission_policy_doesnotexist RemovePermission {"FunctionName": "f", "StatementId": "s3"}`,
		add("add_permission_fn_alias_doesnotexist", "f", s3+`, "Qualifier": "alias-doesnotexist"`), add("add_permission_fn_version_doesnotexist", "f", s3+`, "Qualifier": "42"`),
		add("add_permission_fn_qualifier_invalid", "f", s3+`, "Qualifier": "invalid-qualifier-with-?-char"`),
		add("add_permission_fn_qualifier_valid_doesnotexist", "f", s3+`, "Qualifier": "valid-with-$-but-doesnotexist"`), add("-", "f", s3),
		add("add_permission_conflicting_statement_id", "f", s3), `remove_permission_fn_doesnotexist RemovePermission {"FunctionName": "doesnotexist", "StatementId": "s3"}`,
		`remove_permission_fn_alias_doesnotexist RemovePermission {"FunctionName": "f", "StatementId": "s3", "Qualifier": "alias-doesnotexist"}`)
	run("test_function_revisions_permissions", "- "+create, add("add_permission_revision_exception", "f", s3+`, "RevisionId": "wrong"`))
	t.Logf("%d answers about tags and permissions agree", agreed)
}

// TestPublishedRevisions: a new version gives $LATEST another revision, as recorded of the policies of both; what a version's policy gets does not.
func TestPublishedRevisions(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.echo")
	revision := func(qualifier *string) string {
		t.Helper()
		out, err := w.client.GetFunctionConfiguration(w.Context(), &api.GetFunctionConfigurationInput{FunctionName: "f", Qualifier: qualifier})
		if err != nil {
			t.Fatal(err)
		}
		return *out.RevisionId
	}
	before := revision(nil)
	if _, err := w.client.PublishVersion(w.Context(), &api.PublishVersionInput{FunctionName: "f"}); err != nil {
		t.Fatal(err)
	}
	after, version := revision(nil), revision(wire.Ptr("1"))
	if after == before || version == after {
		t.Errorf("$LATEST had %s and has %s, the version %s", before, after, version)
	}
	if _, err := w.client.AddPermission(w.Context(), &api.AddPermissionInput{
		FunctionName: "f", Qualifier: wire.Ptr("1"), StatementId: "s", Action: "lambda:InvokeFunction", Principal: "s3.amazonaws.com",
	}); err != nil {
		t.Fatal(err)
	}
	if revision(nil) != after || revision(wire.Ptr("1")) == version {
		t.Error("the permission of a version is not the version's alone")
	}
}

// TestRecordedNames tries names and qualifiers of every form that was recorded.
func TestRecordedNames(t *testing.T) {
	all := recordings(t, "test_lambda_api.snapshot.json")
	long := func(n int) string { return strings.Repeat("a", n) }
	w, agreed := newWorld(t), 0
	for _, c := range []struct{ form, name, qualifier string }{
		{"function_name_is_single_invalid", "*", ""}, {"invalid_characters_in_function_name", "my-function!", ""},
		{"invalid_characters_in_qualifier", "my-function", "invalid!"}, {"qualifier_too_long0", "my-function", long(129)},
		{"qualifier_too_long", "my-function", long(129)}, {"qualifier_too_long1", "my-function", long(65)},
		{"function_name_and_qualifier_too_long", "my-function", long(65)},
		{"invalid_account_id_in_partial_arn", "invalid-account:function:my-function", ""},
		{"invalid_region_in_arn", "arn:aws:lambda:invalid-region:000000000000:function:my-function", ""},
		{"non_lambda_arn", "arn:aws:ec2:us-east-1:000000000000:instance:i-1234567890abcdef0", ""}, {"function_name_too_long", long(65), ""},
		{"function_name_too_long_and_invalid_region", "arn:aws:lambda:invalid-region:000000000000:function:my-function" + long(170), ""},
		{"full_arn_and_qualifier_too_long_and_invalid_region", "arn:aws:lambda:invalid-region:000000000000:function:my-function-" + long(170), long(129)},
		{"full_arn_with_multiple_qualifiers", functionARN + "my-function:1:2", ""}, {"incomplete_arn", "arn:aws:lambda:us-east-1:000000000000:function", ""},
		{"partial_arn_with_extra_qualifier", "function:my-function:$LATEST:extra", ""},
		{"latest_version_with_additional_qualifier", functionARN + "my-function:$LATEST", "1"}, {"lowercase_latest_qualifier", functionARN + "my-function", "$latest"},
		{"missing_region_in_arn", "arn:aws:lambda::000000000000:function:my-function", ""},
		{"missing_account_id_in_arn", "arn:aws:lambda:us-east-1::function:my-function", ""},
		{"misspelled_latest_in_arn", functionARN + "my-function:$LATES", ""},
	} {
		for key, operation := range map[string]string{"get_function": "GetFunction", "delete_function": "DeleteFunction", "invoke": "Invoke", "create_function": "CreateFunction"} {
			recorded, ok := all["test_function_name_and_qualifier_validation["+c.form+"-"+key+"]"][key+"_exception"].(map[string]any)
			if !ok {
				continue
			}
			input := map[string]any{"FunctionName": c.name}
			switch {
			case key == "create_function":
				if err := json.Unmarshal([]byte(strings.TrimPrefix(create, "CreateFunction ")), &input); err != nil {
					t.Fatal(err)
				}
				if input["FunctionName"] = c.name; c.qualifier != "" {
					input["FunctionName"] = c.name + ":" + c.qualifier
				}
			case c.qualifier != "":
				input["Qualifier"] = c.qualifier
			}
			if diff := w.refusal(t, operation, input, recorded); diff != "" {
				t.Errorf("%s of %s: %s", operation, c.form, diff)
				continue
			}
			agreed++
		}
	}
	t.Logf("%d answers about names agree", agreed)
}

// refusal makes a call and compares its error with a recorded one, whose parts may stand in any order.
func (w *world) refusal(t *testing.T, operation string, input map[string]any, recorded map[string]any) string {
	t.Helper()
	text, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Call("lambda."+operation, string(text))
	var refused *cloud.Error
	if !errors.As(err, &refused) {
		return fmt.Sprintf("got %v", err)
	}
	want, ok := recorded["Error"].(map[string]any)
	if !ok {
		want = recorded
	}
	got := map[string]any{"Code": refused.Code, "Message": refused.Message}
	if parts, many := want["Errors"].([]any); many {
		_, list, _ := strings.Cut(refused.Message, " detected: ")
		said := strings.Split(list, "; ")
		slices.Sort(said)
		slices.SortFunc(parts, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		var each []any
		for _, s := range said {
			each = append(each, s)
		}
		got = map[string]any{"Code": refused.Code, "Count": want["Count"], "Errors": each}
	}
	return agrees("", want, got)
}
