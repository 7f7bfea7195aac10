package cloudformation

import (
	"errors"
	"strings"
	"testing"

	api "croft/internal/awsapi/cloudformation"
	"croft/internal/cloud"
	"croft/internal/wire"
)

const two = `
Parameters: {V: {Type: String, Default: one}}
Resources:
  B:
    Type: Test::Thing
    Properties: {Name: b, Value: !Sub "${A} ${A.Arn}"}
  A:
    Type: Test::Thing
    Properties: {Name: a, Value: !Ref V}
Outputs:
  Which: {Value: !GetAtt A.Value, Description: the value}
`

func body(s string) *string { return &s }

func TestCreateAndDelete(t *testing.T) {
	b := newBench(t)
	st := b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(two), Tags: []api.Tag{{Key: "k", Value: "v"}}})
	if st.StackStatus != "CREATE_COMPLETE" || *st.Outputs[0].OutputValue != "one" || *st.Parameters[0].ParameterValue != "one" {
		t.Fatalf("%+v", st)
	}
	same(t, b.fakes.things(t), "a=one b=a arn:thing:a")
	deleted := b.delete(*st.StackId)
	if deleted.StackStatus != "DELETE_COMPLETE" || deleted.DeletionTime == nil || deleted.Outputs != nil {
		t.Fatalf("%+v", deleted)
	}
	same(t, b.fakes.things(t), "")
	same(t, b.events(*st.StackId), `
s CREATE_IN_PROGRESS (User Initiated)
A CREATE_IN_PROGRESS
A CREATE_IN_PROGRESS a (Resource creation Initiated)
A CREATE_COMPLETE a
B CREATE_IN_PROGRESS
B CREATE_IN_PROGRESS b (Resource creation Initiated)
B CREATE_COMPLETE b
s CREATE_COMPLETE
s DELETE_IN_PROGRESS (User Initiated)
B DELETE_IN_PROGRESS b
B DELETE_COMPLETE b
A DELETE_IN_PROGRESS a
A DELETE_COMPLETE a
s DELETE_COMPLETE`)
	_, err := b.cfn.DescribeStacks(b.Context(), &api.DescribeStacksInput{StackName: wire.Ptr("s")})
	refused(t, err, "ValidationError: Stack with id s does not exist")
}

func TestCreateRollsBack(t *testing.T) {
	b := newBench(t)
	b.fakes.order("create B", cloud.Errorf("QuotaExceeded", "no more things"))
	st := b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(two)})
	if st.StackStatus != "ROLLBACK_COMPLETE" {
		t.Fatal(st.StackStatus)
	}
	same(t, b.fakes.things(t), "")
	events := b.events("s")
	i := strings.Index(events, "RequestToken: ")
	events = events[:i+len("RequestToken: ")] + "…" + events[i+len("RequestToken: ")+36:]
	same(t, events, `
s CREATE_IN_PROGRESS (User Initiated)
A CREATE_IN_PROGRESS
A CREATE_IN_PROGRESS a (Resource creation Initiated)
A CREATE_COMPLETE a
B CREATE_IN_PROGRESS
B CREATE_FAILED (Resource handler returned message: "no more things" (RequestToken: …, HandlerErrorCode: QuotaExceeded))
s ROLLBACK_IN_PROGRESS (The following resource(s) failed to create: [B]. Rollback requested by user.)
B DELETE_COMPLETE
A DELETE_IN_PROGRESS a
A DELETE_COMPLETE a
s ROLLBACK_COMPLETE`)
	_, err := b.cfn.UpdateStack(b.Context(), &api.UpdateStackInput{StackName: "s", TemplateBody: body(two)})
	refused(t, err, "ValidationError: Stack:"+*st.StackId+" is in ROLLBACK_COMPLETE state and can not be updated.")
}

func TestOnFailure(t *testing.T) {
	for _, c := range []struct{ onFailure, status, reason, things string }{
		{"DO_NOTHING", "CREATE_FAILED", "The following resource(s) failed to create: [B]. ", "a=one"},
		{"DELETE", "DELETE_COMPLETE", "", ""},
	} {
		b := newBench(t)
		b.fakes.order("create B", errors.New("something inside"))
		st := b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(two), OnFailure: &c.onFailure})
		if st.StackStatus != c.status || wire.Value(st.StackStatusReason) != c.reason {
			t.Errorf("%s: %s %q", c.onFailure, st.StackStatus, wire.Value(st.StackStatusReason))
		}
		same(t, b.fakes.things(t), c.things)
		if events := b.events(*st.StackId); !strings.Contains(events, "B CREATE_FAILED (Internal Failure)") {
			t.Errorf("events:\n%s", events)
		}
	}
}

