package cloudformation

import (
	"strings"
	"testing"

	api "croft/internal/awsapi/cloudformation"
	"croft/internal/cloud"
	"croft/internal/wire"
)

// An update that fails without rollback leaves what it did; the next one goes on from there, or back to before both.
func TestUpdateWithoutRollback(t *testing.T) {
	for _, c := range []struct {
		fails        bool
		status, left string
	}{
		{false, "UPDATE_COMPLETE", "a=two b=two c="},
		{true, "UPDATE_ROLLBACK_COMPLETE", "a=one b=one"},
	} {
		b := newBench(t)
		b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(`
Resources:
  A: {Type: Test::Thing, Properties: {Name: a, Value: one}}
  B: {Type: Test::Thing, DependsOn: A, Properties: {Name: b, Value: one}}`)})
		next := body(`
Resources:
  A: {Type: Test::Thing, Properties: {Name: a, Value: two}}
  B: {Type: Test::Thing, DependsOn: A, Properties: {Name: b, Value: two}}
  C: {Type: Test::Thing, DependsOn: B, Properties: {Name: c}}`)
		b.fakes.order("update B", cloud.Errorf("Broken", "no"))
		st := b.update(&api.UpdateStackInput{StackName: "s", TemplateBody: next, DisableRollback: wire.Ptr(true)})
		if st.StackStatus != "UPDATE_FAILED" || *st.StackStatusReason != "The following resource(s) failed to update: [B]. " || !*st.DisableRollback {
			t.Fatal(st.StackStatus, wire.Value(st.StackStatusReason))
		}
		same(t, b.fakes.things(t), "a=two b=one")
		b.fakes.order("update B", nil)
		if c.fails {
			b.fakes.order("create C", cloud.Errorf("Broken", "no"))
		}
		if st = b.update(&api.UpdateStackInput{StackName: "s", TemplateBody: next}); st.StackStatus != c.status {
			t.Fatal(st.StackStatus, b.events("s"))
		}
		same(t, b.fakes.things(t), c.left)
		out, err := b.cfn.GetTemplate(b.Context(), &api.GetTemplateInput{StackName: wire.Ptr("s")})
		if err != nil || strings.Contains(*out.TemplateBody, "two") == c.fails {
			t.Errorf("%v %v", out, err)
		}
	}
}

func TestUpdateRollbackFails(t *testing.T) {
	b := newBench(t)
	b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(two)})
	b.fakes.order("update B", cloud.Errorf("Broken", "no"))
	b.fakes.order("create C", cloud.Errorf("Broken", "no"))
	b.fakes.order("update A", nil)
	next := strings.ReplaceAll(two, "Default: one", "Default: two") + "\n"
	next = strings.Replace(next, "Resources:", "Resources:\n  C: {Type: Test::Thing, DependsOn: A}", 1)
	in := &api.UpdateStackInput{StackName: "s", TemplateBody: &next}
	// A is updated and C fails; then A cannot go back either.
	if _, err := b.cfn.UpdateStack(b.Context(), in); err != nil {
		t.Fatal(err)
	}
	st := b.wait("s")
	if st.StackStatus != "UPDATE_ROLLBACK_COMPLETE" {
		t.Fatal(st.StackStatus, b.events("s"))
	}
	b.fakes.onUpdate = func(value string) error {
		if value == "one" {
			return cloud.Errorf("Broken", "no way back")
		}
		return nil
	}
	if st = b.update(in); st.StackStatus != "UPDATE_ROLLBACK_FAILED" || *st.StackStatusReason != "The following resource(s) failed to update: [A]. " {
		t.Fatal(st.StackStatus, wire.Value(st.StackStatusReason))
	}
	_, err := b.cfn.UpdateStack(b.Context(), in)
	refused(t, err, "ValidationError: Stack:"+*st.StackId+" is in UPDATE_ROLLBACK_FAILED state and can not be updated.")
	if st = b.delete(*st.StackId); st.StackStatus != "DELETE_COMPLETE" {
		t.Fatal(st.StackStatus)
	}
	same(t, b.fakes.things(t), "")
}

// A rollback that cannot remove what had been made says so; the stack can be deleted later.
func TestRollbackFails(t *testing.T) {
	b := newBench(t)
	b.fakes.order("create B", cloud.Errorf("Broken", "no"))
	b.fakes.order("delete A", cloud.Errorf("Broken", "stays"))
	st := b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(two)})
	if st.StackStatus != "ROLLBACK_FAILED" || *st.StackStatusReason != "The following resource(s) failed to delete: [A]. " || st.DeletionTime == nil {
		t.Fatalf("%+v", st)
	}
	b.fakes.order("delete A", nil)
	if st = b.delete(*st.StackId); st.StackStatus != "DELETE_COMPLETE" {
		t.Fatal(st.StackStatus)
	}
	same(t, b.fakes.things(t), "")
}

func TestTransform(t *testing.T) {
	b := newBench(t)
	template := `
Transform: AWS::Serverless-2016-10-31
Resources:
  T: {Type: "AWS::Serverless::SimpleTable"}`
	_, err := b.cfn.CreateStack(b.Context(), &api.CreateStackInput{StackName: "s", TemplateBody: &template})
	refused(t, err, "InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_AUTO_EXPAND]")
	cs := b.changeSet(&api.CreateChangeSetInput{StackName: "s", ChangeSetName: "c", ChangeSetType: wire.Ptr("CREATE"), TemplateBody: &template})
	b.execute(*cs.ChangeSetId)
	if st := b.wait("s"); st.StackStatus != "CREATE_COMPLETE" {
		t.Fatal(b.events("s"))
	}
	for stage, want := range map[string]string{"Original": template, "Processed": `"Type":"AWS::DynamoDB::Table"`} {
		out, err := b.cfn.GetTemplate(b.Context(), &api.GetTemplateInput{StackName: wire.Ptr("s"), TemplateStage: &stage})
		if err != nil || !strings.Contains(*out.TemplateBody, want) {
			t.Errorf("%s: %v %v", stage, out, err)
		}
	}
	valid, err := b.cfn.ValidateTemplate(b.Context(), &api.ValidateTemplateInput{TemplateBody: &template})
	if err != nil || valid.DeclaredTransforms[0] != "AWS::Serverless-2016-10-31" {
		t.Errorf("%+v %v", valid, err)
	}
}
