package logs_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	api "croft/internal/awsapi/logs"
	"croft/internal/cloud"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

const groupARN = "arn:aws:logs:us-east-1:000000000000:log-group:"

// tailing is a cloud with the groups a and b, each with the stream s.
type tailing struct {
	*servicetest.Env
	t      *testing.T
	client api.Client
}

func newTailing(t *testing.T) *tailing {
	e := servicetest.New(t, newLogs)
	out := &tailing{e, t, api.NewClient(e.Dispatcher)}
	for _, g := range []string{"a", "b"} {
		if _, err := out.client.CreateLogGroup(e.Context(), &api.CreateLogGroupInput{LogGroupName: g}); err != nil {
			t.Fatal(err)
		}
		out.stream(g, "s")
	}
	return out
}

func (e *tailing) stream(group, name string) {
	e.t.Helper()
	if _, err := e.client.CreateLogStream(e.Context(), &api.CreateLogStreamInput{LogGroupName: group, LogStreamName: name}); err != nil {
		e.t.Fatal(err)
	}
}

// put writes messages, the first of them at the time that is before seconds ago.
func (e *tailing) put(group, stream string, before int64, messages ...string) {
	e.t.Helper()
	in := &api.PutLogEventsInput{LogGroupName: group, LogStreamName: stream}
	for i, m := range messages {
		in.LogEvents = append(in.LogEvents, api.InputLogEvent{Timestamp: e.Clock.Now().UnixMilli() - before*1000 + int64(i), Message: m})
	}
	if _, err := e.client.PutLogEvents(e.Context(), in); err != nil {
		e.t.Fatal(err)
	}
}

// tail starts a session and returns what gives its next update, a second later.
func (e *tailing) tail(ctx context.Context, in *api.StartLiveTailInput) (next func() *api.LiveTailSessionUpdate) {
	e.t.Helper()
	pull := e.pull(ctx, in)
	if first, err, ok := pull(); !ok || err != nil || first.SessionStart == nil || wire.Value(first.SessionStart.SessionId) == "" ||
		len(first.SessionStart.LogGroupIdentifiers) != len(in.LogGroupIdentifiers) {
		e.t.Fatalf("%+v, %v", first, err)
	}
	return func() *api.LiveTailSessionUpdate {
		e.t.Helper()
		e.Clock.Advance(time.Second)
		event, err, ok := pull()
		if !ok || err != nil || event.SessionUpdate == nil {
			e.t.Fatalf("%+v, %v, %t", event, err, ok)
		}
		return event.SessionUpdate
	}
}

func (e *tailing) pull(ctx context.Context, in *api.StartLiveTailInput) func() (*api.StartLiveTailResponseStream, error, bool) {
	e.t.Helper()
	out, err := e.client.StartLiveTail(ctx, in)
	if err != nil {
		e.t.Fatal(err)
	}
	pull, stop := iter.Pull2(iter.Seq2[*api.StartLiveTailResponseStream, error](out.ResponseStream))
	e.t.Cleanup(stop)
	return pull
}

func tailedMessages(u *api.LiveTailSessionUpdate) string {
	var out []string
	for _, r := range u.SessionResults {
		out = append(out, strings.TrimPrefix(*r.LogGroupIdentifier, groupARN)+"/"+*r.LogStreamName+":"+*r.Message)
	}
	return strings.Join(out, " ")
}

func arns(names ...string) *api.StartLiveTailInput {
	in := &api.StartLiveTailInput{}
	for _, n := range names {
		in.LogGroupIdentifiers = append(in.LogGroupIdentifiers, groupARN+n)
	}
	return in
}

