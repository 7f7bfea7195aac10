package dynamodb_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/clock"
	"croft/internal/kv"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

type item = map[string]api.AttributeValue

// modelTable makes "aaa" with the key p and s, a local index on b and a global one on two and two attributes.
func modelTable(t testing.TB, e *servicetest.Env, c api.Client) {
	t.Helper()
	keys := func(names ...string) (out []api.KeySchemaElement) {
		for _, n := range names {
			out = append(out, api.KeySchemaElement{AttributeName: n[:1], KeyType: n[2:]})
		}
		return out
	}
	some := &api.Projection{ProjectionType: wire.Ptr("INCLUDE"), NonKeyAttributes: []string{"o"}}
	_, err := c.CreateTable(e.Context(), &api.CreateTableInput{TableName: "aaa", BillingMode: wire.Ptr("PAY_PER_REQUEST"),
		AttributeDefinitions: []api.AttributeDefinition{{AttributeName: "p", AttributeType: "S"}, {AttributeName: "s", AttributeType: "S"},
			{AttributeName: "b", AttributeType: "B"}, {AttributeName: "g", AttributeType: "S"}, {AttributeName: "n", AttributeType: "N"}},
		KeySchema:             keys("p HASH", "s RANGE"),
		LocalSecondaryIndexes: []api.LocalSecondaryIndex{{IndexName: "local", KeySchema: keys("p HASH", "b RANGE"), Projection: some}},
		GlobalSecondaryIndexes: []api.GlobalSecondaryIndex{{IndexName: "global", KeySchema: keys("g HASH", "p HASH", "n RANGE", "b RANGE"),
			Projection: &api.Projection{ProjectionType: wire.Ptr("ALL")}}}})
	if err != nil {
		t.Fatal(err)
	}
}

// sizeOf is the size of an item whose numbers are of one digit pair.
func sizeOf(i item) (n int) {
	for name, v := range i {
		n += len(name)
		switch {
		case v.S != nil:
			n += len(*v.S)
		case v.B != nil:
			n += len(v.B)
		case *v.N == "0":
			n++
		case (*v.N)[0] == '-':
			n += 3
		default:
			n += 2
		}
	}
	return n
}

