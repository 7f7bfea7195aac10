package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/kv"
	"croft/internal/outbox"
	"croft/internal/timer"
	"croft/internal/wire"
)

// How Event invocations are tried again. Source: Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous
// invocation": twice more when the function fails, after one and two minutes; for up to six hours, with a pause that grows from one
// second to five minutes, when it cannot be run.
const (
	retries       = 2
	maxEventAge   = 6 * time.Hour
	firstRequeue  = time.Second
	maxRequeue    = 5 * time.Minute
	eventMessage  = "lambda.invoke"
	requeueTimer  = "lambda.requeue"
	requeueDouble = 9 // doublings until the pause has reached its bound
)

// event is an accepted Event invocation.
type event struct {
	Function  string    `json:"f"` // the name
	Qualifier string    `json:"q,omitempty"`
	RequestID string    `json:"r"`
	Payload   []byte    `json:"p"`
	Accepted  time.Time `json:"t"`
	// Refused counts how often there was no room for it, Failed how often the function failed before that.
	Refused int `json:"n,omitempty"`
	Failed  int `json:"e,omitempty"`
}

// accept queues an Event invocation, in the caller's transaction if there is one.
func (s *Service) accept(ctx context.Context, ref reference, payload []byte) (*lambda.InvokeOutput, error) {
	call := cloud.CallOf(ctx)
	e := event{Function: ref.name, Qualifier: ref.qualifier, RequestID: call.RequestID, Payload: payload, Accepted: call.Now}
	err := s.deps.Store.Update(ctx, func(ctx context.Context, _ kv.Tx) error { return s.enqueue(ctx, &e) })
	if err != nil {
		return nil, err
	}
	return &lambda.InvokeOutput{StatusCode: wire.Ptr(int32(http.StatusAccepted))}, nil
}

func (s *Service) enqueue(ctx context.Context, e *event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("lambda: %w", err)
	}
	return s.deps.Outbox.Put(ctx, outbox.Message{Handler: eventMessage, Key: e.Function, Body: body, Attempt: e.Failed})
}

// deliver runs one Event invocation. It fails when the function did, so that the outbox tries again; when the function could not be
// run at all, the event waits in the timers instead, which costs it none of its tries.
func (s *Service) deliver(ctx context.Context, m outbox.Message) error {
	var e event
	if err := json.Unmarshal(m.Body, &e); err != nil {
		return fmt.Errorf("lambda: event %s: %w", m.ID, err)
	}
	call := cloud.CallOf(ctx)
	ref := reference{account: call.Account, region: call.Region, name: e.Function, qualifier: e.Qualifier}
	var t *resolved
	err := s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) (err error) {
		t, err = route(r, ref)
		return err
	})
	if cloud.Code(err) == "ResourceNotFoundException" {
		s.deps.Log.Warn("an event is dropped: its function was deleted", "function", ref.qualified(), "request", e.RequestID)
		return nil
	}
	if err != nil {
		return s.putOff(ctx, m, &e, err)
	}
	result, err := s.execute(ctx, t, engine.Invocation{RequestID: e.RequestID, Payload: e.Payload})
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return s.putOff(ctx, m, &e, err)
	}
	if result.FunctionError != "" {
		return fmt.Errorf("lambda: the function %s failed: %.1000s", ref.name, result.Payload)
	}
	return nil
}

// putOff sets a timer for an event that could not be run, or drops it when it has become too old.
func (s *Service) putOff(ctx context.Context, m outbox.Message, e *event, cause error) error {
	pause := maxRequeue
	if e.Refused < requeueDouble {
		pause = min(maxRequeue, firstRequeue<<e.Refused)
	}
	now := s.deps.Clock.Now()
	if now.Add(pause).After(e.Accepted.Add(maxEventAge)) {
		s.deps.Log.Error("an event is given up: its function could not be run for six hours", "function", e.Function, "request", e.RequestID, "err", cause)
		return nil
	}
	if e.Refused == 0 {
		s.deps.Log.Warn("an event's function cannot be run now; it is tried again", "function", e.Function, "in", pause, "err", cause)
	}
	e.Refused++
	e.Failed = m.Attempt
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("lambda: %w", err)
	}
	return s.deps.Timers.Set(ctx, timer.Timer{
		Handler: requeueTimer, ID: m.ID, Account: m.Account, Region: m.Region, Due: now.Add(pause), Body: body,
	})
}

// requeue puts an event back into the outbox.
func (s *Service) requeue(ctx context.Context, t timer.Timer) error {
	var e event
	if err := json.Unmarshal(t.Body, &e); err != nil {
		s.deps.Log.Error("an event cannot be read and is dropped", "id", t.ID, "err", err)
		return nil
	}
	return s.enqueue(ctx, &e)
}
