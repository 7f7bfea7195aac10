package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Limits of invocations. Source: Lambda quotas, and API Reference, Invoke.
const (
	maxPayload       = 6 << 20
	maxEvent         = 1 << 20
	maxClientContext = 3583
)

// Invoke implements the operation.
func (s *Service) Invoke(ctx context.Context, in *lambda.InvokeInput) (*lambda.InvokeOutput, error) {
	if err := firstRefused(
		refusal{in.DurableExecutionName != nil, "DurableExecutionName", "there are no durable functions"},
		refusal{in.TenantId != nil, "TenantId", "functions have no tenants"},
	); err != nil {
		return nil, err
	}
	kind := lambda.InvocationTypeRequestResponse
	if in.InvocationType != nil {
		kind = *in.InvocationType
	}
	payload, err := checkPayload(in.Payload, kind, s.payloadLimit(kind))
	if err != nil {
		return nil, err
	}
	clientContext, err := readClientContext(in.ClientContext)
	if err != nil {
		return nil, err
	}
	t, err := s.invocable(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	switch kind {
	case lambda.InvocationTypeDryRun:
		return &lambda.InvokeOutput{StatusCode: wire.Ptr(int32(http.StatusNoContent))}, nil
	case lambda.InvocationTypeEvent:
		return s.accept(ctx, t.ref, payload)
	}
	return s.respond(ctx, t, engine.Invocation{
		RequestID: cloud.CallOf(ctx).RequestID, Payload: payload, ClientContext: clientContext, Tail: wire.Value(in.LogType) == lambda.LogTypeTail,
	})
}

// invocable returns what a call invokes, if it may.
func (s *Service) invocable(ctx context.Context, name string, qualifier *string) (t *resolved, err error) {
	ref, err := s.find(ctx, name, qualifier)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		if t, err = s.route(r, ref); err != nil {
			if ref.qualifier == "" && cloud.Code(err) == "ResourceNotFoundException" {
				return notFound("Function not found: %s:%s", ref.arn(), latest)
			}
			return err
		}
		call := cloud.CallOf(ctx)
		if !foreignService(call) {
			return nil
		}
		policy, err := loadPolicy(r, ref.name, ref.policyQualifier())
		if err != nil {
			return err
		}
		for i := range policy {
			if policy[i].allows(call) {
				return nil
			}
		}
		return denied(ctx, "lambda:InvokeFunction", ref.qualified())
	})
	return t, err
}

// foreignService reports whether a service calls that needs the function's leave: any but Lambda and croft's own machinery.
func foreignService(call *cloud.Call) bool {
	p := call.Principal
	return p.Kind == cloud.ServicePrincipal && p.Service != servicePrincipal && p.Service != cloud.InternalService
}

// respond runs the function and answers with its result.
func (s *Service) respond(ctx context.Context, t *resolved, inv engine.Invocation) (*lambda.InvokeOutput, error) {
	if kv.InTx(ctx, s.deps.Store) {
		return nil, errInTransaction()
	}
	result, err := s.execute(ctx, t, inv)
	if err != nil {
		return nil, err
	}
	out := &lambda.InvokeOutput{
		StatusCode: wire.Ptr(int32(http.StatusOK)), ExecutedVersion: wire.Ptr(t.fn.version()), Payload: result.Payload,
	}
	if result.FunctionError != "" {
		out.FunctionError = &result.FunctionError
	}
	if inv.Tail {
		out.LogResult = wire.Ptr(base64.StdEncoding.EncodeToString(result.LogTail))
	}
	return out, nil
}

func errInTransaction() error {
	return user(lambda.NewServiceException("A function cannot be run inside a transaction: invoke it with InvocationType Event."))
}

// execute gives an invocation to the engine, apart from whatever snapshot the caller reads.
func (s *Service) execute(ctx context.Context, t *resolved, inv engine.Invocation) (*engine.Result, error) {
	inv.InvokedARN = t.ref.qualified()
	call := cloud.CallOf(ctx)
	if inv.TraceID == "" {
		inv.TraceID = call.Trace
	}
	if s.loops(t, inv.TraceID) {
		return nil, errRecursive()
	}
	inv.TraceID = t.fn.trace(childTrace(inv.TraceID, t.ref.arn(), call.Now))
	result, err := s.engine.Invoke(kv.Detach(ctx, s.deps.Store), t.toEngine(), inv)
	return result, sayWhenToRetry(err)
}

// sayWhenToRetry gives an error about too many invocations at once the time after which the next may succeed, in seconds, which SDKs heed.
func sayWhenToRetry(err error) error {
	const field = "retryAfterSeconds"
	var e *cloud.Error
	if !errors.As(err, &e) || e.HTTPStatus() != http.StatusTooManyRequests || e.Fields[field] != nil {
		return err
	}
	again := *e
	again.Fields = maps.Clone(e.Fields)
	if again.Fields == nil {
		again.Fields = map[string]any{}
	}
	again.Fields[field] = "1"
	return &again
}

// InvokeAsync implements the operation of 2014, which is Invoke with the type Event.
func (s *Service) InvokeAsync(ctx context.Context, in *lambda.InvokeAsyncInput) (*lambda.InvokeAsyncOutput, error) {
	const kind = lambda.InvocationTypeEvent
	payload, err := checkPayload(in.InvokeArgs, kind, s.payloadLimit(kind))
	if err != nil {
		return nil, err
	}
	t, err := s.invocable(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	out, err := s.accept(ctx, t.ref, payload)
	if err != nil {
		return nil, err
	}
	return &lambda.InvokeAsyncOutput{Status: out.StatusCode}, nil
}

func readClientContext(given *string) ([]byte, error) {
	if given == nil || *given == "" {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(*given)
	if err != nil || len(*given) > maxClientContext || !json.Valid(b) {
		return nil, user(lambda.NewInvalidRequestContentException(
			"Client context must be a valid Base64-encoded JSON object of at most %d bytes.", maxClientContext))
	}
	return b, nil
}
