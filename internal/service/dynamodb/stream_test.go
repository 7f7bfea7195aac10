package dynamodb_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	api "croft/internal/awsapi/dynamodb"
	streams "croft/internal/awsapi/dynamodbstreams"
	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/service/dynamodb"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

func streamsDescriptor(d service.Deps) service.Descriptor {
	return dynamodb.New(d).Streams().Descriptor()
}

func TestStreamScripts(t *testing.T) {
	servicetest.Run(t, "testdata/streams/*.txtar", descriptor, streamsDescriptor)
}

// streamed is a table called "aaa" with the key p and a stream.
type streamed struct {
	*servicetest.Env
	items   api.Client
	streams streams.Client
	arn     string
	shard   string
}

func startStreamed(t testing.TB, view string) *streamed {
	t.Helper()
	e := servicetest.New(t, descriptor, streamsDescriptor)
	f := &streamed{Env: e, items: api.NewClient(e.Dispatcher), streams: streams.NewClient(e.Dispatcher)}
	out, err := f.items.CreateTable(e.Context(), &api.CreateTableInput{TableName: "aaa", BillingMode: wire.Ptr("PAY_PER_REQUEST"),
		AttributeDefinitions: []api.AttributeDefinition{{AttributeName: "p", AttributeType: "S"}},
		KeySchema:            []api.KeySchemaElement{{AttributeName: "p", KeyType: "HASH"}},
		StreamSpecification:  &api.StreamSpecification{StreamEnabled: true, StreamViewType: &view}})
	if err != nil {
		t.Fatal(err)
	}
	f.arn = *out.TableDescription.LatestStreamArn
	d, err := f.streams.DescribeStream(e.Context(), &streams.DescribeStreamInput{StreamArn: f.arn})
	if err != nil {
		t.Fatal(err)
	}
	f.shard = *d.StreamDescription.Shards[0].ShardId
	return f
}

// all reads the stream from its oldest record to its end.
func (f *streamed) all(t testing.TB) (out []streams.Record) {
	t.Helper()
	it, err := f.streams.GetShardIterator(f.Context(), &streams.GetShardIteratorInput{
		StreamArn: f.arn, ShardId: f.shard, ShardIteratorType: "TRIM_HORIZON"})
	if err != nil {
		t.Fatal(err)
	}
	for next := it.ShardIterator; next != nil; {
		page, err := f.streams.GetRecords(f.Context(), &streams.GetRecordsInput{ShardIterator: *next})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Records) == 0 {
			return out
		}
		out, next = append(out, page.Records...), page.NextShardIterator
	}
	return out
}

// summary is a record in a line: the event, and which of key, new and old it has.
func summary(r *streams.Record) string {
	out := *r.EventName
	for _, part := range []struct {
		name string
		item map[string]streams.AttributeValue
	}{{"key", r.Dynamodb.Keys}, {"new", r.Dynamodb.NewImage}, {"old", r.Dynamodb.OldImage}} {
		if part.item != nil {
			out += fmt.Sprintf(" %s:%d", part.name, len(part.item))
		}
	}
	return out
}

