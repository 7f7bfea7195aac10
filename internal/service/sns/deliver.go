package sns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/outbox"
	"croft/internal/wire"
)

const (
	deliverHandler = "sns.deliver"
	fanoutHandler  = "sns.fanout"
	// principal is who calls queues and functions.
	principal = "sns.amazonaws.com"
	// pageBytes and pageMembers bound what one transaction writes to the outbox.
	pageBytes   = 16 << 20
	pageMembers = 100
)

// deliveryAttempts is how often SNS tries to reach queues and functions. Source: the service's developer guide, "Amazon SNS message
// delivery retries".
const deliveryAttempts = 100_015

// deliveryPause is the schedule there: three times at once, twice after a second, ten times after a growing pause, then every 20
// seconds.
func deliveryPause(failures int) time.Duration {
	switch {
	case failures <= 3:
		return 0
	case failures <= 5:
		return time.Second
	}
	return min(20*time.Second, time.Second<<min(failures-5, 5))
}

// fan is how far the subscriptions of a topic have got a notification.
type fan struct {
	Topic uint64 `json:"t"`
	Name  string `json:"n"`
	// Sign and Policy are the topic's attributes SignatureVersion and DeliveryPolicy.
	Sign   string `json:"g,omitempty"`
	Policy string `json:"l,omitempty"`
	// After is the key of the last row that was done.
	After []byte `json:"a,omitempty"`
}

// delivery is one subscription that gets a notification.
type delivery struct {
	ARN      string `json:"s"`
	Protocol string `json:"p"`
	Endpoint string `json:"e"`
	Raw      bool   `json:"r,omitempty"`
	// Dead is the ARN of the dead-letter queue; empty means none.
	Dead string `json:"d,omitempty"`
	// Sign is the topic's attribute SignatureVersion; empty where it was not set.
	Sign string `json:"g,omitempty"`
	// Token is what a request to confirm carries, and Kind which of the two it is; empty for notifications.
	Token string `json:"k,omitempty"`
	Kind  string `json:"y,omitempty"`
	// Policy says how often an HTTP endpoint is tried, and Failures how often that has failed.
	Policy   *subscriptionPolicy `json:"l,omitempty"`
	Failures int                 `json:"f,omitempty"`
}

func (d *delivery) kind() string {
	if d.Kind == "" {
		return typeNotification
	}
	return d.Kind
}

func (d *delivery) signatureVersion() string {
	if d.Sign == "" {
		return "1"
	}
	return d.Sign
}

// join makes the body of an outbox message: what is different for each, a line break, and the notification, which is encoded once. JSON
// has no line breaks of its own.
func join(head any, notification []byte) ([]byte, error) {
	h, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("sns: %w", err)
	}
	return slices.Concat(h, []byte{'\n'}, notification), nil
}

func split(body []byte, head any) (notification []byte, err error) {
	h, notification, ok := bytes.Cut(body, []byte{'\n'})
	if !ok {
		return nil, errors.New("sns: malformed outbox message")
	}
	if err := json.Unmarshal(h, head); err != nil {
		return nil, fmt.Errorf("sns: %w", err)
	}
	return notification, nil
}

// fanPage writes a delivery for each of the next subscriptions that want the notification, and a message to go on if there are more.
func (s *Service) fanPage(ctx context.Context, tx kv.Tx, f fan, n *notification, body []byte) error {
	look := filtered{n: n}
	page := max(1, min(pageMembers, pageBytes/len(body)))
	call, done := cloud.CallOf(ctx), 0
	for e, err := range tx.Scan(membersAfter(f.Topic, f.After), kv.ScanOptions{Limit: page + 1}) {
		if err != nil {
			return err
		}
		if done == page {
			return s.put(ctx, fanoutHandler, f.Name, f, body)
		}
		sub, err := decodeSubscription(e.Value)
		if err != nil {
			return err
		}
		f.After = slices.Clone(e.Key)
		done++
		if sub.Pending {
			continue
		}
		if wanted, err := look.wanted(sub); err != nil || !wanted {
			if err != nil {
				return fmt.Errorf("sns: the filter policy of %s: %w", sub.ID, err)
			}
			continue
		}
		d, handler := sub.delivery(call), deliverHandler
		d.Sign = f.Sign
		if sub.web() {
			handler = httpHandler
			if d.Policy, err = sub.effectivePolicy(f.Policy); err != nil {
				return err
			}
		}
		if err := s.put(ctx, handler, d.ARN, d, body); err != nil {
			return err
		}
	}
	return nil
}

func (sub *subscription) delivery(call *cloud.Call) delivery {
	return delivery{ARN: sub.arn(call), Protocol: sub.Protocol, Endpoint: sub.Endpoint, Raw: sub.Raw, Dead: sub.deadLetter()}
}

func (s *Service) put(ctx context.Context, handler, key string, head any, body []byte) error {
	b, err := join(head, body)
	if err != nil {
		return err
	}
	return s.deps.Outbox.Put(ctx, outbox.Message{Handler: handler, Key: key, Body: b})
}

