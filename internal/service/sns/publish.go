package sns

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
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
	Time       time.Time         `json:"d"`
	// Endpoint is the cloud's base URL, as whoever receives the message can use it.
	Endpoint string `json:"e,omitempty"`
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
	body, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := getTopic(tx, name)
		if err != nil {
			return err
		}
		return s.fanPage(ctx, tx, fan{Topic: t.ID, Name: name}, body)
	})
	if err != nil {
		return nil, err
	}
	return &sns.PublishOutput{MessageId: &n.ID}, nil
}

// target returns the ARN that a message is for, and the parameter that has it.
func target(in *sns.PublishInput) (parameter, arn string, err error) {
	switch {
	case in.PhoneNumber != nil:
		return "", "", invalid("PhoneNumber Reason: croft does not send SMS messages")
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
		ID:    cloud.NewRequestID(), Topic: call.ARN("sns", topicName), Subject: in.Subject, Message: in.Message, Time: call.Now, Endpoint: s.baseURL(call),
	}
	if in.Message == "" {
		return nil, invalid("Empty message")
	}
	if in.Subject != nil && !validSubject(*in.Subject) {
		return nil, invalid("Subject")
	}
	for name, value := range map[string]*string{"MessageGroupId": in.MessageGroupId, "MessageDeduplicationId": in.MessageDeduplicationId} {
		if value != nil {
			return nil, invalid("%s Reason: The request includes %s parameter that is not valid for this topic type", name, name)
		}
	}
	var err error
	if n.Attributes, err = checkAttributes(in.MessageAttributes); err != nil {
		return nil, err
	}
	size := len(in.Message)
	for _, a := range n.Attributes {
		size += len(a.Name) + len(a.Type) + len(wire.Value(a.Text)) + len(a.Binary)
	}
	if size > maxMessage {
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
	for _, protocol := range []string{"sqs", "lambda"} {
		if m, ok := parts[protocol].(string); ok {
			n.Messages[protocol] = m
		}
	}
	return nil
}

func parameterValue(format string, args ...any) error {
	return sns.NewInvalidParameterValueException(format, args...)
}

// checkAttributes checks the attributes of a message and returns them sorted by name.
func checkAttributes(in map[string]sns.MessageAttributeValue) ([]attribute, error) {
	var out []attribute
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if err := checkAttributeName(name); err != nil {
			return nil, err
		}
		v := in[name]
		a := attribute{Name: name, Type: v.DataType, Text: v.StringValue, Binary: v.BinaryValue}
		if err := checkAttributeValue(&a); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func checkAttributeName(name string) error {
	if name == "" || len(name) > 256 {
		return parameterValue("Length of message attribute name must be less than 256 bytes.")
	}
	for i := range len(name) {
		if b := name[i]; !isNameByte(b) && b != '.' {
			return parameterValue("Invalid non-alphanumeric character '#x%X' was found in the message attribute name. "+
				"Can only include alphanumeric characters, hyphens, underscores, or dots.", b)
		}
	}
	switch {
	case name[0] == '.':
		return parameterValue("Invalid message attribute name starting with character '.' was found.")
	case name[len(name)-1] == '.':
		return parameterValue("Invalid message attribute name ending with character '.' was found.")
	case strings.Contains(name, ".."):
		return parameterValue("Message attribute name can not have successive '.' character.")
	}
	return nil
}

func checkAttributeValue(a *attribute) error {
	kind, _, _ := strings.Cut(a.Type, ".")
	text, binary := wire.Value(a.Text) != "", len(a.Binary) > 0
	switch kind {
	case "String", "Number":
		if !text && binary {
			return parameterValue("The message attribute '%s' with type '%s' must use field 'String'.", a.Name, a.Type)
		}
	case "Binary":
		if text && !binary {
			return parameterValue("The message attribute '%s' with type '%s' must use field 'Binary'.", a.Name, a.Type)
		}
	default:
		return parameterValue("The message attribute '%s' has an invalid message attribute type, "+
			"the set of supported type prefixes is Binary, Number, and String.", a.Name)
	}
	if !text && !binary {
		return parameterValue("The message attribute '%s' must contain non-empty message attribute value for message attribute type '%s'.", a.Name, a.Type)
	}
	if text && binary {
		return parameterValue("The message attribute '%s' must use only one of the fields 'String' and 'Binary'.", a.Name)
	}
	if kind != "Number" {
		return nil
	}
	if _, err := strconv.ParseFloat(*a.Text, 64); err != nil && !errors.Is(err, strconv.ErrRange) {
		return parameterValue("Could not cast message attribute '%s' value to number.", a.Name)
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
