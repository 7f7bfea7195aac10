package sns

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"croft/internal/awsapi/sns"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// maxMessage bounds a message with its attributes, in bytes. Source: the service's API reference, Publish.
const maxMessage = 256 << 10

// notification is a published message on its way.
type notification struct {
	ID      string  `json:"i"`
	Topic   string  `json:"t"`
	Subject *string `json:"s,omitempty"`
	// Message is what every protocol gets that Messages does not name.
	Message    string            `json:"m"`
	Messages   map[string]string `json:"p,omitempty"`
	Attributes []attribute       `json:"a,omitempty"`
	// body is what was published, of which FIFO topics take the hash.
	body string
	Time time.Time `json:"d"`
	// Endpoint is the cloud's base URL, as whoever receives the message can use it.
	Endpoint string `json:"e,omitempty"`
	// Group, Dedup and Sequence are those of a FIFO topic's messages.
	Group    string `json:"g,omitempty"`
	Dedup    string `json:"u,omitempty"`
	Sequence string `json:"q,omitempty"`
	// Trace is the trace header of the call that published it; empty for none.
	Trace string `json:"x,omitempty"`
}

// attribute is one message attribute. Notifications keep them sorted by name.
type attribute struct {
	Name   string  `json:"n"`
	Type   string  `json:"t"`
	Text   *string `json:"v,omitempty"`
	Binary []byte  `json:"b,omitempty"`
}

func (n *notification) message(protocol string) string {
	if m, ok := n.Messages[protocol]; ok {
		return m
	}
	return n.Message
}

// Publish sends a message to the subscriptions of a topic.
func (s *Service) Publish(ctx context.Context, in *sns.PublishInput) (*sns.PublishOutput, error) {
	if in.PhoneNumber != nil {
		return s.publishToPhone(ctx, in)
	}
	parameter, arn, err := target(in)
	if err != nil {
		return nil, err
	}
	name, err := s.topicName(ctx, parameter, arn)
	if err != nil {
		return nil, err
	}
	n, err := s.newNotification(ctx, name, in)
	if err != nil {
		return nil, err
	}
	if err := s.publish(ctx, name, n); err != nil {
		return nil, err
	}
	return &sns.PublishOutput{MessageId: &n.ID, SequenceNumber: optional(n.Sequence)}, nil
}

// publish hands notifications to the subscriptions of a topic, all of them or none.
func (s *Service) publish(ctx context.Context, name string, all ...*notification) error {
	bodies := make([][]byte, len(all))
	for i, n := range all {
		var err error
		if bodies[i], err = json.Marshal(n); err != nil {
			return fmt.Errorf("sns: %w", err)
		}
	}
	ordered := make([]notification, len(all))
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := getTopic(tx, name)
		if err != nil {
			return err
		}
		for i, n := range all {
			if fifo(name) {
				ordered[i] = *n // what the transaction finds out is forgotten when it has to run again
				err = s.publishInOrder(ctx, tx, t, &ordered[i])
			} else {
				err = s.fanPage(ctx, tx, t.fan(name), n, bodies[i])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !fifo(name) {
		return err
	}
	for i := range ordered {
		*all[i] = ordered[i]
	}
	return nil
}

// target returns the ARN that a message is for, and the parameter that has it.
func target(in *sns.PublishInput) (parameter, arn string, err error) {
	switch {
	case in.TopicArn != nil:
		return "TopicArn", *in.TopicArn, nil
	case in.TargetArn == nil:
		return "", "", invalid("TopicArn or TargetArn Reason: no value for required parameter")
	case strings.Contains(*in.TargetArn, ":endpoint/"):
		return "", "", invalid("TargetArn Reason: croft does not have platform endpoints")
	}
	return "TargetArn", *in.TargetArn, nil
}

func (s *Service) newNotification(ctx context.Context, topicName string, in *sns.PublishInput) (*notification, error) {
	call := cloud.CallOf(ctx)
	n := &notification{
		Trace: call.Trace,
		ID:    cloud.NewRequestID(), Topic: call.ARN("sns", topicName), Subject: in.Subject, Message: in.Message, body: in.Message,
		Time: call.Now, Endpoint: s.baseURL(call),
	}
	if in.Message == "" {
		return nil, invalid("Empty message")
	}
	if in.Subject != nil && !validSubject(*in.Subject) {
		return nil, invalid("Subject")
	}
	if err := n.setOrder(topicName, in); err != nil {
		return nil, err
	}
	var err error
	if n.Attributes, err = checkAttributes(in.MessageAttributes); err != nil {
		return nil, err
	}
	if n.size() > maxMessage {
		return nil, invalid("Message too long")
	}
	switch structure := wire.Value(in.MessageStructure); structure {
	case "":
		return n, nil
	case "json":
		return n, n.split()
	}
	return nil, invalid("MessageStructure")
}

// size is the message's with its attributes, in bytes.
func (n *notification) size() int {
	size := len(n.Message)
	for _, a := range n.Attributes {
		size += len(a.Name) + len(a.Type) + len(wire.Value(a.Text)) + len(a.Binary)
	}
	return size
}

// validSubject states the rule: up to 100 characters of ASCII, no control characters, not beginning with a blank.
func validSubject(s string) bool {
	if s == "" || len(s) > 100 || s[0] == ' ' {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// split takes a message apart that says itself what each protocol gets.
func (n *notification) split() error {
	var parts map[string]any
	if err := json.Unmarshal([]byte(n.Message), &parts); err != nil {
		return invalid("Message Structure - JSON message body failed to parse")
	}
	fallback, ok := parts["default"].(string)
	if !ok {
		return invalid("Message Structure - No default entry in JSON message body")
	}
	n.Message, n.Messages = fallback, map[string]string{}
	for _, protocol := range []string{"sqs", "lambda", "http", "https", "email", "email-json", "sms"} {
		if m, ok := parts[protocol].(string); ok {
			n.Messages[protocol] = m
		}
	}
	return nil
}

// baseURL returns the base of the URLs in a message. The address under which a function knows the cloud is of no use outside of its
// environment.
func (s *Service) baseURL(call *cloud.Call) string {
	if call.Endpoint == "" || call.Function != "" {
		return s.deps.BaseURL
	}
	return call.Endpoint
}