func TestStreamViews(t *testing.T) {
	for view, want := range map[string]string{
		"KEYS_ONLY":          "INSERT key:1, MODIFY key:1, REMOVE key:1",
		"NEW_IMAGE":          "INSERT key:1 new:2, MODIFY key:1 new:3, REMOVE key:1",
		"OLD_IMAGE":          "INSERT key:1, MODIFY key:1 old:2, REMOVE key:1 old:3",
		"NEW_AND_OLD_IMAGES": "INSERT key:1 new:2, MODIFY key:1 new:3 old:2, REMOVE key:1 old:3",
	} {
		f := startStreamed(t, view)
		put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text("k"), "s": {SS: []string{"a", "b"}}})
		// A set in another order is the same.
		put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text("k"), "s": {SS: []string{"b", "a"}}})
		for range 2 {
			if _, err := f.items.UpdateItem(f.Context(), &api.UpdateItemInput{TableName: "aaa", Key: map[string]api.AttributeValue{"p": text("k")},
				UpdateExpression: wire.Ptr("SET x = :x"), ExpressionAttributeValues: map[string]api.AttributeValue{":x": number("1.0")}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.items.DeleteItem(f.Context(), &api.DeleteItemInput{TableName: "aaa", Key: map[string]api.AttributeValue{"p": text("k")}}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range f.all(t) {
			got = append(got, summary(&r))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: got %s", view, strings.Join(got, ", "))
		}
	}
}

// TestStreamOrder writes the same few items from many goroutines and checks that the stream tells their story: each old image is the new image
// before it, and the last one is what is there.
func TestStreamOrder(t *testing.T) {
	f := startStreamed(t, "NEW_AND_OLD_IMAGES")
	const workers, writes, keys = 8, 60, 5
	var running sync.WaitGroup
	for worker := range workers {
		running.Go(func() {
			for i := range writes {
				item := map[string]api.AttributeValue{"p": text(fmt.Sprint((worker*7 + i) % keys)), "v": text(fmt.Sprint(worker, i))}
				var err error
				if i%7 == 3 {
					delete(item, "v")
					_, err = f.items.DeleteItem(f.Context(), &api.DeleteItemInput{TableName: "aaa", Key: item})
				} else {
					_, err = f.items.PutItem(f.Context(), &api.PutItemInput{TableName: "aaa", Item: item})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	now, last := map[string]string{}, ""
	for _, r := range f.all(t) {
		key, seq := *r.Dynamodb.Keys["p"].S, *r.Dynamodb.SequenceNumber
		if seq <= last {
			t.Fatalf("sequence number %s after %s", seq, last)
		}
		last = seq
		if got := value(r.Dynamodb.OldImage); got != now[key] {
			t.Fatalf("%s of %s: the old image is %q, before it was %q", *r.EventName, key, got, now[key])
		}
		now[key] = value(r.Dynamodb.NewImage)
	}
	scan, err := f.items.Scan(f.Context(), &api.ScanInput{TableName: "aaa"})
	if err != nil {
		t.Fatal(err)
	}
	there := 0
	for _, v := range now {
		if v != "" {
			there++
		}
	}
	if there != len(scan.Items) {
		t.Errorf("the stream ends with %d items, the table has %d", there, len(scan.Items))
	}
	for _, item := range scan.Items {
		if now[*item["p"].S] != *item["v"].S {
			t.Errorf("%s: the stream ends with %q, the table has %q", *item["p"].S, now[*item["p"].S], *item["v"].S)
		}
	}
}

func value(item map[string]streams.AttributeValue) string {
	if v := item["v"].S; v != nil {
		return *v
	}
	return ""
}

// TestStreamPages checks the bounds of one answer: 1000 records, 1 MB, and one record that is larger.
func TestStreamPages(t *testing.T) {
	f := startStreamed(t, "NEW_AND_OLD_IMAGES")
	page := func(it *string) *streams.GetRecordsOutput {
		t.Helper()
		out, err := f.streams.GetRecords(f.Context(), &streams.GetRecordsInput{ShardIterator: *it})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	it, err := f.streams.GetShardIterator(f.Context(), &streams.GetShardIteratorInput{StreamArn: f.arn, ShardId: f.shard, ShardIteratorType: "LATEST"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text(fmt.Sprint(i)), "b": text(strings.Repeat("x", 300<<10))})
	}
	first := page(it.ShardIterator)
	if second := page(first.NextShardIterator); len(first.Records) != 3 || len(second.Records) != 1 {
		t.Errorf("pages of %d and %d records", len(first.Records), len(second.Records))
	}
}

// TestTrimmedIterator uses an iterator that is young enough, and whose records have gone meanwhile.
func TestTrimmedIterator(t *testing.T) {
	f := startStreamed(t, "KEYS_ONLY")
	put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text("old")})
	f.Advance(23*time.Hour + 55*time.Minute)
	it, err := f.streams.GetShardIterator(f.Context(), &streams.GetShardIteratorInput{StreamArn: f.arn, ShardId: f.shard, ShardIteratorType: "TRIM_HORIZON"})
	if err != nil {
		t.Fatal(err)
	}
	f.Advance(10 * time.Minute)
	_, err = f.streams.GetRecords(f.Context(), &streams.GetRecordsInput{ShardIterator: *it.ShardIterator})
	if cloud.Code(err) != "TrimmedDataAccessException" {
		t.Error(err)
	}
}

// TestStreamTrim checks that records go a day after they were written, in pieces, while others are written.
func TestStreamTrim(t *testing.T) {
	f := startStreamed(t, "KEYS_ONLY")
	const old = 2100
	for i := 0; i < old; i += 25 {
		var batch []api.WriteRequest
		for j := range 25 {
			batch = append(batch, api.WriteRequest{PutRequest: &api.PutRequest{Item: map[string]api.AttributeValue{"p": text(fmt.Sprint(i + j))}}})
		}
		if _, err := f.items.BatchWriteItem(f.Context(), &api.BatchWriteItemInput{RequestItems: map[string][]api.WriteRequest{"aaa": batch}}); err != nil {
			t.Fatal(err)
		}
	}
	f.Advance(12 * time.Hour)
	put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text("young")})
	if got := len(f.all(t)); got != old+1 {
		t.Fatalf("%d records", got)
	}
	f.Advance(12 * time.Hour)
	if got := f.all(t); len(got) != 1 || *got[0].Dynamodb.Keys["p"].S != "young" {
		t.Fatalf("%d records are left", len(got))
	}
	f.Advance(13 * time.Hour)
	if got := f.all(t); len(got) != 0 {
		t.Fatalf("%d records are left", len(got))
	}
	put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text("new")})
	if got := f.all(t); len(got) != 1 {
		t.Fatalf("%d records", len(got))
	}
}
