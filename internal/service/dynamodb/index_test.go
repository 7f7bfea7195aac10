package dynamodb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/kv/pebblekv"
	"croft/internal/lease"
	"croft/internal/service"
	"croft/internal/service/dynamodb"
	"croft/internal/service/servicetest"
	"croft/internal/timer"
	"croft/internal/wire"
)

// indexed makes a table "aaa" with the key p and global indexes called idx0, idx1 and so on, on g0, g1 and so on.
func indexed(t testing.TB, e *servicetest.Env, c api.Client, indexes int, projection string) {
	t.Helper()
	in := &api.CreateTableInput{TableName: "aaa", BillingMode: wire.Ptr("PAY_PER_REQUEST"),
		AttributeDefinitions: []api.AttributeDefinition{{AttributeName: "p", AttributeType: "S"}},
		KeySchema:            []api.KeySchemaElement{{AttributeName: "p", KeyType: "HASH"}}}
	for i := range indexes {
		name := fmt.Sprint("g", i)
		in.AttributeDefinitions = append(in.AttributeDefinitions, api.AttributeDefinition{AttributeName: name, AttributeType: "S"})
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, api.GlobalSecondaryIndex{IndexName: fmt.Sprint("idx", i),
			KeySchema:  []api.KeySchemaElement{{AttributeName: name, KeyType: "HASH"}},
			Projection: &api.Projection{ProjectionType: wire.Ptr(projection)}})
	}
	if _, err := c.CreateTable(e.Context(), in); err != nil {
		t.Fatal(err)
	}
}

// createIndex is the call that gives "aaa" the index "late" on g (a text) and p.
func createIndex() *api.UpdateTableInput {
	return &api.UpdateTableInput{TableName: "aaa",
		AttributeDefinitions: []api.AttributeDefinition{{AttributeName: "g", AttributeType: "S"}, {AttributeName: "p", AttributeType: "S"}},
		GlobalSecondaryIndexUpdates: []api.GlobalSecondaryIndexUpdate{{Create: &api.CreateGlobalSecondaryIndexAction{IndexName: "late",
			KeySchema:  []api.KeySchemaElement{{AttributeName: "g", KeyType: "HASH"}, {AttributeName: "p", KeyType: "RANGE"}},
			Projection: &api.Projection{ProjectionType: wire.Ptr("ALL")}}}}}
}

func numbered(i int) map[string]api.AttributeValue {
	item := map[string]api.AttributeValue{"p": text(fmt.Sprintf("%05d", i))}
	if i%3 != 0 {
		item["g"] = text(strconv.Itoa(i % 7))
	}
	return item
}

func loadNumbered(t testing.TB, ctx context.Context, c api.Client, n int) {
	t.Helper()
	for from := 0; from < n; from += 25 {
		var requests []api.WriteRequest
		for i := from; i < min(n, from+25); i++ {
			requests = append(requests, api.WriteRequest{PutRequest: &api.PutRequest{Item: numbered(i)}})
		}
		if _, err := c.BatchWriteItem(ctx, &api.BatchWriteItemInput{RequestItems: map[string][]api.WriteRequest{"aaa": requests}}); err != nil {
			t.Fatal(err)
		}
	}
}

// readAll returns g by p of all items in the table, or in an index, page by page.
func readAll(t testing.TB, ctx context.Context, c api.Client, index *string) map[string]string {
	t.Helper()
	out := map[string]string{}
	in := &api.ScanInput{TableName: "aaa", IndexName: index, Limit: wire.Ptr[int32](97)}
	for {
		page, err := c.Scan(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			if g := item["g"].S; g != nil {
				if _, twice := out[*item["p"].S]; twice {
					t.Fatalf("%s comes twice", *item["p"].S)
				}
				out[*item["p"].S] = *g
			}
		}
		if in.ExclusiveStartKey = page.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			return out
		}
	}
}

