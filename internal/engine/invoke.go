package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"croft/internal/cloud"
	"croft/internal/engine/bundle"
	"croft/internal/engine/runtimeapi"
)

// maxTries is how many environments an invocation is offered that turn out to have died while idle.
const maxTries = 4

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
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.pools.admit(fn); err != nil {
		return nil, err
	}
	env, err := e.pools.acquire(ctx, fn, e.cfg.MaxWait)
	if err != nil {
		e.pools.leave(fn)
		return nil, e.orClosed(err)
	}
	type outcome struct {
		*Result
		error
	}
	done := make(chan outcome, 1)
	e.workers.do(e.work.Go, func() {
		told := false
		r, err := e.run(env, fn, inv, func(env *environment, r Result) {
			told = true
			e.pools.answered(env)
			done <- outcome{&r, nil}
			runtime.Gosched() // to whoever waits for the answer
		})
		if !told {
			e.pools.leave(fn)
			done <- outcome{r, err}
		}
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
	if fn.TmpMB <= 0 {
		fn.TmpMB = defaultTmpMB
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

// answerer takes the answer of a runtime as soon as it is there, with what a caller wants of a result: the account of the invocation is made afterwards.
type answerer func(*environment, Result)

// run serves inv with env, or with another in its place when it has died while idle, and gives the environment back. It calls early at most once, and then
// returns no more than early was told.
func (e *Engine) run(env *environment, fn Function, inv Invocation, early answerer) (*Result, error) {
	for try := 1; ; try++ {
		r, keep, err := env.serve(inv, early)
		if err == nil || !errors.Is(err, runtimeapi.ErrNotTaken) || try == maxTries {
			e.giveBack(env, keep)
			return r, e.orClosed(err)
		}
		e.pools.release(env, false)
		if env, err = e.pools.acquire(e.ctx, fn, e.cfg.MaxWait); err != nil {
			return nil, e.orClosed(err)
		}
	}
}

// giveBack returns an environment to the pools: one with extensions, once they are done with the invocation too.
func (e *Engine) giveBack(env *environment, keep bool) {
	if !keep || env.process.settled() || len(env.process.extensions) == 0 {
		e.pools.release(env, keep)
		return
	}
	e.pools.finished(env)
	e.work.Go(func() {
		ctx, cancel := e.bounded(env.process.ctx, env.Function.Timeout)
		defer cancel()
		select {
		case <-env.process.api.Settled():
			e.pools.release(env, true)
		case <-ctx.Done():
			e.pools.release(env, false)
		}
	})
}

// orClosed says that the engine is closing in place of what that leads to.
func (e *Engine) orClosed(err error) error {
	if err != nil && e.ctx.Err() != nil {
		return errClosed()
	}
	return err
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
