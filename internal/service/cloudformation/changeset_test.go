package cloudformation

import (
	"encoding/json"
	"strings"
	"testing"

	api "croft/internal/awsapi/cloudformation"
	"croft/internal/wire"
)

func (b *bench) changeSet(in *api.CreateChangeSetInput) *api.DescribeChangeSetOutput {
	b.t.Helper()
	out, err := b.cfn.CreateChangeSet(b.Context(), in)
	if err != nil {
		b.t.Fatal(err)
	}
	cs, err := b.cfn.DescribeChangeSet(b.Context(), &api.DescribeChangeSetInput{ChangeSetName: *out.Id})
	if err != nil {
		b.t.Fatal(err)
	}
	return cs
}

func (b *bench) execute(id string) {
	b.t.Helper()
	if _, err := b.cfn.ExecuteChangeSet(b.Context(), &api.ExecuteChangeSetInput{ChangeSetName: id}); err != nil {
		b.t.Fatal(err)
	}
}

// lines returns the changes, a line each and one for each detail.
func lines(changes []api.Change) string {
	var out strings.Builder
	for _, c := range changes {
		r := c.ResourceChange
		out.WriteString(*r.Action + " " + *r.LogicalResourceId)
		for _, s := range []*string{r.PhysicalResourceId, r.Replacement, r.PolicyAction} {
			out.WriteString(" " + wire.Value(s))
		}
		out.WriteString(" [" + strings.Join(r.Scope, " ") + "]\n")
		for _, d := range r.Details {
			t := d.Target
			out.WriteString("  " + *t.Attribute + " " + wire.Value(t.Name) + " " + *t.RequiresRecreation + " " + *d.Evaluation + " " +
				*d.ChangeSource + " " + wire.Value(d.CausingEntity))
			if t.AfterValue != nil {
				out.WriteString(" " + wire.Value(t.BeforeValue) + "->" + *t.AfterValue)
			}
			out.WriteString("\n")
		}
	}
	return strings.ReplaceAll(out.String(), " \n", "\n")
}

func TestChangeSetCreates(t *testing.T) {
	b := newBench(t)
	cs := b.changeSet(&api.CreateChangeSetInput{
		StackName: "s", ChangeSetName: "c1", ChangeSetType: wire.Ptr("CREATE"), TemplateBody: body(two), Tags: []api.Tag{{Key: "k", Value: "v"}},
	})
	if *cs.Status != "CREATE_COMPLETE" || *cs.ExecutionStatus != "AVAILABLE" || len(cs.Tags) != 1 {
		t.Fatalf("%+v", cs)
	}
	same(t, lines(cs.Changes), "Add B    []\nAdd A    []")
	st := b.wait("s")
	if st.StackStatus != "REVIEW_IN_PROGRESS" || *st.StackStatusReason != "User Initiated" || st.Parameters != nil || len(st.Tags) != 0 {
		t.Fatalf("%+v", st)
	}
	b.execute(*cs.ChangeSetId)
	st = b.wait("s")
	if st.StackStatus != "CREATE_COMPLETE" || *st.ChangeSetId != *cs.ChangeSetId || st.LastUpdatedTime == nil {
		t.Fatalf("%+v", st)
	}
	if !strings.HasPrefix(b.events("s"), "s REVIEW_IN_PROGRESS (User Initiated)\ns CREATE_IN_PROGRESS (User Initiated)\n") {
		t.Error(b.events("s"))
	}
	_, err := b.cfn.ExecuteChangeSet(b.Context(), &api.ExecuteChangeSetInput{ChangeSetName: "c1", StackName: wire.Ptr("s")})
	refused(t, err, "InvalidChangeSetStatus: ChangeSet ["+*cs.ChangeSetId+"] cannot be executed in its current execution status of [EXECUTE_COMPLETE]")

	none := b.changeSet(&api.CreateChangeSetInput{StackName: "s", ChangeSetName: "c1", TemplateBody: body(two)})
	if *none.Status != "FAILED" || *none.StatusReason != noChanges || *none.ExecutionStatus != "UNAVAILABLE" {
		t.Fatalf("%+v", none)
	}
	_, err = b.cfn.ExecuteChangeSet(b.Context(), &api.ExecuteChangeSetInput{ChangeSetName: *none.ChangeSetId})
	refused(t, err, "InvalidChangeSetStatus: ChangeSet ["+*none.ChangeSetId+"] cannot be executed in its current status of [FAILED]")
	_, err = b.cfn.CreateChangeSet(b.Context(), &api.CreateChangeSetInput{
		StackName: "s", ChangeSetName: "c3", ChangeSetType: wire.Ptr("CREATE"), TemplateBody: body(two),
	})
	refused(t, err, "ValidationError: Stack [s] already exists and cannot be created again with the changeSet [c3].")
}

