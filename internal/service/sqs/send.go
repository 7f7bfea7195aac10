package sqs

import (
	"context"
	"strconv"
	"time"

	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// draft is a message that has passed the checks that do not need its queue.
type draft struct {
	row []byte
	id  messageID
	// record is what row was made of.
	record *record
	// sequence is set when the message has been put into a FIFO queue.
	sequence uint64
	// size is what counts against the limits: the body and the attributes, without system attributes.
	size int
	// delay is in seconds; nil means the queue's.
	delay *int32

	bodyMD5            string
	userMD5, systemMD5 *string
}

// sendFields are what SendMessage and an entry of its batch have in common.
type sendFields struct {
	body       string
	delay      *int32
	attributes map[string]sqs.MessageAttributeValue
	system     map[string]sqs.MessageSystemAttributeValue
	dedup      *string
	group      *string
}

func compose(call *cloud.Call, in *sendFields) (*draft, error) {
	switch {
	case in.body == "":
		return nil, missingParameter("MessageBody")
	case in.delay != nil && (*in.delay < 0 || *in.delay > maxDelay):
		return nil, invalidValue(*in.delay, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
	}
	if in.group != nil {
		if err := checkToken("MessageGroupId", *in.group); err != nil {
			return nil, err
		}
	}
	if in.dedup != nil {
		if err := checkToken("MessageDeduplicationId", *in.dedup); err != nil {
			return nil, err
		}
	}
	if !validText(in.body) {
		return nil, invalidContents()
	}
	r := &record{id: newMessageID(), sent: call.Now, sender: senderID(call), body: in.body, group: wire.Value(in.group), dedup: wire.Value(in.dedup)}
	d := &draft{id: r.id, delay: in.delay, size: len(in.body)}
	var err error
	if r.attributes, err = userAttributes(in.attributes); err != nil {
		return nil, err
	}
	if r.trace, d.systemMD5, err = systemAttributes(in.system); err != nil {
		return nil, err
	}
	if r.trace == "" {
		r.trace = call.Trace // a header says it as well
	}
	if len(r.attributes) > 0 {
		d.userMD5 = wire.Ptr(attributesMD5(r.attributes))
	}
	for _, a := range r.attributes {
		d.size += len(a.name) + len(a.dataType) + len(a.value)
	}
	d.row, d.record = r.encode(), r
	d.bodyMD5 = hexMD5(d.row[len(d.row)-len(in.body):])
	return d, nil
}

// checkToken checks the form of the ids that FIFO queues take.
func checkToken(name, value string) error {
	if n := len(value); n < 1 || n > 128 || !allOf(value, func(b byte) bool { return b > ' ' && b < 0x7f }) {
		return invalidValue(clip(value), name, name+" can only include alphanumeric and punctuation characters. 1 to 128 in length.")
	}
	return nil
}

// senderID is what receivers see as SenderId.
func senderID(call *cloud.Call) string {
	switch {
	case call.Principal.UserID != "":
		return call.Principal.UserID
	case call.Principal.Account != "":
		return call.Principal.Account
	}
	return call.Account
}

// checkKind checks what a message must and must not have in a queue of this type. On AWS one message without it fails a whole batch.
func checkKind(q *queue, d *draft) error {
	switch {
	case !q.Settings.FIFO:
	case d.record.group == "":
		return missingParameter("MessageGroupId")
	case d.record.dedup == "" && !q.Settings.ContentDedup:
		return invalidParameter("The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	}
	return nil
}

// put writes the message into the queue: into its log, as a flight if it is delayed, or into its group.
func (s *Service) put(tx kv.Tx, q *queue, d *draft, now time.Time) error {
	delay := q.Settings.DelaySeconds
	switch {
	case q.Settings.FIFO && wire.Value(d.delay) != 0:
		return notForType(strconv.Itoa(int(*d.delay)), "DelaySeconds")
	case !q.Settings.FIFO && d.record.dedup != "":
		return notForType(d.record.dedup, "MessageDeduplicationId")
	case d.size > q.Settings.MaximumMessageSize:
		return invalidParameter("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", q.Settings.MaximumMessageSize)
	case q.Settings.FIFO:
		return s.sendFIFO(tx, q, d, seconds(delay), now)
	case d.delay != nil:
		delay = int(*d.delay)
	}
	if delay == 0 {
		return tx.Append(waitingLog(q.ID), d.row)
	}
	f := flight{visible: now.Add(seconds(delay)), nonce: randomUint64()}
	return putFlight(tx, q, d.id, &f, f.with(d.row))
}

// SendMessage puts one message into a queue.
func (s *Service) SendMessage(ctx context.Context, in *sqs.SendMessageInput) (*sqs.SendMessageOutput, error) {
	call := cloud.CallOf(ctx)
	d, err := compose(call, &sendFields{
		in.MessageBody, in.DelaySeconds, in.MessageAttributes, in.MessageSystemAttributes, in.MessageDeduplicationId, in.MessageGroupId,
	})
	if err != nil {
		return nil, err
	}
	err = s.update(ctx, in.QueueUrl, func(_ context.Context, tx kv.Tx, _ string, q *queue) error {
		if err := checkKind(q, d); err != nil {
			return err
		}
		return s.put(tx, q, d, call.Now)
	})
	if err != nil {
		return nil, err
	}
	return &sqs.SendMessageOutput{
		MD5OfMessageBody: &d.bodyMD5, MD5OfMessageAttributes: d.userMD5, MD5OfMessageSystemAttributes: d.systemMD5,
		MessageId: wire.Ptr(d.id.String()), SequenceNumber: optional(sequenceNumber(d.sequence)),
	}, nil
}

// SendMessageBatch puts up to ten messages into a queue, in one transaction; those that are refused are reported one by one.
func (s *Service) SendMessageBatch(ctx context.Context, in *sqs.SendMessageBatchInput) (*sqs.SendMessageBatchOutput, error) {
	if err := checkBatch("SendMessageBatchRequestEntry", in.Entries, func(e *sqs.SendMessageBatchRequestEntry) string { return e.Id }); err != nil {
		return nil, err
	}
	call := cloud.CallOf(ctx)
	drafts := make([]*draft, len(in.Entries))
	refused := make([]error, len(in.Entries))
	total := 0
	for i := range in.Entries {
		e := &in.Entries[i]
		d, err := compose(call, &sendFields{
			e.MessageBody, e.DelaySeconds, e.MessageAttributes, e.MessageSystemAttributes, e.MessageDeduplicationId, e.MessageGroupId,
		})
		if drafts[i], refused[i] = d, err; err == nil {
			total += d.size
		} else {
			total += len(e.MessageBody)
		}
	}
	if total > maxSize {
		return nil, sqs.NewBatchRequestTooLong("Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxSize, total)
	}
	out := new(sqs.SendMessageBatchOutput)
	err := s.update(ctx, in.QueueUrl, func(_ context.Context, tx kv.Tx, _ string, q *queue) error {
		*out = sqs.SendMessageBatchOutput{}
		for i, d := range drafts {
			if refused[i] != nil {
				continue
			}
			if err := checkKind(q, d); err != nil {
				return err
			}
		}
		return eachEntry(in.Entries, &out.Failed, func(i int, e *sqs.SendMessageBatchRequestEntry) (string, error) {
			d := drafts[i]
			if refused[i] != nil {
				return e.Id, refused[i]
			}
			if err := s.put(tx, q, d, call.Now); err != nil {
				return e.Id, err
			}
			out.Successful = append(out.Successful, sqs.SendMessageBatchResultEntry{
				Id: e.Id, MessageId: d.id.String(), MD5OfMessageBody: d.bodyMD5, MD5OfMessageAttributes: d.userMD5, MD5OfMessageSystemAttributes: d.systemMD5,
				SequenceNumber: optional(sequenceNumber(d.sequence)),
			})
			return e.Id, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// optional returns nil for an empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
