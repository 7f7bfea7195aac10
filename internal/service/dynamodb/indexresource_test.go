package dynamodb_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cfn"
	"croft/internal/wire"
)

// resourceKeys and resourceAttributes are properties of a table: "p HASH", "g S".
func resourceKeys(keys ...string) (out []any) {
	for _, k := range keys {
		name, kind, _ := strings.Cut(k, " ")
		out = append(out, map[string]any{"AttributeName": name, "KeyType": kind})
	}
	return out
}

func resourceAttributes(attributes ...string) (out []any) {
	for _, a := range attributes {
		name, kind, _ := strings.Cut(a, " ")
		out = append(out, map[string]any{"AttributeName": name, "AttributeType": kind})
	}
	return out
}

func resourceIndex(name string, keys ...string) any {
	return map[string]any{"IndexName": name, "KeySchema": resourceKeys(keys...), "Projection": map[string]any{"ProjectionType": "ALL"}}
}

// A stack makes a table with indexes, and an update of it makes or deletes one in place.
func TestTableResourceWithIndexes(t *testing.T) {
	e, c := start(t)
	rt := e.Resource("AWS::DynamoDB::Table")
	first := map[string]any{"TableName": "aaa", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions":  resourceAttributes("p S", "s S", "n N"),
		"KeySchema":             resourceKeys("p HASH", "s RANGE"),
		"LocalSecondaryIndexes": []any{resourceIndex("local", "p HASH", "n RANGE")},
	}
	r := &cfn.Request{LogicalID: "Orders", GeneratedName: "stack-Orders-ABC"}
	if err := e.Update(func(ctx context.Context) error { _, err := rt.Create(ctx, r, first); return err }); err != nil {
		t.Fatal(err)
	}
	put(t, e, c, map[string]api.AttributeValue{"p": text("a"), "s": text("b"), "n": number("1"), "g": text("x")})
	r.PhysicalID = "aaa"
	with := func(attributes []any, indexes ...any) map[string]any {
		next := maps.Clone(first)
		next["AttributeDefinitions"], next["GlobalSecondaryIndexes"] = attributes, indexes
		return next
	}
	update := func(from, to map[string]any) error {
		if rt.Replaces(from, to) {
			t.Error("a change of global indexes replaces the table")
		}
		return e.Update(func(ctx context.Context) error { _, err := rt.Update(ctx, r, from, to); return err })
	}
	one := with(resourceAttributes("p S", "s S", "n N", "g S"), resourceIndex("one", "g HASH"))
	if err := update(first, one); err != nil {
		t.Fatal(err)
	}
	e.Settle()
	out, err := c.Query(e.Context(), &api.QueryInput{TableName: "aaa", IndexName: wire.Ptr("one"), KeyConditionExpression: wire.Ptr("g = :g"),
		ExpressionAttributeValues: map[string]api.AttributeValue{":g": text("x")}})
	if err != nil || *out.Count != 1 {
		t.Errorf("got %+v (%v)", out, err)
	}
	for _, refused := range []struct {
		to   map[string]any
		says string
	}{
		{with(resourceAttributes("p S", "s S", "n N", "g S"), resourceIndex("one", "n HASH"), resourceIndex("two", "g HASH")), "Cannot update GSI's properties"},
		{with(resourceAttributes("p S", "s S", "n N"), resourceIndex("two", "n HASH")), "Cannot perform more than one GSI creation or deletion"},
		{with(resourceAttributes("p S", "s S", "n S", "g S"), resourceIndex("one", "g HASH")), "The type of attribute n cannot change"},
	} {
		if err := update(one, refused.to); err == nil || !strings.Contains(err.Error(), refused.says) {
			t.Errorf("want %q, got %v", refused.says, err)
		}
	}
	if err := update(one, first); err != nil {
		t.Fatal(err)
	}
	d, err := c.DescribeTable(e.Context(), &api.DescribeTableInput{TableName: "aaa"})
	if err != nil || d.Table.GlobalSecondaryIndexes != nil || len(d.Table.LocalSecondaryIndexes) != 1 || len(d.Table.AttributeDefinitions) != 3 {
		t.Errorf("got %+v (%v)", d, err)
	}
	if !rt.Replaces(first, map[string]any{"TableName": "aaa", "KeySchema": first["KeySchema"]}) {
		t.Error("a change of local indexes does not replace the table")
	}
}
