package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"

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
	payload, err := checkPayload(in.Payload, kind)
	if err != nil {
		return nil, err
	}
	t, err := s.invocable(ctx, in)
	if err != nil {
		return nil, err
	}
	switch kind {
	case lambda.InvocationTypeDryRun:
		return &lambda.InvokeOutput{StatusCode: wire.Ptr(int32(http.StatusNoContent))}, nil
	case lambda.InvocationTypeEvent:
		return s.accept(ctx, t.ref, payload)
	}
	return s.respond(ctx, t, payload, in)
}

// invocable returns what a call invokes, if it may.
func (s *Service) invocable(ctx context.Context, in *lambda.InvokeInput) (t *resolved, err error) {
	ref, err := s.find(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		if t, err = route(r, ref); err != nil {
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
func (s *Service) respond(ctx context.Context, t *resolved, payload []byte, in *lambda.InvokeInput) (*lambda.InvokeOutput, error) {
	if kv.InTx(ctx, s.deps.Store) {
		return nil, user(lambda.NewServiceException("A function cannot be run inside a transaction: invoke it with InvocationType Event."))
	}
	clientContext, err := readClientContext(in.ClientContext)
	if err != nil {
		return nil, err
	}
	tail := wire.Value(in.LogType) == lambda.LogTypeTail
	result, err := s.execute(ctx, t, engine.Invocation{
		RequestID: cloud.CallOf(ctx).RequestID, Payload: payload, ClientContext: clientContext, Tail: tail,
	})
	if err != nil {
		return nil, err
	}
	out := &lambda.InvokeOutput{
		StatusCode: wire.Ptr(int32(http.StatusOK)), ExecutedVersion: wire.Ptr(t.fn.version()), Payload: result.Payload,
	}
	if result.FunctionError != "" {
		out.FunctionError = &result.FunctionError
	}
	if tail {
		out.LogResult = wire.Ptr(base64.StdEncoding.EncodeToString(result.LogTail))
	}
	return out, nil
}

// execute gives an invocation to the engine, apart from whatever snapshot the caller reads.
func (s *Service) execute(ctx context.Context, t *resolved, inv engine.Invocation) (*engine.Result, error) {
	inv.InvokedARN = t.ref.qualified()
	inv.TraceID = traceID(cloud.CallOf(ctx).Now.Unix())
	return s.engine.Invoke(kv.Detach(ctx, s.deps.Store), t.toEngine(), inv)
}

// traceID returns a new trace header that is not sampled. Source: X-Ray Developer Guide, "Tracing header".
func traceID(seconds int64) string {
	id := cloud.RandomString(24+16, "0123456789abcdef")
	return "Root=1-" + strconv.FormatInt(seconds, 16) + "-" + id[:24] + ";Parent=" + id[24:] + ";Sampled=0"
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
