package dynamodb_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
)

// TestWritersDoNotMeet writes an item while another transaction has written one of the same table and not committed: neither runs again, though the table
// has a stream, a time to live and a backup under way.
func TestWritersDoNotMeet(t *testing.T) {
	f := startStreamed(t, "NEW_AND_OLD_IMAGES")
	enableTTL(t, f, true)
	backUp(t, later(f.Env, time.Hour), f.items)
	end := number(fmt.Sprint(f.Clock.Now().Unix() + 1000))
	write := func(ctx context.Context, key string) error {
		_, err := f.items.PutItem(ctx, &api.PutItemInput{TableName: "aaa", Item: map[string]api.AttributeValue{"p": text(key), "end": end}})
		return err
	}
	runs := 0
	err := f.Deps.Store.Update(f.Context(), func(ctx context.Context, _ kv.Tx) error {
		runs++
		if err := write(ctx, "outer"); err != nil {
			return err
		}
		if runs > 1 {
			return nil
		}
		inner := make(chan error, 1)
		go func() { inner <- write(f.Context(), "inner") }()
		return <-inner
	})
	if err != nil || runs != 1 {
		t.Errorf("the outer transaction ran %d times (%v)", runs, err)
	}
	// The order of the stream is that of the commits.
	var got []string
	for _, r := range f.all(t) {
		got = append(got, *r.Dynamodb.Keys["p"].S)
	}
	if fmt.Sprint(got) != "[inner outer]" {
		t.Errorf("got %v", got)
	}
}

func BenchmarkPutItemStreamed(b *testing.B) {
	f := startStreamed(b, "NEW_AND_OLD_IMAGES")
	i := 0
	for b.Loop() {
		i++
		put(b, f.Env, f.items, map[string]api.AttributeValue{"p": text(fmt.Sprint(i % 1000)), "b": text(fmt.Sprint(i))})
	}
}
