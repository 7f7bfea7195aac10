package dynamodb_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cfn"
	"croft/internal/service/servicetest"
)

// A stack makes a table with a stream and a time to live, changes them in place and takes them away.
func TestTableResourceWithStream(t *testing.T) {
	e := servicetest.New(t, descriptor, streamsDescriptor)
	c := api.NewClient(e.Dispatcher)
	rt := e.Resource("AWS::DynamoDB::Table")
	plain := map[string]any{"BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": resourceAttributes("p S"), "KeySchema": resourceKeys("p HASH"),
		"PointInTimeRecoverySpecification": map[string]any{"PointInTimeRecoveryEnabled": "false"}}
	with := func(name string, value map[string]any) map[string]any {
		next := maps.Clone(plain)
		next["StreamSpecification"], next["TimeToLiveSpecification"] = map[string]any{"StreamViewType": "NEW_IMAGE"}, map[string]any{"AttributeName": "end", "Enabled": "true"}
		next[name] = value
		return next
	}
	first := with("StreamSpecification", map[string]any{"StreamViewType": "KEYS_ONLY"})
	r := &cfn.Request{LogicalID: "Orders", GeneratedName: "stack-Orders-ABC"}
	var result *cfn.Result
	create := func(p map[string]any) error {
		return e.Update(func(ctx context.Context) (err error) { result, err = rt.Create(ctx, r, p); return err })
	}
	for says, p := range map[string]map[string]any{
		"does not implement the parameter PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled": with(
			"PointInTimeRecoverySpecification", map[string]any{"PointInTimeRecoveryEnabled": "true"}),
		"AttributeName property of TimeToLiveSpecification is required": with("TimeToLiveSpecification", map[string]any{"Enabled": "true"}),
		"streamSpecification.streamViewType":                            with("StreamSpecification", map[string]any{"StreamViewType": "ALL"}),
	} {
		if err := create(p); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
	if err := create(first); err != nil {
		t.Fatal(err)
	}
	r.PhysicalID = result.PhysicalID
	state := func() string {
		d, err := c.DescribeTable(e.Context(), &api.DescribeTableInput{TableName: r.PhysicalID})
		if err != nil {
			t.Fatal(err)
		}
		ttl, err := c.DescribeTimeToLive(e.Context(), &api.DescribeTimeToLiveInput{TableName: r.PhysicalID})
		if err != nil {
			t.Fatal(err)
		}
		out := *ttl.TimeToLiveDescription.TimeToLiveStatus
		if s := d.Table.StreamSpecification; s != nil {
			out += " " + *s.StreamViewType
			if result.Attributes["StreamArn"] != *d.Table.LatestStreamArn {
				t.Errorf("Fn::GetAtt has %v, the table %s", result.Attributes["StreamArn"], *d.Table.LatestStreamArn)
			}
		} else if result.Attributes["StreamArn"] != nil {
			t.Errorf("Fn::GetAtt has %v", result.Attributes["StreamArn"])
		}
		return out
	}
	if got := state(); got != "ENABLED KEYS_ONLY" {
		t.Error(got)
	}
	firstARN, now := result.Attributes["StreamArn"], first
	for _, step := range []struct {
		to   map[string]any
		want string
	}{
		{first, "ENABLED KEYS_ONLY"},
		{with("DeletionProtectionEnabled", nil), "ENABLED NEW_IMAGE"},
		{with("TimeToLiveSpecification", map[string]any{"AttributeName": "end", "Enabled": "false"}), "DISABLED NEW_IMAGE"},
		{with("TimeToLiveSpecification", map[string]any{"AttributeName": "other", "Enabled": "true"}), "ENABLED NEW_IMAGE"},
		{plain, "DISABLED"},
	} {
		delete(step.to, "DeletionProtectionEnabled")
		if rt.Replaces(now, step.to) {
			t.Error("the table is replaced")
		}
		err := e.Update(func(ctx context.Context) (err error) { result, err = rt.Update(ctx, r, now, step.to); return err })
		if err != nil {
			t.Fatal(err)
		}
		if got := state(); got != step.want {
			t.Errorf("got %s, want %s", got, step.want)
		}
		if step.want == "ENABLED KEYS_ONLY" && result.Attributes["StreamArn"] != firstARN {
			t.Error("an update that changes nothing made another stream")
		}
		now = step.to
	}
}
