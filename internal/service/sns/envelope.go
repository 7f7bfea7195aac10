package sns

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
)

// timeFormat is how notifications write times.
const timeFormat = "2006-01-02T15:04:05.000Z"

// attributeValue is a message attribute inside a notification: binary values are in base64.
type attributeValue struct {
	Type  string
	Value string
}

func (a *attribute) value() attributeValue {
	if a.Text != nil {
		return attributeValue{a.Type, *a.Text}
	}
	return attributeValue{a.Type, base64.StdEncoding.EncodeToString(a.Binary)}
}

// envelope writes what a queue gets without raw delivery: the members of AWS's notifications, in their order and layout, without the
// signature.
func envelope(d *delivery, n *notification) string {
	var b bytes.Buffer
	b.Grow(512 + len(n.Message))
	b.WriteString("{\n  \"Type\" : \"Notification\"")
	member := func(name, value string) {
		b.WriteString(",\n  \"" + name + "\" : ")
		writeJSON(&b, value)
	}
	member("MessageId", n.ID)
	if n.Sequence != "" {
		member("SequenceNumber", n.Sequence)
	}
	member("TopicArn", n.Topic)
	if n.Subject != nil {
		member("Subject", *n.Subject)
	}
	member("Message", n.message(d.Protocol))
	member("Timestamp", n.Time.UTC().Format(timeFormat))
	member("UnsubscribeURL", unsubscribeURL(d, n))
	if len(n.Attributes) > 0 {
		b.WriteString(",\n  \"MessageAttributes\" : {")
		for i := range n.Attributes {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("\n    ")
			writeJSON(&b, n.Attributes[i].Name)
			b.WriteString(" : ")
			writeJSON(&b, n.Attributes[i].value())
		}
		b.WriteString("\n  }")
	}
	b.WriteString("\n}")
	return b.String()
}

func unsubscribeURL(d *delivery, n *notification) string {
	return n.Endpoint + "/?Action=Unsubscribe&SubscriptionArn=" + url.PathEscape(d.ARN)
}

// writeJSON writes a value whose encoding cannot fail, without escaping what only matters in HTML.
func writeJSON(b *bytes.Buffer, v any) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if e.Encode(v) == nil {
		b.Truncate(b.Len() - 1)
	}
}

// lambdaEvent is what a function gets. Source: AWS Lambda Developer Guide, "Invoking Lambda functions with Amazon SNS notifications".
func lambdaEvent(d *delivery, n *notification) ([]byte, error) {
	attributes := map[string]attributeValue{}
	for i := range n.Attributes {
		attributes[n.Attributes[i].Name] = n.Attributes[i].value()
	}
	type message struct {
		Type              string
		MessageID         string `json:"MessageId"`
		TopicArn          string
		Subject           *string
		Message           string
		Timestamp         string
		UnsubscribeURL    string `json:"UnsubscribeUrl"`
		MessageAttributes map[string]attributeValue
	}
	type record struct {
		EventSource          string
		EventVersion         string
		EventSubscriptionArn string
		Sns                  message
	}
	return json.Marshal(struct{ Records []record }{[]record{{
		EventSource: "aws:sns", EventVersion: "1.0", EventSubscriptionArn: d.ARN,
		Sns: message{
			Type: "Notification", MessageID: n.ID, TopicArn: n.Topic, Subject: n.Subject, Message: n.message(d.Protocol),
			Timestamp: n.Time.UTC().Format(timeFormat), UnsubscribeURL: unsubscribeURL(d, n), MessageAttributes: attributes,
		},
	}}})
}
