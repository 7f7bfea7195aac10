package dynamodb_test

import (
	"strings"
	"testing"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/wire"
)

// Items from before an index whose attributes are too long for its key stay out of it, and can still be changed and deleted.
func TestItemsTooLongForALaterIndex(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "p:S")
	key := func(p string) map[string]api.AttributeValue { return map[string]api.AttributeValue{"p": text(p)} }
	for _, p := range []string{"1", "2", "3"} {
		put(t, e, c, map[string]api.AttributeValue{"p": text(p), "g": text(strings.Repeat("x", 2049))})
	}
	if _, err := c.UpdateTable(e.Context(), createIndex()); err != nil {
		t.Fatal(err)
	}
	e.Settle()
	if _, err := c.UpdateItem(e.Context(), &api.UpdateItemInput{TableName: "aaa", Key: key("1"), UpdateExpression: wire.Ptr("SET g = :g"),
		ExpressionAttributeValues: map[string]api.AttributeValue{":g": text("x")}}); err != nil {
		t.Errorf("an update: %v", err)
	}
	if _, err := c.PutItem(e.Context(), &api.PutItemInput{TableName: "aaa", Item: key("2")}); err != nil {
		t.Errorf("a put: %v", err)
	}
	if _, err := c.DeleteItem(e.Context(), &api.DeleteItemInput{TableName: "aaa", Key: key("3")}); err != nil {
		t.Errorf("a delete: %v", err)
	}
	d, err := c.DescribeTable(e.Context(), &api.DescribeTableInput{TableName: "aaa"})
	if err != nil {
		t.Fatal(err)
	}
	if n := *d.Table.GlobalSecondaryIndexes[0].ItemCount; n != 1 {
		t.Errorf("the index has %d entries, want 1", n)
	}
}
