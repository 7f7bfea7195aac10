package logs

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"croft/internal/awsapi/logs"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Rules of live tail. Sources: CloudWatch Logs API Reference, StartLiveTail; CloudWatch Logs quotas.
const (
	tailPeriod  = time.Second
	tailTime    = 3 * time.Hour
	maxTailed   = 500
	maxSessions = 15
	// maxTailRead bounds the events that one update looks at in one stream. Of more, the newest are looked at.
	maxTailRead = 5000
	// maxTailBytes bounds the messages of one update, which is one message on the wire.
	maxTailBytes = 4 << 20
)

// sessions counts the live tails under way by account.
type sessions struct {
	mu   sync.Mutex
	open map[string]int
}

func (s *sessions) full(account string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[account] >= maxSessions
}

// begin counts a session, and reports false when there are too many.
func (s *sessions) begin(account string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[account] >= maxSessions {
		return false
	}
	if s.open == nil {
		s.open = map[string]int{}
	}
	s.open[account]++
	return true
}

func (s *sessions) end(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[account]--; s.open[account] == 0 {
		delete(s.open, account)
	}
}

func errSessions() *cloud.Error {
	return logs.NewLimitExceededException("The account has %d Live Tail sessions, which is as many as there may be.", maxSessions)
}

// StartLiveTail implements the operation. What comes into the groups from now on is in the stream, once a second.
func (s *Service) StartLiveTail(ctx context.Context, in *logs.StartLiveTailInput) (*logs.StartLiveTailOutput, error) {
	t := &liveTail{service: s, account: cloud.CallOf(ctx).Account, in: in}
	if err := t.check(ctx); err != nil {
		return nil, err
	}
	if s.tails.full(t.account) {
		return nil, errSessions()
	}
	// The stream outlives the call, and with it a transaction that the call may be part of.
	ctx = kv.Detach(ctx, s.deps.Store)
	err := s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error { return t.baseline(r) })
	if err != nil {
		return nil, err
	}
	t.session = cloud.NewRequestID()
	return &logs.StartLiveTailOutput{ResponseStream: func(yield func(*logs.StartLiveTailResponseStream, error) bool) { t.run(ctx, yield) }}, nil
}

// liveTail is one session.
type liveTail struct {
	service *Service
	account string
	session string
	in      *logs.StartLiveTailInput
	match   *pattern
	groups  []tailedGroup
}

type tailedGroup struct {
	name, arn string
	// seen holds what is known of each stream; streams that it lacks are new.
	seen map[string]tailedStream
}

// tailedStream tells a stream from a later one of the same name, and how many of its events have been dealt with.
type tailedStream struct {
	created int64
	events  uint64
}

func (t *liveTail) check(ctx context.Context) (err error) {
	in := t.in
	switch {
	case in.LogStreamNames != nil && in.LogStreamNamePrefixes != nil:
		return logs.NewInvalidParameterException("logStreamNames and logStreamNamePrefixes are mutually exclusive parameters.")
	case len(in.LogGroupIdentifiers) > 1 && (in.LogStreamNames != nil || in.LogStreamNamePrefixes != nil):
		return logs.NewInvalidParameterException("logStreamNames and logStreamNamePrefixes can only be given with one log group.")
	}
	if t.match, err = parsePattern(wire.Value(in.LogEventFilterPattern)); err != nil {
		return err
	}
	for _, identifier := range in.LogGroupIdentifiers {
		if !strings.HasPrefix(identifier, "arn:") || strings.HasSuffix(identifier, "*") {
			return logs.NewInvalidParameterException("%s is not the ARN of a log group without an asterisk at its end.", identifier)
		}
		name, err := t.service.groupOf(ctx, identifier)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(t.groups, func(g tailedGroup) bool { return g.name == name }) {
			return logs.NewInvalidParameterException("The log group %s is given more than once.", identifier)
		}
		t.groups = append(t.groups, tailedGroup{name: name, arn: groupARN(ctx, name)})
	}
	return nil
}

// baseline notes what is there already: the session shows what comes after.
func (t *liveTail) baseline(r kv.Reader) error {
	for i := range t.groups {
		g := &t.groups[i]
		if _, err := loadGroup(r, g.name); err != nil {
			return err
		}
		streams, err := listStreams(r, g.name, "")
		if err != nil {
			return err
		}
		g.remember(streams)
	}
	return nil
}

func (g *tailedGroup) remember(streams []namedStream) {
	g.seen = make(map[string]tailedStream, len(streams))
	for _, st := range streams {
		g.seen[st.name] = tailedStream{st.Created, st.Events}
	}
}

// wanted reports whether the session shows a stream.
func (t *liveTail) wanted(stream string) bool {
	switch {
	case t.in.LogStreamNames != nil:
		return slices.Contains(t.in.LogStreamNames, stream)
	case t.in.LogStreamNamePrefixes != nil:
		return slices.ContainsFunc(t.in.LogStreamNamePrefixes, func(p string) bool { return strings.HasPrefix(stream, p) })
	}
	return true
}

type tailYield = func(*logs.StartLiveTailResponseStream, error) bool

