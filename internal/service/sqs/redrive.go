package sqs

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Limits of dead-letter queues. Source: Amazon SQS API Reference, SetQueueAttributes.
const (
	maxReceives    = 1000
	maxSourceARNs  = 10
	invalidRedrive = "Redrive policy is not a valid JSON map."
)

// setRedrive takes a RedrivePolicy in, as far as that can be judged without looking at other queues.
func (a *attributes) setRedrive(value string) error {
	if value == "" {
		a.DeadLetter, a.MaxReceives = "", 0
		return nil
	}
	refuse := func(reason string) error { return invalidValue(clip(value), "RedrivePolicy", reason) }
	var given map[string]json.RawMessage
	if len(value) > maxPolicy || json.Unmarshal([]byte(value), &given) != nil || given == nil {
		return refuse(invalidRedrive)
	}
	for _, name := range []string{"maxReceiveCount", "deadLetterTargetArn"} {
		if given[name] == nil {
			return refuse("Redrive policy does not contain mandatory attribute: " + name + ".")
		}
	}
	if len(given) > 2 {
		return refuse("Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount].")
	}
	// The number may stand in quotes.
	count := strings.Trim(string(given["maxReceiveCount"]), `"`)
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > maxReceives {
		return refuse("Invalid value for maxReceiveCount: " + clip(count) + ", valid values are from 1 to 1000 both inclusive.")
	}
	var target string
	arn, err := cloud.ARN{}, json.Unmarshal(given["deadLetterTargetArn"], &target)
	if err == nil {
		arn, err = cloud.ParseARN(target)
	}
	if err != nil || arn.Resource == "" {
		return refuse("Dead-letter target ARN should be fully qualified ARN.")
	}
	if arn.Service != "sqs" {
		return refuse("Only SQS queues are valid resources for deadLetterTargetArn.")
	}
	a.DeadLetter, a.MaxReceives = target, n
	return nil
}

// redrivePolicy returns the RedrivePolicy as clients see it.
func (a *attributes) redrivePolicy() string {
	return `{"deadLetterTargetArn":` + quoted(a.DeadLetter) + `,"maxReceiveCount":` + strconv.Itoa(a.MaxReceives) + `}`
}

// deadLetterName returns the name of the dead-letter queue, which lies in the queue's own account and region, or "".
func (a *attributes) deadLetterName() string {
	return a.DeadLetter[strings.LastIndexByte(a.DeadLetter, ':')+1:]
}

// exhausted reports whether a message has been received as often as the queue allows.
func (a *attributes) exhausted(f *flight) bool {
	return a.MaxReceives > 0 && uint64(f.receives) >= uint64(a.MaxReceives)
}

// allowPolicy is a RedriveAllowPolicy.
type allowPolicy struct {
	RedrivePermission string   `json:"redrivePermission"`
	SourceQueueArns   []string `json:"sourceQueueArns"`
}

// setRedriveAllow takes a RedriveAllowPolicy in.
func (a *attributes) setRedriveAllow(value string) error {
	if value == "" {
		a.RedriveAllow = ""
		return nil
	}
	var p allowPolicy
	d := json.NewDecoder(strings.NewReader(value))
	d.DisallowUnknownFields()
	known := []string{"allowAll", "denyAll", "byQueue"}
	if len(value) > maxPolicy || d.Decode(&p) != nil || d.More() || !slices.Contains(known, p.RedrivePermission) {
		return sqs.NewInvalidAttributeValue("Invalid value for the parameter RedriveAllowPolicy. " +
			"Reason: Amazon SQS can't create the redrive allow policy, as it’s in an unsupported format.")
	}
	const cannot = "Amazon SQS can't create the redrive allow policy. "
	byQueue := p.RedrivePermission == "byQueue"
	reason := ""
	switch {
	case byQueue && len(p.SourceQueueArns) == 0:
		reason = cannot + "When you specify the byQueue permission type, you must also specify one or more sourceQueueArns values."
	case !byQueue && p.SourceQueueArns != nil:
		reason = cannot + "To specify one or more source queue ARNs, you must set redrivePermission to byQueue."
	case len(p.SourceQueueArns) > maxSourceARNs:
		reason = cannot + "The maximum number of source queue ARNs you can specify is 10."
	}
	if reason != "" {
		return invalidValue(clip(value), "RedriveAllowPolicy", reason)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(value)); err != nil {
		return invalidAttributeValue("RedriveAllowPolicy")
	}
	a.RedriveAllow = compact.String()
	return nil
}

