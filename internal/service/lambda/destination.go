package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"croft/internal/awsapi/iam"
	"croft/internal/awsapi/lambda"
	"croft/internal/awsapi/sns"
	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Bounds of what is sent. Source: API Reference, OnFailure, and Lambda Developer Guide, "Adding a dead-letter queue".
const (
	// maxRecord is the size in bytes above which a record for a topic goes without its payloads; maxQueued is that for a queue.
	maxRecord = 256 << 10
	maxQueued = 1 << 20
	// maxErrorMessage bounds the attribute ErrorMessage, in bytes.
	maxErrorMessage = 1 << 10
)

// record tells a destination what became of an event. Source: Lambda Developer Guide, "Capturing records of Lambda asynchronous
// invocations", and recorded answers.
type record struct {
	Version        string           `json:"version"`
	Timestamp      string           `json:"timestamp"`
	RequestContext recordRequest    `json:"requestContext"`
	RequestPayload json.RawMessage  `json:"requestPayload,omitempty"`
	Response       *recordResponse  `json:"responseContext,omitempty"`
	Payload        *json.RawMessage `json:"responsePayload,omitempty"`
}

type recordRequest struct {
	RequestID string `json:"requestId"`
	Function  string `json:"functionArn"`
	Condition string `json:"condition"`
	Count     int    `json:"approximateInvokeCount"`
}

type recordResponse struct {
	StatusCode int    `json:"statusCode"`
	Version    string `json:"executedVersion"`
	Error      string `json:"functionError,omitempty"`
}

// record makes the record of the event. result is nil when no run of the function led to it.
func (d *delivery) record(ctx context.Context, condition string, count int, result *engine.Result) *record {
	out := &record{
		Version: "1.0", Timestamp: cloud.CallOf(ctx).Now.UTC().Format("2006-01-02T15:04:05.000Z"),
		RequestContext: recordRequest{RequestID: d.event.RequestID, Function: d.target.ref.versioned(), Condition: condition, Count: count},
		RequestPayload: d.event.Payload,
	}
	if result != nil {
		payload := json.RawMessage(result.Payload)
		if !json.Valid(payload) {
			payload, _ = json.Marshal(string(result.Payload)) // a string cannot fail
		}
		out.Response = &recordResponse{StatusCode: http.StatusOK, Version: d.target.fn.version(), Error: result.FunctionError}
		out.Payload = &payload
	}
	return out
}

// giveUp tells the destination for failures and the dead-letter queue of an event that is not tried again. cause says why, when it was not
// the function.
func (d *delivery) giveUp(ctx context.Context, condition string, result *engine.Result, cause error) error {
	s := d.s
	if d.target == nil { // it could not even be read what function it is
		s.deps.Log.Error("an event is given up", "function", d.event.Function, "request", d.event.RequestID, "condition", condition, "err", cause)
		return nil
	}
	if d.config.OnFailure != "" {
		if err := d.send(ctx, d.config.OnFailure, d.record(ctx, condition, d.event.Failed+d.event.Refused, result)); err != nil {
			return err
		}
	}
	if d.target.fn.DeadLetter != "" {
		if err := d.bury(ctx, result, cause); err != nil {
			return err
		}
	}
	if d.config.OnFailure == "" && d.target.fn.DeadLetter == "" {
		s.deps.Log.Error("an event is given up; its function has neither a destination for failures nor a dead-letter queue",
			"function", d.target.ref.versioned(), "request", d.event.RequestID, "condition", condition, "err", cause)
	}
	return nil
}

// bury sends the event itself to the function's dead-letter queue.
func (d *delivery) bury(ctx context.Context, result *engine.Result, cause error) error {
	status, message := http.StatusOK, ""
	var refused *cloud.Error
	switch {
	case result != nil:
		var e struct {
			Message string `json:"errorMessage"`
		}
		if json.Unmarshal(result.Payload, &e) == nil {
			message = e.Message
		}
	case errors.As(cause, &refused):
		status, message = refused.HTTPStatus(), refused.Message
	case cause != nil:
		status, message = http.StatusInternalServerError, cause.Error()
	}
	if len(message) > maxErrorMessage {
		message = message[:maxErrorMessage]
		for !utf8.ValidString(message) {
			message = message[:len(message)-1]
		}
	}
	attributes := []dlqAttribute{{"RequestID", "String", d.event.RequestID}, {"ErrorCode", "Number", strconv.Itoa(status)}}
	if message != "" { // attributes are never empty
		attributes = append(attributes, dlqAttribute{"ErrorMessage", "String", message})
	}
	return d.hand(ctx, d.target.fn.DeadLetter, string(d.event.Payload), attributes)
}

type dlqAttribute struct{ name, kind, value string }

