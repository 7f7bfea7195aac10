package logs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/big"
	"slices"
	"strings"

	"croft/internal/awsapi/logs"
	"croft/internal/kv"
	"croft/internal/wire"
)

// maxSearched bounds the events that one FilterLogEvents looks at. A search that has not come to its end by then answers with
// what it has and a token, as the service does.
const maxSearched = 200_000

// FilterLogEvents implements the operation: the events of a group's streams in order of time.
func (s *Service) FilterLogEvents(ctx context.Context, in *logs.FilterLogEventsInput) (*logs.FilterLogEventsOutput, error) {
	s.settle()
	groupName, err := s.resolve(ctx, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if err := checkNames(in.LogStreamNames...); err != nil {
		return nil, err
	}
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != nil {
		return nil, logs.NewInvalidParameterException("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
	}
	match, err := parsePattern(wire.Value(in.FilterPattern))
	if err != nil {
		return nil, err
	}
	f := &search{group: groupName, match: match, limit: maxPage, low: wire.Value(in.StartTime), high: math.MaxInt64}
	if in.Limit != nil {
		f.limit = int(*in.Limit)
	}
	if in.EndTime != nil {
		f.high = *in.EndTime
	}
	if in.NextToken != nil {
		if f.after, err = readPlace(*in.NextToken); err != nil {
			return nil, err
		}
	}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		g, err := loadGroup(r, groupName)
		if err != nil {
			return err
		}
		f.low = max(f.low, g.oldest(nowMillis(ctx)))
		names, err := searchedStreams(r, groupName, in)
		if err != nil {
			return err
		}
		return f.run(r, names)
	})
	if err != nil {
		return nil, err
	}
	return &logs.FilterLogEventsOutput{Events: f.found, NextToken: f.token, SearchedLogStreams: []logs.SearchedLogStream{}}, nil
}

func searchedStreams(r kv.Reader, groupName string, in *logs.FilterLogEventsInput) ([]namedStream, error) {
	if len(in.LogStreamNames) == 0 {
		return listStreams(r, groupName, wire.Value(in.LogStreamNamePrefix))
	}
	wanted := slices.Clone(in.LogStreamNames)
	slices.Sort(wanted)
	var out []namedStream
	for _, name := range slices.Compact(wanted) {
		st := namedStream{name: name}
		found, err := load(r, streamKey(groupName, name), &st.stream)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, errStreamNotFound()
		}
		out = append(out, st)
	}
	return out, nil
}

// place is how far a search has come: everything up to this event, in the order of time, stream and number, has been looked at.
type place struct {
	Time   int64  `json:"t"`
	Stream string `json:"s"`
	Seq    uint64 `json:"n"`
}

// start returns where the search goes on in a stream.
func (p *place) start(stream string, low int64) position {
	if p == nil || p.Time < low {
		return position{time: low}
	}
	switch strings.Compare(stream, p.Stream) {
	case -1:
		return position{time: p.Time + 1}
	case 0:
		return position{p.Time, p.Seq + 1}
	}
	return position{time: p.Time}
}

func (p place) token() *string {
	b, err := json.Marshal(p)
	if err != nil {
		return nil // unreachable: a place always has a JSON form
	}
	t := base64.RawURLEncoding.EncodeToString(b)
	return &t
}

func readPlace(token string) (*place, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	p := new(place)
	if err != nil || len(token) > 8<<10 || json.Unmarshal(b, p) != nil || p.Stream == "" || p.Time < 0 || p.Time == math.MaxInt64 {
		return nil, errToken()
	}
	return p, nil
}

// search is one FilterLogEvents.
type search struct {
	group string
	match *pattern
	// low and high bound the events' times, both inclusive.
	low, high int64
	limit     int
	after     *place

	found []logs.FilteredLogEvent
	token *string
}

func (f *search) run(r kv.Reader, streams []namedStream) error {
	f.found, f.token = []logs.FilteredLogEvent{}, nil
	m := newMerge(r, f, streams)
	bytes := 0
	for looked := 0; ; looked++ {
		stream, e, err := m.next()
		if err != nil || stream == "" {
			return err
		}
		full := len(f.found) == f.limit || looked == maxSearched
		hit := !full && f.match.match(e.message)
		if hit {
			bytes += len(e.message) + eventOverhead
			full = bytes > maxPageBytes && len(f.found) > 0
		}
		if full {
			f.token = m.passed.token()
			return nil
		}
		m.passed = place{e.time, stream, e.seq}
		if hit {
			f.found = append(f.found, logs.FilteredLogEvent{
				LogStreamName: &stream, Timestamp: &e.time, Message: &e.message, IngestionTime: &e.ingested,
				EventId: wire.Ptr(eventID(stream, e)),
			})
		}
	}
}

// eventID returns an event's identifier: 56 digits, in order of time, different for any two events of a group.
func eventID(stream string, e event) string {
	h := fnv.New64a()
	h.Write([]byte(stream))
	id := new(big.Int).SetInt64(e.time)
	id.Lsh(id, 64).Or(id, new(big.Int).SetUint64(h.Sum64()))
	id.Lsh(id, 64).Or(id, new(big.Int).SetUint64(e.seq))
	return fmt.Sprintf("%056d", id)
}
