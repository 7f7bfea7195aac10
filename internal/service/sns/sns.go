package sns

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"net/http"

	"croft/internal/awsapi/lambda"
	"croft/internal/awsapi/sns"
	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/outbox"
	"croft/internal/service"
	"croft/internal/timer"
	"croft/internal/wire"
)

// Service implements the API of SNS. It is safe for concurrent use.
type Service struct {
	sns.Unimplemented
	deps   service.Deps
	queues sqs.Client
	lambda lambda.Client
	// signers and web are what HTTP endpoints need.
	signers signers
	web     *http.Client
}

var _ sns.API = (*Service)(nil)

// New returns the service.
func New(deps service.Deps) *Service {
	return &Service{deps: deps, queues: sqs.NewClient(deps.Caller), lambda: lambda.NewClient(deps.Caller), web: newWebClient()}
}

// Descriptor declares the service.
func (s *Service) Descriptor() service.Descriptor {
	return service.Descriptor{
		API: sns.Service(), Impl: s,
		Outbox: map[string]outbox.Handler{
			deliverHandler: {Apply: s.deliver, Attempts: deliveryAttempts, Pause: deliveryPause, Dead: s.dead},
			fanoutHandler:  {Apply: s.fanout},
			httpHandler:    {Run: s.post},
		},
		Timers:    map[string]timer.Handler{forgetHandler: s.forget, retryHandler: s.retry, expireHandler: s.expire},
		Resources: s.resources(),
		Fronts:    []*service.Front{{Label: frontLabel, Serve: s.serve, AllowOrigin: func(context.Context, string, string) bool { return false }}},
	}
}

func (s *Service) space(ctx context.Context) kv.Space { return s.deps.Space(ctx, "sns") }

func randomUint64() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

// invalid is the service's usual error: what names the parameter, with more after " Reason: " where there is more to say.
func invalid(format string, args ...any) *cloud.Error {
	return sns.NewInvalidParameterException("Invalid parameter: "+format, args...)
}

func topicNotFound() *cloud.Error { return sns.NewNotFoundException("Topic does not exist") }
func subscriptionNotFound() *cloud.Error {
	return sns.NewNotFoundException("Subscription does not exist")
}

// pageSize is how many topics or subscriptions a list answers with. Source: the service's API reference.
const pageSize = 100

// token makes the NextToken that leads behind key, and readToken reads it.
func token(key []byte) *string { return wire.Ptr(base64.RawURLEncoding.EncodeToString(key)) }

func readToken(s *string) ([]byte, error) {
	if wire.Value(s) == "" {
		return nil, nil
	}
	key, err := base64.RawURLEncoding.DecodeString(*s)
	if err != nil {
		return nil, invalid("NextToken")
	}
	return key, nil
}
