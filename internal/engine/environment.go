package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/engine/runtimes"
	"croft/internal/engine/sandbox"
)

const (
	// initTime is how long Lambda lets a function initialise before its first invocation; after that the function's timeout holds.
	initTime = 10 * time.Second
	// tmpBytes is the size of /tmp: Lambda's default for EphemeralStorage.
	tmpBytes = 512 << 20
	// expiryMargin is how long before their end credentials are not used any more, on top of the function's timeout.
	expiryMargin   = time.Minute
	runtimeAPIAddr = "127.0.0.1:9001"
)

// environment is one execution environment: a process that serves the events of one function, one at a time.
type environment struct {
	Environment
	e       *Engine
	launch  *runtimes.Launch
	spec    sandbox.Spec
	logs    *logStream
	process *process // nil until started
	// idleSince belongs to the pools.
	idleSince time.Time
	// cleanup gives up what the environment holds besides its process.
	cleanup  func()
	stopLogs context.CancelFunc
	logging  sync.WaitGroup
}

// prepare makes an environment with everything but its process.
func (e *Engine) prepare(ctx context.Context, fn Function) (*environment, error) {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return nil, err
	}
	env := &environment{e: e, Environment: Environment{ID: hex.EncodeToString(id), Function: fn}}
	env.LogStream = e.cfg.Clock.Now().UTC().Format("2006/01/02") + "/[" + fn.Version + "]" + env.ID
	code, release, err := e.bundles.Acquire(ctx, fn.CodeSHA, e.opener(fn))
	if err != nil {
		return nil, unusableCode(fn, err)
	}
	env.cleanup = release
	if env.launch, err = e.runtimes.Prepare(ctx, runtimes.Request{Runtime: fn.Runtime, Handler: fn.Handler, Code: code, Env: fn.Env}); err != nil {
		release()
		return nil, err
	}
	if e.cfg.Credentials != nil {
		if env.Credentials, err = e.cfg.Credentials(ctx, fn); err != nil {
			release()
			return nil, err
		}
	}
	env.logs = newLogStream(e.cfg, env.Environment)
	logCtx, stop := context.WithCancel(context.Background())
	env.stopLogs = stop
	env.logging.Go(func() { env.logs.run(logCtx) })
	env.spec = env.specify(code)
	return env, nil
}

// specify says what the environment's sandbox holds.
func (env *environment) specify(code string) sandbox.Spec {
	e := env.e
	spec := sandbox.Spec{
		Anchor:   filepath.Join(e.cfg.Dir, "root"),
		Binds:    append(slices.Clone(env.launch.Binds), sandbox.Bind{Source: code, Target: runtimes.TaskRoot}),
		Args:     env.launch.Args,
		Env:      env.variables(),
		Dir:      runtimes.TaskRoot,
		Listen:   []string{runtimeAPIAddr},
		TmpBytes: tmpBytes,
		Slot:     int(e.slots.Add(1) % (1 << 16)),

		Isolation: e.cfg.Isolation,
	}
	if e.cfg.Endpoint != nil {
		spec.Listen = append(spec.Listen, e.cfg.EndpointAddr)
	}
	return spec
}

// variables returns the complete environment, in order: the language's, then the function's own, then what Lambda reserves.
func (env *environment) variables() []string {
	fn := env.Function
	all := maps.Clone(env.launch.Env)
	if env.e.cfg.Endpoint != nil {
		all["AWS_ENDPOINT_URL"] = "http://" + env.e.cfg.EndpointAddr
	}
	maps.Copy(all, fn.Env)
	maps.Copy(all, map[string]string{
		"_HANDLER":                        fn.Handler,
		"AWS_REGION":                      fn.Region,
		"AWS_DEFAULT_REGION":              fn.Region,
		"AWS_EXECUTION_ENV":               env.launch.Env["AWS_EXECUTION_ENV"],
		"AWS_LAMBDA_FUNCTION_NAME":        fn.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     fn.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(fn.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       fn.LogGroup,
		"AWS_LAMBDA_LOG_STREAM_NAME":      env.LogStream,
		"AWS_LAMBDA_RUNTIME_API":          runtimeAPIAddr,
		"LAMBDA_TASK_ROOT":                runtimes.TaskRoot,
		"LAMBDA_RUNTIME_DIR":              runtimes.RuntimeDir,
	})
	if c := env.Credentials; c.AccessKeyID != "" {
		all["AWS_ACCESS_KEY_ID"] = c.AccessKeyID
		all["AWS_SECRET_ACCESS_KEY"] = c.SecretAccessKey
		all["AWS_SESSION_TOKEN"] = c.SessionToken
	}
	out := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, name+"="+all[name])
	}
	return out
}

// start starts the environment's process, within ctx.
func (env *environment) start(ctx context.Context) error {
	var endpoint http.Handler
	if env.e.cfg.Endpoint != nil {
		endpoint = env.e.cfg.Endpoint(env.Environment)
	}
	env.logs.add(initStart(env.Function, env.launch.Version))
	p, err := startProcess(ctx, env.e.ctx, env.spec, endpoint, env.logs)
	if err != nil {
		return err
	}
	env.process = p
	return nil
}

// Ways in which an initialisation ends other than well.
var errInitFailed = errors.New("engine: the runtime reported an error at its start")

// awaitInit waits until the runtime is ready. Otherwise the error is errInitFailed, errExited, or the cause of ctx's end.
func (env *environment) awaitInit(ctx context.Context) error {
	p := env.process
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
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// usable reports whether another invocation may go to the environment.
func (env *environment) usable(now time.Time) bool {
	if env == nil || env.process == nil || env.process.ctx.Err() != nil {
		return false
	}
	expires := env.Credentials.Expires
	return expires.IsZero() || now.Add(env.Function.Timeout+expiryMargin).Before(expires)
}

// close ends the environment and returns when nothing is left of it.
func (env *environment) close() {
	if env.process != nil {
		env.process.stop()
	}
	env.stopLogs()
	env.logging.Wait()
	env.logs.flush()
	env.cleanup()
}

// bounded returns ctx bounded by d on the engine's clock.
func (e *Engine) bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return clock.WithTimeout(ctx, e.cfg.Clock, d)
}