// Random writes of every kind leave in both indexes what a walk over the items says, in its order, and counters that agree.
func TestIndexesAgreeWithItems(t *testing.T) {
	e, c := start(t)
	modelTable(t, e, c)
	draw := clock.Random(5)
	bin := func() api.AttributeValue {
		return api.AttributeValue{B: [][]byte{{0}, {0, 0}, {0, 1}, {0, 0xff}, {1}, {0xff}, {0xff, 0}}[draw.IntN(7)]}
	}
	model := map[string]item{}
	for range 600 {
		key := item{"p": text(strconv.Itoa(draw.IntN(2))), "s": text(strconv.Itoa(draw.IntN(12)))}
		id := *key["p"].S + "/" + *key["s"].S
		next := item{"p": key["p"], "s": key["s"], "o": text("o")}
		drawn := item{"b": bin(), "g": text("x\x00"[:1+draw.IntN(2)]), "n": number(strconv.Itoa(draw.IntN(4) - 1))}
		for _, name := range []string{"b", "g", "n"} {
			if draw.IntN(4) > 0 {
				next[name] = drawn[name]
			}
		}
		var err error
		switch draw.IntN(4) {
		case 0:
			_, err = c.DeleteItem(e.Context(), &api.DeleteItemInput{TableName: "aaa", Key: key})
			delete(model, id)
		case 1:
			_, err = c.UpdateItem(e.Context(), &api.UpdateItemInput{TableName: "aaa", Key: key, UpdateExpression: wire.Ptr("SET b = :b, q = :b REMOVE n"),
				ExpressionAttributeValues: item{":b": next["o"]}})
			if err == nil {
				t.Fatal("a text became the key of an index")
			}
			next = item{"p": key["p"], "s": key["s"]}
			for name, v := range model[id] {
				next[name] = v
			}
			next["b"] = bin()
			delete(next, "n")
			_, err = c.UpdateItem(e.Context(), &api.UpdateItemInput{TableName: "aaa", Key: key, UpdateExpression: wire.Ptr("SET b = :b REMOVE n"),
				ExpressionAttributeValues: item{":b": next["b"]}})
			model[id] = next
		case 2:
			_, err = c.TransactWriteItems(e.Context(), &api.TransactWriteItemsInput{TransactItems: []api.TransactWriteItem{
				{Put: &api.Put{TableName: "aaa", Item: next}}}})
			model[id] = next
		default:
			_, err = c.PutItem(e.Context(), &api.PutItemInput{TableName: "aaa", Item: next})
			model[id] = next
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	checkModel(t, e, c, model)
	for _, i := range model {
		if _, err := c.DeleteItem(e.Context(), &api.DeleteItemInput{TableName: "aaa", Key: item{"p": i["p"], "s": i["s"]}}); err != nil {
			t.Fatal(err)
		}
	}
	checkModel(t, e, c, nil)
}

func checkModel(t *testing.T, e *servicetest.Env, c api.Client, model map[string]item) {
	t.Helper()
	collections := map[string]int{}
	var local, global []item
	for _, i := range model {
		collections[*i["p"].S] += sizeOf(i)
		if i["b"].B != nil {
			local = append(local, i)
			if i["g"].S != nil && i["n"].N != nil {
				global = append(global, i)
			}
		}
	}
	localSize, globalSize := 0, 0
	for _, i := range local {
		kept := item{"p": i["p"], "s": i["s"], "b": i["b"]}
		if o, ok := i["o"]; ok {
			kept["o"] = o
		}
		collections[*i["p"].S] += sizeOf(kept)
		localSize += sizeOf(kept)
	}
	for _, i := range global {
		globalSize += sizeOf(i)
	}
	d, err := c.DescribeTable(e.Context(), &api.DescribeTableInput{TableName: "aaa"})
	if err != nil {
		t.Fatal(err)
	}
	x, g := d.Table.LocalSecondaryIndexes[0], d.Table.GlobalSecondaryIndexes[0]
	if *x.ItemCount != int64(len(local)) || *x.IndexSizeBytes != int64(localSize) {
		t.Errorf("local: %d entries of %d bytes, want %d of %d", *x.ItemCount, *x.IndexSizeBytes, len(local), localSize)
	}
	if *g.ItemCount != int64(len(global)) || *g.IndexSizeBytes != int64(globalSize) {
		t.Errorf("global: %d entries of %d bytes, want %d of %d", *g.ItemCount, *g.IndexSizeBytes, len(global), globalSize)
	}
	checkCollections(t, e, collections)
	for _, p := range []string{"0", "1"} {
		in := &api.QueryInput{TableName: "aaa", IndexName: wire.Ptr("local"), KeyConditionExpression: wire.Ptr("p = :p"),
			ExpressionAttributeValues: item{":p": text(p)}}
		checkOrder(t, e.Context(), c, in, local, func(i item) bool { return *i["p"].S == p },
			func(a, b item) int { return bytes.Compare(a["b"].B, b["b"].B) })
		for _, gv := range []string{"x", "x\x00"} {
			in := &api.QueryInput{TableName: "aaa", IndexName: wire.Ptr("global"), KeyConditionExpression: wire.Ptr("p = :p AND g = :g"),
				ExpressionAttributeValues: item{":p": text(p), ":g": text(gv)}}
			checkOrder(t, e.Context(), c, in, global, func(i item) bool { return *i["p"].S == p && *i["g"].S == gv }, func(a, b item) int {
				na, _ := strconv.Atoi(*a["n"].N)
				nb, _ := strconv.Atoi(*b["n"].N)
				if na != nb {
					return na - nb
				}
				return bytes.Compare(a["b"].B, b["b"].B)
			})
		}
	}
}

// checkOrder compares a Query with the items that it should have.
func checkOrder(t *testing.T, ctx context.Context, c api.Client, in *api.QueryInput, from []item, belongs func(item) bool, compare func(a, b item) int) {
	t.Helper()
	want := 0
	for _, i := range from {
		if belongs(i) {
			want++
		}
	}
	out, err := c.Query(ctx, in)
	if err != nil || len(out.Items) != want || !slices.IsSortedFunc(out.Items, compare) {
		t.Errorf("%s: got %v, want %d items in order (%v)", *in.IndexName, out, want, err)
	}
}

// checkCollections compares the counters of item collections, which stand in the store alone.
func checkCollections(t *testing.T, e *servicetest.Env, want map[string]int) {
	t.Helper()
	sum, total := int64(0), 0
	err := kv.NewSpace(e.Deps.Store, "000000000000", "us-east-1", "dynamodb").View(t.Context(), func(_ context.Context, r kv.Reader) error {
		for entry, err := range r.Scan(kv.PrefixRange([]byte{'C'}), kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			if n := kv.Int64(entry.Value); n < 0 {
				return errors.New("a collection has a negative size")
			} else {
				sum += n
			}
		}
		return nil
	})
	for _, n := range want {
		total += n
	}
	if err != nil || sum != int64(total) {
		t.Errorf("collections have %d bytes, want %d (%v)", sum, total, err)
	}
}