func TestPanicFailsTheResource(t *testing.T) {
	b := newBench(t)
	b.fakes.order("create A", errors.New("panic"))
	st := b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(two)})
	if st.StackStatus != "ROLLBACK_COMPLETE" {
		t.Fatal(st.StackStatus)
	}
	same(t, b.fakes.things(t), "")
}

func TestUpdateFailsAndGoesBack(t *testing.T) {
	b := newBench(t)
	st := b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(`
Resources:
  A: {Type: Test::Thing, Properties: {Name: a, Value: one}}
  B: {Type: Test::Thing, Properties: {Name: b, Value: !Ref A}}
  Gone: {Type: Test::Thing, Properties: {Name: gone}}
  Z: {Type: Test::Thing, DependsOn: [B, Gone], Properties: {Name: z, Value: old}}
`)})
	b.fakes.order("update Z", cloud.Errorf("ValidationError", "not like this"))
	next := b.update(&api.UpdateStackInput{StackName: "s", TemplateBody: body(`
Resources:
  A: {Type: Test::Thing, Properties: {Name: a2, Value: two}}
  B: {Type: Test::Thing, Properties: {Name: b, Value: !Ref A}}
  New: {Type: Test::Thing, DependsOn: B, Properties: {Name: new}}
  Z: {Type: Test::Thing, DependsOn: [B, New], Properties: {Name: z, Value: new}}
`)})
	// The update back succeeds: only the one to the new value was refused, before it had any effect.
	if next.StackStatus != "UPDATE_ROLLBACK_COMPLETE" {
		t.Fatal(next.StackStatus, b.events("s"))
	}
	same(t, b.fakes.things(t), "a=one b=a gone= z=old")
	events, _ := strings.CutPrefix(b.events("s"), b.events("s")[:strings.Index(b.events("s"), "s UPDATE_IN_PROGRESS")])
	same(t, events, `
s UPDATE_IN_PROGRESS (User Initiated)
A UPDATE_IN_PROGRESS a (Requested update requires the creation of a new physical resource; hence creating one.)
A UPDATE_IN_PROGRESS a2 (Resource creation Initiated)
A UPDATE_COMPLETE a2
B UPDATE_IN_PROGRESS b
B UPDATE_COMPLETE b
New CREATE_IN_PROGRESS
New CREATE_IN_PROGRESS new (Resource creation Initiated)
New CREATE_COMPLETE new
Z UPDATE_IN_PROGRESS z
Z UPDATE_FAILED z (not like this)
s UPDATE_ROLLBACK_IN_PROGRESS (The following resource(s) failed to update: [Z]. Rollback requested by user.)
Z UPDATE_IN_PROGRESS z
Z UPDATE_COMPLETE z
B UPDATE_IN_PROGRESS b
B UPDATE_COMPLETE b
A UPDATE_IN_PROGRESS a
A UPDATE_COMPLETE a
s UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS
New DELETE_IN_PROGRESS new
New DELETE_COMPLETE new
A DELETE_IN_PROGRESS a2
A DELETE_COMPLETE a2
s UPDATE_ROLLBACK_COMPLETE`)
	if st = b.delete(*st.StackId); st.StackStatus != "DELETE_COMPLETE" {
		t.Fatal(st.StackStatus)
	}
	same(t, b.fakes.things(t), "")
}

func TestUpdate(t *testing.T) {
	b := newBench(t)
	b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(`
Resources:
  A: {Type: Test::Thing, Properties: {Name: a, Value: one, Count: 1}}
  Kept: {Type: Test::Thing, DeletionPolicy: Retain, Properties: {Name: kept}}
  Gone: {Type: Test::Thing, Properties: {Name: gone, Value: !Ref A}}
`)})
	st := b.update(&api.UpdateStackInput{StackName: "s", TemplateBody: body(`
Resources:
  A: {Type: Test::Thing, UpdateReplacePolicy: Delete, Properties: {Name: a3, Value: one, Count: "1"}}
Outputs: {Arn: {Value: !GetAtt A.Arn}}
`)})
	if st.StackStatus != "UPDATE_COMPLETE" || *st.Outputs[0].OutputValue != "arn:thing:a3" || st.LastUpdatedTime == nil {
		t.Fatalf("%+v", st)
	}
	same(t, b.fakes.things(t), "a3=one kept=")
	_, err := b.cfn.UpdateStack(b.Context(), &api.UpdateStackInput{StackName: "s", UsePreviousTemplate: wire.Ptr(true)})
	refused(t, err, "ValidationError: No updates are to be performed.")
	out, err := b.cfn.ListStackResources(b.Context(), &api.ListStackResourcesInput{StackName: "s"})
	if err != nil || len(out.StackResourceSummaries) != 1 || *out.StackResourceSummaries[0].PhysicalResourceId != "a3" {
		t.Fatalf("%+v %v", out, err)
	}
	_, err = b.cfn.DescribeStackResource(b.Context(), &api.DescribeStackResourceInput{StackName: "s", LogicalResourceId: "Gone"})
	refused(t, err, "ValidationError: Resource Gone does not exist for stack s")
}

