package sns

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"

	"croft/internal/cloud"
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

// The types of messages.
const (
	typeNotification = "Notification"
	typeSubscribe    = "SubscriptionConfirmation"
	typeUnsubscribe  = "UnsubscribeConfirmation"
)

// envelope writes what an endpoint gets without raw delivery: the members of AWS's messages, in their order and layout. It is signed where
// there is a signer.
func envelope(d *delivery, n *notification, key *signer) (string, error) {
	var b bytes.Buffer
	b.Grow(1024 + len(n.Message))
	b.WriteString("{\n  \"Type\" : ")
	writeJSON(&b, d.kind())
	member := func(name, value string) {
		b.WriteString(",\n  \"" + name + "\" : ")
		writeJSON(&b, value)
	}
	member("MessageId", n.ID)
	if n.Sequence != "" {
		member("SequenceNumber", n.Sequence)
	}
	if d.Token != "" {
		member("Token", d.Token)
	}
	member("TopicArn", n.Topic)
	if n.Subject != nil {
		member("Subject", *n.Subject)
	}
	member("Message", n.message(d.Protocol))
	if d.Token != "" {
		member("SubscribeURL", subscribeURL(d, n))
	}
	member("Timestamp", n.Time.UTC().Format(timeFormat))
	if key != nil {
		signature, err := key.sign(d.signatureVersion(), signed(d, n)...)
		if err != nil {
			return "", err
		}
		member("SignatureVersion", d.signatureVersion())
		member("Signature", signature)
		member("SigningCertURL", n.Endpoint+frontPath+certificates+"/"+key.file())
	}
	if d.Token == "" {
		member("UnsubscribeURL", unsubscribeURL(d, n))
	}
	writeAttributes(&b, n)
	b.WriteString("\n}")
	return b.String(), nil
}

func writeAttributes(b *bytes.Buffer, n *notification) {
	if len(n.Attributes) == 0 {
		return
	}
	b.WriteString(",\n  \"MessageAttributes\" : {")
	for i := range n.Attributes {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		writeJSON(b, n.Attributes[i].Name)
		b.WriteString(" : ")
		writeJSON(b, n.Attributes[i].value())
	}
	b.WriteString("\n  }")
}

// signed are the members that the signature covers.
func signed(d *delivery, n *notification) []string {
	out := []string{"Message", n.message(d.Protocol), "MessageId", n.ID}
	if d.Token != "" {
		out = append(out, "SubscribeURL", subscribeURL(d, n))
	} else if n.Subject != nil {
		out = append(out, "Subject", *n.Subject)
	}
	out = append(out, "Timestamp", n.Time.UTC().Format(timeFormat))
	if d.Token != "" {
		out = append(out, "Token", d.Token)
	}
	return append(out, "TopicArn", n.Topic, "Type", d.kind())
}

// actionURL is an address at which an action can be taken without a signature.
func actionURL(n *notification, query string) string {
	a, err := cloud.ParseARN(n.Topic)
	if err != nil {
		return ""
	}
	return n.Endpoint + frontPath + a.Region + "." + a.Account + "/?Action=" + query
}

func subscribeURL(d *delivery, n *notification) string {
	return actionURL(n, "ConfirmSubscription&TopicArn="+url.PathEscape(n.Topic)+"&Token="+d.Token)
}

func unsubscribeURL(d *delivery, n *notification) string {
	return actionURL(n, "Unsubscribe&SubscriptionArn="+url.PathEscape(d.ARN))
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
func lambdaEvent(d *delivery, n *notification, key *signer) ([]byte, error) {
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
		SignatureVersion  string `json:",omitempty"`
		Signature         string `json:",omitempty"`
		SigningCertURL    string `json:"SigningCertUrl,omitempty"`
		UnsubscribeURL    string `json:"UnsubscribeUrl"`
		MessageAttributes map[string]attributeValue
	}
	type record struct {
		EventSource          string
		EventVersion         string
		EventSubscriptionArn string
		Sns                  message
	}
	out := record{
		EventSource: "aws:sns", EventVersion: "1.0", EventSubscriptionArn: d.ARN,
		Sns: message{
			Type: "Notification", MessageID: n.ID, TopicArn: n.Topic, Subject: n.Subject, Message: n.message(d.Protocol),
			Timestamp: n.Time.UTC().Format(timeFormat), UnsubscribeURL: unsubscribeURL(d, n), MessageAttributes: attributes,
		},
	}
	if key != nil {
		signature, err := key.sign(d.signatureVersion(), signed(d, n)...)
		if err != nil {
			return nil, err
		}
		out.Sns.SignatureVersion, out.Sns.Signature = d.signatureVersion(), signature
		out.Sns.SigningCertURL = n.Endpoint + frontPath + certificates + "/" + key.file()
	}
	return json.Marshal(struct{ Records []record }{[]record{out}})
}
