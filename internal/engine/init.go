package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/engine/runtimeapi/telemetry"
	"croft/internal/engine/runtimes"
	"croft/internal/engine/sandbox"
)

// slotTime is how long a start keeps others from the processors: one that takes longer most likely waits for something.
const slotTime = time.Second

// errInitFailed says that the runtime reported an error at its start.
var errInitFailed = errors.New("engine: the runtime reported an error at its start")

// initFailure is why a function could not be initialised, by its own doing. The next invocation tries again, within its own time.
type initFailure struct {
	// status and errorType are those of the report. The errorType of a timeout is empty.
	status, errorType string
	// payload is the error document that the runtime sent; nil when it sent none.
	payload []byte
	// text is what the platform says when it knows better than the runtime.
	text string
	// exit tells how the runtime ended, when it did.
	exit *sandbox.Exit
}

func (f *initFailure) Error() string {
	if len(f.payload) > 0 {
		return string(f.payload)
	}
	if f.text != "" {
		return f.text
	}
	if f.status == "timeout" {
		return "The initialization timed out."
	}
	return f.errorType
}

// begin makes an environment for a pool, and hands it to the pools. It does not wait. The caller, who may hold locks, has entered.
func (e *Engine) begin(own *pool, why purpose) {
	e.work.Go(func() {
		select {
		case e.starts <- struct{}{}:
		case <-e.ctx.Done():
			e.pools.started(own, nil, why, errClosed())
			return
		}
		slot := sync.OnceFunc(func() { <-e.starts })
		defer slot()
		if !e.pools.wanted(own, why) {
			return
		}
		env, err := e.launch(own, why, slot)
		e.pools.started(own, env, why, e.orClosed(err))
	})
}

// launch makes an environment and initialises it. A function that cannot be initialised is an environment with initFailure, not an error.
func (e *Engine) launch(own *pool, why purpose, slot func()) (*environment, error) {
	env, err := e.prepare(e.ctx, own, why)
	if err != nil {
		return nil, err
	}
	limit := e.initTime
	if why == provisioned {
		limit = provisionTime
	}
	if err := env.initialise("init", limit, slot); err != nil {
		env.close()
		return nil, err
	}
	return env, nil
}

// initialise starts the environment's processes and waits until its runtime is ready, at most for limit. phase is "init" or, when an invocation tries
// again, "invoke". What the function is to blame for becomes initFailure; the error is for everything else.
func (env *environment) initialise(phase string, limit time.Duration, slot func()) error {
	e := env.e
	env.process, env.initFailure = nil, nil
	if env.entrypoint != nil {
		env.initFailure = &initFailure{
			status: telemetry.StatusError, errorType: runtimes.EntrypointType,
			text: env.entrypoint.Message,
		}
		return nil
	}
	if env.Function.SnapStart && env.purpose != template {
		if done, err := env.restore(slot); done || err != nil {
			return err
		}
	}
	begin := e.cfg.Clock.Now()
	ctx, cancel := e.bounded(e.ctx, limit)
	defer cancel()
	env.report(env.initStart(phase))
	err := env.start(ctx, phase)
	if err == nil {
		err = env.awaitInit(ctx, slot)
	}
	env.initTook = e.cfg.Clock.Now().Sub(begin)
	if err == nil {
		env.process.drain() // what was written so far comes before the invocation's own lines
		env.reportInit(phase, "success", "")
		env.reportExtensions()
		return nil
	}
	return env.initFailed(phase, err)
}

// awaitInit waits until the runtime is ready. Otherwise the error is errInitFailed, or the cause of the end of the process's context or of ctx.
func (env *environment) awaitInit(ctx context.Context, slot func()) error {
	p := env.process
	slow := env.e.cfg.Clock.NewTimer(slotTime)
	defer slow.Stop()
	for {
		select {
		case <-p.api.Ready():
			return nil
		case <-p.api.Failed():
			return errInitFailed
		case <-p.ctx.Done():
			// The report may have come just before.
			select {
			case <-p.api.Failed():
				return errInitFailed
			default:
				return context.Cause(p.ctx)
			}
		case <-slow.C():
			slot()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// initFailed ends the processes of an initialisation that failed, and says why it did.
func (env *environment) initFailed(phase string, err error) error {
	p := env.process
	var fault *extensionFault
	var bad *sandbox.ProgramError
	f := &initFailure{status: "error"}
	switch {
	case p == nil:
		if errors.Is(err, clock.ErrTimeout) {
			return errSlowStart(env.Function, err)
		}
		return err
	case errors.Is(err, clock.ErrTimeout):
		f.status = "timeout"
	case errors.Is(err, errInitFailed):
		answer := p.api.InitError()
		f.errorType, f.payload = answer.ErrorType, answer.Payload
	case errors.Is(err, errExited):
		f.errorType = typeExit
	case errors.As(err, &fault):
		f.errorType = fault.kind
		f.text = fault.Error()
	case errors.As(err, &bad):
		f.errorType, f.text = runtimes.EntrypointType, "fork/exec "+bad.Path+": "+bad.Err.Error()
	default:
		p.stop("failure")
		return err
	}
	p.stop(map[string]string{"timeout": "timeout"}[f.status])
	if f.errorType == typeExit {
		exit := p.main.Exit()
		f.exit = &exit
		if p.Usage().OutOfMemory {
			f.errorType = typeOutOfMemory
		}
	}
	env.initFailure = f
	env.reportInit(phase, f.status, f.errorType)
	return nil
}

// reportInit writes what is to be said of an initialisation. Of one that went well for an invocation the invocation's own report tells.
func (env *environment) reportInit(phase, status, errorType string) {
	kind := env.initializationType()
	env.report(event{kind: telemetry.KindInitRuntimeDone, level: levelDebug, record: telemetry.InitRuntimeDone{
		InitializationType: kind, Phase: phase, Status: status, ErrorType: errorType,
	}})
	ev := event{kind: telemetry.KindInitReport, level: levelInfo, record: telemetry.InitReport{
		InitializationType: kind, Phase: phase, Status: status, ErrorType: errorType, Metrics: telemetry.InitMetrics{Duration: telemetry.Millis(env.initTook)},
	}}
	if status != "success" || phase != "init" || env.purpose != onDemand {
		ev.text = initReport(env.initTook, phase, status, errorType)
		if env.purpose == ahead {
			ev.text += "\tInitialized ahead of its first invocation"
		}
	}
	env.report(ev)
}

// errSlowStart is for a machine that does not manage to start a process in the time that functions have to initialise.
func errSlowStart(fn Function, cause error) error {
	return &cloud.Error{
		Code: "ServiceException", Status: 500, Cause: cause,
		Message: fmt.Sprintf("No process for %s could be started in %v. The machine is overloaded: try again, or run fewer functions at once.", fn.Name, initTime),
	}
}
