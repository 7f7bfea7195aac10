package dynamodb_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/wire"
)

func enableTTL(t *testing.T, f *streamed, on bool) {
	t.Helper()
	_, err := f.items.UpdateTimeToLive(f.Context(), &api.UpdateTimeToLiveInput{TableName: "aaa",
		TimeToLiveSpecification: &api.TimeToLiveSpecification{AttributeName: "end", Enabled: on}})
	if err != nil {
		t.Fatal(err)
	}
	f.Settle()
}

// putUntil puts an item whose time is over after d, by the clock.
func (f *streamed) putUntil(t *testing.T, key string, d time.Duration) {
	t.Helper()
	put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text(key), "end": number(strconv.FormatInt(f.Clock.Now().Add(d).Unix(), 10))})
}

// keys returns the keys of the items that are there.
func (f *streamed) keys(t *testing.T) string {
	t.Helper()
	out, err := f.items.Scan(f.Context(), &api.ScanInput{TableName: "aaa"})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, item := range out.Items {
		keys = append(keys, *item["p"].S)
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

func TestTimeToLive(t *testing.T) {
	f := startStreamed(t, "KEYS_ONLY")
	f.putUntil(t, "older", time.Hour)
	enableTTL(t, f, true)
	f.putUntil(t, "hour", time.Hour)
	f.putUntil(t, "later", time.Hour)
	f.putUntil(t, "moved", time.Hour)
	f.putUntil(t, "deleted", time.Hour)
	f.putUntil(t, "past", -time.Hour)
	f.putUntil(t, "ancient", -6*365*24*time.Hour)
	put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text("text"), "end": text("1")})
	put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text("huge"), "end": number("1E+100")})
	put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text("negative"), "end": number("-1")})
	put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text("exponent"), "end": number("1.767E9")})
	put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text("round"), "end": number("17E8")})
	put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text("fraction"), "end": number("1767000000.75")})
	f.putUntil(t, "later", 2*time.Hour)
	if _, err := f.items.UpdateItem(f.Context(), &api.UpdateItemInput{TableName: "aaa", Key: map[string]api.AttributeValue{"p": text("moved")},
		UpdateExpression: wire.Ptr("REMOVE #e"), ExpressionAttributeNames: map[string]string{"#e": "end"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.items.DeleteItem(f.Context(), &api.DeleteItemInput{TableName: "aaa", Key: map[string]api.AttributeValue{"p": text("deleted")}}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		advance time.Duration
		want    string
	}{
		{2 * time.Minute, "ancient hour huge later moved negative older text"},
		{time.Hour, "ancient huge later moved negative text"},
		{time.Hour, "ancient huge moved negative text"},
	} {
		f.Advance(step.advance)
		if got := f.keys(t); got != step.want {
			t.Errorf("after another %v: %s", step.advance, got)
		}
	}
	var removed []string
	for _, r := range f.all(t) {
		if r.UserIdentity != nil {
			removed = append(removed, *r.EventName+" "+*r.Dynamodb.Keys["p"].S)
		}
	}
	slices.Sort(removed)
	if got := strings.Join(removed, ", "); got != "REMOVE exponent, REMOVE fraction, REMOVE hour, REMOVE later, REMOVE older, REMOVE past, REMOVE round" {
		t.Error(got)
	}
	d, err := f.items.DescribeTable(f.Context(), &api.DescribeTableInput{TableName: "aaa"})
	if err != nil || *d.Table.ItemCount != 5 {
		t.Errorf("%d items are counted (%v)", *d.Table.ItemCount, err)
	}
}

// TestTimeToLiveInPieces lets far more items expire than one transaction deletes, entered before and after the time to live was enabled.
func TestTimeToLiveInPieces(t *testing.T) {
	f := startStreamed(t, "KEYS_ONLY")
	const items = 700
	end := number(strconv.FormatInt(f.Clock.Now().Add(time.Minute).Unix(), 10))
	write := func(from, to int) {
		for i := from; i < to; i += 25 {
			var batch []api.WriteRequest
			for j := range 25 {
				batch = append(batch, api.WriteRequest{PutRequest: &api.PutRequest{Item: map[string]api.AttributeValue{
					"p": text(fmt.Sprint(i + j)), "end": end}}})
			}
			if _, err := f.items.BatchWriteItem(f.Context(), &api.BatchWriteItemInput{RequestItems: map[string][]api.WriteRequest{"aaa": batch}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(0, items)
	enableTTL(t, f, true)
	write(items, items+100)
	f.Advance(3 * time.Minute)
	if got := f.keys(t); got != "" {
		t.Errorf("left: %s", got)
	}
	if got := len(f.all(t)); got != 2*(items+100) {
		t.Errorf("%d records", got)
	}
}

// TestTimeToLiveAnew disables the time to live and enables it again: what was entered before counts once, by what the items have now.
func TestTimeToLiveAnew(t *testing.T) {
	f := startStreamed(t, "KEYS_ONLY")
	enableTTL(t, f, true)
	f.putUntil(t, "one", 10*time.Minute)
	f.putUntil(t, "two", 10*time.Minute)
	enableTTL(t, f, false)
	f.putUntil(t, "one", time.Hour)
	f.Advance(20 * time.Minute)
	if got := f.keys(t); got != "one two" {
		t.Fatal(got)
	}
	enableTTL(t, f, true)
	f.Advance(2 * time.Minute)
	if got := f.keys(t); got != "one" {
		t.Fatal(got)
	}
	f.Advance(time.Hour)
	if got := f.keys(t); got != "" {
		t.Fatal(got)
	}
	if _, err := f.items.DeleteTable(f.Context(), &api.DeleteTableInput{TableName: "aaa"}); err != nil {
		t.Fatal(err)
	}
	f.Advance(time.Hour)
}
