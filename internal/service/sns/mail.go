package sns

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"croft/internal/awsapi/sns"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// Mail and text messages are not sent: they are kept to be looked at.

// maxKept is how many messages are kept in an account and region; the oldest make room.
const maxKept = 1000

// mail is a message that would have been sent.
type mail struct {
	Protocol     string    `json:"protocol"`
	Endpoint     string    `json:"endpoint"`
	Type         string    `json:"type"`
	MessageID    string    `json:"messageId"`
	Topic        string    `json:"topicArn,omitempty"`
	Subscription string    `json:"subscriptionArn,omitempty"`
	Subject      *string   `json:"subject,omitempty"`
	Message      string    `json:"message"`
	Time         time.Time `json:"time"`
	Token        string    `json:"token,omitempty"`
	SubscribeURL string    `json:"subscribeUrl,omitempty"`
	Unsubscribe  string    `json:"unsubscribeUrl,omitempty"`
}

func mailKey(number uint64) kv.Key { return kv.Key{'o'}.Uint(number) }

// mailCountKey is where the number of the last message lies.
func mailCountKey() kv.Key { return kv.Key{'p'} }

func (d *delivery) mails() bool {
	return slices.Contains([]string{"email", "email-json", "sms"}, d.Protocol)
}

// confirms reports whether the endpoint is asked to confirm its subscription.
func (sub *subscription) confirms() bool {
	return sub.web() || strings.HasPrefix(sub.Protocol, "email")
}

// keep puts a message where it can be looked at.
func (s *Service) keep(ctx context.Context, d *delivery, n *notification) error {
	m := mail{
		Protocol: d.Protocol, Endpoint: d.Endpoint, Type: d.kind(), MessageID: n.ID, Topic: n.Topic, Subscription: d.ARN, Subject: n.Subject,
		Message: n.message(d.Protocol), Time: n.Time.UTC(), Token: d.Token,
	}
	switch {
	case d.Token != "":
		m.SubscribeURL, m.Subscription = subscribeURL(d, n), ""
	case strings.HasPrefix(d.Protocol, "email"):
		m.Unsubscribe = unsubscribeURL(d, n)
	}
	row, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("sns: %w", err)
	}
	return s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		var number uint64
		last, err := tx.Get(mailCountKey())
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		if len(last) == 8 {
			number = binary.BigEndian.Uint64(last)
		}
		number++
		if number > maxKept {
			if err := tx.Delete(mailKey(number - maxKept)); err != nil {
				return err
			}
		}
		if err := tx.Put(mailCountKey(), binary.BigEndian.AppendUint64(nil, number)); err != nil {
			return err
		}
		return tx.Put(mailKey(number), row)
	})
}

// Kept returns the messages to e-mail addresses and telephones in the account and region of ctx's call, the newest first, each as a JSON object.
func (s *Service) Kept(ctx context.Context) ([]json.RawMessage, error) {
	out := []json.RawMessage{}
	err := s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		for e, err := range r.Scan(kv.PrefixRange(kv.Key{'o'}), kv.ScanOptions{Reverse: true, Limit: maxKept}) {
			if err != nil {
				return err
			}
			out = append(out, slices.Clone(e.Value))
		}
		return nil
	})
	return out, err
}

// serveKept shows the messages of an account and region. Functions see none of them: there are tokens in them.
func (s *Service) serveKept(ctx context.Context, w http.ResponseWriter) {
	if cloud.CallOf(ctx).Function != "" {
		s.writeError(ctx, w, sns.NewAuthorizationErrorException("Functions may not read the messages"))
		return
	}
	all, err := s.Kept(ctx)
	if err != nil {
		s.writeError(ctx, w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// An error means that whoever asked has gone.
	_ = json.NewEncoder(w).Encode(map[string]any{"messages": all})
}

// checkMail checks an address or a telephone number.
func checkMail(sub *subscription) error {
	if sub.Protocol != "sms" {
		name, host, ok := strings.Cut(sub.Endpoint, "@")
		if !ok || name == "" || host == "" || len(sub.Endpoint) > 320 || strings.ContainsAny(sub.Endpoint, " \t\r\n") {
			return invalid("Email address")
		}
		return nil
	}
	number, ok := phone(sub.Endpoint)
	if !ok {
		return sns.NewInvalidParameterException("Invalid SMS endpoint: %s", sub.Endpoint)
	}
	sub.Endpoint = number
	return nil
}

// phone reads a telephone number: digits, perhaps behind a plus sign, with single separators between them, which it takes away.
func phone(s string) (string, bool) {
	const separators = "./-"
	out := make([]byte, 0, len(s))
	separated := true // none at the beginning
	for i := range len(s) {
		switch b := s[i]; {
		case b == '+' && i == 0:
			out = append(out, b)
		case b >= '0' && b <= '9':
			out, separated = append(out, b), false
		case strings.IndexByte(separators, b) >= 0 && !separated:
			separated = true
		default:
			return "", false
		}
	}
	digits := strings.TrimPrefix(string(out), "+")
	return string(out), !separated && len(digits) >= 2 && len(digits) <= 15
}

// publishToPhone keeps a message for a telephone number.
func (s *Service) publishToPhone(ctx context.Context, in *sns.PublishInput) (*sns.PublishOutput, error) {
	number := *in.PhoneNumber
	if stripped, ok := phone(number); !ok || stripped != number || !strings.HasPrefix(number, "+") {
		return nil, invalid("PhoneNumber Reason: %s is not valid to publish to", number)
	}
	if in.TopicArn != nil || in.TargetArn != nil {
		return nil, invalid("PhoneNumber Reason: Only one of TopicArn, TargetArn and PhoneNumber can be specified")
	}
	n, err := s.newNotification(ctx, "", in)
	if err != nil {
		return nil, err
	}
	n.Topic = ""
	if err := s.keep(ctx, &delivery{Protocol: "sms", Endpoint: number}, n); err != nil {
		return nil, err
	}
	return &sns.PublishOutput{MessageId: &n.ID}, nil
}