// allows reports whether the queue may be the dead-letter queue of source, an ARN.
func (a *attributes) allows(source string) bool {
	var p allowPolicy
	if a.RedriveAllow == "" || json.Unmarshal([]byte(a.RedriveAllow), &p) != nil {
		return true
	}
	return p.RedrivePermission == "allowAll" || p.RedrivePermission == "byQueue" && slices.Contains(p.SourceQueueArns, source)
}

// checkDeadLetter checks the dead-letter queue that settings name against what there is. given is the policy as the client wrote it.
func (s *Service) checkDeadLetter(ctx context.Context, r kv.Reader, name string, settings *attributes, given string) error {
	call := cloud.CallOf(ctx)
	refuse := func(reason string) error { return invalidValue(clip(given), "RedrivePolicy", reason) }
	arn, err := cloud.ParseARN(settings.DeadLetter)
	if err != nil {
		return refuse("Dead-letter target ARN should be fully qualified ARN.")
	}
	if s.own(ctx, arn.Account, settings.DeadLetter) != nil {
		return refuse("Dead-letter target owner should be same as the source.")
	}
	if settings.FIFO != strings.HasSuffix(arn.Resource, ".fifo") {
		return refuse("Dead-letter queue must be same type of queue as the source.")
	}
	target, err := s.queue(r, arn.Resource)
	if arn.Region != call.Region || cloud.Code(err) == queueDoesNotExist().Code {
		return refuse("Dead letter target does not exist.")
	}
	if err != nil {
		return err
	}
	if !target.Settings.allows(call.ARN("sqs", name)) {
		return refuse("The dead-letter queue's redrive allow policy does not allow this source queue.")
	}
	return nil
}

// linkDeadLetter keeps the list of a dead-letter queue's sources when a queue's settings change.
func linkDeadLetter(tx kv.Tx, name string, old, new *attributes) error {
	if old.DeadLetter != "" {
		if err := tx.Delete(sourceKey(old.deadLetterName(), name)); err != nil {
			return err
		}
	}
	if new.DeadLetter == "" {
		return nil
	}
	return tx.Put(sourceKey(new.deadLetterName(), name), []byte{1})
}

// bury moves a message that has been received too often into the dead-letter queue, in the transaction of the receive that met it. buried
// is false when that queue is gone: then the message stays. A message keeps its id and its receives. On a standard queue it keeps the time at
// which it was sent, from which its retention counts; on a FIFO queue that begins anew. Source: Amazon SQS Developer Guide, "Using dead-letter queues".
func (s *Service) bury(ctx context.Context, tx kv.Tx, name string, q *queue, f flight, row []byte, now time.Time) (buried bool, err error) {
	target, err := s.queue(tx, q.Settings.deadLetterName())
	if cloud.Code(err) == queueDoesNotExist().Code || err == nil && target.Settings.FIFO != q.Settings.FIFO {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r, err := decodeRecord(row)
	if err != nil {
		return false, err
	}
	if err := tx.Delete(flightKey(q.ID, r.id)); err != nil {
		return false, err
	}
	r.source = cloud.CallOf(ctx).ARN("sqs", name)
	f.visible, f.nonce = now, randomUint64()
	if q.Settings.FIFO {
		r.sent = now
		return true, s.enqueue(tx, target, r, &f, now)
	}
	return true, putFlight(tx, target, r.id, &f, f.with(r.encode()))
}

// ListDeadLetterSourceQueues returns the queues whose dead-letter queue this one is, in the order of their names.
func (s *Service) ListDeadLetterSourceQueues(ctx context.Context, in *sqs.ListDeadLetterSourceQueuesInput) (*sqs.ListDeadLetterSourceQueuesOutput, error) {
	limit, after, err := page(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	call, out := cloud.CallOf(ctx), &sqs.ListDeadLetterSourceQueuesOutput{QueueUrls: []string{}}
	err = s.view(ctx, in.QueueUrl, func(r kv.Reader, name string, _ *queue) error {
		prefix := sourcesPrefix(name)
		rows := kv.PrefixRange(prefix)
		if after != "" {
			rows.Start = kv.PrefixRange(sourceKey(name, after)).End
		}
		last := ""
		for e, err := range r.Scan(rows, kv.ScanOptions{Limit: limit + 1}) {
			if err != nil {
				return err
			}
			if len(out.QueueUrls) == limit {
				if in.MaxResults != nil {
					out.NextToken = wire.Ptr(nextToken(last))
				}
				return nil
			}
			k := kv.ReadKey(e.Key, prefix)
			if last = k.Str(); k.Err() != nil {
				return k.Err()
			}
			out.QueueUrls = append(out.QueueUrls, queueURL(call, last))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
