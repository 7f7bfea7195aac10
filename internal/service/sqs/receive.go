package sqs

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"croft/internal/awsapi/sqs"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// receiver is one ReceiveMessage under way.
type receiver struct {
	s    *Service
	name string
	most int
	// visibility and wait are in seconds; nil means the queue's.
	visibility, wait *int32
	// system names the wanted system attributes, user the wanted message attributes; both may hold "All".
	system []string
	user   []string
	// retry is the ReceiveRequestAttemptId, nil for none.
	retry *string
}

// ReceiveMessage hands out messages and hides them for a while. With a wait, it answers as soon as there is a message.
func (s *Service) ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput) (*sqs.ReceiveMessageOutput, error) {
	rc, err := s.newReceiver(ctx, in)
	if err != nil {
		return nil, err
	}
	taken, err := rc.run(ctx)
	if err != nil {
		return nil, err
	}
	out := &sqs.ReceiveMessageOutput{}
	for _, t := range taken {
		m, err := rc.message(t)
		if err != nil {
			return nil, err
		}
		out.Messages = append(out.Messages, m)
	}
	return out, nil
}

func (s *Service) newReceiver(ctx context.Context, in *sqs.ReceiveMessageInput) (*receiver, error) {
	name, err := s.resolve(ctx, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	rc := &receiver{s: s, name: name, most: 1, visibility: in.VisibilityTimeout, wait: in.WaitTimeSeconds, user: in.MessageAttributeNames}
	if n := in.MaxNumberOfMessages; n != nil {
		if *n < 1 || *n > maxEntries {
			return nil, invalidValue(*n, "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
		}
		rc.most = int(*n)
	}
	if err := checkVisibility(in.VisibilityTimeout); err != nil {
		return nil, err
	}
	if n := in.WaitTimeSeconds; n != nil && (*n < 0 || *n > maxWait) {
		return nil, invalidValue(*n, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
	}
	if rc.retry = in.ReceiveRequestAttemptId; rc.retry != nil {
		if err := checkToken("ReceiveRequestAttemptId", *rc.retry); err != nil {
			return nil, err
		}
	}
	rc.system = append(slices.Clone(in.AttributeNames), in.MessageSystemAttributeNames...)
	if len(rc.system) > 0 {
		known := enum("MessageSystemAttributeName")
		for _, name := range rc.system {
			if !slices.Contains(known, name) {
				return nil, unknownAttribute(clip(name))
			}
		}
	}
	return rc, nil
}

func checkVisibility(n *int32) error {
	if n != nil && (*n < 0 || *n > maxVisibility) {
		return invalidValue(*n, "VisibilityTimeout", "Must be >= 0 and <= 43200, if provided.")
	}
	return nil
}

// run tries until it has a message or the wait is over. It waits for a change of the queue, for the moment when the next
// message becomes visible, or for another receiver to give up what it had claimed.
func (rc *receiver) run(ctx context.Context) ([]taken, error) {
	call := cloud.CallOf(ctx)
	now := call.Now
	var w waiter
	defer w.close()
	for {
		a, err := rc.attempt(ctx, now)
		// Others were faster again and again. What they left is found by the next look; a short poll may come back empty.
		lost := errors.Is(err, kv.ErrConflict) && a.queue != nil
		if lost {
			a.taken, a.again, err = nil, false, nil
		}
		if err != nil || len(a.taken) > 0 {
			return a.taken, err
		}
		if a.again {
			continue
		}
		wait := a.queue.Settings.ReceiveMessageWaitTimeSeconds
		if rc.wait != nil {
			wait = int(*rc.wait)
		}
		deadline := call.Now.Add(seconds(wait))
		space := rc.s.space(ctx)
		// A transaction that waits would see nothing new, and hold up everybody else.
		if !now.Before(deadline) || kv.InTx(ctx, space.Store()) {
			return nil, nil
		}
		if lost {
			now = rc.s.deps.Clock.Now()
			continue
		}
		if w.watch(space, a.queue.ID) {
			// What came between the attempt and the watch would be missed.
			continue
		}
		if err := w.wait(ctx, rc.s.deps.Clock, a, deadline); err != nil {
			return nil, err
		}
		now = rc.s.deps.Clock.Now()
	}
}

// waiter holds the watch of a long poll.
type waiter struct {
	changes kv.Watch
	queue   uint64
}

// watch sees to a watch on the queue's messages, and reports whether it is new.
func (w *waiter) watch(space kv.Space, queue uint64) bool {
	if w.changes != nil && w.queue == queue {
		return false
	}
	w.close()
	w.changes, w.queue = space.Watch(messagesPrefix(queue)), queue
	return true
}

func (w *waiter) close() {
	if w.changes != nil {
		w.changes.Close()
	}
}

func (w *waiter) wait(ctx context.Context, c clock.Clock, a *attempt, deadline time.Time) error {
	until := deadline
	if !a.next.IsZero() && a.next.Before(until) {
		until = a.next
	}
	t := clock.At(c, until)
	defer t.Stop()
	select {
	case <-t.C():
	case <-w.changes.C():
	case <-a.freed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// message returns what the receiver sees of a message.
func (rc *receiver) message(t taken) (sqs.Message, error) {
	r, err := decodeRecord(t.record)
	if err != nil {
		return sqs.Message{}, err
	}
	m := sqs.Message{
		MessageId: wire.Ptr(r.id.String()), ReceiptHandle: wire.Ptr(t.handle.String()), Body: &r.body, MD5OfBody: wire.Ptr(hexMD5([]byte(r.body))),
	}
	for name, value := range systemValues(r, &t.flight) {
		if value != "" && (slices.Contains(rc.system, name) || slices.Contains(rc.system, "All")) {
			if m.Attributes == nil {
				m.Attributes = make(map[string]string)
			}
			m.Attributes[name] = value
		}
	}
	chosen := slices.DeleteFunc(r.attributes, func(a attribute) bool { return !rc.wantsUser(a.name) })
	if len(chosen) == 0 {
		return m, nil
	}
	m.MD5OfMessageAttributes = wire.Ptr(attributesMD5(chosen))
	m.MessageAttributes = make(map[string]sqs.MessageAttributeValue, len(chosen))
	for _, a := range chosen {
		v := sqs.MessageAttributeValue{DataType: a.dataType}
		if a.binary {
			v.BinaryValue = []byte(a.value)
		} else {
			v.StringValue = wire.Ptr(a.value)
		}
		m.MessageAttributes[a.name] = v
	}
	return m, nil
}

func systemValues(r *record, f *flight) map[string]string {
	return map[string]string{
		sqs.MessageSystemAttributeNameSenderId:                         r.sender,
		sqs.MessageSystemAttributeNameSentTimestamp:                    millis(r.sent),
		sqs.MessageSystemAttributeNameApproximateReceiveCount:          strconv.FormatUint(uint64(f.receives), 10),
		sqs.MessageSystemAttributeNameApproximateFirstReceiveTimestamp: millis(f.first),
		sqs.MessageSystemAttributeNameAWSTraceHeader:                   r.trace,
		sqs.MessageSystemAttributeNameMessageGroupId:                   r.group,
		sqs.MessageSystemAttributeNameMessageDeduplicationId:           r.dedup,
		sqs.MessageSystemAttributeNameSequenceNumber:                   sequenceNumber(r.sequence),
		sqs.MessageSystemAttributeNameDeadLetterQueueSourceArn:         r.source,
	}
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// wantsUser reports whether a message attribute was asked for: by its name, by a prefix that ends in ".*", or with all.
func (rc *receiver) wantsUser(name string) bool {
	for _, w := range rc.user {
		if prefix, ok := strings.CutSuffix(w, ".*"); w == "All" || w == name || ok && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
