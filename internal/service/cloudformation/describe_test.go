package cloudformation

import (
	"fmt"
	"strings"
	"testing"

	api "croft/internal/awsapi/cloudformation"
	"croft/internal/wire"
)

func TestLists(t *testing.T) {
	b := newBench(t)
	const n = pageSize + 5
	for i := range n {
		b.create(&api.CreateStackInput{
			StackName:    fmt.Sprintf("s%03d", i),
			TemplateBody: body(fmt.Sprintf(`{"Description": "d", "Resources": {"A": {"Type": "Test::Thing", "Properties": {"Name": "n%03d"}}}}`, i)),
		})
	}
	b.delete(*b.describe("s000").StackId)
	seen := map[string]bool{}
	in := &api.DescribeStacksInput{}
	for {
		out, err := b.cfn.DescribeStacks(b.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range out.Stacks {
			seen[st.StackName] = true
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if len(seen) != n-1 || seen["s000"] {
		t.Errorf("%d stacks", len(seen))
	}
	list, err := b.cfn.ListStacks(b.Context(), &api.ListStacksInput{StackStatusFilter: []string{"DELETE_COMPLETE"}})
	if err != nil || len(list.StackSummaries) != 1 || list.StackSummaries[0].StackName != "s000" {
		t.Errorf("%+v %v", list, err)
	}
	_, err = b.cfn.DescribeStacks(b.Context(), &api.DescribeStacksInput{NextToken: wire.Ptr("?")})
	refused(t, err, "ValidationError: NextToken is not valid")
}

func TestResourcesAndTemplates(t *testing.T) {
	b := newBench(t)
	st := b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(two)})
	for _, in := range []api.DescribeStackResourcesInput{
		{StackName: wire.Ptr("s")}, {StackName: st.StackId}, {PhysicalResourceId: wire.Ptr("a")},
	} {
		out, err := b.cfn.DescribeStackResources(b.Context(), &in)
		if err != nil || len(out.StackResources) != 2 || *out.StackResources[1].PhysicalResourceId != "b" {
			t.Errorf("%+v %v", out, err)
		}
	}
	one, err := b.cfn.DescribeStackResource(b.Context(), &api.DescribeStackResourceInput{StackName: "s", LogicalResourceId: "A"})
	if err != nil || *one.StackResourceDetail.Metadata != "{}" || one.StackResourceDetail.ResourceStatus != "CREATE_COMPLETE" {
		t.Errorf("%+v %v", one, err)
	}
	_, err = b.cfn.DescribeStackResource(b.Context(), &api.DescribeStackResourceInput{StackName: "no", LogicalResourceId: "A"})
	refused(t, err, "ValidationError: Stack 'no' does not exist")
	_, err = b.cfn.DescribeStackResource(b.Context(), &api.DescribeStackResourceInput{StackName: "s", LogicalResourceId: "X"})
	refused(t, err, "ValidationError: Resource X does not exist for stack s")
	_, err = b.cfn.DescribeStackResources(b.Context(), &api.DescribeStackResourcesInput{PhysicalResourceId: wire.Ptr("nobody's")})
	refused(t, err, "ValidationError: Stack for nobody's does not exist")
	_, err = b.cfn.DescribeStackEvents(b.Context(), &api.DescribeStackEventsInput{StackName: "no"})
	refused(t, err, "ValidationError: Stack [no] does not exist")
	_, err = b.cfn.GetTemplate(b.Context(), &api.GetTemplateInput{StackName: wire.Ptr("no")})
	refused(t, err, "ValidationError: Stack with id no does not exist")
	_, err = b.cfn.GetTemplate(b.Context(), &api.GetTemplateInput{ChangeSetName: wire.Ptr("c")})
	refused(t, err, "ValidationError: StackName is a required parameter.")
	_, err = b.cfn.UpdateStack(b.Context(), &api.UpdateStackInput{StackName: "s"})
	refused(t, err, "ValidationError: Either Template URL or Template Body must be specified.")
	short := strings.Replace(*st.StackId, ":000000000000:", ":1234:", 1)
	if got := b.describe(short); *got.StackId != *st.StackId {
		t.Error("an ARN with a short account is not the caller's own")
	}
}

// Metadata, tags and outputs change without the resource being replaced; each counts as an update.
func TestUpdatesAroundResources(t *testing.T) {
	b := newBench(t)
	const template = `{"Resources": {"A": {"Type": "Test::Thing", "Properties": {"Name": "a"}}}}`
	b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(template)})
	for _, in := range []api.UpdateStackInput{
		{TemplateBody: body(strings.Replace(template, `"Type"`, `"Metadata": {"m": {"Ref": "AWS::Region"}}, "Type"`, 1))},
		{UsePreviousTemplate: wire.Ptr(true), Tags: []api.Tag{{Key: "k", Value: "v"}}},
		{TemplateBody: body(strings.Replace(template, `}}}}`, `}}}, "Outputs": {"O": {"Value": {"Ref": "A"}}}}`, 1))},
		{TemplateBody: body(strings.Replace(template, `"Type"`, `"DeletionPolicy": "Retain", "Type"`, 1))},
	} {
		in.StackName = "s"
		if st := b.update(&in); st.StackStatus != "UPDATE_COMPLETE" || len(b.fakes.things(t)) != len("a=") {
			t.Errorf("%s %s", st.StackStatus, b.fakes.things(t))
		}
	}
	if st := b.describe("s"); len(st.Tags) != 1 {
		t.Error("an update that gives no tags has changed them")
	}
	b.delete(*b.describe("s").StackId)
	same(t, b.fakes.things(t), "a=")
}