// fanout goes on with a topic that has more subscriptions than one transaction should write for.
func (s *Service) fanout(ctx context.Context, m outbox.Message) error {
	var f fan
	body, err := split(m.Body, &f)
	if err != nil {
		return err
	}
	n := new(notification)
	if err := json.Unmarshal(body, n); err != nil {
		return fmt.Errorf("sns: %w", err)
	}
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error { return s.fanPage(ctx, tx, f, n, body) })
}

// deliver sends a notification to one subscription, in the transaction that removes the outbox message.
func (s *Service) deliver(ctx context.Context, m outbox.Message) error {
	var d delivery
	var n notification
	body, err := split(m.Body, &d)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, &n); err != nil {
		return fmt.Errorf("sns: %w", err)
	}
	return s.send(ctx, &d, &n)
}

// dead takes a notification whose last attempt has failed.
func (s *Service) dead(ctx context.Context, m outbox.Message, cause error) error {
	var d delivery
	var n notification
	body, err := split(m.Body, &d)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, &n); err != nil {
		return fmt.Errorf("sns: %w", err)
	}
	return s.giveUp(ctx, &d, &n, cause)
}

// send delivers to a queue or a function, or keeps a mail. What fails for good goes to the dead-letter queue.
func (s *Service) send(ctx context.Context, d *delivery, n *notification) error {
	if d.mails() {
		return s.keep(ctx, d, n)
	}
	to, err := cloud.ParseARN(d.Endpoint)
	if err != nil {
		return err
	}
	ctx = cloud.WithTrace(cloud.In(cloud.AsServiceFor(ctx, principal, n.Topic), to.Account, to.Region), n.Trace)
	if d.Protocol == "lambda" {
		err = s.invoke(ctx, d, n)
	} else {
		err = s.enqueue(ctx, to, d, n)
	}
	if !final(err) {
		return err
	}
	return s.giveUp(ctx, d, n, err)
}

// giveUp moves a notification that cannot be delivered to the subscription's dead-letter queue, or drops it where there is none.
func (s *Service) giveUp(ctx context.Context, d *delivery, n *notification, cause error) error {
	log := s.deps.Log.With("topic", n.Topic, "subscription", d.ARN, "endpoint", d.Endpoint, "message", n.ID)
	if d.Dead == "" {
		log.Warn("a notification cannot be delivered and is dropped", "err", cause)
		return nil
	}
	to, err := cloud.ParseARN(d.Dead)
	if err != nil {
		return err
	}
	ctx = cloud.WithTrace(cloud.In(cloud.AsServiceFor(ctx, principal, n.Topic), to.Account, to.Region), n.Trace)
	err = s.enqueue(ctx, to, d, n)
	if !final(err) {
		return err
	}
	log.Warn("a notification can be delivered neither to its endpoint nor to the dead-letter queue, and is dropped", "err", cause, "queue", d.Dead, "dead", err)
	return nil
}

// final reports whether err will be the same next time. SNS does not try again when an endpoint is gone or refuses what it is sent.
func final(err error) bool {
	var e *cloud.Error
	if !errors.As(err, &e) {
		return false
	}
	status := e.HTTPStatus()
	return status < 500 && status != http.StatusTooManyRequests || status == http.StatusNotImplemented
}

func (s *Service) enqueue(ctx context.Context, to cloud.ARN, d *delivery, n *notification) error {
	in := &sqs.SendMessageInput{QueueUrl: "/" + to.Account + "/" + to.Resource}
	if fifo(to.Resource) {
		in.MessageGroupId, in.MessageDeduplicationId = optional(n.Group), optional(n.Dedup)
	}
	if !d.Raw {
		key, err := s.signerFor(ctx, d, n)
		if err != nil {
			return err
		}
		if in.MessageBody, err = envelope(d, n, key); err != nil {
			return err
		}
	} else {
		in.MessageBody = n.message(d.Protocol)
		for _, a := range n.Attributes {
			if in.MessageAttributes == nil {
				in.MessageAttributes = map[string]sqs.MessageAttributeValue{}
			}
			in.MessageAttributes[a.Name] = sqs.MessageAttributeValue{DataType: a.Type, StringValue: a.Text, BinaryValue: a.Binary}
		}
	}
	_, err := s.queues.SendMessage(ctx, in)
	return err
}

// signerFor returns what signs a message to a queue or a function: nothing, unless the topic says which version the signature should have. A
// signature takes longer than all the rest, and hardly anybody looks at one that came through a queue. What FIFO topics send carries none on AWS.
func (s *Service) signerFor(ctx context.Context, d *delivery, n *notification) (*signer, error) {
	if d.Sign == "" || n.Sequence != "" {
		return nil, nil
	}
	return s.signer(ctx)
}

func (s *Service) invoke(ctx context.Context, d *delivery, n *notification) error {
	key, err := s.signerFor(ctx, d, n)
	if err != nil {
		return err
	}
	payload, err := lambdaEvent(d, n, key)
	if err != nil {
		return err
	}
	_, err = s.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: d.Endpoint, InvocationType: wire.Ptr("Event"), Payload: payload})
	return err
}