// Parts of different things may have one name, in one stack or several, and also one after the other.
func TestNamesWithinSomething(t *testing.T) {
	b := newBench(t)
	part := func(in string) string {
		return `{"Resources": {"A": {"Type": "Test::Thing", "Properties": {"Name": "$default", "In": "` + in + `"}}}}`
	}
	b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(part("x/"))})
	b.create(&api.CreateStackInput{StackName: "t", TemplateBody: body(part("y/"))})
	same(t, b.fakes.things(t), "x/$default= y/$default=")
	if st := b.update(&api.UpdateStackInput{StackName: "s", TemplateBody: body(part("z/"))}); st.StackStatus != "UPDATE_COMPLETE" {
		t.Errorf("%s\n%s", st.StackStatus, b.events("s"))
	}
	same(t, b.fakes.things(t), "y/$default= z/$default=")
	if st := b.update(&api.UpdateStackInput{StackName: "s", TemplateBody: body(part("y/"))}); st.StackStatus != "UPDATE_ROLLBACK_COMPLETE" {
		t.Errorf("a part that another stack has: %s", st.StackStatus)
	}
}

// A resource whose name stays cannot be replaced: deleting the old one would delete the new one.
func TestReplacementOfANamedResource(t *testing.T) {
	b := newBench(t)
	b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(`{"Resources": {"A": {"Type": "Test::Thing", "Properties": {"Name": "a"}}}}`)})
	st := b.update(&api.UpdateStackInput{
		StackName: "s", TemplateBody: body(`{"Resources": {"B": {"Type": "Test::Thing", "Properties": {"Name": "a"}}}}`),
	})
	if st.StackStatus != "UPDATE_ROLLBACK_COMPLETE" || !strings.Contains(b.events("s"), "B CREATE_FAILED (a already exists in stack "+*st.StackId+")") {
		t.Fatal(st.StackStatus, b.events("s"))
	}
	same(t, b.fakes.things(t), "a=")
}

func TestDeleteFails(t *testing.T) {
	b := newBench(t)
	st := b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(two)})
	b.fakes.order("delete B", cloud.Errorf("InUse", "still needed"))
	st = b.delete(*st.StackId)
	if st.StackStatus != "DELETE_FAILED" || *st.StackStatusReason != "The following resource(s) failed to delete: [B]. " {
		t.Fatal(st.StackStatus, wire.Value(st.StackStatusReason))
	}
	_, err := b.cfn.DeleteStack(b.Context(), &api.DeleteStackInput{StackName: "s", RetainResources: []string{"A"}})
	refused(t, err, "ValidationError: The following resource(s) are not in the DELETE_FAILED state and cannot be retained: [A]")
	if _, err = b.cfn.DeleteStack(b.Context(), &api.DeleteStackInput{StackName: "s", RetainResources: []string{"B"}}); err != nil {
		t.Fatal(err)
	}
	if st = b.wait(*st.StackId); st.StackStatus != "DELETE_COMPLETE" {
		t.Fatal(st.StackStatus)
	}
	same(t, b.fakes.things(t), "b=a arn:thing:a")
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		in   api.CreateStackInput
		want string
	}{
		{api.CreateStackInput{TemplateBody: body(`{"Resources":{"A":{"Type":"AWS::X::Y"},"B":{"Type":"AWS::X::Z"}}}`)},
			"ValidationError: Template format error: Unrecognized resource types: [AWS::X::Y, AWS::X::Z]"},
		{api.CreateStackInput{TemplateBody: body(`{"Resources":{"A":{"Type":"Test::Thing","Properties":{"Colour":1}},"B":{"Type":"Test::Thing","Properties":{"Tags":[{"Key":"a"}]}}}}`)},
			"ValidationError: Template error: resource A: Test::Thing property Colour: not supported by croft; " +
				"resource B: Test::Thing property Tags.0.Value: is required"},
		{api.CreateStackInput{TemplateBody: body(`{"Resources":{"A":{"Type":"AWS::IAM::Role"}}}`)},
			"InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_IAM]"},
		{api.CreateStackInput{TemplateBody: body(`{"Resources":{"A":{"Type":"AWS::IAM::Role","Properties":{"RoleName":"x"}}}}`), Capabilities: []string{"CAPABILITY_IAM"}},
			"InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_NAMED_IAM]"},
		{api.CreateStackInput{}, "ValidationError: Either Template URL or Template Body must be specified."},
		{api.CreateStackInput{TemplateURL: body("https://example.com/b/k")}, "ValidationError: TemplateURL must be a supported URL."},
		{api.CreateStackInput{TemplateBody: body(two), NotificationARNs: []string{"arn:aws:sns:us-east-1:000000000000:t"}},
			"ValidationError: The parameter NotificationARNs is not supported by croft."},
		{api.CreateStackInput{TemplateBody: body(two), ResourceTypes: []string{"AWS::SNS::*"}},
			"ValidationError: Resource type Test::Thing is not allowed by parameter ResourceTypes [AWS::SNS::*]"},
		{api.CreateStackInput{TemplateBody: body(two), Parameters: []api.Parameter{{ParameterKey: wire.Ptr("X"), ParameterValue: wire.Ptr("1")}}},
			"ValidationError: Parameters: [X] do not exist in the template"},
	} {
		c.in.StackName = "s"
		_, err := b.cfn.CreateStack(b.Context(), &c.in)
		refused(t, err, c.want)
	}
	out, err := b.cfn.ListStacks(b.Context(), &api.ListStacksInput{})
	if err != nil || len(out.StackSummaries) != 0 {
		t.Errorf("a refused stack is there: %+v %v", out, err)
	}
}