func TestDeleteChangeSet(t *testing.T) {
	b := newBench(t)
	cs := b.changeSet(&api.CreateChangeSetInput{StackName: "s", ChangeSetName: "c", ChangeSetType: wire.Ptr("CREATE"), TemplateBody: body(two)})
	list, err := b.cfn.ListChangeSets(b.Context(), &api.ListChangeSetsInput{StackName: "s"})
	if err != nil || len(list.Summaries) != 1 || *list.Summaries[0].ChangeSetId != *cs.ChangeSetId {
		t.Fatalf("%+v %v", list, err)
	}
	for range 2 {
		if _, err := b.cfn.DeleteChangeSet(b.Context(), &api.DeleteChangeSetInput{StackName: wire.Ptr("s"), ChangeSetName: "c"}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = b.cfn.DescribeChangeSet(b.Context(), &api.DescribeChangeSetInput{StackName: wire.Ptr("s"), ChangeSetName: "c"})
	refused(t, err, "ChangeSetNotFound: ChangeSet [c] does not exist")
}

func TestSummary(t *testing.T) {
	b := newBench(t)
	b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(two)})
	for _, in := range []api.GetTemplateSummaryInput{{StackName: wire.Ptr("s")}, {TemplateBody: body(two)}} {
		out, err := b.cfn.GetTemplateSummary(b.Context(), &in)
		if err != nil || *out.Parameters[0].ParameterKey != "V" || *out.Parameters[0].ParameterType != "String" || out.ResourceTypes[0] != "Test::Thing" {
			t.Errorf("%+v %v", out, err)
		}
	}
	b.changeSet(&api.CreateChangeSetInput{StackName: "r", ChangeSetName: "c", ChangeSetType: wire.Ptr("CREATE"), TemplateBody: body(two)})
	_, err := b.cfn.GetTemplateSummary(b.Context(), &api.GetTemplateSummaryInput{StackName: wire.Ptr("r")})
	refused(t, err, "ValidationError: GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks.")
}

func TestTerminationProtection(t *testing.T) {
	b := newBench(t)
	st := b.create(&api.CreateStackInput{StackName: "s", TemplateBody: body(two), EnableTerminationProtection: wire.Ptr(true)})
	if !*st.EnableTerminationProtection {
		t.Error("the stack is not protected")
	}
	_, err := b.cfn.DeleteStack(b.Context(), &api.DeleteStackInput{StackName: "s"})
	refused(t, err, "ValidationError: Stack [s] cannot be deleted while TerminationProtection is enabled")
	if _, err = b.cfn.UpdateTerminationProtection(b.Context(), &api.UpdateTerminationProtectionInput{StackName: "s"}); err != nil {
		t.Fatal(err)
	}
	if st = b.delete(*st.StackId); st.StackStatus != "DELETE_COMPLETE" {
		t.Error(st.StackStatus)
	}
}
