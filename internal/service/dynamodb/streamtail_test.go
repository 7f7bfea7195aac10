package dynamodb_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb"
	"croft/internal/service/dynamodb/tail"
)

func openTail(t *testing.T, f *streamed) tail.Stream {
	t.Helper()
	s, err := dynamodb.New(f.Deps).Tail().Open(f.Context(), f.arn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestTailIsWoken follows a stream while another goroutine writes: every record comes once and in order, and nothing is polled.
func TestTailIsWoken(t *testing.T) {
	f := startStreamed(t, "NEW_IMAGE")
	s := openTail(t, f)
	shards, err := s.Shards(f.Context())
	if err != nil || len(shards) != 1 || shards[0] != f.shard {
		t.Fatalf("shards %v (%v)", shards, err)
	}
	place, err := s.Place(f.Context(), f.shard, tail.Latest)
	if err != nil {
		t.Fatal(err)
	}
	const writes = 50
	written := make(chan error, 1)
	go func() {
		for i := range writes {
			_, err := f.items.PutItem(f.Context(), &api.PutItemInput{TableName: "aaa", Item: map[string]api.AttributeValue{"p": text(fmt.Sprint(i))}})
			if err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	for seen := 0; seen < writes; {
		page, err := s.Read(f.Context(), f.shard, place, 7, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			if want := fmt.Sprintf(`"p":{"S":"%d"}`, seen); !strings.Contains(string(r.Event), want) {
				t.Fatalf("record %d is %s", seen, r.Event)
			}
			seen++
		}
		if place = page.Next; len(page.Records) == 0 {
			select {
			case <-s.Changed():
			case err := <-written:
				if err != nil {
					t.Fatal(err)
				}
				written <- nil
			}
		}
	}
}

func TestTailEvents(t *testing.T) {
	f := startStreamed(t, "NEW_AND_OLD_IMAGES")
	item := map[string]api.AttributeValue{"p": text("<k>"), "b": {B: []byte{1, 2}}, "l": {L: []api.AttributeValue{number("1.50"), {NULL: new(bool)}}},
		"m": {M: map[string]api.AttributeValue{"s": {SS: []string{"x"}}, "n": {NS: []string{"2"}}, "bs": {BS: [][]byte{{3}}}, "t": {BOOL: new(bool)}}}}
	*item["l"].L[1].NULL = true
	put(t, f.Env, f.items, item)
	s := openTail(t, f)
	place, err := s.Place(f.Context(), f.shard, tail.Oldest)
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.Read(f.Context(), f.shard, place, 10, 1<<20)
	if err != nil || len(page.Records) != 1 || page.End {
		t.Fatalf("%+v (%v)", page, err)
	}
	r := page.Records[0]
	if !r.At.Equal(f.Clock.Now()) {
		t.Error(r.At)
	}
	var got, want any
	if err := json.Unmarshal(r.Event, &got); err != nil {
		t.Fatal(err)
	}
	id := got.(map[string]any)["eventID"].(string)
	if err := json.Unmarshal(fmt.Appendf(nil, `{"eventID":%q,"eventName":"INSERT","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1",
		"eventSourceARN":%q,"dynamodb":{"ApproximateCreationDateTime":1767323045,"Keys":{"p":{"S":"<k>"}},"SequenceNumber":%q,"SizeBytes":39,
		"StreamViewType":"NEW_AND_OLD_IMAGES","NewImage":{"p":{"S":"<k>"},"b":{"B":"AQI="},"l":{"L":[{"N":"1.5"},{"NULL":true}]},
		"m":{"M":{"s":{"SS":["x"]},"n":{"NS":["2"]},"bs":{"BS":["Aw=="]},"t":{"BOOL":false}}}}}}`, id, f.arn, r.Sequence), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %s", r.Event)
	}
	// The sequence number is the place behind the record.
	if page, err := s.Read(f.Context(), f.shard, r.Sequence, 10, 1<<20); err != nil || len(page.Records) != 0 {
		t.Errorf("%+v (%v)", page, err)
	}
}

func TestTailBounds(t *testing.T) {
	f := startStreamed(t, "NEW_IMAGE")
	s := openTail(t, f)
	place, err := s.Place(f.Context(), f.shard, tail.Oldest)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		put(t, f.Env, f.items, map[string]api.AttributeValue{"p": text(fmt.Sprint(i)), "b": text(strings.Repeat("x", 1000))})
	}
	next := place
	for want := range 3 {
		page, err := s.Read(f.Context(), f.shard, next, 10, 1500)
		if err != nil || len(page.Records) != 1 || !strings.Contains(string(page.Records[0].Event), fmt.Sprintf(`"S":"%d"`, want)) {
			t.Fatalf("%d records (%v)", len(page.Records), err)
		}
		next = page.Next
	}
	if _, err := s.Read(f.Context(), "shardId-00000000000000000000-00000000", next, 1, 1); !errors.Is(err, tail.ErrNotFound) {
		t.Error(err)
	}
	if _, err := s.Read(f.Context(), f.shard, "here", 1, 1); err == nil {
		t.Error("a place out of nothing")
	}
	if _, err := s.Place(f.Context(), f.shard, "AT_TIMESTAMP"); err == nil {
		t.Error("a start that there is not")
	}
	f.Advance(25 * time.Hour)
	if _, err := s.Read(f.Context(), f.shard, place, 1, 1); !errors.Is(err, tail.ErrTrimmed) {
		t.Error(err)
	}
	if _, err := f.items.DeleteTable(f.Context(), &api.DeleteTableInput{TableName: "aaa"}); err != nil {
		t.Fatal(err)
	}
	if page, err := s.Read(f.Context(), f.shard, next, 1, 1); err != nil || !page.End {
		t.Errorf("%+v (%v)", page, err)
	}
	f.Advance(49 * time.Hour)
	if _, err := s.Shards(f.Context()); !errors.Is(err, tail.ErrNotFound) {
		t.Error(err)
	}
	if _, err := dynamodb.New(f.Deps).Tail().Open(f.Context(), f.arn); !errors.Is(err, tail.ErrNotFound) {
		t.Error(err)
	}
}
