package engine

import (
	"errors"
	"fmt"
	"time"

	"croft/internal/clock"
	"croft/internal/engine/runtimeapi"
	"croft/internal/engine/runtimeapi/telemetry"
	"croft/internal/engine/sandbox"
)

// serve gives inv to the environment and returns its result. keep reports whether the environment may serve another. The error is
// runtimeapi.ErrNotTaken when the environment has died before it saw the event.
func (env *environment) serve(inv Invocation, early answerer) (r *Result, keep bool, err error) {
	left := env.Function.Timeout
	first := !env.served
	env.served = true
	if env.initFailure != nil {
		if !env.Function.SnapStart { // whose snapshot the next invocation tries to take again
			left, err = env.initialiseAgain()
		}
		if err != nil {
			return nil, false, err
		}
		if env.initFailure != nil {
			return env.uninitialised(inv), false, nil
		}
	}
	env.wake()
	p := env.process
	if !first && p.ctx.Err() != nil {
		return nil, false, runtimeapi.ErrNotTaken
	}
	r = &Result{}
	if first && env.purpose != provisioned {
		r.Cold, r.Init, r.Restore = env.purpose == onDemand, env.initTook, env.restoreTook
	}
	begin := env.open(inv)
	ctx, cancel := env.e.bounded(p.ctx, left)
	defer cancel()
	answer, err := p.api.Invoke(ctx, runtimeapi.Invocation{
		RequestID: inv.RequestID, Payload: inv.Payload, Deadline: begin.Add(left), FunctionARN: inv.InvokedARN,
		TraceID: inv.TraceID, ClientContext: string(inv.ClientContext), Identity: string(inv.Identity), Stream: inv.Stream,
	})
	r.Duration = env.e.cfg.Clock.Now().Sub(begin)
	if err == nil {
		env.answered(inv, r, answer, early)
		return r, true, nil
	}
	if errors.Is(err, runtimeapi.ErrNotTaken) && !first && !errors.Is(err, clock.ErrTimeout) {
		return nil, false, runtimeapi.ErrNotTaken
	}
	return env.broken(inv, r, err)
}

// initialiseAgain tries once more what failed before the invocation, within its time, as Lambda does. It returns the time that is left.
func (env *environment) initialiseAgain() (time.Duration, error) {
	timeout := env.Function.Timeout
	if err := env.initialise("invoke", timeout, func() {}); err != nil {
		return 0, err
	}
	return timeout - env.initTook, nil
}

// open writes the first lines of an invocation and returns when it began.
func (env *environment) open(inv Invocation) time.Time {
	env.logs.startTail(inv.Tail)
	env.report(event{
		kind: telemetry.KindStart, level: levelInfo, text: startLine(inv.RequestID, env.Function.Version),
		record: telemetry.Start{RequestID: inv.RequestID, Version: env.Function.Version, Tracing: telemetry.Trace(inv.TraceID)},
	})
	return env.e.cfg.Clock.Now()
}

// answered gives the answer of the runtime to early, and completes the invocation's result and log.
func (env *environment) answered(inv Invocation, r *Result, a runtimeapi.Answer, early answerer) {
	r.Payload = a.Payload
	status := "success"
	if a.ErrorType != "" {
		r.FunctionError, status = unhandled, "error"
	}
	if !inv.Tail { // for which the account must be complete
		early(env, *r)
	}
	env.process.drain()
	env.finish(inv, r, status, a.ErrorType, int(a.Size))
}

// broken is the result of an invocation whose environment ended under it, or had to be ended.
func (env *environment) broken(inv Invocation, r *Result, err error) (*Result, bool, error) {
	var fault *extensionFault
	r.FunctionError = unhandled
	switch {
	case errors.Is(err, clock.ErrTimeout):
		fn := env.Function
		r.Payload, r.Duration = platformError(typeTimeout, inv.RequestID, timeoutText(fn.Timeout)), min(r.Duration, fn.Timeout)
		env.process.stop("timeout")
		if !fn.JSONLogs {
			env.logs.add(timeoutLine(env.e.cfg.Clock.Now(), inv.RequestID, fn.Timeout))
		}
		env.finish(inv, r, "timeout", "", 0)
	case errors.As(err, &fault):
		env.process.stop("failure")
		r.Payload = platformError(fault.kind, inv.RequestID, fault.Error())
		env.finish(inv, r, "error", fault.kind, 0)
	case errors.Is(err, errExited):
		env.process.stop("failure")
		var errorType string
		errorType, r.Payload = env.exitPayload(inv.RequestID, env.process.main.Exit(), env.process.Usage().OutOfMemory)
		env.finish(inv, r, "error", errorType, 0)
	default:
		return nil, false, err
	}
	return r, false, nil
}

