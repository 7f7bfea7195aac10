package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/engine/bundle"
	"croft/internal/engine/runtimeapi"
)

// Invoke gives inv to an environment of fn and waits for the answer. When ctx ends first Invoke returns its error, and a function that
// has begun runs to its end all the same, as on Lambda.
func (e *Engine) Invoke(ctx context.Context, fn Function, inv Invocation) (*Result, error) {
	if !e.enter() {
		return nil, errClosed()
	}
	defer e.work.Done()
	fn = withDefaults(fn)
	inv, err := e.complete(fn, inv)
	if err != nil {
		return nil, err
	}
	l, err := e.pools.acquire(ctx, fn, e.cfg.MaxWait)
	if err != nil {
		return nil, err
	}
	type outcome struct {
		*Result
		error
	}
	done := make(chan outcome, 1)
	e.work.Go(func() {
		r, err := e.run(l, fn, inv)
		done <- outcome{r, err}
	})
	select {
	case o := <-done:
		return o.Result, o.error
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func withDefaults(fn Function) Function {
	if fn.Timeout <= 0 {
		fn.Timeout = 3 * time.Second
	}
	if fn.MemoryMB <= 0 {
		fn.MemoryMB = 128
	}
	if fn.LogGroup == "" {
		fn.LogGroup = "/aws/lambda/" + fn.Name
	}
	return fn
}

// complete fills in what the caller left out and makes the client context fit for a header.
func (e *Engine) complete(fn Function, inv Invocation) (Invocation, error) {
	if inv.RequestID == "" {
		return inv, errors.New("engine: an invocation without a request id")
	}
	if len(inv.Payload) == 0 {
		inv.Payload = []byte("{}")
	}
	if inv.InvokedARN == "" {
		inv.InvokedARN = fn.ARN
	}
	if len(inv.ClientContext) > 0 {
		var line bytes.Buffer
		if err := json.Compact(&line, inv.ClientContext); err != nil {
			return inv, cloud.Errorf("InvalidRequestContentException", "Could not parse the client context as JSON: %v", err)
		}
		inv.ClientContext = line.Bytes()
	}
	return inv, nil
}

// run serves inv with the leased environment, or starts one in its place, and gives the lease back.
func (e *Engine) run(l lease, fn Function, inv Invocation) (*Result, error) {
	if l.env != nil {
		r, keep, err := l.env.serve(inv, coldStart{}, fn.Timeout)
		if !errors.Is(err, runtimeapi.ErrNotTaken) {
			e.pools.release(l, keep)
			return r, err
		}
		// It had died while idle. Its place is this invocation's to start another in.
		e.end(l.env)
		l.env = nil
	}
	env, err := e.prepare(e.ctx, fn)
	if err != nil {
		e.pools.release(l, false)
		return nil, e.orClosed(err)
	}
	l.env = env
	r, keep, err := env.serveCold(inv)
	e.pools.release(l, keep)
	return r, e.orClosed(err)
}

// orClosed says that the engine is closing in place of what that leads to.
func (e *Engine) orClosed(err error) error {
	if err != nil && e.ctx.Err() != nil {
		return errClosed()
	}
	return err
}

// coldStart is what the start of an environment adds to its first invocation.
type coldStart struct {
	cold bool
	init time.Duration
}

// serveCold starts the environment's process and serves inv. An initialisation that takes more than Lambda allows is cut short and begun
// again within the invocation's own time, as on Lambda.
func (env *environment) serveCold(inv Invocation) (r *Result, keep bool, err error) {
	now := env.e.cfg.Clock.Now
	limit, phase, left := env.e.initTime, "init", env.Function.Timeout
	for {
		begin := now()
		ctx, cancel := env.e.bounded(env.e.ctx, limit)
		if err = env.start(ctx); err == nil {
			err = env.awaitInit(ctx)
		}
		cancel()
		took := now().Sub(begin)
		if err == nil {
			env.process.out.drain() // what was written so far comes before the invocation's own lines
		}
		switch {
		case err == nil && phase == "init":
			return env.serve(inv, coldStart{true, took}, left)
		case err == nil:
			env.logs.add(initReport(took, phase, "success", ""))
			return env.serve(inv, coldStart{true, took}, left-took)
		case errors.Is(err, clock.ErrTimeout):
			env.logs.add(initReport(took, phase, "timeout", ""))
			if env.process == nil {
				return nil, false, errSlowStart(env.Function, err)
			}
			if phase == "init" {
				env.process.stop()
				limit, phase = left, "invoke"
				continue
			}
			env.logs.startTail(inv.Tail)
			env.logs.add(startLine(inv.RequestID, env.Function.Version))
			r, keep = env.timedOut(inv, coldStart{cold: true}, took)
			return r, keep, nil
		case errors.Is(err, errInitFailed), errors.Is(err, errExited):
			return env.initFailed(inv, took, phase), false, nil
		}
		return nil, false, err
	}
}

// initFailed is the result of an invocation whose environment did not come up, by the function's own doing.
func (env *environment) initFailed(inv Invocation, took time.Duration, phase string) *Result {
	p := env.process
	errorType, payload := typeExit, []byte(nil)
	select {
	case <-p.api.Failed():
		answer := p.api.InitError()
		errorType, payload = answer.ErrorType, withRequestID(answer.Payload, inv.RequestID)
		p.stop()
	default:
		<-p.gone
		payload = env.exitPayload(inv)
	}
	env.logs.add(initReport(took, phase, "error", errorType))
	env.logs.startTail(inv.Tail)
	env.logs.add(startLine(inv.RequestID, env.Function.Version))
	r := &Result{Payload: payload, FunctionError: unhandled, Cold: true, Duration: took}
	env.finish(inv, r, "error", errorType)
	return r
}

// serve gives inv to the environment's process, with at most left time. keep reports whether the environment may serve another.
func (env *environment) serve(inv Invocation, start coldStart, left time.Duration) (r *Result, keep bool, err error) {
	p := env.process
	if p.ctx.Err() != nil && !start.cold {
		return nil, false, runtimeapi.ErrNotTaken
	}
	now := env.e.cfg.Clock.Now
	begin := now()
	env.logs.startTail(inv.Tail)
	env.logs.add(startLine(inv.RequestID, env.Function.Version))
	ctx, cancel := env.e.bounded(p.ctx, left)
	defer cancel()
	answer, err := p.api.Invoke(ctx, runtimeapi.Invocation{
		RequestID: inv.RequestID, Payload: inv.Payload, Deadline: begin.Add(left), FunctionARN: inv.InvokedARN,
		TraceID: inv.TraceID, ClientContext: string(inv.ClientContext),
	})
	took := now().Sub(begin)
	switch {
	case err == nil:
		drained := p.out.drain()
		r = &Result{Payload: answer.Payload, Cold: start.cold, Duration: took, Init: start.init}
		if answer.ErrorType != "" {
			r.FunctionError = unhandled
		}
		env.finish(inv, r, "", "")
		return r, drained, nil // whose output is not to be trusted gets no other invocation
	case errors.Is(err, clock.ErrTimeout):
		r, keep = env.timedOut(inv, start, took)
		return r, keep, nil
	case errors.Is(err, runtimeapi.ErrNotTaken) && !start.cold:
		return nil, false, runtimeapi.ErrNotTaken
	case errors.Is(err, errExited):
		<-p.gone
		r = &Result{Payload: env.exitPayload(inv), FunctionError: unhandled, Cold: start.cold, Duration: took, Init: start.init}
		env.finish(inv, r, "error", typeExit)
		return r, false, nil
	}
	return nil, false, err
}

// timedOut ends the process whose invocation took too long.
func (env *environment) timedOut(inv Invocation, start coldStart, took time.Duration) (*Result, bool) {
	fn := env.Function
	r := &Result{
		Payload:       platformError(typeTimeout, inv.RequestID, timeoutText(fn.Timeout)),
		FunctionError: unhandled, Cold: start.cold, Duration: min(took, fn.Timeout), Init: start.init,
	}
	env.process.stop()
	env.logs.add(timeoutLine(env.e.cfg.Clock.Now(), inv.RequestID, fn.Timeout))
	env.finish(inv, r, "timeout", "")
	return r, false
}

// exitPayload is the error document, and logs the error, for a process that has ended by itself.
func (env *environment) exitPayload(inv Invocation) []byte {
	text := "Runtime exited with error: " + env.process.Exit().String()
	if exit := env.process.Exit(); exit.Code == 0 && exit.Signal == 0 {
		text = "Runtime exited without providing a reason"
	}
	env.logs.add(fmt.Sprintf("RequestId: %s Error: %s%s%s", inv.RequestID, text, separator, typeExit))
	return platformError(typeExit, inv.RequestID, text)
}

// errSlowStart is for a machine that does not manage to start a process in the time that functions have to initialise.
func errSlowStart(fn Function, cause error) error {
	return &cloud.Error{
		Code: "ServiceException", Status: 500, Cause: cause,
		Message: fmt.Sprintf("No process for %s could be started in %v. The machine is overloaded: try again, or run fewer functions at once.", fn.Name, initTime),
	}
}

// finish completes a result and writes the lines that end an invocation's log.
func (env *environment) finish(inv Invocation, r *Result, status, errorType string) {
	r.MaxMemoryMB = int((env.process.PeakMemory() + 1<<20 - 1) >> 20)
	r.Billed = (r.Duration + r.Init + time.Millisecond - 1).Truncate(time.Millisecond)
	env.logs.add(endLine(inv.RequestID))
	env.logs.add(withIsolation(reportLine(inv.RequestID, env.Function.MemoryMB, r, status, errorType), env.spec.Isolation))
	if inv.Tail {
		r.LogTail = env.logs.takeTail()
	}
	env.logs.flush()
}

// opener returns what opens the function's package.
func (e *Engine) opener(fn Function) bundle.Opener {
	return func(ctx context.Context) (io.ReaderAt, int64, io.Closer, error) { return e.cfg.Code(ctx, fn) }
}

// unusableCode gives a fault of the package the code that Lambda's Invoke has for it.
func unusableCode(fn Function, err error) error {
	var fault *cloud.Error
	if errors.As(err, &fault) && fault.Code == "InvalidParameterValueException" {
		return &cloud.Error{Code: "InvalidZipFileException", Status: 502, Message: fault.Message, Cause: fault.Cause}
	}
	return fmt.Errorf("the code of %s: %w", fn.ARN, err)
}
