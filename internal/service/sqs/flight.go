package sqs

import (
	"context"
	"errors"
	"time"

	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// place is the value of an order row: what can be said of a flight without reading it.
type place struct {
	sent     time.Time
	received bool
}

func (p place) encode() []byte {
	received := byte(0)
	if p.received {
		received = 1
	}
	return kv.Key(nil).Time(p.sent).Raw(received)
}

func decodePlace(value []byte) (p place, err error) {
	r := kv.ReadKey(value, nil)
	p.sent = r.Time()
	if r.Err() != nil || len(r.Rest()) != 1 {
		return p, errMalformed
	}
	p.received = r.Rest()[0] == 1
	return p, nil
}

// putFlight writes the row of a flight and its place in the order. row must be that of f.
func putFlight(tx kv.Tx, q *queue, id messageID, f *flight, row []byte) error {
	sent, err := sentTime(row[flightHead:])
	if err != nil {
		return err
	}
	if err := tx.Put(flightKey(q.ID, id), row); err != nil {
		return err
	}
	return tx.Put(orderKey(q.ID, order{f.visible, id}), place{sent, f.receives > 0}.encode())
}

// dropFlight removes a place in the order, and the flight that it belongs to unless that has moved on.
func dropFlight(tx kv.Tx, q *queue, o order) error {
	if err := tx.Delete(orderKey(q.ID, o)); err != nil {
		return err
	}
	row, err := tx.Get(flightKey(q.ID, o.id))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if f, _, err := splitFlight(row); err != nil || !f.visible.Equal(o.visible) {
		return err
	}
	return tx.Delete(flightKey(q.ID, o.id))
}

// flying reads the message that a receipt handle names. ok is false when it is gone or has been received again since.
func flying(tx kv.Tx, q *queue, receipt string) (h handle, f flight, row []byte, ok bool, err error) {
	if h, err = parseHandle(receipt, q.ID); err != nil {
		return h, f, nil, false, err
	}
	row, err = tx.Get(flightKey(q.ID, h.id))
	if errors.Is(err, kv.ErrNotFound) {
		return h, f, nil, false, nil
	}
	if err != nil {
		return h, f, nil, false, err
	}
	f, _, err = splitFlight(row)
	return h, f, row, err == nil && f.nonce == h.nonce, err
}

// deleteMessage removes a message. One that is gone is no error; with the handle of an earlier receive nothing happens, as on AWS.
// A FIFO queue refuses the handle of a message that has become visible: another receiver may have it already.
func deleteMessage(tx kv.Tx, q *queue, receipt string, now time.Time) error {
	h, f, row, ok, err := flying(tx, q, receipt)
	if err != nil {
		return err
	}
	if q.Settings.FIFO && row != nil {
		if !ok || !f.visible.After(now) {
			return invalidValue(clip(receipt), "ReceiptHandle", "The receipt handle has expired.")
		}
		r, err := decodeRecord(row[flightHead:])
		if err != nil {
			return err
		}
		return removeMember(tx, q, r, now)
	}
	if !ok {
		return nil
	}
	if err := tx.Delete(flightKey(q.ID, h.id)); err != nil {
		return err
	}
	return tx.Delete(orderKey(q.ID, order{f.visible, h.id}))
}

// DeleteMessage removes a message that has been received.
func (s *Service) DeleteMessage(ctx context.Context, in *sqs.DeleteMessageInput) (*sqs.DeleteMessageOutput, error) {
	now := cloud.CallOf(ctx).Now
	err := s.update(ctx, in.QueueUrl, func(_ context.Context, tx kv.Tx, _ string, q *queue) error {
		return deleteMessage(tx, q, in.ReceiptHandle, now)
	})
	if err != nil {
		return nil, err
	}
	return &sqs.DeleteMessageOutput{}, nil
}

// DeleteMessageBatch removes up to ten messages, in one transaction.
func (s *Service) DeleteMessageBatch(ctx context.Context, in *sqs.DeleteMessageBatchInput) (*sqs.DeleteMessageBatchOutput, error) {
	if err := checkBatch("DeleteMessageBatchRequestEntry", in.Entries, func(e *sqs.DeleteMessageBatchRequestEntry) string { return e.Id }); err != nil {
		return nil, err
	}
	now := cloud.CallOf(ctx).Now
	out := new(sqs.DeleteMessageBatchOutput)
	err := s.update(ctx, in.QueueUrl, func(_ context.Context, tx kv.Tx, _ string, q *queue) error {
		*out = sqs.DeleteMessageBatchOutput{}
		return eachEntry(in.Entries, &out.Failed, func(_ int, e *sqs.DeleteMessageBatchRequestEntry) (string, error) {
			if err := deleteMessage(tx, q, e.ReceiptHandle, now); err != nil {
				return e.Id, err
			}
			out.Successful = append(out.Successful, sqs.DeleteMessageBatchResultEntry{Id: e.Id})
			return e.Id, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// changeVisibility makes a message in flight visible after timeout seconds from now.
func changeVisibility(tx kv.Tx, q *queue, receipt string, timeout int32, now time.Time) error {
	if err := checkVisibility(&timeout); err != nil {
		return err
	}
	h, f, row, ok, err := flying(tx, q, receipt)
	if err != nil {
		return err
	}
	visible := now.Add(seconds(int(timeout)))
	switch {
	case !ok:
		return invalidValue(clip(receipt), "ReceiptHandle", "Message does not exist or is not available for visibility timeout change.")
	case !f.visible.After(now):
		return sqs.NewMessageNotInflight("The specified message isn't in flight.")
	case visible.After(f.last.Add(seconds(maxVisibility))):
		return invalidValue(timeout, "VisibilityTimeout", "Total VisibilityTimeout for the message is beyond the limit [43200 seconds].")
	}
	if q.Settings.FIFO {
		f.visible = visible
		r, err := decodeRecord(row[flightHead:])
		if err != nil {
			return err
		}
		if err := putMember(tx, q, r, &f, f.with(row[flightHead:])); err != nil {
			return err
		}
		return regroup(tx, q, r.group, now)
	}
	if err := tx.Delete(orderKey(q.ID, order{f.visible, h.id})); err != nil {
		return err
	}
	f.visible = visible
	return putFlight(tx, q, h.id, &f, f.with(row[flightHead:]))
}

// ChangeMessageVisibility changes how long a received message stays hidden, counted from now.
func (s *Service) ChangeMessageVisibility(ctx context.Context, in *sqs.ChangeMessageVisibilityInput) (*sqs.ChangeMessageVisibilityOutput, error) {
	now := cloud.CallOf(ctx).Now
	err := s.update(ctx, in.QueueUrl, func(_ context.Context, tx kv.Tx, _ string, q *queue) error {
		return changeVisibility(tx, q, in.ReceiptHandle, in.VisibilityTimeout, now)
	})
	if err != nil {
		return nil, err
	}
	return &sqs.ChangeMessageVisibilityOutput{}, nil
}

// ChangeMessageVisibilityBatch does so for up to ten messages, in one transaction.
func (s *Service) ChangeMessageVisibilityBatch(ctx context.Context, in *sqs.ChangeMessageVisibilityBatchInput) (*sqs.ChangeMessageVisibilityBatchOutput, error) {
	type entry = sqs.ChangeMessageVisibilityBatchRequestEntry
	if err := checkBatch("ChangeMessageVisibilityBatchRequestEntry", in.Entries, func(e *entry) string { return e.Id }); err != nil {
		return nil, err
	}
	now := cloud.CallOf(ctx).Now
	out := new(sqs.ChangeMessageVisibilityBatchOutput)
	err := s.update(ctx, in.QueueUrl, func(_ context.Context, tx kv.Tx, _ string, q *queue) error {
		*out = sqs.ChangeMessageVisibilityBatchOutput{}
		return eachEntry(in.Entries, &out.Failed, func(_ int, e *entry) (string, error) {
			if e.VisibilityTimeout == nil {
				return e.Id, missingParameter("VisibilityTimeout")
			}
			if err := changeVisibility(tx, q, e.ReceiptHandle, *e.VisibilityTimeout, now); err != nil {
				return e.Id, err
			}
			out.Successful = append(out.Successful, sqs.ChangeMessageVisibilityBatchResultEntry{Id: e.Id})
			return e.Id, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