// run yields the session's events until it has lasted its time, the context ends or nobody listens.
func (t *liveTail) run(ctx context.Context, yield tailYield) {
	if !t.service.tails.begin(t.account) {
		yield(nil, errSessions())
		return
	}
	defer t.service.tails.end(t.account)
	watch := t.service.space(ctx).Watch(kv.Key(nil).Raw('s'))
	defer watch.Close()
	clk := t.service.deps.Clock
	next := clk.Now()
	end := next.Add(tailTime)
	if !yield(&logs.StartLiveTailResponseStream{SessionStart: t.start(ctx)}, nil) {
		return
	}
	changed := true // between the baseline and the watch there was a moment
	for next = next.Add(tailPeriod); next.Before(end); next = next.Add(tailPeriod) {
		if !waitUntil(ctx, clk, next) {
			return
		}
		select {
		case <-watch.C():
			changed = true
		default:
		}
		update, err := t.update(ctx, changed)
		if err != nil {
			t.service.deps.Log.Error("a live tail ended", "session", t.session, "err", err)
			yield(nil, logs.NewSessionStreamingException("The session was ended by an error. Start another one."))
			return
		}
		changed = false
		if !yield(&logs.StartLiveTailResponseStream{SessionUpdate: update}, nil) {
			return
		}
		// Who listens slowly gets fewer updates, each with what is new since the one before.
		if now := clk.Now(); now.After(next.Add(tailPeriod)) {
			next = now
		}
	}
	yield(nil, logs.NewSessionTimeoutException("The session has been open for %d hours, which is as long as it may be.", tailTime/time.Hour))
}

// waitUntil reports whether c has come to at before ctx ended.
func waitUntil(ctx context.Context, c clock.Clock, at time.Time) bool {
	timer := clock.At(c, at)
	defer timer.Stop()
	select {
	case <-timer.C():
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (t *liveTail) start(ctx context.Context) *logs.LiveTailSessionStart {
	out := &logs.LiveTailSessionStart{
		RequestId: wire.Ptr(cloud.CallOf(ctx).RequestID), SessionId: &t.session, LogEventFilterPattern: t.in.LogEventFilterPattern,
		LogStreamNames: t.in.LogStreamNames, LogStreamNamePrefixes: t.in.LogStreamNamePrefixes,
	}
	for _, g := range t.groups {
		out.LogGroupIdentifiers = append(out.LogGroupIdentifiers, g.arn)
	}
	return out
}

// update returns what has come since the last one, sampled when it is more than an update holds.
func (t *liveTail) update(ctx context.Context, changed bool) (*logs.LiveTailSessionUpdate, error) {
	news := &tailNews{}
	if changed {
		err := t.service.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
			for i := range t.groups {
				if err := t.look(r, &t.groups[i], news); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return news.update(), nil
}

// look gathers the new events of a group. A group that has gone has none, and may come back.
func (t *liveTail) look(r kv.Reader, g *tailedGroup, news *tailNews) error {
	streams, err := listStreams(r, g.name, "")
	if err != nil {
		return err
	}
	for _, st := range streams {
		if t.wanted(st.name) {
			if err := t.lookInto(r, g, st, news); err != nil {
				return err
			}
		}
	}
	g.remember(streams)
	return nil
}

// lookInto gathers the new events of a stream. They are those with the highest numbers, and mostly those with the latest times.
func (t *liveTail) lookInto(r kv.Reader, g *tailedGroup, st namedStream, news *tailNews) error {
	known := g.seen[st.name]
	if known.created != st.Created || known.events > st.Events {
		known = tailedStream{}
	}
	left := st.Events - known.events
	if left == 0 {
		return nil
	}
	prefix := eventsKey(g.name, st.name)
	for entry, err := range r.Scan(kv.PrefixRange(prefix), kv.ScanOptions{Reverse: true, Limit: maxTailRead}) {
		if err != nil {
			return err
		}
		e, err := decodeEvent(prefix, entry)
		if err != nil {
			return err
		}
		if e.seq < known.events {
			continue
		}
		if t.match.match(e.message) {
			news.add(g, st.name, e)
		}
		if left--; left == 0 {
			return nil
		}
	}
	news.more = true
	return nil
}

// tailNews gathers the events of one update.
type tailNews struct {
	found []logs.LiveTailSessionLogEvent
	bytes int
	// more is set when there are matching events beside those found, or may be.
	more bool
}

func (n *tailNews) add(g *tailedGroup, stream string, e event) {
	if n.bytes += len(e.message); n.bytes > maxTailBytes || len(n.found) >= 10*maxTailRead {
		n.more = true
		return
	}
	n.found = append(n.found, logs.LiveTailSessionLogEvent{
		LogGroupIdentifier: &g.arn, LogStreamName: &stream, Message: &e.message, Timestamp: &e.time, IngestionTime: &e.ingested,
	})
}

// update returns the events in order of their time, at most maxTailed of them, evenly spread over all.
func (n *tailNews) update() *logs.LiveTailSessionUpdate {
	slices.Reverse(n.found) // so that those of one millisecond keep the order in which they came
	slices.SortStableFunc(n.found, func(a, b logs.LiveTailSessionLogEvent) int { return cmp.Compare(*a.Timestamp, *b.Timestamp) })
	shown := n.found
	if len(n.found) > maxTailed {
		shown = make([]logs.LiveTailSessionLogEvent, maxTailed)
		for i := range shown {
			shown[i] = n.found[i*len(n.found)/maxTailed]
		}
	}
	if shown == nil {
		shown = []logs.LiveTailSessionLogEvent{}
	}
	return &logs.LiveTailSessionUpdate{
		SessionMetadata: &logs.LiveTailSessionMetadata{Sampled: wire.Ptr(n.more || len(n.found) > maxTailed)}, SessionResults: shown,
	}
}
