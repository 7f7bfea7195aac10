package sns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/outbox"
	"croft/internal/timer"
)

const (
	// httpHandler sends to HTTP endpoints, and retryHandler is the timer that lets it try again.
	httpHandler  = "sns.http"
	retryHandler = "sns.retry"
	// webTimeout is how long an endpoint may take. Source: the service's developer guide, "Amazon SNS message delivery retries".
	webTimeout = 15 * time.Second
	// maxIgnored is how much of an answer is read, so that the connection can be used again.
	maxIgnored  = 64 << 10
	maxEndpoint = 2048
	userAgent   = "Amazon Simple Notification Service Agent"
)

// newWebClient makes the client for endpoints. It uses no proxy and follows no redirection.
func newWebClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 4, MaxIdleConns: 64, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: webTimeout},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// checkURL checks an HTTP endpoint.
func checkURL(protocol, endpoint string) error {
	if !strings.HasPrefix(endpoint, protocol+"://") {
		return invalid("Endpoint must match the specified protocol")
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || len(endpoint) > maxEndpoint {
		return invalid("Endpoint Reason: the URL is not valid")
	}
	return nil
}

// refusal is an answer of an endpoint that is no success.
type refusal struct{ status int }

func (r *refusal) Error() string {
	return fmt.Sprintf("the endpoint answered with status %d", r.status)
}

// permanent reports whether another try would be of no use: the endpoint says that the request is at fault. Source: the developer guide,
// "Amazon SNS message delivery retries".
func permanent(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.status >= 400 && r.status < 500 && r.status != http.StatusTooManyRequests
}

// post sends a message to an HTTP endpoint, and says what is written when the outbox message is removed: nothing, the timer of the next
// attempt, or the dead letter.
func (s *Service) post(ctx context.Context, m outbox.Message) (func(context.Context) error, error) {
	var d delivery
	n := new(notification)
	body, err := split(m.Body, &d)
	if err == nil {
		err = json.Unmarshal(body, n)
	}
	if err != nil {
		return nil, fmt.Errorf("sns: %w", err)
	}
	if d.Policy == nil {
		d.Policy = &subscriptionPolicy{}
	}
	err = s.request(ctx, &d, n)
	if err == nil {
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	d.Failures++
	pause, more := d.Policy.Healthy.pause(d.Failures)
	if permanent(err) || !more {
		cause := err
		return func(ctx context.Context) error { return s.giveUp(ctx, &d, n, cause) }, nil
	}
	again, err := join(&d, body)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		return s.deps.Timers.Set(ctx, timer.Timer{
			Handler: retryHandler, ID: m.ID, Account: m.Account, Region: m.Region, Due: s.deps.Clock.Now().Add(pause), Body: again,
		})
	}, nil
}

// retry lets the outbox try an endpoint again.
func (s *Service) retry(ctx context.Context, t timer.Timer) error {
	var d delivery
	if _, err := split(t.Body, &d); err != nil {
		return err
	}
	return s.deps.Outbox.Put(ctx, outbox.Message{Handler: httpHandler, Key: d.ARN, Body: t.Body, ID: t.ID})
}

// request makes one attempt.
func (s *Service) request(ctx context.Context, d *delivery, n *notification) error {
	body := n.message(d.Protocol)
	raw := d.Raw && d.Token == ""
	if !raw {
		key, err := s.signer(ctx)
		if err != nil {
			return err
		}
		if body, err = envelope(d, n, key); err != nil {
			return err
		}
	}
	ctx, cancel := clock.WithTimeout(ctx, clock.Real(), webTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Endpoint, strings.NewReader(body))
	if err != nil {
		return err
	}
	header := r.Header
	header.Set("User-Agent", userAgent)
	header.Set("Content-Type", plainText)
	if request := d.Policy.Request; request != nil && request.ContentType != "" && d.Token == "" {
		header.Set("Content-Type", request.ContentType)
	}
	header.Set("X-Amz-Sns-Message-Type", d.kind())
	header.Set("X-Amz-Sns-Message-Id", n.ID)
	header.Set("X-Amz-Sns-Topic-Arn", n.Topic)
	if d.Kind != typeSubscribe {
		header.Set("X-Amz-Sns-Subscription-Arn", d.ARN)
	}
	if raw {
		header.Set("X-Amz-Sns-Rawdelivery", "true")
	}
	answer, err := s.web.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	// What the endpoint says beside its status does not matter, nor whether it can be read.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxIgnored))
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return &refusal{answer.StatusCode}
	}
	return nil
}

// letter is a message of the service's own to an endpoint.
func (s *Service) letter(ctx context.Context, d *delivery, topicARN, message string) error {
	call := cloud.CallOf(ctx)
	n := &notification{ID: cloud.NewRequestID(), Topic: topicARN, Message: message, Time: call.Now, Endpoint: s.baseURL(call)}
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("sns: %w", err)
	}
	handler := httpHandler
	if d.mails() {
		handler = deliverHandler
	}
	return s.put(ctx, handler, d.ARN, d, body)
}
