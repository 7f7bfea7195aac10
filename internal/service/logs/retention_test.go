package logs_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	api "croft/internal/awsapi/logs"
	"croft/internal/cfn"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

func put(t *testing.T, e *servicetest.Env, group, stream string, events ...api.InputLogEvent) *api.PutLogEventsOutput {
	t.Helper()
	out, err := api.NewClient(e.Dispatcher).PutLogEvents(e.Context(), &api.PutLogEventsInput{
		LogGroupName: group, LogStreamName: stream, LogEvents: events,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func create(t *testing.T, e *servicetest.Env, group string, streams ...string) {
	t.Helper()
	c := api.NewClient(e.Dispatcher)
	if _, err := c.CreateLogGroup(e.Context(), &api.CreateLogGroupInput{LogGroupName: group}); err != nil {
		t.Fatal(err)
	}
	for _, s := range streams {
		if _, err := c.CreateLogStream(e.Context(), &api.CreateLogStreamInput{LogGroupName: group, LogStreamName: s}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestResourceAndRetention(t *testing.T) {
	e := servicetest.New(t, newLogs)
	c := api.NewClient(e.Dispatcher)
	rt := e.Resource("AWS::Logs::LogGroup")
	properties := map[string]any{"LogGroupName": "g", "RetentionInDays": 1}
	err := e.Update(func(ctx context.Context) error {
		out, err := rt.Create(ctx, &cfn.Request{GeneratedName: "x"}, properties)
		if err == nil && (out.PhysicalID != "g" || out.Attributes["Arn"] != "arn:aws:logs:us-east-1:000000000000:log-group:g:*") {
			t.Errorf("got %+v", out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateLogStream(e.Context(), &api.CreateLogStreamInput{LogGroupName: "g", LogStreamName: "s"}); err != nil {
		t.Fatal(err)
	}
	day := int64(24 * 60 * 60 * 1000)
	now := e.Clock.Now().UnixMilli()
	out := put(t, e, "g", "s", api.InputLogEvent{Timestamp: now - day - 1, Message: "expired"}, api.InputLogEvent{Timestamp: now - day, Message: "old"})
	if i := out.RejectedLogEventsInfo; i == nil || wire.Value(i.ExpiredLogEventEndIndex) != 1 || i.TooOldLogEventEndIndex != nil {
		t.Errorf("rejected %+v", i)
	}
	put(t, e, "g", "s", api.InputLogEvent{Timestamp: now, Message: "new"})

	e.Advance(time.Millisecond)
	if got := messages(t, e, "g"); got != "new" {
		t.Errorf("an event is shown after its time: %q", got)
	}
	if got := stored(t, e); got != 26*2+6 {
		t.Errorf("%d bytes are stored before the sweep", got)
	}
	e.Advance(7 * time.Hour)
	if got := stored(t, e); got != 26+3 {
		t.Errorf("%d bytes are stored after the sweep", got)
	}
	e.Advance(24 * time.Hour)
	if got := stored(t, e); got != 0 {
		t.Errorf("%d bytes are stored after the last sweep", got)
	}

	err = e.Update(func(ctx context.Context) error {
		_, err := rt.Update(ctx, &cfn.Request{PhysicalID: "g"}, properties, map[string]any{"LogGroupName": "g", "RetentionInDays": 2})
		return err
	})
	if cloud.Code(err) != "InvalidParameterException" {
		t.Errorf("a period of two days: %v", err)
	}
	for range 2 {
		if err := e.Update(func(ctx context.Context) error { return rt.Delete(ctx, &cfn.Request{PhysicalID: "g"}, properties) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := rt.Check(map[string]any{"KmsKeyId": "k"}); err == nil || !strings.Contains(err.Error(), "KmsKeyId") {
		t.Errorf("KmsKeyId: %v", err)
	}
}

func stored(t *testing.T, e *servicetest.Env) int64 {
	t.Helper()
	out, err := api.NewClient(e.Dispatcher).DescribeLogGroups(e.Context(), &api.DescribeLogGroupsInput{})
	if err != nil || len(out.LogGroups) != 1 {
		t.Fatal(err, len(out.LogGroups))
	}
	return wire.Value(out.LogGroups[0].StoredBytes)
}

func messages(t *testing.T, e *servicetest.Env, group string) string {
	t.Helper()
	out, err := api.NewClient(e.Dispatcher).FilterLogEvents(e.Context(), &api.FilterLogEventsInput{LogGroupName: &group})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, ev := range out.Events {
		all = append(all, wire.Value(ev.Message))
	}
	return strings.Join(all, ",")
}

// TestFilterMerges compares a search over many streams, page by page, with a sort of all events.
func TestFilterMerges(t *testing.T) {
	e := servicetest.New(t, newLogs)
	streams := []string{"a", "b", "c", "d", "e"}
	create(t, e, "g", streams...)
	base := e.Clock.Now().UnixMilli()
	var want []string
	for i := range 400 {
		s, at := streams[clock.Pick(len(streams))], base+int64(clock.Pick(50))
		put(t, e, "g", s, api.InputLogEvent{Timestamp: at, Message: fmt.Sprint(i)})
		want = append(want, fmt.Sprintf("%d %s %06d", at, s, i))
	}
	slices.Sort(want)
	for _, limit := range []int32{1, 7, 1000} {
		var got []string
		in := &api.FilterLogEventsInput{LogGroupName: wire.Ptr("g"), Limit: &limit}
		for {
			out, err := api.NewClient(e.Dispatcher).FilterLogEvents(e.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, ev := range out.Events {
				got = append(got, fmt.Sprintf("%d %s %06s", *ev.Timestamp, *ev.LogStreamName, *ev.Message))
			}
			if out.NextToken == nil {
				break
			}
			in.NextToken = out.NextToken
		}
		if !slices.Equal(got, want) {
			t.Fatalf("pages of %d: got %d events, want %d in order", limit, len(got), len(want))
		}
	}
}

func TestSizes(t *testing.T) {
	e := servicetest.New(t, newLogs)
	create(t, e, "g", "s")
	c, now := api.NewClient(e.Dispatcher), e.Clock.Now().UnixMilli()
	half := strings.Repeat("x", 1<<19-26)
	put(t, e, "g", "s", api.InputLogEvent{Timestamp: now, Message: half}, api.InputLogEvent{Timestamp: now, Message: half})
	_, err := c.PutLogEvents(e.Context(), &api.PutLogEventsInput{
		LogGroupName: "g", LogStreamName: "s", LogEvents: []api.InputLogEvent{{Timestamp: now, Message: half + half + strings.Repeat("x", 27)}},
	})
	if err == nil || err.Error() != "InvalidParameterException: Upload too large: 1048577 bytes exceeds limit of 1048576" {
		t.Errorf("a batch that is too large: %v", err)
	}
	put(t, e, "g", "s", api.InputLogEvent{Timestamp: now, Message: "last"})
	for _, head := range []bool{true, false} {
		out, err := c.GetLogEvents(e.Context(), &api.GetLogEventsInput{LogGroupName: wire.Ptr("g"), LogStreamName: "s", StartFromHead: &head})
		if err != nil || len(out.Events) != 2 {
			t.Errorf("a page of a megabyte from the head %t: %d events, %v", head, len(out.Events), err)
		}
	}
	long := strings.Repeat("n", 513)
	_, err = c.CreateLogGroup(e.Context(), &api.CreateLogGroupInput{LogGroupName: long})
	if err == nil || err.Error() != "InvalidParameterException: Invalid LogGroup or LogStream, both must have length less than or equal to 512." {
		t.Errorf("a long name: %v", err)
	}
}