func TestChangeSetDetails(t *testing.T) {
	b := newBench(t)
	b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(`
Parameters: {V: {Type: String, Default: one}, N: {Type: String, Default: n1}}
Resources:
  A: {Type: Test::Thing, Properties: {Name: a, Value: !Ref V}}
  B: {Type: Test::Thing, Properties: {Name: b, Value: !GetAtt A.Value}}
  C: {Type: Test::Thing, Properties: {Name: !Ref N, Value: same}}
  D: {Type: Test::Thing, Properties: {Name: !Sub "${C}x"}}
  E: {Type: Test::Thing, Properties: {Name: e, Count: 1}}
  F: {Type: Test::Thing, Properties: {Name: f}}
`)})
	in := &api.CreateChangeSetInput{StackName: "s", ChangeSetName: "c", TemplateBody: body(`
Parameters: {V: {Type: String}, N: {Type: String, Default: n1}}
Resources:
  A: {Type: Test::Thing, Properties: {Name: a, Value: !Ref V}}
  B: {Type: Test::Thing, Properties: {Name: b, Value: !GetAtt A.Value}}
  C: {Type: Test::Thing, UpdateReplacePolicy: Retain, Properties: {Name: !Ref N, Value: same}}
  D: {Type: Test::Thing, Properties: {Name: !Sub "${C}x"}}
  E: {Type: Test::Thing, Metadata: {x: y}, Properties: {Name: e, Count: 2, List: [x]}}
  G: {Type: Test::Thing, Properties: {Value: !GetAtt C.Arn}}
`), Parameters: []api.Parameter{
		{ParameterKey: wire.Ptr("V"), ParameterValue: wire.Ptr("two")}, {ParameterKey: wire.Ptr("N"), ParameterValue: wire.Ptr("n2")},
	}}
	cs := b.changeSet(in)
	same(t, lines(cs.Changes), `
Modify A a False  [Properties]
  Properties Value Never Static ParameterReference V
  Properties Value Never Dynamic DirectModification
Modify B b False  [Properties]
  Properties Value Never Dynamic ResourceAttribute A.Value
Modify C n1 True ReplaceAndRetain [Properties UpdateReplacePolicy]
  Properties Name Always Static ParameterReference N
  Properties Name Always Dynamic DirectModification
  UpdateReplacePolicy  Never Static DirectModification
Modify D n1x Conditional ReplaceAndDelete [Properties]
  Properties Name Always Dynamic ResourceReference C
Modify E e False  [Metadata Properties]
  Properties Count Never Static DirectModification
  Properties List Never Static DirectModification
  Metadata  Never Static DirectModification
Add G    []
Remove F f  Delete []`)
	values, err := b.cfn.DescribeChangeSet(b.Context(), &api.DescribeChangeSetInput{
		ChangeSetName: "c", StackName: wire.Ptr("s"), IncludePropertyValues: wire.Ptr(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	var after struct{ Properties map[string]any }
	g := values.Changes[len(values.Changes)-2].ResourceChange
	if err := json.Unmarshal([]byte(*g.AfterContext), &after); err != nil || after.Properties["Value"] != "{{changeSet:KNOWN_AFTER_APPLY}}" {
		t.Errorf("%s %v", *g.AfterContext, err)
	}
	if got := lines(values.Changes[:1]); !strings.Contains(got, "ParameterReference V one->two") {
		t.Error(got)
	}
	b.execute(*cs.ChangeSetId)
	if st := b.wait("s"); st.StackStatus != "UPDATE_COMPLETE" {
		t.Fatal(b.events("s"))
	}
}

func TestChangeSetRefusals(t *testing.T) {
	b := newBench(t)
	_, err := b.cfn.DescribeChangeSet(b.Context(), &api.DescribeChangeSetInput{ChangeSetName: "c", StackName: wire.Ptr("somestack")})
	refused(t, err, "ValidationError: Stack [somestack] does not exist")
	_, err = b.cfn.DeleteChangeSet(b.Context(), &api.DeleteChangeSetInput{ChangeSetName: "c"})
	refused(t, err, "ValidationError: StackName must be specified if ChangeSetName is not specified as an ARN.")
	_, err = b.cfn.CreateChangeSet(b.Context(), &api.CreateChangeSetInput{StackName: "s", ChangeSetName: "c", TemplateBody: body(two)})
	refused(t, err, "ValidationError: Stack [s] does not exist")
	cs := b.changeSet(&api.CreateChangeSetInput{StackName: "s", ChangeSetName: "c", ChangeSetType: wire.Ptr("CREATE"), TemplateBody: body(two)})
	_, err = b.cfn.CreateChangeSet(b.Context(), &api.CreateChangeSetInput{
		StackName: "s", ChangeSetName: "c", ChangeSetType: wire.Ptr("CREATE"), TemplateBody: body(two),
	})
	refused(t, err, "AlreadyExistsException: ChangeSet c already exists")
	st := b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(two)})
	if *st.StackId != *cs.StackId {
		t.Error("the stack in review is not the one that was created")
	}
	old, err := b.cfn.DescribeChangeSet(b.Context(), &api.DescribeChangeSetInput{ChangeSetName: *cs.ChangeSetId})
	if err != nil || *old.ExecutionStatus != "OBSOLETE" {
		t.Fatalf("%+v %v", old, err)
	}
	b.delete(*st.StackId)
	_, err = b.cfn.DescribeChangeSet(b.Context(), &api.DescribeChangeSetInput{ChangeSetName: *cs.ChangeSetId})
	refused(t, err, "ChangeSetNotFound: ChangeSet ["+*cs.ChangeSetId+"] does not exist")
	_, err = b.cfn.CreateChangeSet(b.Context(), &api.CreateChangeSetInput{StackName: *st.StackId, ChangeSetName: "c", TemplateBody: body(two)})
	refused(t, err, "ValidationError: Stack:"+*st.StackId+" is in DELETE_COMPLETE state and can not be updated.")
}

func TestNoEcho(t *testing.T) {
	b := newBench(t)
	st := b.create(&api.CreateStackInput{
		StackName: "s", TemplateBody: body(`
Parameters: {P: {Type: String, NoEcho: true}}
Resources: {A: {Type: Test::Thing, Properties: {Name: a, Value: !Sub "x-${P}"}}}`),
		Parameters: []api.Parameter{{ParameterKey: wire.Ptr("P"), ParameterValue: wire.Ptr("hunter2")}},
	})
	same(t, b.fakes.things(t), "a=x-hunter2")
	if *st.Parameters[0].ParameterValue != "****" {
		t.Error("the secret is shown")
	}
	b.delete(*st.StackId)
	out, err := b.cfn.DescribeStackEvents(b.Context(), &api.DescribeStackEventsInput{StackName: *st.StackId})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range out.StackEvents {
		if strings.Contains(wire.Value(e.ResourceProperties), "hunter2") {
			t.Errorf("an event shows the secret: %s", *e.ResourceProperties)
		}
	}
}