func TestTokens(t *testing.T) {
	b := newBench(t)
	in := &api.CreateStackInput{StackName: "s", TemplateBody: body(two), ClientRequestToken: wire.Ptr("t1")}
	st := b.create(in)
	again, err := b.cfn.CreateStack(b.Context(), in)
	if err != nil || *again.StackId != *st.StackId {
		t.Fatalf("%+v %v", again, err)
	}
	_, err = b.cfn.DeleteStack(b.Context(), &api.DeleteStackInput{StackName: "s", ClientRequestToken: wire.Ptr("t1")})
	refused(t, err, "TokenAlreadyExistsException: A stack operation with the ClientRequestToken t1 already exists")
	in.ClientRequestToken = wire.Ptr("t2")
	_, err = b.cfn.CreateStack(b.Context(), in)
	refused(t, err, "AlreadyExistsException: Stack [s] already exists")
}

func TestExports(t *testing.T) {
	b := newBench(t)
	exporter := `{"Parameters":{"V":{"Type":"String","Default":"1"}},"Resources":{"A":{"Type":"Test::Thing","Properties":{"Name":"a"}}},
		"Outputs":{"O":{"Value":{"Ref":"V"},"Export":{"Name":"shared"}}}}`
	b.create(&api.CreateStackInput{StackName: "from", TemplateBody: &exporter})
	other := b.create(&api.CreateStackInput{StackName: "other", TemplateBody: body(strings.ReplaceAll(exporter, `"a"`, `"other"`))})
	if other.StackStatus != "ROLLBACK_COMPLETE" || !strings.Contains(b.events("other"), "Export with name shared is already exported by stack from.") {
		t.Fatal(b.events("other"))
	}
	b.create(&api.CreateStackInput{
		StackName: "to", TemplateBody: body(`{"Resources":{"B":{"Type":"Test::Thing","Properties":{"Name":"b","Value":{"Fn::ImportValue":"shared"}}}}}`),
	})
	same(t, b.fakes.things(t), "a= b=1")
	st := b.update(&api.UpdateStackInput{
		StackName: "from", UsePreviousTemplate: wire.Ptr(true),
		Parameters: []api.Parameter{{ParameterKey: wire.Ptr("V"), ParameterValue: wire.Ptr("2")}},
	})
	if st.StackStatus != "UPDATE_ROLLBACK_COMPLETE" || *st.Parameters[0].ParameterValue != "1" {
		t.Fatal(st.StackStatus)
	}
	if st = b.delete(*st.StackId); st.StackStatus != "DELETE_FAILED" || *st.StackStatusReason != "Export shared cannot be deleted as it is in use by to" {
		t.Fatal(st.StackStatus, wire.Value(st.StackStatusReason))
	}
	exports, err := b.cfn.ListExports(b.Context(), &api.ListExportsInput{})
	if err != nil || len(exports.Exports) != 1 || *exports.Exports[0].Name != "shared" || *exports.Exports[0].ExportingStackId != *st.StackId {
		t.Errorf("%+v %v", exports, err)
	}
	imports, err := b.cfn.ListImports(b.Context(), &api.ListImportsInput{ExportName: "shared"})
	if err != nil || len(imports.Imports) != 1 || imports.Imports[0] != "to" {
		t.Errorf("%+v %v", imports, err)
	}
	to := b.describe("to")
	b.delete(*to.StackId)
	if st = b.delete(*st.StackId); st.StackStatus != "DELETE_COMPLETE" {
		t.Fatal(st.StackStatus)
	}
	same(t, b.fakes.things(t), "")
}
