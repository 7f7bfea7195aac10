package logs

import (
	"context"
	"fmt"

	"croft/internal/awsapi/logs"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Rules of PutLogEvents. Source: CloudWatch Logs API Reference, PutLogEvents.
const (
	maxBatchBytes  = 1 << 20
	maxBatchSpan   = dayMillis
	maxAgeMillis   = 14 * dayMillis
	maxAheadMillis = 2 * 60 * 60 * 1000
)

// PutLogEvents implements the operation: the whole batch in one transaction. Events that are too old or too new are left out
// and reported; everything else that is wrong refuses the batch.
func (s *Service) PutLogEvents(ctx context.Context, in *logs.PutLogEventsInput) (*logs.PutLogEventsOutput, error) {
	if err := checkNames(in.LogGroupName, in.LogStreamName); err != nil {
		return nil, err
	}
	if in.Entity != nil {
		return nil, refused("entity", "entities are not kept")
	}
	bytes, err := checkBatch(in.LogEvents)
	if err != nil {
		return nil, err
	}
	now := nowMillis(ctx)
	out := new(logs.PutLogEventsOutput)
	err = s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		g, st, err := loadStream(tx, in.LogGroupName, in.LogStreamName)
		if err != nil {
			return err
		}
		accepted, rejected := sift(in.LogEvents, g, now)
		out.RejectedLogEventsInfo = rejected
		if rejected != nil {
			bytes = size(accepted)
		}
		if err := appendEvents(tx, in, accepted, st, now); err != nil {
			return err
		}
		out.NextSequenceToken = wire.Ptr(sequenceToken(st.Events))
		if len(accepted) == 0 {
			return nil
		}
		return tx.Add(bytesKey(in.LogGroupName), int64(bytes))
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// appendEvents writes the events and the stream's row.
func appendEvents(tx kv.Tx, in *logs.PutLogEventsInput, events []logs.InputLogEvent, st *stream, now int64) error {
	if len(events) == 0 {
		return nil
	}
	prefix := eventsKey(in.LogGroupName, in.LogStreamName)
	for _, e := range events {
		at := position{e.Timestamp, st.Events}
		if err := tx.Put(at.key(prefix), encodeEvent(now, e.Message)); err != nil {
			return err
		}
		st.Events++
	}
	first, last := events[0].Timestamp, events[len(events)-1].Timestamp
	if st.First == 0 || first < st.First {
		st.First = first
	}
	st.Last, st.Ingested = max(st.Last, last), now
	return store(tx, streamKey(in.LogGroupName, in.LogStreamName), st)
}

func size(events []logs.InputLogEvent) int {
	n := 0
	for i := range events {
		n += len(events[i].Message) + eventOverhead
	}
	return n
}

// checkBatch checks what does not depend on what is stored, and returns the batch's size.
func checkBatch(events []logs.InputLogEvent) (int, error) {
	bytes := size(events)
	if bytes > maxBatchBytes {
		return 0, logs.NewInvalidParameterException("Upload too large: %d bytes exceeds limit of %d", bytes, maxBatchBytes)
	}
	for i := 1; i < len(events); i++ {
		if events[i].Timestamp < events[i-1].Timestamp {
			return 0, logs.NewInvalidParameterException("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if n := len(events); n > 0 && events[n-1].Timestamp-events[0].Timestamp > maxBatchSpan {
		return 0, logs.NewInvalidParameterException("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return bytes, nil
}

// sift returns the events that may be stored, and which ones may not. The events are in order, so those are a head and a tail.
func sift(events []logs.InputLogEvent, g *group, now int64) ([]logs.InputLogEvent, *logs.RejectedLogEventsInfo) {
	expired, tooOld, tooNew := 0, 0, len(events)
	for i := range events {
		at := events[i].Timestamp
		if g.Retention != 0 && at < g.oldest(now) {
			expired = i + 1
		}
		if at < now-maxAgeMillis {
			tooOld = i + 1
		}
		if at > now+maxAheadMillis {
			tooNew = i
			break
		}
	}
	if expired == 0 && tooOld == 0 && tooNew == len(events) {
		return events, nil
	}
	info := new(logs.RejectedLogEventsInfo)
	if expired > 0 {
		info.ExpiredLogEventEndIndex = wire.Ptr(int32(expired))
	}
	if tooOld > 0 {
		info.TooOldLogEventEndIndex = wire.Ptr(int32(tooOld))
	}
	if tooNew < len(events) {
		info.TooNewLogEventStartIndex = wire.Ptr(int32(tooNew))
	}
	return events[max(expired, tooOld):tooNew], info
}

// sequenceToken is a token of the form that older clients expect. Nothing reads it back: the service stopped doing so in 2023.
func sequenceToken(events uint64) string { return fmt.Sprintf("%056d", events+1) }
