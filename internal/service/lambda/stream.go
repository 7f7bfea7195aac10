package lambda

import (
	"context"
	"encoding/base64"
	"net/http"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/kv"
	"croft/internal/wire"
)

// maxChunk bounds the payload of one event of a streamed answer, in bytes. An answer that the function gave in one piece is many of them.
const maxChunk = 64 << 10

// answerEvent is one event of a streamed answer.
type answerEvent = lambda.InvokeWithResponseStreamResponseEvent

// InvokeWithResponseStream implements the operation. The function begins at once; from then on it waits for whoever reads the answer, until ctx ends.
func (s *Service) InvokeWithResponseStream(
	ctx context.Context, in *lambda.InvokeWithResponseStreamInput,
) (*lambda.InvokeWithResponseStreamOutput, error) {
	if err := firstRefused(refusal{in.TenantId != nil, "TenantId", "functions have no tenants"}); err != nil {
		return nil, err
	}
	const kind = lambda.InvocationTypeRequestResponse
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
	if wire.Value(in.InvocationType) == lambda.InvocationTypeDryRun {
		return &lambda.InvokeWithResponseStreamOutput{
			StatusCode: wire.Ptr(int32(http.StatusNoContent)), EventStream: func(func(*answerEvent, error) bool) {},
		}, nil
	}
	if kv.InTx(ctx, s.deps.Store) {
		return nil, errInTransaction()
	}
	return s.stream(ctx, t, engine.Invocation{
		RequestID: cloud.CallOf(ctx).RequestID, Payload: payload, ClientContext: clientContext, Tail: wire.Value(in.LogType) == lambda.LogTypeTail,
	})
}

// stream runs the function, and answers once its answer begins or it has failed.
func (s *Service) stream(ctx context.Context, t *resolved, inv engine.Invocation) (*lambda.InvokeWithResponseStreamOutput, error) {
	a := &answerStream{ctx: ctx, begun: make(chan struct{}), chunks: make(chan []byte), ended: make(chan struct{}), left: make(chan struct{})}
	inv.Stream = a
	// The engine lets go of it when ctx ends, or when the engine itself does.
	go func() {
		defer close(a.ended)
		a.result, a.err = s.execute(ctx, t, inv)
	}()
	select {
	case <-a.begun:
	case <-a.ended:
		if a.err != nil {
			return nil, a.err
		}
	}
	return &lambda.InvokeWithResponseStreamOutput{
		StatusCode: wire.Ptr(int32(http.StatusOK)), ExecutedVersion: wire.Ptr(t.fn.version()),
		ResponseStreamContentType: wire.Ptr("application/vnd.amazon.eventstream"), EventStream: a.events,
	}, nil
}

// answerStream passes what a function produces on to whoever ranges over events. It holds one chunk at a time.
type answerStream struct {
	ctx    context.Context
	begun  chan struct{}
	chunks chan []byte
	// ended is closed when the function has ended; result and err say how.
	ended  chan struct{}
	result *engine.Result
	err    error
	// left is closed when whoever read the answer reads no more.
	left chan struct{}
}

// Begin implements engine.Stream.
func (a *answerStream) Begin(string, bool) error {
	close(a.begun)
	return nil
}

// Write implements engine.Stream. When nobody is there any more it takes everything all the same: the function runs to its end.
func (a *answerStream) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		chunk := append([]byte(nil), p[:min(len(p), maxChunk)]...)
		p = p[len(chunk):]
		select {
		case a.chunks <- chunk:
		case <-a.left:
			return n, nil
		case <-a.ctx.Done():
			return n, nil
		}
	}
	return n, nil
}

// events yields the answer's chunks, and how it ended. It can be ranged over once.
func (a *answerStream) events(yield func(*answerEvent, error) bool) {
	defer close(a.left)
	for {
		select {
		case chunk := <-a.chunks:
			if !yield(&answerEvent{PayloadChunk: &lambda.InvokeResponseStreamUpdate{Payload: chunk}}, nil) {
				return
			}
		case <-a.ended:
			if a.err != nil {
				yield(nil, a.err)
				return
			}
			yield(&answerEvent{InvokeComplete: a.complete()}, nil)
			return
		}
	}
}

func (a *answerStream) complete() *lambda.InvokeWithResponseStreamCompleteEvent {
	c := new(lambda.InvokeWithResponseStreamCompleteEvent)
	if a.result.FunctionError != "" {
		c.ErrorCode, c.ErrorDetails = &a.result.FunctionError, wire.Ptr(string(a.result.Payload))
	}
	if len(a.result.LogTail) > 0 {
		c.LogResult = wire.Ptr(base64.StdEncoding.EncodeToString(a.result.LogTail))
	}
	return c
}
