package dynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service/dynamodb/tail"
)

// Tail returns the source of streams for consumers in this process.
func (s *Service) Tail() tail.Source { return tailSource{s} }

type tailSource struct{ s *Service }

// Open implements tail.Source.
func (t tailSource) Open(ctx context.Context, arn string) (tail.Stream, error) {
	var d *streamDef
	err := t.s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) (err error) {
		d, err = t.s.streamOf(ctx, r, arn)
		return err
	})
	if err != nil {
		return nil, tailError(err)
	}
	id, err := d.id()
	if err != nil {
		return nil, err
	}
	return &tailStream{s: t.s, arn: arn, id: id, watch: t.s.space(ctx).Watch(streamLogKey(id))}, nil
}

// tailError returns what a consumer is told of err.
func tailError(err error) error {
	switch cloud.Code(err) {
	case "ResourceNotFoundException":
		return fmt.Errorf("%w: %w", tail.ErrNotFound, err)
	case "TrimmedDataAccessException":
		return tail.ErrTrimmed
	}
	return err
}

type tailStream struct {
	s     *Service
	arn   string
	id    [16]byte
	watch kv.Watch
}

// Changed implements tail.Stream.
func (t *tailStream) Changed() <-chan struct{} { return t.watch.C() }

// Close implements tail.Stream.
func (t *tailStream) Close() { t.watch.Close() }

// with runs fn on the stream as it is now. An empty shard means that none is asked for.
func (t *tailStream) with(ctx context.Context, shard string, fn func(ctx context.Context, r kv.Reader, d *streamDef) error) error {
	return tailError(t.s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		d, err := t.s.streamOf(ctx, r, t.arn)
		if err != nil {
			return err
		}
		if id, err := d.id(); err != nil || id != t.id || shard != "" && shard != d.shardID() {
			return errNoStream(t.arn)
		}
		return fn(ctx, r, d)
	}))
}

// Shards implements tail.Stream.
func (t *tailStream) Shards(ctx context.Context) (out []string, err error) {
	err = t.with(ctx, "", func(_ context.Context, _ kv.Reader, d *streamDef) error {
		out = []string{d.shardID()}
		return nil
	})
	return out, err
}

// Place implements tail.Stream.
func (t *tailStream) Place(ctx context.Context, shard string, start tail.Start) (out string, err error) {
	if start != tail.Oldest && start != tail.Latest {
		return "", fmt.Errorf("dynamodb: a stream has no place %q to start at", start)
	}
	err = t.with(ctx, shard, func(_ context.Context, r kv.Reader, d *streamDef) error {
		p, err := d.start(r, string(start), nil)
		out = sequenceAfter(p.after)
		return err
	})
	return out, err
}

// Read implements tail.Stream.
func (t *tailStream) Read(ctx context.Context, shard, place string, max, maxBytes int) (out tail.Page, err error) {
	p, ok := parseSequence(place, false)
	if !ok {
		return out, fmt.Errorf("dynamodb: %q is no place in a stream", place)
	}
	err = t.with(ctx, shard, func(ctx context.Context, r kv.Reader, d *streamDef) error {
		out = tail.Page{}
		records, next, err := d.read(ctx, r, p, max, maxBytes)
		if err != nil {
			return err
		}
		// Events are larger than the items in them.
		total := 0
		for i, rec := range records {
			event, err := t.event(cloud.CallOf(ctx), d, rec)
			if err != nil {
				return err
			}
			if total += len(event); total > maxBytes && i > 0 {
				next = position{records[i-1].seq}
				break
			}
			out.Records = append(out.Records, tail.Record{Sequence: sequenceNumber(rec.seq), At: rec.at, Event: event})
		}
		out.Next = sequenceAfter(next.after)
		out.End, err = d.ended(r, next)
		return err
	})
	return out, err
}

// event returns a record as functions see it.
func (t *tailStream) event(call *cloud.Call, d *streamDef, r *streamRecord) (json.RawMessage, error) {
	size, err := r.size()
	if err != nil {
		return nil, err
	}
	body := map[string]any{
		"ApproximateCreationDateTime": r.at.Truncate(time.Second).Unix(),
		"SequenceNumber":              sequenceNumber(r.seq), "SizeBytes": size, "StreamViewType": d.View,
	}
	for name, stored := range map[string][]byte{"Keys": r.key, "NewImage": r.new, "OldImage": r.old} {
		if stored == nil {
			continue
		}
		item, _, err := decodeItem(stored)
		if err != nil {
			return nil, err
		}
		body[name] = plainAttributes(item)
	}
	out := map[string]any{
		"eventID": r.eventID(t.id), "eventName": r.kind.String(), "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": call.Region,
		"dynamodb": body, "eventSourceARN": t.arn,
	}
	if r.expired {
		out["userIdentity"] = map[string]string{"type": "Service", "principalId": expirer}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(out); err != nil {
		return nil, fmt.Errorf("dynamodb: an event of stream %s: %w", t.arn, err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func plainAttributes(in map[string]api.AttributeValue) map[string]any {
	out := make(map[string]any, len(in))
	for name, v := range in {
		out[name] = plainValue(v)
	}
	return out
}

// plainValue returns a value as JSON has it on the wire: an object with the one type that it is of.
func plainValue(v api.AttributeValue) map[string]any {
	switch {
	case v.S != nil:
		return map[string]any{"S": *v.S}
	case v.N != nil:
		return map[string]any{"N": *v.N}
	case v.B != nil:
		return map[string]any{"B": v.B}
	case v.BOOL != nil:
		return map[string]any{"BOOL": *v.BOOL}
	case v.NULL != nil:
		return map[string]any{"NULL": true}
	case v.SS != nil:
		return map[string]any{"SS": v.SS}
	case v.NS != nil:
		return map[string]any{"NS": v.NS}
	case v.BS != nil:
		return map[string]any{"BS": v.BS}
	case v.M != nil:
		return map[string]any{"M": plainAttributes(v.M)}
	default:
		list := make([]any, len(v.L))
		for i, e := range v.L {
			list[i] = plainValue(e)
		}
		return map[string]any{"L": list}
	}
}