// send gives a record to a destination.
func (d *delivery) send(ctx context.Context, arn string, r *record) error {
	body, err := text(r)
	if err != nil {
		return err
	}
	limit := maxQueued
	if strings.HasPrefix(arn, "arn:aws:sns:") {
		limit = maxRecord
	}
	if len(body) > limit {
		short := *r
		short.RequestPayload, short.Payload = nil, nil
		if body, err = text(short); err != nil {
			return err
		}
	}
	return d.hand(ctx, arn, body, nil)
}

// hand gives a message to a queue, a topic or a function, in the name of the function's execution role and in the transaction that ctx
// carries. What is refused for good is reported and lost, as on AWS; any other error takes everything back.
func (d *delivery) hand(ctx context.Context, arn, body string, attributes []dlqAttribute) error {
	s := d.s
	err := s.deps.Store.Update(ctx, func(ctx context.Context, _ kv.Tx) error {
		to, err := cloud.ParseARN(arn)
		if err != nil {
			return invalid("%s is not an ARN", arn)
		}
		if ctx, err = s.asFunction(ctx, d.target, d.event.Trace); err != nil {
			return err
		}
		ctx = cloud.In(ctx, cloud.CallOf(ctx).Account, to.Region)
		switch to.Service {
		case "sqs":
			return s.enqueueTo(ctx, to, body, attributes)
		case "sns":
			return s.publishTo(ctx, arn, body, attributes)
		}
		_, err = lambda.NewClient(s.deps.Caller).Invoke(ctx, &lambda.InvokeInput{
			FunctionName: arn, InvocationType: wire.Ptr(lambda.InvocationTypeEvent), Payload: []byte(body),
		})
		return err
	})
	var refused *cloud.Error
	if !errors.As(err, &refused) {
		return err
	}
	s.deps.Log.Error("what became of an event cannot be told", "function", d.target.ref.versioned(), "request", d.event.RequestID, "to", arn, "err", err)
	return nil
}

func (s *Service) enqueueTo(ctx context.Context, to cloud.ARN, body string, attributes []dlqAttribute) error {
	in := &sqs.SendMessageInput{QueueUrl: "/" + to.Account + "/" + to.Resource, MessageBody: body}
	for _, a := range attributes {
		if in.MessageAttributes == nil {
			in.MessageAttributes = map[string]sqs.MessageAttributeValue{}
		}
		in.MessageAttributes[a.name] = sqs.MessageAttributeValue{DataType: a.kind, StringValue: &a.value}
	}
	_, err := sqs.NewClient(s.deps.Caller).SendMessage(ctx, in)
	return err
}

func (s *Service) publishTo(ctx context.Context, topic, body string, attributes []dlqAttribute) error {
	in := &sns.PublishInput{TopicArn: &topic, Message: body}
	for _, a := range attributes {
		if in.MessageAttributes == nil {
			in.MessageAttributes = map[string]sns.MessageAttributeValue{}
		}
		in.MessageAttributes[a.name] = sns.MessageAttributeValue{DataType: a.kind, StringValue: &a.value}
	}
	_, err := sns.NewClient(s.deps.Caller).Publish(ctx, in)
	return err
}

// asFunction returns a context whose call is made by a function's execution role, as by an invocation with that trace header.
func (s *Service) asFunction(ctx context.Context, t *resolved, trace string) (context.Context, error) {
	name := t.fn.Role[strings.LastIndex(t.fn.Role, "/")+1:]
	out, err := iam.NewClient(s.deps.Caller).GetRole(cloud.AsService(ctx, servicePrincipal), &iam.GetRoleInput{RoleName: name})
	if err != nil {
		return ctx, err
	}
	call := *cloud.CallOf(ctx)
	call.Trace = childTrace(trace, t.ref.arn(), call.Now)
	call.Principal = cloud.Principal{
		Kind: cloud.AssumedRole, Account: call.Account, UserID: out.Role.RoleId + ":" + t.fn.Name,
		ARN: cloud.ARN{
			Partition: cloud.Partition, Service: "sts", Account: call.Account, Resource: "assumed-role/" + name + "/" + t.fn.Name,
		}.String(),
	}
	return cloud.WithCall(ctx, &call), nil
}

// checkDeadLetter checks where failed events of a function are to go, and returns it. Nothing means nowhere.
func (s *Service) checkDeadLetter(ctx context.Context, arn string) (string, error) {
	if arn == "" {
		return "", nil
	}
	arn = s.longARN(ctx, arn)
	a, err := cloud.ParseARN(arn)
	if err != nil || a.Service != "sqs" && a.Service != "sns" {
		return "", invalid("The provided dead letter target is invalid: it must be an SQS queue or an SNS topic.")
	}
	return arn, nil
}
