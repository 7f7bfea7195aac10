package poller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/wire"
)

// Queue is a Source that is an SQS queue.
type Queue struct {
	Client sqs.Client
	// ARN is the queue's.
	ARN cloud.ARN
	// Context returns a context that carries a fresh call in the queue's account and region.
	Context func(context.Context) context.Context
	// AttributesMD5 adds md5OfMessageAttributes to the records. AWS does so for mappings that have a batching window.
	AttributesMD5 bool

	url atomic.Pointer[string]
}

// Receive implements Source.
func (q *Queue) Receive(ctx context.Context, limit int, wait time.Duration) ([]Message, error) {
	ctx = q.Context(ctx)
	url, err := q.address(ctx)
	if err != nil {
		return nil, err
	}
	out, err := q.Client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:                    url,
		MaxNumberOfMessages:         wire.Ptr(int32(limit)),
		WaitTimeSeconds:             wire.Ptr(int32(wait / time.Second)),
		MessageSystemAttributeNames: []string{"All"},
		MessageAttributeNames:       []string{"All"},
	})
	if err != nil {
		return nil, err
	}
	messages := make([]Message, len(out.Messages))
	for i := range out.Messages {
		if messages[i], err = q.message(&out.Messages[i]); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

func (q *Queue) address(ctx context.Context) (string, error) {
	if url := q.url.Load(); url != nil {
		return *url, nil
	}
	out, err := q.Client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: q.ARN.Resource})
	if err != nil {
		return "", err
	}
	q.url.Store(out.QueueUrl)
	return wire.Value(out.QueueUrl), nil
}

// Remove implements Source.
func (q *Queue) Remove(ctx context.Context, handled []Message) error {
	ctx = q.Context(ctx)
	url, err := q.address(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for len(handled) > 0 {
		n := min(receiveMax, len(handled))
		in := &sqs.DeleteMessageBatchInput{QueueUrl: url}
		for i, m := range handled[:n] {
			in.Entries = append(in.Entries, sqs.DeleteMessageBatchRequestEntry{Id: strconv.Itoa(i), ReceiptHandle: m.Handle})
		}
		handled = handled[n:]
		out, err := q.Client.DeleteMessageBatch(ctx, in)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, f := range out.Failed {
			errs = append(errs, fmt.Errorf("%s: %s", f.Code, wire.Value(f.Message)))
		}
	}
	return errors.Join(errs...)
}

// record is an SQS message in a function's event. Source: Lambda Developer Guide, "Using Lambda with Amazon SQS".
type record struct {
	MessageID         string               `json:"messageId"`
	ReceiptHandle     string               `json:"receiptHandle"`
	Body              string               `json:"body"`
	Attributes        map[string]string    `json:"attributes"`
	MessageAttributes map[string]attribute `json:"messageAttributes"`
	MD5OfAttributes   any                  `json:"md5OfMessageAttributes,omitempty"`
	MD5OfBody         string               `json:"md5OfBody"`
	EventSource       string               `json:"eventSource"`
	EventSourceARN    string               `json:"eventSourceARN"`
	Region            string               `json:"awsRegion"`
}

type attribute struct {
	StringValue  *string  `json:"stringValue,omitempty"`
	BinaryValue  []byte   `json:"binaryValue,omitempty"`
	StringValues []string `json:"stringListValues"`
	BinaryValues [][]byte `json:"binaryListValues"`
	DataType     string   `json:"dataType"`
}

func (q *Queue) message(m *sqs.Message) (Message, error) {
	r := record{
		MessageID: wire.Value(m.MessageId), ReceiptHandle: wire.Value(m.ReceiptHandle), Body: wire.Value(m.Body),
		Attributes: m.Attributes, MessageAttributes: make(map[string]attribute, len(m.MessageAttributes)),
		MD5OfBody: wire.Value(m.MD5OfBody), EventSource: "aws:sqs", EventSourceARN: q.ARN.String(), Region: q.ARN.Region,
	}
	if q.AttributesMD5 {
		r.MD5OfAttributes = m.MD5OfMessageAttributes
	}
	for name, a := range m.MessageAttributes {
		r.MessageAttributes[name] = attribute{a.StringValue, a.BinaryValue, []string{}, [][]byte{}, a.DataType}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return Message{}, fmt.Errorf("poller: message %s: %w", r.MessageID, err)
	}
	return Message{ID: r.MessageID, Handle: r.ReceiptHandle, Record: bytes.TrimSuffix(b.Bytes(), []byte("\n")),
		Trace: m.Attributes[sqs.MessageSystemAttributeNameAWSTraceHeader]}, nil
}
