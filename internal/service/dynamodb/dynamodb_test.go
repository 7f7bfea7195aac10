package dynamodb_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/service/dynamodb"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

func descriptor(d service.Deps) service.Descriptor { return dynamodb.New(d).Descriptor() }

func TestScripts(t *testing.T) { servicetest.Run(t, "testdata/*.txtar", descriptor) }

func start(t testing.TB) (*servicetest.Env, api.Client) {
	e := servicetest.New(t, descriptor)
	return e, api.NewClient(e.Dispatcher)
}

// table makes a table called "aaa" whose keys are the names with types given: "p:S", "s:N".
func table(t testing.TB, e *servicetest.Env, c api.Client, keys ...string) {
	t.Helper()
	in := &api.CreateTableInput{TableName: "aaa", BillingMode: wire.Ptr("PAY_PER_REQUEST")}
	for i, k := range keys {
		name, typ, _ := strings.Cut(k, ":")
		in.AttributeDefinitions = append(in.AttributeDefinitions, api.AttributeDefinition{AttributeName: name, AttributeType: typ})
		in.KeySchema = append(in.KeySchema, api.KeySchemaElement{AttributeName: name, KeyType: []string{"HASH", "RANGE"}[i]})
	}
	if _, err := c.CreateTable(e.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, e *servicetest.Env, c api.Client, item map[string]api.AttributeValue) {
	t.Helper()
	if _, err := c.PutItem(e.Context(), &api.PutItemInput{TableName: "aaa", Item: item}); err != nil {
		t.Fatal(err)
	}
}

func text(s string) api.AttributeValue   { return api.AttributeValue{S: &s} }
func number(s string) api.AttributeValue { return api.AttributeValue{N: &s} }

// The orders below were observed on DynamoDB's own tables; the observations are published in architect/dynalite's tests.
func TestScanHasDynamoDBsOrder(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "a:S")
	want := []string{"2", "8", "9", "1", "6", "hello", "0", "5", "4", "äáöü", "aardman", "7", "3", "zapf"}
	for _, k := range slices.Sorted(slices.Values(want)) {
		put(t, e, c, map[string]api.AttributeValue{"a": text(k)})
	}
	out, err := c.Scan(e.Context(), &api.ScanInput{TableName: "aaa"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, item := range out.Items {
		got = append(got, *item["a"].S)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestScanHasDynamoDBsOrderOfNumbers(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "a:N")
	want := []string{"7", "999.9", "8", "3", "2", "-999.9", "9", "4", "-0.09", "6", "1", "0", "0.012345", "5"}
	for _, k := range slices.Sorted(slices.Values(want)) {
		put(t, e, c, map[string]api.AttributeValue{"a": number(k)})
	}
	out, err := c.Scan(e.Context(), &api.ScanInput{TableName: "aaa"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, item := range out.Items {
		got = append(got, *item["a"].N)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// TestPagesAndSegments checks that pages and segments together see every item once.
func TestPagesAndSegments(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "p:S", "s:B")
	const items, segments = 60, 3
	for i := range items {
		put(t, e, c, map[string]api.AttributeValue{"p": text(fmt.Sprint(i % 20)), "s": {B: []byte{0, byte(i)}}})
	}
	seen := map[string]bool{}
	for segment := range int32(segments) {
		var from map[string]api.AttributeValue
		for {
			out, err := c.Scan(e.Context(), &api.ScanInput{TableName: "aaa", Limit: wire.Ptr[int32](7), ExclusiveStartKey: from,
				Segment: wire.Ptr(segment), TotalSegments: wire.Ptr[int32](segments)})
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range out.Items {
				key := *item["p"].S + string(item["s"].B)
				if seen[key] {
					t.Fatalf("seen twice: %q", key)
				}
				seen[key] = true
			}
			if from = out.LastEvaluatedKey; from == nil {
				break
			}
		}
	}
	if len(seen) != items {
		t.Errorf("saw %d of %d items", len(seen), items)
	}
}

func TestPageEndsAtAMegabyte(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "p:S")
	body := strings.Repeat("x", 300<<10)
	for i := range 5 {
		put(t, e, c, map[string]api.AttributeValue{"p": text(fmt.Sprint(i)), "b": text(body)})
	}
	out, err := c.Scan(e.Context(), &api.ScanInput{TableName: "aaa", Select: wire.Ptr("COUNT")})
	if err != nil || *out.Count != 4 || out.LastEvaluatedKey == nil || out.Items != nil {
		t.Errorf("got %v items, last key %v (%v)", out.Count, out.LastEvaluatedKey, err)
	}
}

func TestItemsHaveAtMost400KB(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "p:S")
	item := map[string]api.AttributeValue{"p": text("k"), "b": text(strings.Repeat("x", 400<<10-3))}
	put(t, e, c, item)
	item["b"] = text(*item["b"].S + "x")
	_, err := c.PutItem(e.Context(), &api.PutItemInput{TableName: "aaa", Item: item})
	if err == nil || err.Error() != "ValidationException: Item size has exceeded the maximum allowed size" {
		t.Error(err)
	}
	for key, want := range map[string]string{
		strings.Repeat("x", 2049): "Size of hashkey has exceeded the maximum size limit of2048 bytes",
	} {
		_, err := c.PutItem(e.Context(), &api.PutItemInput{TableName: "aaa", Item: map[string]api.AttributeValue{"p": text(key)}})
		if err == nil || err.Error() != "ValidationException: One or more parameter values were invalid: "+want {
			t.Error(err)
		}
	}
}

// TestCountersAreExact puts and deletes the same few items from many goroutines and compares the counters with the table.
func TestCountersAreExact(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "p:S")
	var running sync.WaitGroup
	for worker := range 8 {
		running.Go(func() {
			for i := range 40 {
				key := fmt.Sprint((worker*7 + i) % 5)
				var err error
				if i%3 == 0 {
					_, err = c.DeleteItem(e.Context(), &api.DeleteItemInput{TableName: "aaa", Key: map[string]api.AttributeValue{"p": text(key)}})
				} else {
					_, err = c.PutItem(e.Context(), &api.PutItemInput{TableName: "aaa",
						Item: map[string]api.AttributeValue{"p": text(key), "b": text(strings.Repeat("x", i))}})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	scan, err := c.Scan(e.Context(), &api.ScanInput{TableName: "aaa"})
	if err != nil {
		t.Fatal(err)
	}
	bytes := int64(0)
	for _, item := range scan.Items {
		for name, v := range item {
			bytes += int64(len(name) + len(*v.S))
		}
	}
	d, err := c.DescribeTable(e.Context(), &api.DescribeTableInput{TableName: "aaa"})
	if err != nil || *d.Table.ItemCount != int64(*scan.Count) || *d.Table.TableSizeBytes != bytes {
		t.Errorf("the table says %d items of %d bytes, a scan finds %d of %d (%v)",
			*d.Table.ItemCount, *d.Table.TableSizeBytes, *scan.Count, bytes, err)
	}
}

func TestTableResource(t *testing.T) {
	e, c := start(t)
	rt := e.Resource("AWS::DynamoDB::Table")
	properties := map[string]any{
		"AttributeDefinitions": []any{map[string]any{"AttributeName": "id", "AttributeType": "S"}},
		"KeySchema":            []any{map[string]any{"AttributeName": "id", "KeyType": "HASH"}},
		"BillingMode":          "PAY_PER_REQUEST",
	}
	if err := rt.Check(properties); err != nil {
		t.Fatal(err)
	}
	r := &cfn.Request{LogicalID: "Orders", GeneratedName: "stack-Orders-ABC", Tags: map[string]string{"a": "b"}}
	err := e.Update(func(ctx context.Context) error {
		res, err := rt.Create(ctx, r, properties)
		if err == nil && (res.PhysicalID != r.GeneratedName || res.Attributes["Arn"] != "arn:aws:dynamodb:us-east-1:000000000000:table/stack-Orders-ABC") {
			t.Errorf("got %+v", res)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r.PhysicalID = r.GeneratedName
	changed := map[string]any{
		"AttributeDefinitions": properties["AttributeDefinitions"], "KeySchema": properties["KeySchema"],
		"ProvisionedThroughput": map[string]any{"ReadCapacityUnits": "3", "WriteCapacityUnits": 4},
	}
	if rt.Replaces(properties, changed) {
		t.Error("a change of throughput replaces the table")
	}
	if err := e.Update(func(ctx context.Context) error { _, err := rt.Update(ctx, r, properties, changed); return err }); err != nil {
		t.Fatal(err)
	}
	d, err := c.DescribeTable(e.Context(), &api.DescribeTableInput{TableName: r.PhysicalID})
	if err != nil || d.Table.BillingModeSummary != nil || *d.Table.ProvisionedThroughput.ReadCapacityUnits != 3 {
		t.Errorf("got %+v (%v)", d, err)
	}
	for range 2 {
		if err := e.Update(func(ctx context.Context) error { return rt.Delete(ctx, r, changed) }); err != nil {
			t.Fatal(err)
		}
	}
	properties["KinesisStreamSpecification"] = map[string]any{}
	if err := rt.Check(properties); err == nil || !strings.Contains(err.Error(), "KinesisStreamSpecification") {
		t.Errorf("what is not there is not refused by name: %v", err)
	}
}

func BenchmarkPutItem(b *testing.B) {
	e, c := start(b)
	table(b, e, c, "p:S")
	ctx := e.Context()
	item := map[string]api.AttributeValue{"p": text("key"), "total": number("12.5"), "status": text("PLACED")}
	for b.Loop() {
		if _, err := c.PutItem(ctx, &api.PutItemInput{TableName: "aaa", Item: item}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetItem(b *testing.B) {
	e, c := start(b)
	table(b, e, c, "p:S")
	put(b, e, c, map[string]api.AttributeValue{"p": text("key"), "total": number("12.5"), "status": text("PLACED")})
	ctx, in := e.Context(), &api.GetItemInput{TableName: "aaa", Key: map[string]api.AttributeValue{"p": text("key")}}
	for b.Loop() {
		if _, err := c.GetItem(ctx, in); err != nil {
			b.Fatal(err)
		}
	}
}

func TestFailedConditionsSayWhatIsThere(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "p:S")
	item := map[string]api.AttributeValue{"p": text("x"), "v": number("1")}
	put(t, e, c, item)
	there := wire.Ptr("attribute_not_exists(p)")
	_, err := c.PutItem(e.Context(), &api.PutItemInput{TableName: "aaa", Item: item, ConditionExpression: there,
		ReturnValuesOnConditionCheckFailure: wire.Ptr("ALL_OLD")})
	var failed *cloud.Error
	if !errors.As(err, &failed) || !reflect.DeepEqual(failed.Fields["Item"], item) {
		t.Errorf("got %v with %v", err, failed)
	}
	_, err = c.PutItem(e.Context(), &api.PutItemInput{TableName: "aaa", Item: item, ConditionExpression: there})
	if !errors.As(err, &failed) || failed.Fields["Item"] != nil {
		t.Errorf("got %v with %v", err, failed)
	}
	_, err = c.TransactWriteItems(e.Context(), &api.TransactWriteItemsInput{TransactItems: []api.TransactWriteItem{
		{Delete: &api.Delete{TableName: "aaa", Key: map[string]api.AttributeValue{"p": text("y")}}},
		{Put: &api.Put{TableName: "aaa", Item: item, ConditionExpression: there, ReturnValuesOnConditionCheckFailure: wire.Ptr("ALL_OLD")}},
	}})
	want := []api.CancellationReason{{Code: wire.Ptr("None")},
		{Code: wire.Ptr("ConditionalCheckFailed"), Message: wire.Ptr("The conditional request failed"), Item: item}}
	if !errors.As(err, &failed) || !reflect.DeepEqual(failed.Fields["CancellationReasons"], want) {
		t.Errorf("got %v with %v", err, failed)
	}
}

// TestConcurrentUpdatesAllCount checks that updates of one item do not lose one another, alone and in transactions.
func TestConcurrentUpdatesAllCount(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "p:S")
	const workers, each = 4, 20
	key := map[string]api.AttributeValue{"p": text("x")}
	values := map[string]api.AttributeValue{":one": number("1")}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range each {
				var err error
				if i%2 == 0 {
					_, err = c.UpdateItem(e.Context(), &api.UpdateItemInput{TableName: "aaa", Key: key,
						UpdateExpression: wire.Ptr("ADD n :one"), ExpressionAttributeValues: values})
				} else {
					_, err = c.TransactWriteItems(e.Context(), &api.TransactWriteItemsInput{TransactItems: []api.TransactWriteItem{
						{Update: &api.Update{TableName: "aaa", Key: key, UpdateExpression: "ADD n :one", ExpressionAttributeValues: values}}}})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	out, err := c.GetItem(e.Context(), &api.GetItemInput{TableName: "aaa", Key: key})
	if err != nil || *out.Item["n"].N != fmt.Sprint(workers*each) {
		t.Errorf("got %v (%v)", out, err)
	}
}

// TestPagesOfQueriesEndAt1MB checks that a page ends with the item that fills it, before the filter, and that pages continue.
func TestPagesOfQueriesEndAt1MB(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "p:S", "s:N")
	const items = 5
	for i := range items {
		put(t, e, c, map[string]api.AttributeValue{"p": text("x"), "s": number(fmt.Sprint(i)), "v": text(strings.Repeat("v", 390<<10))})
	}
	var scanned, pages int32
	in := &api.QueryInput{TableName: "aaa", KeyConditionExpression: wire.Ptr("p = :p"), FilterExpression: wire.Ptr("attribute_not_exists(v)"),
		ExpressionAttributeValues: map[string]api.AttributeValue{":p": text("x")}}
	for {
		out, err := c.Query(e.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		if scanned += *out.ScannedCount; len(out.Items) != 0 {
			t.Fatalf("got %d items through the filter", len(out.Items))
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; out.LastEvaluatedKey == nil {
			break
		}
	}
	if scanned != items || pages != 2 {
		t.Errorf("got %d items in %d pages", scanned, pages)
	}
}
