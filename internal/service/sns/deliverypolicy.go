package sns

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"time"

	"croft/internal/service/sns/filter"
)

// Delivery policies say how often an HTTP endpoint is tried. Source: the service's developer guide, "Creating an HTTP/S delivery policy".

// retryPolicy is one list of retries, in seconds; what is not set has its default.
type retryPolicy struct {
	Min     *int    `json:"minDelayTarget,omitempty"`
	Max     *int    `json:"maxDelayTarget,omitempty"`
	Num     *int    `json:"numRetries,omitempty"`
	NumMax  *int    `json:"numMaxDelayRetries,omitempty"`
	NumNo   *int    `json:"numNoDelayRetries,omitempty"`
	NumMin  *int    `json:"numMinDelayRetries,omitempty"`
	Backoff *string `json:"backoffFunction,omitempty"`
}

// requestPolicy says what a request looks like.
type requestPolicy struct {
	ContentType string `json:"headerContentType,omitempty"`
}

// subscriptionPolicy is the attribute DeliveryPolicy of a subscription, with the members in the order in which they are reported.
type subscriptionPolicy struct {
	Healthy    *retryPolicy     `json:"healthyRetryPolicy"`
	Sickly     *json.RawMessage `json:"sicklyRetryPolicy"`
	Throttle   *json.RawMessage `json:"throttlePolicy"`
	Request    *requestPolicy   `json:"requestPolicy"`
	Guaranteed bool             `json:"guaranteed"`
}

// topicPolicy is the attribute DeliveryPolicy of a topic.
type topicPolicy struct {
	HTTP struct {
		Healthy  *retryPolicy     `json:"defaultHealthyRetryPolicy,omitempty"`
		Disable  bool             `json:"disableSubscriptionOverrides"`
		Throttle *json.RawMessage `json:"defaultThrottlePolicy,omitempty"`
		Request  *requestPolicy   `json:"defaultRequestPolicy,omitempty"`
	} `json:"http"`
}

const (
	plainText = "text/plain; charset=UTF-8"
	// maxDelay is the longest pause in seconds, maxRetries the most retries.
	maxDelay   = 3600
	maxRetries = 100
)

// readStrictly decodes a policy and refuses members that it does not have.
func readStrictly(source string, policy any) error {
	var refused *filter.Error
	if errors.As(filter.CheckJSON(source), &refused) {
		return invalid("DeliveryPolicy: %s", refused.Reason)
	}
	d := json.NewDecoder(bytes.NewReader([]byte(source)))
	d.DisallowUnknownFields()
	if err := d.Decode(policy); err != nil {
		return invalid("DeliveryPolicy: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return invalid("DeliveryPolicy: there is more than one document")
	}
	return nil
}

func readSubscriptionPolicy(source string) (*subscriptionPolicy, error) {
	p := new(subscriptionPolicy)
	if source == "" {
		return p, nil
	}
	if err := readStrictly(source, p); err != nil {
		return nil, err
	}
	if p.Throttle != nil || p.Sickly != nil || p.Guaranteed {
		return nil, notSupported("DeliveryPolicy: throttlePolicy, sicklyRetryPolicy, guaranteed")
	}
	return p, p.Healthy.check()
}

func readTopicPolicy(source string) (*topicPolicy, error) {
	p := new(topicPolicy)
	if source == "" {
		return p, nil
	}
	if err := readStrictly(source, p); err != nil {
		return nil, err
	}
	if p.HTTP.Throttle != nil {
		return nil, notSupported("DeliveryPolicy: defaultThrottlePolicy")
	}
	return p, p.HTTP.Healthy.check()
}

// check states the bounds of the numbers.
func (r *retryPolicy) check() error {
	if r == nil {
		return nil
	}
	all := r.complete()
	for name, n := range map[string]int{
		"numMaxDelayRetries": *all.NumMax, "numNoDelayRetries": *all.NumNo, "numMinDelayRetries": *all.NumMin, "numRetries": *all.Num,
	} {
		if n < 0 || n > maxRetries {
			return invalid("DeliveryPolicy: %s must be between 0 and %d", name, maxRetries)
		}
	}
	switch {
	case *all.Min < 1 || *all.Min > *all.Max:
		return invalid("DeliveryPolicy: minDelayTarget must be between 1 and maxDelayTarget")
	case *all.Max > maxDelay:
		return invalid("DeliveryPolicy: maxDelayTarget must be at most %d", maxDelay)
	case *all.NumMax+*all.NumNo+*all.NumMin > *all.Num:
		return invalid("DeliveryPolicy: numRetries must be at least the sum of numNoDelayRetries, numMinDelayRetries and numMaxDelayRetries")
	}
	switch *all.Backoff {
	case "linear", "arithmetic", "geometric", "exponential":
		return nil
	}
	return invalid("DeliveryPolicy: backoffFunction must be linear, arithmetic, geometric or exponential")
}

// complete fills in the defaults.
func (r *retryPolicy) complete() *retryPolicy {
	number := func(p *int, otherwise int) *int {
		if p != nil {
			otherwise = *p
		}
		return &otherwise
	}
	if r == nil {
		r = &retryPolicy{}
	}
	backoff := "linear"
	if r.Backoff != nil {
		backoff = *r.Backoff
	}
	return &retryPolicy{
		Min: number(r.Min, 20), Max: number(r.Max, 20), Num: number(r.Num, 3),
		NumMax: number(r.NumMax, 0), NumNo: number(r.NumNo, 0), NumMin: number(r.NumMin, 0), Backoff: &backoff,
	}
}

// effective fills in the topic's defaults.
func (p *topicPolicy) effective() *topicPolicy {
	out := *p
	out.HTTP.Healthy = p.HTTP.Healthy.complete()
	if p.HTTP.Request == nil {
		out.HTTP.Request = &requestPolicy{plainText}
	}
	return &out
}

// effective is the policy that a subscription of a topic has.
func (p *subscriptionPolicy) effective(t *topicPolicy) *subscriptionPolicy {
	all, out := t.effective(), *p
	if t.HTTP.Disable || out.Healthy == nil {
		out.Healthy = all.HTTP.Healthy
	}
	if t.HTTP.Disable || out.Request == nil {
		out.Request = all.HTTP.Request
	}
	out.Healthy = out.Healthy.complete()
	return &out
}

// pause returns how long to wait after that many failures, and false when they were the last.
func (r *retryPolicy) pause(failures int) (time.Duration, bool) {
	all := r.complete()
	i, low, high := failures-1, float64(*all.Min), float64(*all.Max)
	between := *all.Num - *all.NumNo - *all.NumMin - *all.NumMax
	switch {
	case i >= *all.Num:
		return 0, false
	case i < *all.NumNo:
		return 0, true
	case i < *all.NumNo+*all.NumMin:
		return time.Duration(*all.Min) * time.Second, true
	case i >= *all.Num-*all.NumMax:
		return time.Duration(*all.Max) * time.Second, true
	}
	x := 0.0
	if between > 1 {
		x = float64(i-*all.NumNo-*all.NumMin) / float64(between-1)
	}
	seconds := low + (high-low)*x
	switch *all.Backoff {
	case "arithmetic":
		seconds = low + (high-low)*x*x
	case "geometric":
		seconds = low * math.Pow(high/low, x)
	case "exponential":
		seconds = low + (high-low)*(math.Exp2(10*x)-1)/1023
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// text is a policy as attributes report it. Its encoding cannot fail.
func text(policy any) string {
	var b bytes.Buffer
	writeJSON(&b, policy)
	return b.String()
}
