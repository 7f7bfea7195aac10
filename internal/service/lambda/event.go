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
	defaultRetries = 2
	maxEventAge    = 6 * time.Hour
	retryPause     = time.Minute // times the failures
	firstRequeue   = time.Second
	maxRequeue     = 5 * time.Minute
	eventMessage   = "lambda.invoke"
	requeueTimer   = "lambda.requeue"
	requeueDouble  = 9 // doublings until the pause has reached its bound
)

// event is an accepted Event invocation.
type event struct {
	Function  string    `json:"f"` // the name
	Qualifier string    `json:"q,omitempty"`
	RequestID string    `json:"r"`
	Payload   []byte    `json:"p"`
	Accepted  time.Time `json:"t"`
	// Trace is the trace header of the call that it came with.
	Trace string `json:"x,omitempty"`
	// Refused counts how often there was no room for it, Failed how often the function failed.
	Refused int `json:"n,omitempty"`
	Failed  int `json:"e,omitempty"`
}

// accept queues an Event invocation, in the caller's transaction if there is one.
func (s *Service) accept(ctx context.Context, ref reference, payload []byte) (*lambda.InvokeOutput, error) {
	call := cloud.CallOf(ctx)
	e := event{
		Function: ref.name, Qualifier: ref.qualifier, RequestID: call.RequestID, Payload: payload, Accepted: call.Now, Trace: call.Trace,
	}
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
	return s.deps.Outbox.Put(ctx, outbox.Message{Handler: eventMessage, Key: e.Function, Body: body})
}

// delivery is one try to run an event.
type delivery struct {
	s      *Service
	id     string // of the outbox's message
	event  event
	target *resolved
	config *eventConfig
}

// deliver runs one Event invocation. What comes of it, another try or a message to somebody, is written in the transaction that takes the
// event off the queue.
func (s *Service) deliver(ctx context.Context, m outbox.Message) (finish func(context.Context) error, err error) {
	d := &delivery{s: s, id: m.ID}
	if err := json.Unmarshal(m.Body, &d.event); err != nil {
		return nil, fmt.Errorf("lambda: event %s: %w", m.ID, err)
	}
	d.event.Failed = max(d.event.Failed, m.Attempt) // a former version left the counting to the outbox
	call := cloud.CallOf(ctx)
	ref := reference{account: call.Account, region: call.Region, name: d.event.Function, qualifier: d.event.Qualifier}
	if err := d.load(ctx, ref); err != nil {
		if cloud.Code(err) == "ResourceNotFoundException" {
			s.deps.Log.Warn("an event is dropped: its function was deleted", "function", ref.qualified(), "request", d.event.RequestID)
			return nil, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		d.config = new(eventConfig)
		return func(ctx context.Context) error { return d.putOff(ctx, err) }, nil
	}
	if finish := d.refuse(ctx); finish != nil {
		return finish, nil
	}
	result, err := s.execute(ctx, d.target, engine.Invocation{RequestID: d.event.RequestID, Payload: d.event.Payload, TraceID: d.event.Trace})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		return func(ctx context.Context) error { return d.putOff(ctx, err) }, nil
	case result.FunctionError != "":
		return func(ctx context.Context) error { return d.failed(ctx, result) }, nil
	case d.config.OnSuccess == "":
		return nil, nil
	}
	return func(ctx context.Context) error {
		return d.send(ctx, d.config.OnSuccess, d.record(ctx, "Success", d.event.Failed+1, result))
	}, nil
}

// load finds the version that is to run and how its events are treated.
func (d *delivery) load(ctx context.Context, ref reference) error {
	return d.s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) (err error) {
		if d.target, err = d.s.route(r, ref); err != nil {
			return err
		}
		if d.config, err = loadEventConfig(r, ref.name, ref.qualifier); err == nil && d.config == nil {
			d.config = new(eventConfig)
		}
		return err
	})
}

// refuse returns what becomes of an event that is not run at all; nil when it is run.
func (d *delivery) refuse(ctx context.Context) func(context.Context) error {
	switch {
	case d.s.deps.Clock.Now().Sub(d.event.Accepted) > d.config.age():
		return func(ctx context.Context) error { return d.giveUp(ctx, "EventAgeExceeded", nil, errTooOld()) }
	case d.target.latest.Reserved != nil && *d.target.latest.Reserved == 0:
		// Source: Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation".
		return func(ctx context.Context) error {
			return d.giveUp(ctx, "ZeroReservedConcurrency", nil, errNoConcurrency())
		}
	case d.s.loops(d.target, d.event.Trace):
		return func(ctx context.Context) error {
			d.s.deps.Log.Warn("an event is stopped: its function is invoked in a recursive loop", "function", d.target.ref.arn(), "request", d.event.RequestID)
			return d.giveUp(ctx, "RecursiveInvocationsDropped", nil, errRecursive())
		}
	}
	return nil
}

func errTooOld() *cloud.Error { return cloud.Errorf("EventAgeExceeded", "The event was too old.") }

func errNoConcurrency() *cloud.Error {
	return lambda.NewTooManyRequestsException("Rate Exceeded.")
}

// failed decides what becomes of an event whose function failed.
func (d *delivery) failed(ctx context.Context, result *engine.Result) error {
	d.event.Failed++
	due := d.s.deps.Clock.Now().Add(time.Duration(d.event.Failed) * retryPause)
	switch {
	case d.event.Failed >= d.config.attempts():
		return d.giveUp(ctx, "RetriesExhausted", result, nil)
	case due.Sub(d.event.Accepted) >= d.config.age():
		return d.giveUp(ctx, "EventAgeExceeded", result, nil)
	}
	return d.later(ctx, due)
}

// putOff decides what becomes of an event that could not be run: it costs none of its tries.
func (d *delivery) putOff(ctx context.Context, cause error) error {
	pause := maxRequeue
	if d.event.Refused < requeueDouble {
		pause = min(maxRequeue, firstRequeue<<d.event.Refused)
	}
	if d.event.Refused == 0 {
		d.s.deps.Log.Warn("an event's function cannot be run now; it is tried again", "function", d.event.Function, "in", pause, "err", cause)
	}
	d.event.Refused++
	due := d.s.deps.Clock.Now().Add(pause)
	if due.Sub(d.event.Accepted) >= d.config.age() {
		return d.giveUp(ctx, "EventAgeExceeded", nil, cause)
	}
	return d.later(ctx, due)
}

// later has the event tried again at a time.
func (d *delivery) later(ctx context.Context, due time.Time) error {
	body, err := json.Marshal(d.event)
	if err != nil {
		return fmt.Errorf("lambda: %w", err)
	}
	call := cloud.CallOf(ctx)
	return d.s.deps.Timers.Set(ctx, timer.Timer{
		Handler: requeueTimer, ID: d.id, Account: call.Account, Region: call.Region, Due: due, Body: body,
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