func TestLiveTail(t *testing.T) {
	e := newTailing(t)
	e.put("a", "s", 0, "before")
	next := e.tail(e.Context(), arns("a", "b"))
	want := func(text string) {
		t.Helper()
		u := next()
		if got := tailedMessages(u); got != text || *u.SessionMetadata.Sampled || u.SessionResults == nil {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	want("")
	e.put("a", "s", 0, "one", "two")
	e.put("b", "s", 10, "three")
	want("b/s:three a/s:one a/s:two")
	want("")
	e.put("a", "s", 3600, "late") // its time is long before that of what is there
	e.stream("a", "new")
	e.put("a", "new", 0, "four")
	want("a/s:late a/new:four")
	if _, err := e.client.DeleteLogGroup(e.Context(), &api.DeleteLogGroupInput{LogGroupName: "b"}); err != nil {
		t.Fatal(err)
	}
	want("")
	if _, err := e.client.CreateLogGroup(e.Context(), &api.CreateLogGroupInput{LogGroupName: "b"}); err != nil {
		t.Fatal(err)
	}
	e.stream("b", "s")
	e.put("b", "s", 0, "again")
	want("b/s:again")
}

func TestLiveTailFilters(t *testing.T) {
	e := newTailing(t)
	for _, s := range []string{"t1", "t2", "u"} {
		e.stream("a", s)
	}
	pattern := arns("a")
	pattern.LogEventFilterPattern = wire.Ptr("yes -no")
	byName := arns("a")
	byName.LogStreamNames = []string{"u", "later"}
	byPrefix := arns("a")
	byPrefix.LogStreamNamePrefixes = []string{"t"}
	tails := []func() *api.LiveTailSessionUpdate{e.tail(e.Context(), pattern), e.tail(e.Context(), byName), e.tail(e.Context(), byPrefix)}
	e.put("a", "s", 9, "yes 1", "yes no", "2")
	e.put("a", "t1", 8, "yes 3")
	e.put("a", "t2", 7, "4")
	e.put("a", "u", 6, "5")
	e.stream("a", "later")
	e.put("a", "later", 5, "6")
	for i, want := range []string{"a/s:yes 1 a/t1:yes 3", "a/u:5 a/later:6", "a/t1:yes 3 a/t2:4"} {
		if got := tailedMessages(tails[i]()); got != want {
			t.Errorf("%d: got %q, want %q", i, got, want)
		}
	}
}

func TestLiveTailSamples(t *testing.T) {
	e := newTailing(t)
	next := e.tail(e.Context(), arns("a"))
	many := make([]string, 1200)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	e.put("a", "s", 2, many...)
	u := next()
	if len(u.SessionResults) != 500 || !*u.SessionMetadata.Sampled || *u.SessionResults[0].Message != "0" || *u.SessionResults[1].Message != "2" {
		t.Errorf("%d events, %+v", len(u.SessionResults), u.SessionMetadata)
	}
	// As many as there are, and more than one update looks at.
	for range 6 {
		e.put("a", "s", 1, many...)
	}
	if u := next(); len(u.SessionResults) != 500 || !*u.SessionMetadata.Sampled {
		t.Errorf("%d events, %+v", len(u.SessionResults), u.SessionMetadata)
	}
	big := strings.Repeat("x", 900_000)
	for range 6 {
		e.put("a", "s", 0, big)
	}
	if u := next(); len(u.SessionResults) != 4 || !*u.SessionMetadata.Sampled {
		t.Errorf("%d events, %+v", len(u.SessionResults), u.SessionMetadata)
	}
	if u := next(); len(u.SessionResults) != 0 || *u.SessionMetadata.Sampled {
		t.Errorf("%d events, %+v", len(u.SessionResults), u.SessionMetadata)
	}
}

func TestLiveTailEnds(t *testing.T) {
	e := newTailing(t)
	pull := e.pull(e.Context(), arns("a"))
	if _, err, ok := pull(); err != nil || !ok {
		t.Fatal(err, ok)
	}
	e.Clock.Advance(3 * time.Hour)
	_, err, ok := pull() // the updates that were due are one
	if err != nil || !ok {
		t.Fatal(err, ok)
	}
	if _, err, _ = pull(); cloud.Code(err) != "SessionTimeoutException" {
		t.Errorf("after three hours: %v", err)
	}
	if _, _, ok := pull(); ok {
		t.Error("the session goes on")
	}
	ctx, cancel := context.WithCancel(e.Context())
	pull = e.pull(ctx, arns("a"))
	if _, err, ok := pull(); err != nil || !ok {
		t.Fatal(err, ok)
	}
	cancel()
	if _, err, ok := pull(); ok {
		t.Errorf("the session goes on without its client: %v", err)
	}
}

func TestLiveTailRefuses(t *testing.T) {
	e := newTailing(t)
	both, two := arns("a"), arns("a", "b")
	both.LogStreamNames, both.LogStreamNamePrefixes = []string{"s"}, []string{"s"}
	two.LogStreamNames = []string{"s"}
	pattern := arns("a")
	pattern.LogEventFilterPattern = wire.Ptr("{ $.a = 1 }")
	many := arns(strings.Split("abcdefghijk", "")...)
	for name, c := range map[string]struct {
		in   *api.StartLiveTailInput
		want string
	}{
		"no such group":    {arns("nothing"), "ResourceNotFoundException"},
		"a name":           {&api.StartLiveTailInput{LogGroupIdentifiers: []string{"a"}}, "InvalidParameterException"},
		"an asterisk":      {arns("a:*"), "InvalidParameterException"},
		"twice":            {arns("a", "a"), "InvalidParameterException"},
		"none":             {arns(), "InvalidParameterException"},
		"eleven":           {many, "InvalidParameterException"},
		"names, prefixes":  {both, "InvalidParameterException"},
		"names, two":       {two, "InvalidParameterException"},
		"pattern":          {pattern, "InvalidParameterException"},
		"another region's": {&api.StartLiveTailInput{LogGroupIdentifiers: []string{strings.Replace(groupARN, "us-east-1", "eu-west-1", 1) + "a"}}, "ResourceNotFoundException"},
	} {
		if _, err := e.client.StartLiveTail(e.Context(), c.in); cloud.Code(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	for range 15 {
		e.tail(e.Context(), arns("a"))
	}
	if _, err := e.client.StartLiveTail(e.Context(), arns("a")); cloud.Code(err) != "LimitExceededException" {
		t.Errorf("a sixteenth session: %v", err)
	}
	e.In("111111111111", "us-east-1")
	if _, err := e.client.StartLiveTail(e.Context(), arns("a")); cloud.Code(err) != "ResourceNotFoundException" {
		t.Errorf("a session of another account: %v", err)
	}
}
