package logs

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"croft/internal/awsapi/logs"
	"croft/internal/kv"
	"croft/internal/wire"
)

// CreateLogStream implements the operation.
func (s *Service) CreateLogStream(ctx context.Context, in *logs.CreateLogStreamInput) (*logs.CreateLogStreamOutput, error) {
	if err := checkNames(in.LogGroupName, in.LogStreamName); err != nil {
		return nil, err
	}
	err := s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		if _, err := loadGroup(tx, in.LogGroupName); err != nil {
			return err
		}
		key := streamKey(in.LogGroupName, in.LogStreamName)
		exists, err := load(tx, key, new(stream))
		if err != nil {
			return err
		}
		if exists {
			return logs.NewResourceAlreadyExistsException("The specified log stream already exists")
		}
		return store(tx, key, &stream{Created: nowMillis(ctx)})
	})
	if err != nil {
		return nil, err
	}
	return &logs.CreateLogStreamOutput{}, nil
}

type namedStream struct {
	name string
	stream
}

// DescribeLogStreams implements the operation.
func (s *Service) DescribeLogStreams(ctx context.Context, in *logs.DescribeLogStreamsInput) (*logs.DescribeLogStreamsOutput, error) {
	s.settle()
	groupName, err := s.resolve(ctx, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	byTime := wire.Value(in.OrderBy) == logs.OrderByLastEventTime
	if byTime && in.LogStreamNamePrefix != nil {
		return nil, logs.NewInvalidParameterException("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	var all []namedStream
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) (err error) {
		if _, err = loadGroup(r, groupName); err != nil {
			return err
		}
		all, err = listStreams(r, groupName, wire.Value(in.LogStreamNamePrefix))
		return err
	})
	if err != nil {
		return nil, err
	}
	order := func(a, b namedStream) int {
		if byTime && a.Last != b.Last {
			return cmp.Compare(a.Last, b.Last)
		}
		return strings.Compare(a.name, b.name)
	}
	if wire.Value(in.Descending) {
		ascending := order
		order = func(a, b namedStream) int { return ascending(b, a) }
	}
	slices.SortFunc(all, order)
	return streamPage(ctx, groupName, all, in, order)
}

// streamPage cuts the page out of the sorted streams. Its token holds the last stream's place, so that streams which come or go
// between two pages move no others.
func streamPage(ctx context.Context, groupName string, all []namedStream, in *logs.DescribeLogStreamsInput,
	order func(a, b namedStream) int) (*logs.DescribeLogStreamsOutput, error) {
	token, err := readNameToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	if token != "" {
		last, name, ok := strings.Cut(token, ":")
		at, err := strconv.ParseInt(last, 10, 64)
		if !ok || err != nil {
			return nil, errToken()
		}
		from := namedStream{name, stream{Last: at}}
		i, found := slices.BinarySearchFunc(all, from, order)
		if found {
			i++
		}
		all = all[i:]
	}
	limit := defaultDescribeLimit
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	out := &logs.DescribeLogStreamsOutput{LogStreams: []logs.LogStream{}}
	for i, st := range all {
		if i == limit {
			prev := all[i-1]
			out.NextToken = nameToken(strconv.FormatInt(prev.Last, 10) + ":" + prev.name)
			break
		}
		out.LogStreams = append(out.LogStreams, describeStream(ctx, groupName, st))
	}
	return out, nil
}

// listStreams returns the group's streams whose names begin with prefix, in order of name.
func listStreams(r kv.Reader, groupName, prefix string) ([]namedStream, error) {
	var out []namedStream
	for row, err := range rows(r, streamsKey(groupName), prefix, "") {
		if err != nil {
			return nil, err
		}
		st := namedStream{name: row.name}
		if err := decode(row.value, &st.stream); err != nil {
			return nil, err
		}
		out = append(out, st)
	}
	return out, nil
}

func describeStream(ctx context.Context, groupName string, st namedStream) logs.LogStream {
	out := logs.LogStream{
		LogStreamName: &st.name, CreationTime: &st.Created, StoredBytes: wire.Ptr[int64](0),
		Arn: wire.Ptr(groupARN(ctx, groupName) + ":log-stream:" + st.name),
	}
	if st.Events > 0 {
		out.FirstEventTimestamp, out.LastEventTimestamp = &st.First, &st.Last
		out.LastIngestionTime, out.UploadSequenceToken = &st.Ingested, wire.Ptr(sequenceToken(st.Events))
	}
	return out
}
