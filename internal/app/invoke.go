package app

import (
	"context"
	"encoding/base64"
	"net/http"

	lambdaapi "croft/internal/awsapi/lambda"
	"croft/internal/control"
	"croft/internal/wire"
)

// invocation returns what a control call wants invoked, with the function by its own name, and the event.
func (a *App) invocation(r *http.Request) (ctx context.Context, req control.InvokeRequest, event []byte, err error) {
	req = control.InvokeRequestOf(r.URL.Query())
	ctx = a.root(r.Context())
	if event, err = readControl(r); err == nil {
		req.Function, err = a.functionName(ctx, req.Function)
	}
	return ctx, req, event, err
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// invoke runs a function, or has its event accepted.
func (a *App) invoke(r *http.Request) (report control.InvokeReport, err error) {
	ctx, req, event, err := a.invocation(r)
	if err != nil {
		return report, err
	}
	in := &lambdaapi.InvokeInput{FunctionName: req.Function, Qualifier: optional(req.Qualifier), InvocationType: optional(req.Type), Payload: event}
	if req.Type == "" || req.Type == lambdaapi.InvocationTypeRequestResponse {
		in.LogType = wire.Ptr(lambdaapi.LogTypeTail)
	}
	out, err := lambdaapi.NewClient(a.dispatch).Invoke(ctx, in)
	if err != nil {
		return report, err
	}
	report = control.InvokeReport{Payload: out.Payload, FunctionError: wire.Value(out.FunctionError)}
	report.Log, err = base64.StdEncoding.DecodeString(wire.Value(out.LogResult))
	return report, err
}

// stream runs a function and sends on its answer as it comes.
func (a *App) stream(w http.ResponseWriter, r *http.Request) {
	ctx, req, event, err := a.invocation(r)
	if err != nil {
		problem(w, status(err), err)
		return
	}
	out, err := lambdaapi.NewClient(a.dispatch).InvokeWithResponseStream(ctx, &lambdaapi.InvokeWithResponseStreamInput{
		FunctionName: req.Function, Qualifier: optional(req.Qualifier), Payload: event, LogType: wire.Ptr(lambdaapi.LogTypeTail),
	})
	if err != nil {
		problem(w, status(err), err)
		return
	}
	to := lines{w}
	for event, err := range out.EventStream {
		var piece control.StreamPiece
		switch {
		case err != nil:
			piece.Error = err.Error()
		case event.PayloadChunk != nil:
			piece.Payload = event.PayloadChunk.Payload
		case event.InvokeComplete != nil:
			piece.End, err = streamEnd(event.InvokeComplete)
		}
		if err != nil && piece.Error == "" {
			piece = control.StreamPiece{Error: err.Error()}
		}
		if to.send(piece) != nil {
			return // the client went away
		}
	}
}

func streamEnd(end *lambdaapi.InvokeWithResponseStreamCompleteEvent) (*control.InvokeReport, error) {
	log, err := base64.StdEncoding.DecodeString(wire.Value(end.LogResult))
	return &control.InvokeReport{Payload: []byte(wire.Value(end.ErrorDetails)), FunctionError: wire.Value(end.ErrorCode), Log: log}, err
}
