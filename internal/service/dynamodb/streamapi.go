package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	api "croft/internal/awsapi/dynamodb"
	streams "croft/internal/awsapi/dynamodbstreams"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service"
	"croft/internal/wire"
)

// Limits of the DynamoDB Streams API. Source: its reference.
const (
	maxStreamsPage = 100
	maxShardsPage  = 100
	maxRecords     = 1000
	maxRecordBytes = 1 << 20
)

// Streams implements the DynamoDB Streams API, a service of its own with the state of this one. It is safe for concurrent use.
type Streams struct {
	streams.Unimplemented
	s *Service
}

// Streams returns the DynamoDB Streams API.
func (s *Service) Streams() *Streams { return &Streams{s: s} }

// Descriptor declares the service.
func (a *Streams) Descriptor() service.Descriptor {
	return service.Descriptor{API: streams.Service(), Impl: a}
}

// streamOf returns the stream that an ARN names.
func (s *Service) streamOf(ctx context.Context, r kv.Reader, given string) (*streamDef, error) {
	table, label, err := s.streamName(ctx, given)
	if err != nil {
		return nil, err
	}
	d, err := getStreamDef(r, table, label)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, errNoStream(given)
	}
	return d, err
}

func errNoStream(arn string) error {
	return streams.NewResourceNotFoundException("Requested resource not found: Stream: %s not found", arn)
}

// streamName takes the ARN of a stream apart. Streams of other accounts and regions are not found.
func (s *Service) streamName(ctx context.Context, given string) (table, label string, err error) {
	arn, err := cloud.ParseARN(given)
	name, isTable := strings.CutPrefix(arn.Resource, "table/")
	table, label, isStream := strings.Cut(name, "/stream/")
	if err != nil || arn.Service != serviceName || !isTable || !isStream || checkTableName(table) != nil || label == "" {
		return "", "", validation("Invalid StreamArn: %s", given)
	}
	if call := cloud.CallOf(ctx); s.deps.Account(ctx, arn.Account, given) != call.Account || arn.Region != call.Region {
		return "", "", errNoStream(given)
	}
	return table, label, nil
}

// atMost checks a limit that the model leaves to the service.
func atMost(limit *int32, most int) (int, error) {
	switch {
	case limit == nil:
		return most, nil
	case int(*limit) > most:
		return 0, constraints([]string{fmt.Sprintf(
			"Value '%d' at 'limit' failed to satisfy constraint: Member must have value less than or equal to %d", *limit, most)})
	}
	return int(*limit), nil
}

