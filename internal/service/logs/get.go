package logs

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"croft/internal/awsapi/logs"
	"croft/internal/kv"
	"croft/internal/wire"
)

// GetLogEvents implements the operation. Without a token it answers with the newest events, or with the oldest ones when
// startFromHead is set; its tokens lead on from there in either direction, without end.
func (s *Service) GetLogEvents(ctx context.Context, in *logs.GetLogEventsInput) (*logs.GetLogEventsOutput, error) {
	s.settle()
	groupName, err := s.resolve(ctx, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if err := checkNames(in.LogStreamName); err != nil {
		return nil, err
	}
	q := streamQuery{
		events: eventsKey(groupName, in.LogStreamName),
		limit:  maxPage, forward: wire.Value(in.StartFromHead),
	}
	if in.Limit != nil {
		q.limit = int(*in.Limit)
	}
	var from *position
	if in.NextToken != nil {
		p, forward, err := readEventToken(*in.NextToken)
		if err != nil {
			return nil, err
		}
		q.forward, from = forward, &p
	}
	var page []event
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		g, _, err := loadStream(r, groupName, in.LogStreamName)
		if err != nil {
			return err
		}
		q.span(in.StartTime, in.EndTime, g.oldest(nowMillis(ctx)))
		page, err = q.read(r, from)
		return err
	})
	if err != nil {
		return nil, err
	}
	return q.answer(page, from), nil
}

// streamQuery reads events of one stream between low (inclusive) and high (exclusive).
type streamQuery struct {
	events    kv.Key
	low, high position
	limit     int
	forward   bool
}

func (q *streamQuery) span(start, end *int64, oldest int64) {
	q.low = position{time: max(wire.Value(start), oldest)}
	q.high = position{time: math.MaxInt64, seq: math.MaxUint64}
	if end != nil {
		q.high = position{time: *end}
	}
}

func (q *streamQuery) read(r kv.Reader, from *position) ([]event, error) {
	low, high := q.low, q.high
	switch {
	case from == nil:
	case q.forward && low.before(*from):
		low = *from
	case !q.forward && from.before(high):
		high = *from
	}
	if !low.before(high) {
		return nil, nil
	}
	var page []event
	bytes := 0
	within := kv.Range{Start: low.key(q.events), End: high.key(q.events)}
	for entry, err := range r.Scan(within, kv.ScanOptions{Reverse: !q.forward, Limit: q.limit}) {
		if err != nil {
			return nil, err
		}
		e, err := decodeEvent(q.events, entry)
		if err != nil {
			return nil, err
		}
		bytes += len(e.message) + eventOverhead
		if bytes > maxPageBytes && len(page) > 0 {
			break
		}
		page = append(page, e)
	}
	if !q.forward {
		slices.Reverse(page)
	}
	return page, nil
}

// answer makes the output. A page without events keeps its place, so that whoever asks again with the forward token finds what
// has arrived since; a client has come to an end when it gets back the token that it sent.
func (q *streamQuery) answer(page []event, from *position) *logs.GetLogEventsOutput {
	first, next := q.low, q.low
	switch {
	case len(page) > 0:
		first, next = page[0].position, page[len(page)-1].next()
	case from != nil:
		first, next = *from, *from
	}
	out := &logs.GetLogEventsOutput{
		Events:            make([]logs.OutputLogEvent, len(page)),
		NextForwardToken:  wire.Ptr(eventToken('f', next)),
		NextBackwardToken: wire.Ptr(eventToken('b', first)),
	}
	for i := range page {
		e := &page[i]
		out.Events[i] = logs.OutputLogEvent{Timestamp: &e.time, Message: &e.message, IngestionTime: &e.ingested}
	}
	return out
}

const eventTokenDigits = 56

// eventToken writes a position as the service writes its tokens: a direction, 56 digits, and an end.
func eventToken(direction byte, p position) string {
	return fmt.Sprintf("%c/%036d%020d/s", direction, p.time, p.seq)
}

func readEventToken(token string) (p position, forward bool, err error) {
	if len(token) != eventTokenDigits+4 || token[1] != '/' || token[2+eventTokenDigits:] != "/s" ||
		token[0] != 'f' && token[0] != 'b' {
		return position{}, false, errToken()
	}
	digits := token[2 : 2+eventTokenDigits]
	p.time, err = strconv.ParseInt(digits[:36], 10, 64)
	if err != nil || p.time < 0 {
		return position{}, false, errToken()
	}
	p.seq, err = strconv.ParseUint(digits[36:], 10, 64)
	if err != nil {
		return position{}, false, errToken()
	}
	return p, token[0] == 'f', nil
}