// uninitialised is the result of an invocation whose environment did not come up, by the function's own doing.
func (env *environment) uninitialised(inv Invocation) *Result {
	f := env.initFailure
	env.open(inv)
	r := &Result{FunctionError: unhandled, Cold: true, Duration: env.initTook}
	switch {
	case f.status == "timeout":
		timeout := env.Function.Timeout
		r.Duration = min(r.Duration, timeout)
		r.Payload = platformError(typeTimeout, inv.RequestID, timeoutText(timeout))
		env.logs.add(timeoutLine(env.e.cfg.Clock.Now(), inv.RequestID, timeout))
	case f.exit != nil:
		f.errorType, r.Payload = env.exitPayload(inv.RequestID, *f.exit, f.errorType == typeOutOfMemory)
	case f.text != "":
		r.Payload = platformError(f.errorType, inv.RequestID, f.text)
	default:
		r.Payload = withRequestID(f.payload, inv.RequestID)
	}
	env.finish(inv, r, f.status, f.errorType, 0)
	return r
}

// exitPayload is the error document, and logs the error, for a runtime that has ended by itself or for want of memory.
func (env *environment) exitPayload(requestID string, exit sandbox.Exit, outOfMemory bool) (errorType string, payload []byte) {
	errorType = typeExit
	text := "Runtime exited with error: " + exit.String()
	switch {
	case outOfMemory:
		errorType, text = typeOutOfMemory, "Runtime exited with error: signal: killed"
	case exit.Code == 0 && exit.Signal == 0:
		text = "Runtime exited without providing a reason"
	}
	env.logs.add(fmt.Sprintf("RequestId: %s Error: %s%s%s", requestID, text, separator, errorType))
	return errorType, platformError(errorType, requestID, text)
}

// finish completes a result and writes the lines that end an invocation's log.
func (env *environment) finish(inv Invocation, r *Result, status, errorType string, produced int) {
	fn := env.Function
	r.MaxMemoryMB = int((env.peakMemory() + 1<<20 - 1) >> 20)
	r.Billed = (r.Duration + r.Init + time.Millisecond - 1).Truncate(time.Millisecond)
	logged := status
	if status == telemetry.StatusError && (env.process == nil || env.process.ctx.Err() != nil) {
		status = telemetry.StatusFailure
	}
	if status == telemetry.StatusSuccess || status == telemetry.StatusError {
		logged, errorType = "", "" // what a runtime answers has no status of its own in the text
	}
	trace := telemetry.Trace(inv.TraceID)
	env.report(event{kind: telemetry.KindRuntimeDone, level: levelDebug, record: telemetry.RuntimeDone{
		RequestID: inv.RequestID, Status: status, ErrorType: errorType, Tracing: trace,
		Metrics: &telemetry.RuntimeDoneMetrics{Duration: telemetry.Millis(r.Duration), ProducedBytes: int64(produced)},
	}})
	env.report(event{kind: telemetry.KindEnd, level: levelNone, text: endLine(inv.RequestID), record: telemetry.End{RequestID: inv.RequestID}})
	env.report(event{
		kind: telemetry.KindReport, level: levelInfo,
		text: withIsolation(reportLine(inv.RequestID, fn.MemoryMB, r, logged, errorType), env.e.cfg.Isolation),
		record: telemetry.Report{RequestID: inv.RequestID, Status: status, ErrorType: errorType, Tracing: trace, Metrics: telemetry.ReportMetrics{
			Duration: telemetry.Millis(r.Duration), BilledDuration: r.Billed.Milliseconds(), MemorySize: fn.MemoryMB,
			MaxMemoryUsed: r.MaxMemoryMB, Init: telemetry.Millis(r.Init), Restore: telemetry.Millis(r.Restore),
		}},
	})
	if inv.Tail {
		r.LogTail = env.logs.takeTail()
	}
}

// peakEvery is how old the largest memory may be that a report shows. To ask the kernel costs more than the rest of a short invocation.
const peakEvery = 100 * time.Millisecond

// peakMemory returns the largest memory that the environment has had, in bytes.
func (env *environment) peakMemory() int64 {
	if env.process == nil {
		return 0
	}
	now := env.e.cfg.Clock.Now()
	if env.peak == 0 || now.Sub(env.peakAt) >= peakEvery || env.process.ctx.Err() != nil {
		env.peak, env.peakAt = env.process.Usage().PeakMemory, now
	}
	return env.peak
}

// functionOutput and extensionOutput take the lines that processes write.
func (env *environment) functionOutput(text string) {
	env.logs.add(text)
	env.process.api.Telemetry().Function(env.e.cfg.Clock.Now(), clean(text))
}

func (env *environment) extensionOutput(text string) {
	env.logs.add(text)
	env.process.api.Telemetry().Extension(env.e.cfg.Clock.Now(), clean(text))
}