// ListStreams lists streams, those that have ended too, in the order of their tables' names and of their creation.
func (a *Streams) ListStreams(ctx context.Context, in *streams.ListStreamsInput) (*streams.ListStreamsOutput, error) {
	limit, err := atMost(in.Limit, maxStreamsPage)
	if err != nil {
		return nil, err
	}
	prefix := streamDefsKey()
	if in.TableName != nil {
		prefix = streamDefsOf(*in.TableName)
	}
	rng := kv.PrefixRange(prefix)
	if in.ExclusiveStartStreamArn != nil {
		table, label, err := a.s.streamName(ctx, *in.ExclusiveStartStreamArn)
		if err != nil {
			return nil, err
		}
		if start := after(streamDefKey(table, label)); string(start) > string(rng.Start) {
			rng.Start = start
		}
	}
	out := &streams.ListStreamsOutput{Streams: []streams.Stream{}}
	err = a.s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		for e, err := range r.Scan(rng, kv.ScanOptions{Limit: limit + 1}) {
			if err != nil {
				return err
			}
			if len(out.Streams) == limit {
				out.LastEvaluatedStreamArn = out.Streams[limit-1].StreamArn
				return nil
			}
			d, err := decodeStreamDef(e.Value)
			if err != nil {
				return err
			}
			out.Streams = append(out.Streams, streams.Stream{
				StreamArn: wire.Ptr(d.arn(cloud.CallOf(ctx))), StreamLabel: wire.Ptr(d.Label), TableName: wire.Ptr(d.Table)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DescribeStream describes a stream, which has one shard for all of its life.
func (a *Streams) DescribeStream(ctx context.Context, in *streams.DescribeStreamInput) (*streams.DescribeStreamOutput, error) {
	if _, err := atMost(in.Limit, maxShardsPage); err != nil {
		return nil, err
	}
	var out *streams.StreamDescription
	err := a.s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		d, err := a.s.streamOf(ctx, r, in.StreamArn)
		if err != nil {
			return err
		}
		b, err := d.bounds(r)
		if err != nil {
			return err
		}
		out = d.describe(cloud.CallOf(ctx), b)
		// The shard has no children, and a page begins after the shard named.
		if in.ShardFilter != nil || in.ExclusiveStartShardId != nil && *in.ExclusiveStartShardId >= d.shardID() {
			out.Shards = []streams.Shard{}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &streams.DescribeStreamOutput{StreamDescription: out}, nil
}

func (d *streamDef) describe(call *cloud.Call, b shardBounds) *streams.StreamDescription {
	shard := streams.Shard{ShardId: wire.Ptr(d.shardID()),
		SequenceNumberRange: &streams.SequenceNumberRange{StartingSequenceNumber: wire.Ptr(sequenceAfter(b.trimmed))}}
	status := "ENABLED"
	if !d.Closed.IsZero() {
		status = "DISABLED"
		shard.SequenceNumberRange.EndingSequenceNumber = wire.Ptr(sequenceAfter(b.last))
	}
	keys := make([]streams.KeySchemaElement, len(d.Keys))
	for i, k := range d.Keys {
		keys[i] = streams.KeySchemaElement{AttributeName: k.AttributeName, KeyType: k.KeyType}
	}
	return &streams.StreamDescription{
		StreamArn: wire.Ptr(d.arn(call)), StreamLabel: wire.Ptr(d.Label), StreamStatus: wire.Ptr(status), StreamViewType: wire.Ptr(d.View),
		CreationRequestDateTime: wire.Ptr(d.Created), TableName: wire.Ptr(d.Table), KeySchema: keys, Shards: []streams.Shard{shard},
	}
}

// GetShardIterator returns an iterator, which counts for 15 minutes.
func (a *Streams) GetShardIterator(ctx context.Context, in *streams.GetShardIteratorInput) (*streams.GetShardIteratorOutput, error) {
	wanted := in.ShardIteratorType == iteratorAt || in.ShardIteratorType == iteratorAfter
	switch {
	case wanted && in.SequenceNumber == nil:
		return nil, validation("SequenceNumber must be specified when ShardIteratorType is %s", in.ShardIteratorType)
	case !wanted && in.SequenceNumber != nil:
		return nil, validation("SequenceNumber must not be specified when ShardIteratorType is %s", in.ShardIteratorType)
	}
	call := cloud.CallOf(ctx)
	var it iterator
	err := a.s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		d, err := a.s.streamOf(ctx, r, in.StreamArn)
		if err != nil {
			return err
		}
		if in.ShardId != d.shardID() {
			return streams.NewResourceNotFoundException("Requested resource not found: Shard: %s in Stream: %s not found", in.ShardId, in.StreamArn)
		}
		it = iterator{arn: d.arn(call), issued: call.Now}
		if it.place, err = d.start(r, in.ShardIteratorType, in.SequenceNumber); err != nil {
			return err
		}
		it.stream, err = d.id()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &streams.GetShardIteratorOutput{ShardIterator: wire.Ptr(it.String())}, nil
}

// GetRecords reads the records that follow an iterator, at most 1000 and 1 MB of them. Of a stream that has ended and been read to its end there
// is no next iterator.
func (a *Streams) GetRecords(ctx context.Context, in *streams.GetRecordsInput) (*streams.GetRecordsOutput, error) {
	limit, err := atMost(in.Limit, maxRecords)
	if err != nil {
		return nil, err
	}
	it, ok := parseIterator(in.ShardIterator)
	if !ok {
		return nil, validation("Invalid ShardIterator")
	}
	call := cloud.CallOf(ctx)
	if call.Now.Sub(it.issued) > iteratorLife {
		return nil, streams.NewExpiredIteratorException("Shard iterator has expired")
	}
	out := &streams.GetRecordsOutput{Records: []streams.Record{}}
	err = a.s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		d, err := a.s.streamOf(ctx, r, it.arn)
		if err != nil {
			return err
		}
		if id, err := d.id(); err != nil || id != it.stream {
			return errors.Join(err, errNoStream(it.arn))
		}
		records, next, err := d.read(ctx, r, it.place, limit, maxRecordBytes)
		if err != nil {
			return err
		}
		for _, rec := range records {
			shown, err := d.show(call, rec, it.stream)
			if err != nil {
				return err
			}
			out.Records = append(out.Records, *shown)
		}
		ended, err := d.ended(r, next)
		if err == nil && !ended {
			it.place, it.issued = next, call.Now
			out.NextShardIterator = wire.Ptr(it.String())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// expirer is who deletes items whose time has come. Source: API reference of DynamoDB Streams, Identity.
const expirer = "dynamodb.amazonaws.com"

// show returns a record as the API answers it.
func (d *streamDef) show(call *cloud.Call, r *streamRecord, stream [16]byte) (*streams.Record, error) {
	size, err := r.size()
	if err != nil {
		return nil, err
	}
	body := &streams.StreamRecord{
		// The model: rounded down to the second.
		ApproximateCreationDateTime: wire.Ptr(r.at.Truncate(time.Second)),
		SequenceNumber:              wire.Ptr(sequenceNumber(r.seq)), SizeBytes: wire.Ptr(int64(size)), StreamViewType: wire.Ptr(d.View),
	}
	for _, part := range [...]struct {
		stored []byte
		to     *map[string]streams.AttributeValue
	}{{r.key, &body.Keys}, {r.new, &body.NewImage}, {r.old, &body.OldImage}} {
		if part.stored == nil {
			continue
		}
		item, _, err := decodeItem(part.stored)
		if err != nil {
			return nil, err
		}
		*part.to = streamAttributes(item)
	}
	out := &streams.Record{EventID: wire.Ptr(r.eventID(stream)), EventName: wire.Ptr(r.kind.String()), EventVersion: wire.Ptr("1.1"),
		EventSource: wire.Ptr("aws:dynamodb"), AwsRegion: wire.Ptr(call.Region), Dynamodb: body}
	if r.expired {
		out.UserIdentity = &streams.Identity{PrincipalId: wire.Ptr(expirer), Type: wire.Ptr("Service")}
	}
	return out, nil
}

// streamAttributes returns attributes in the types of the other model.
func streamAttributes(in map[string]api.AttributeValue) map[string]streams.AttributeValue {
	out := make(map[string]streams.AttributeValue, len(in))
	for name, v := range in {
		out[name] = streamValue(v)
	}
	return out
}

func streamValue(v api.AttributeValue) streams.AttributeValue {
	out := streams.AttributeValue{S: v.S, N: v.N, B: v.B, SS: v.SS, NS: v.NS, BS: v.BS, BOOL: v.BOOL, NULL: v.NULL}
	if v.M != nil {
		out.M = streamAttributes(v.M)
	}
	if v.L != nil {
		out.L = make([]streams.AttributeValue, len(v.L))
		for i, e := range v.L {
			out.L[i] = streamValue(e)
		}
	}
	return out
}