// checkLate compares the index "late" and its counters with the table.
func checkLate(t testing.TB, ctx context.Context, c api.Client) {
	t.Helper()
	want, got := readAll(t, ctx, c, nil), readAll(t, ctx, c, wire.Ptr("late"))
	for p, g := range want {
		if got[p] != g {
			t.Errorf("item %s has g %q, its entry %q", p, g, got[p])
		}
	}
	out, err := c.DescribeTable(ctx, &api.DescribeTableInput{TableName: "aaa"})
	if err != nil {
		t.Fatal(err)
	}
	x := out.Table.GlobalSecondaryIndexes[0]
	if len(got) != len(want) || *x.ItemCount != int64(len(want)) || *x.IndexStatus != "ACTIVE" || x.Backfilling != nil {
		t.Errorf("%d items belong into the index; %d are there, %d counted, status %s", len(want), len(got), *x.ItemCount, *x.IndexStatus)
	}
	if size := int64(len(want) * (1 + 5 + 1 + 1)); *x.IndexSizeBytes != size {
		t.Errorf("the index has %d bytes, want %d", *x.IndexSizeBytes, size)
	}
}

// A new index has what was there before it and what is written meanwhile, each once.
func TestIndexIsFilledUnderWrites(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "p:S")
	const n = 1600
	loadNumbered(t, e.Context(), c, n)
	out, err := c.UpdateTable(e.Context(), createIndex())
	if err != nil {
		t.Fatal(err)
	}
	if x := out.TableDescription.GlobalSecondaryIndexes[0]; *x.IndexStatus != "CREATING" || *out.TableDescription.TableStatus != "UPDATING" {
		t.Errorf("the answer says %s and %s", *x.IndexStatus, *out.TableDescription.TableStatus)
	}
	var wait sync.WaitGroup
	for worker := range 2 {
		ctx := e.Context()
		wait.Go(func() {
			for i := worker; i < n; i += 4 {
				var err error
				switch key := (map[string]api.AttributeValue{"p": numbered(i)["p"]}); i % 5 {
				case 0:
					_, err = c.DeleteItem(ctx, &api.DeleteItemInput{TableName: "aaa", Key: key})
				case 1:
					_, err = c.UpdateItem(ctx, &api.UpdateItemInput{TableName: "aaa", Key: key, UpdateExpression: wire.Ptr("REMOVE g")})
				default:
					_, err = c.UpdateItem(ctx, &api.UpdateItemInput{TableName: "aaa", Key: key, UpdateExpression: wire.Ptr("SET g = :g"),
						ExpressionAttributeValues: map[string]api.AttributeValue{":g": text("x")}})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	e.Settle()
	// A piece that lost against the writes is tried again later.
	e.Advance(time.Minute)
	checkLate(t, e.Context(), c)
}

// process is a cloud of DynamoDB alone on a store that outlives it.
func process(s service.Deps) (*dynamodb.Service, api.Client) {
	d := service.NewDispatcher()
	s.Caller = d
	svc := dynamodb.New(s)
	d.Add(svc.Descriptor())
	return svc, api.NewClient(d)
}

// An index goes on being filled by the next process when one ends in the middle.
func TestIndexIsFilledAfterRestart(t *testing.T) {
	store, err := pebblekv.Open(pebblekv.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	now := clock.NewManual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	deps := service.Deps{Clock: now, Store: store, Leases: lease.Local(), Log: log, Warned: new(service.Warnings)}
	ctx := cloud.WithCall(t.Context(), &cloud.Call{Account: "000000000000", Region: "us-east-1", Now: now.Now()})
	deps.Timers = timer.New(store, now, log)
	svc, c := process(deps)
	if _, err := c.CreateTable(ctx, &api.CreateTableInput{TableName: "aaa", BillingMode: wire.Ptr("PAY_PER_REQUEST"),
		AttributeDefinitions: []api.AttributeDefinition{{AttributeName: "p", AttributeType: "S"}},
		KeySchema:            []api.KeySchemaElement{{AttributeName: "p", KeyType: "HASH"}}}); err != nil {
		t.Fatal(err)
	}
	loadNumbered(t, ctx, c, 1300)
	if _, err := c.UpdateTable(ctx, createIndex()); err != nil {
		t.Fatal(err)
	}
	// The first process does one piece and then nothing any more.
	var pieces atomic.Int32
	ended := make(chan struct{}, 64)
	handlers := svc.Descriptor().Timers
	first := map[string]timer.Handler{}
	for name, h := range handlers {
		first[name] = func(ctx context.Context, tm timer.Timer) error {
			if pieces.Add(1) > 1 {
				ended <- struct{}{}
				return errors.New("the process has ended")
			}
			return h(ctx, tm)
		}
	}
	deps.Timers.Start(deps.Leases, first)
	<-ended
	deps.Timers.Close()
	if _, err := c.Query(ctx, &api.QueryInput{TableName: "aaa", IndexName: wire.Ptr("late"), KeyConditionExpression: wire.Ptr("g = :g"),
		ExpressionAttributeValues: map[string]api.AttributeValue{":g": text("1")}}); cloud.Code(err) != "ValidationException" {
		t.Errorf("an index that is not filled was read: %v", err)
	}
	if _, err := c.UpdateTable(ctx, secondIndex()); cloud.Code(err) != "LimitExceededException" {
		t.Errorf("a second index while one is filled: %v", err)
	}

	deps.Timers = timer.New(store, now, log)
	svc, c = process(deps)
	watch := store.Watch(nil)
	defer watch.Close()
	deps.Timers.Start(deps.Leases, svc.Descriptor().Timers)
	defer deps.Timers.Close()
	now.Advance(time.Hour)
	for {
		out, err := c.DescribeTable(ctx, &api.DescribeTableInput{TableName: "aaa"})
		if err != nil {
			t.Fatal(err)
		}
		if *out.Table.GlobalSecondaryIndexes[0].IndexStatus == "ACTIVE" {
			break
		}
		<-watch.C()
	}
	checkLate(t, ctx, c)
}

func secondIndex() *api.UpdateTableInput {
	in := createIndex()
	in.GlobalSecondaryIndexUpdates[0].Create.IndexName = "later"
	return in
}

// An index whose table is deleted, or which is deleted itself, while it is filled leaves nothing.
func TestIndexDeletedWhileFilled(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "p:S")
	loadNumbered(t, e.Context(), c, 1300)
	if _, err := c.UpdateTable(e.Context(), createIndex()); err != nil {
		t.Fatal(err)
	}
	drop := &api.UpdateTableInput{TableName: "aaa",
		GlobalSecondaryIndexUpdates: []api.GlobalSecondaryIndexUpdate{{Delete: &api.DeleteGlobalSecondaryIndexAction{IndexName: "late"}}}}
	out, err := c.UpdateTable(e.Context(), drop)
	if err != nil || *out.TableDescription.GlobalSecondaryIndexes[0].IndexStatus != "DELETING" {
		t.Fatalf("%v (%v)", out, err)
	}
	if _, err := c.UpdateTable(e.Context(), createIndex()); err != nil {
		t.Fatal(err)
	}
	e.Settle()
	checkLate(t, e.Context(), c)
	if _, err := c.UpdateTable(e.Context(), drop); err != nil {
		t.Fatal(err)
	}
	described, err := c.DescribeTable(e.Context(), &api.DescribeTableInput{TableName: "aaa"})
	if err != nil || described.Table.GlobalSecondaryIndexes != nil || len(described.Table.AttributeDefinitions) != 1 {
		t.Errorf("%+v (%v)", described, err)
	}
}

// Pages of an index in both directions see every entry once, also where many items have the same key.
func TestPagesOfAnIndex(t *testing.T) {
	e, c := start(t)
	indexed(t, e, c, 1, "KEYS_ONLY")
	const n = 60
	for i := range n {
		put(t, e, c, map[string]api.AttributeValue{"p": text(fmt.Sprint(i)), "g0": text("same")})
	}
	for _, forward := range []bool{true, false} {
		seen := map[string]bool{}
		in := &api.QueryInput{TableName: "aaa", IndexName: wire.Ptr("idx0"), KeyConditionExpression: wire.Ptr("g0 = :g"), Limit: wire.Ptr[int32](7),
			ScanIndexForward: &forward, ExpressionAttributeValues: map[string]api.AttributeValue{":g": text("same")}}
		for {
			out, err := c.Query(e.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range out.Items {
				seen[*item["p"].S] = true
			}
			if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
				break
			}
			if len(in.ExclusiveStartKey) != 2 {
				t.Fatalf("the last key is %v", in.ExclusiveStartKey)
			}
		}
		if len(seen) != n {
			t.Errorf("forward %v: saw %d of %d", forward, len(seen), n)
		}
	}
}

// The limits of a table's indexes, each at the first number that is too many.
func TestLimitsOfIndexes(t *testing.T) {
	e, c := start(t)
	global := func(n, named int) *api.CreateTableInput {
		in := &api.CreateTableInput{TableName: "aaa", BillingMode: wire.Ptr("PAY_PER_REQUEST"),
			AttributeDefinitions: []api.AttributeDefinition{{AttributeName: "p", AttributeType: "S"}},
			KeySchema:            []api.KeySchemaElement{{AttributeName: "p", KeyType: "HASH"}}}
		for i := range n {
			p := &api.Projection{ProjectionType: wire.Ptr("KEYS_ONLY")}
			for a := range named {
				p.ProjectionType, p.NonKeyAttributes = wire.Ptr("INCLUDE"), append(p.NonKeyAttributes, fmt.Sprint("a", a))
			}
			in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes,
				api.GlobalSecondaryIndex{IndexName: fmt.Sprint("idx", i), KeySchema: in.KeySchema, Projection: p})
		}
		return in
	}
	local := func(n int) *api.CreateTableInput {
		in := global(0, 0)
		in.AttributeDefinitions = append(in.AttributeDefinitions, api.AttributeDefinition{AttributeName: "s", AttributeType: "S"})
		in.KeySchema = append(in.KeySchema, api.KeySchemaElement{AttributeName: "s", KeyType: "RANGE"})
		for i := range n {
			in.LocalSecondaryIndexes = append(in.LocalSecondaryIndexes, api.LocalSecondaryIndex{IndexName: fmt.Sprint("idx", i), KeySchema: in.KeySchema,
				Projection: &api.Projection{ProjectionType: wire.Ptr("ALL")}})
		}
		return in
	}
	wide := func(hashes, ranges int) *api.CreateTableInput {
		in := global(1, 0)
		in.GlobalSecondaryIndexes[0].KeySchema = nil
		for i := range hashes + ranges {
			k := api.KeySchemaElement{AttributeName: fmt.Sprint("k", i), KeyType: "HASH"}
			if i >= hashes {
				k.KeyType = "RANGE"
			}
			in.AttributeDefinitions = append(in.AttributeDefinitions, api.AttributeDefinition{AttributeName: k.AttributeName, AttributeType: "S"})
			in.GlobalSecondaryIndexes[0].KeySchema = append(in.GlobalSecondaryIndexes[0].KeySchema, k)
		}
		return in
	}
	for _, x := range []struct {
		fits, not *api.CreateTableInput
		says      string
	}{
		{global(20, 0), global(21, 0), "One or more parameter values were invalid: GlobalSecondaryIndex count exceeds the per-table limit of 20"},
		{local(5), local(6), "One or more parameter values were invalid: Number of LocalSecondaryIndexes exceeds per-table limit of 5"},
		{global(5, 20), global(6, 20), "One or more parameter values were invalid: Number of projected attributes exceeds the per-table limit of 100: 120"},
		{wide(4, 4), wide(5, 4), "One or more parameter values were invalid: The KeySchema exceeds the maximum allowed number of HASH key attributes"},
		{wide(1, 4), wide(1, 5), "One or more parameter values were invalid: The KeySchema exceeds the maximum allowed number of RANGE key attributes"},
	} {
		if _, err := c.CreateTable(e.Context(), x.not); err == nil || err.Error() != "ValidationException: "+x.says {
			t.Errorf("want %q, got %v", x.says, err)
		}
		if _, err := c.CreateTable(e.Context(), x.fits); err != nil {
			t.Error(err)
		}
		if _, err := c.DeleteTable(e.Context(), &api.DeleteTableInput{TableName: "aaa"}); err != nil {
			t.Error(err)
		}
	}
	three := local(0)
	three.KeySchema = append(three.KeySchema, api.KeySchemaElement{AttributeName: "q", KeyType: "RANGE"})
	three.AttributeDefinitions = append(three.AttributeDefinitions, api.AttributeDefinition{AttributeName: "q", AttributeType: "S"})
	if _, err := c.CreateTable(e.Context(), three); cloud.Code(err) != "ValidationException" {
		t.Errorf("a table with three keys: %v", err)
	}
}

// What a deleted table's indexes held is gone from the store with it.
func TestDeletedTableLeavesNoEntries(t *testing.T) {
	e, c := start(t)
	modelTable(t, e, c)
	put(t, e, c, item{"p": text("a"), "s": text("b"), "b": {B: []byte{1}}, "g": text("x"), "n": number("1")})
	if _, err := c.DeleteTable(e.Context(), &api.DeleteTableInput{TableName: "aaa"}); err != nil {
		t.Fatal(err)
	}
	err := kv.NewSpace(e.Deps.Store, "000000000000", "us-east-1", "dynamodb").View(t.Context(), func(_ context.Context, r kv.Reader) error {
		for entry, err := range r.Scan(kv.Range{}, kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			t.Errorf("%q is left", entry.Key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
