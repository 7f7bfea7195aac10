package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/engine/bundle"
	"croft/internal/engine/runtimeapi/telemetry"
	"croft/internal/engine/runtimes"
	"croft/internal/engine/sandbox"
)

const (
	// initTime is how long Lambda lets a function initialise before its first invocation; after that the function's timeout holds.
	initTime = 10 * time.Second
	// provisionTime is the same for provisioned concurrency.
	provisionTime = 15 * time.Minute
	// defaultTmpMB is the size of /tmp: Lambda's default for EphemeralStorage.
	defaultTmpMB = 512
	// expiryMargin is how long before their end credentials are not used any more, on top of the function's timeout.
	expiryMargin   = time.Minute
	runtimeAPIAddr = "127.0.0.1:9001"
	layersRoot     = "/opt"
)

// environment is one execution environment: processes that serve the events of one function, one event at a time.
type environment struct {
	Environment
	e      *Engine
	pool   *pool
	launch *runtimes.Launch
	// code and layers are the unpacked folders; layers is empty without any.
	code, layers string
	// entrypoint says why there is nothing to start, if there is not.
	entrypoint *runtimes.EntrypointError
	logs       *logStream
	process    *process // nil until started
	// initTook is how long the last initialisation took, and initFailure why it failed, if it did by the function's doing.
	initTook    time.Duration
	initFailure *initFailure
	// restoreTook is how long it took to start from a snapshot; zero for one that was initialised.
	restoreTook time.Duration
	// served says that an invocation has been given to it.
	served bool
	repose repose
	// peak is the largest memory that was found, and peakAt when that was.
	peak   int64
	peakAt time.Time
	// purpose, idleSince and finishing belong to the pools; finishing: it has answered, and is not free yet.
	purpose   purpose
	idleSince time.Time
	finishing bool
	// cleanup gives up what the environment holds besides its process.
	cleanup  []func()
	stopLogs context.CancelFunc
	logging  sync.WaitGroup
}

// prepare makes an environment with everything but its process.
func (e *Engine) prepare(ctx context.Context, own *pool, why purpose) (*environment, error) {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return nil, err
	}
	fn := own.fn
	env := &environment{e: e, pool: own, purpose: why, Environment: Environment{ID: hex.EncodeToString(id), Function: fn}}
	env.LogStream = e.cfg.Clock.Now().UTC().Format("2006/01/02") + "/[" + fn.Version + "]" + env.ID
	if err := env.gather(ctx); err != nil {
		env.release()
		return nil, err
	}
	env.logs = newLogStream(e.cfg, env.Environment)
	e.streams.add(env.logs)
	logCtx, stop := context.WithCancel(context.Background())
	env.stopLogs = stop
	env.logging.Go(func() { env.logs.run(logCtx) })
	return env, nil
}

// gather brings together what the environment is made of: code, layers, the way its process starts, credentials.
func (env *environment) gather(ctx context.Context) error {
	e, fn := env.e, env.Function
	code, release, err := e.bundles.Acquire(ctx, fn.CodeSHA, e.opener(fn))
	if err != nil {
		return unusableCode(fn, err)
	}
	env.code = code
	env.cleanup = append(env.cleanup, release)
	if err := env.gatherLayers(ctx); err != nil {
		return err
	}
	env.launch, err = e.runtimes.Prepare(ctx, runtimes.Request{
		Runtime: fn.Runtime, Handler: fn.Handler, Code: code, Layers: env.layers, Env: fn.Env, Architecture: fn.Architecture,
	})
	if errors.As(err, &env.entrypoint) {
		err = nil // the function's fault, which its invocations report
	}
	if err != nil {
		return err
	}
	if e.cfg.Credentials != nil {
		env.Credentials, err = e.cfg.Credentials(ctx, fn)
	}
	return err
}

func (env *environment) gatherLayers(ctx context.Context) error {
	e, fn := env.e, env.Function
	if len(fn.Layers) == 0 {
		return nil
	}
	if e.cfg.Package == nil {
		return errors.New("engine: nothing opens layers")
	}
	packages := make([]bundle.Package, 0, len(fn.Layers))
	for _, l := range fn.Layers {
		packages = append(packages, bundle.Package{SHA: l.SHA, Open: func(ctx context.Context) (io.ReaderAt, int64, io.Closer, error) {
			return e.cfg.Package(ctx, fn, l)
		}})
	}
	dir, release, err := e.bundles.AcquireMerged(ctx, packages)
	if err != nil {
		return unusableCode(fn, err)
	}
	env.layers = dir
	env.cleanup = append(env.cleanup, release)
	return nil
}

// work says what the environment's sandbox becomes.
func (env *environment) work(programs int, shared int64) sandbox.Work {
	fn := env.Function
	w := sandbox.Work{
		Binds:    []sandbox.Bind{{Source: env.code, Target: runtimes.TaskRoot}},
		TmpBytes: int64(fn.TmpMB) << 20,
		Programs: programs,
		Limits:   sandbox.Limits{Memory: int64(fn.MemoryMB) << 20, Shared: shared, CPUWeight: cpuWeight(fn.MemoryMB)},
	}
	if env.layers != "" {
		w.Binds = append(w.Binds, sandbox.Bind{Source: env.layers, Target: layersRoot})
	}
	return w
}

// cpuWeight is the share of processors in relation to other functions: in proportion to the memory, as on Lambda, 100 for one of 1,769 MB, which there
// has one processor.
func cpuWeight(memoryMB int) int { return min(max(memoryMB*100/1769, 1), 10000) }

// variables returns the complete environment: the language's, then the function's own, then what Lambda reserves.
func (env *environment) variables() map[string]string {
	fn := env.Function
	all := maps.Clone(env.launch.Env)
	if all == nil {
		all = map[string]string{}
	}
	if env.e.cfg.Endpoint != nil {
		all["AWS_ENDPOINT_URL"] = "http://" + env.e.cfg.EndpointAddr
	}
	maps.Copy(all, env.e.names().variables())
	maps.Copy(all, segmentVariables(env.e.cfg))
	maps.Copy(all, fn.Env)
	maps.Copy(all, map[string]string{
		"_HANDLER":                        fn.Handler,
		"AWS_REGION":                      fn.Region,
		"AWS_DEFAULT_REGION":              fn.Region,
		"AWS_LAMBDA_FUNCTION_NAME":        fn.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     fn.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(fn.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  env.initializationType(),
		"AWS_LAMBDA_LOG_GROUP_NAME":       fn.LogGroup,
		"AWS_LAMBDA_LOG_STREAM_NAME":      env.LogStream,
		"AWS_LAMBDA_RUNTIME_API":          runtimeAPIAddr,
		"LAMBDA_TASK_ROOT":                runtimes.TaskRoot,
		"LAMBDA_RUNTIME_DIR":              runtimes.RuntimeDir,
	})
	if v := env.launch.Env["AWS_EXECUTION_ENV"]; v != "" {
		all["AWS_EXECUTION_ENV"] = v
	}
	if fn.JSONLogs {
		all["AWS_LAMBDA_LOG_FORMAT"], all["AWS_LAMBDA_LOG_LEVEL"] = "JSON", fn.AppLogLevel
	}
	if c := env.Credentials; c.AccessKeyID != "" {
		all["AWS_ACCESS_KEY_ID"] = c.AccessKeyID
		all["AWS_SECRET_ACCESS_KEY"] = c.SecretAccessKey
		all["AWS_SESSION_TOKEN"] = c.SessionToken
	}
	return all
}

func (env *environment) initializationType() string {
	switch {
	case env.Function.SnapStart:
		return telemetry.SnapStart
	case env.purpose == provisioned:
		return telemetry.ProvisionedConcurrency
	}
	return telemetry.OnDemand
}

// assignments writes variables as processes get them, in order.
func assignments(all map[string]string) []string {
	out := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, name+"="+all[name])
	}
	return out
}

// initStart is the event with which an initialisation begins.
func (env *environment) initStart(phase string) event {
	fn := env.Function
	sum := sha256.Sum256([]byte(fn.Runtime + " " + env.launch.Version))
	version := runtimeLabel(fn.Runtime) + ".v" + env.launch.Version
	arn := "arn:aws:lambda:" + fn.Region + "::runtime:" + hex.EncodeToString(sum[:])
	return event{
		kind: telemetry.KindInitStart, level: levelInfo,
		text: fmt.Sprintf("INIT_START Runtime Version: %s\tRuntime Version ARN: %s", version, arn),
		record: telemetry.InitStart{
			InitializationType: env.initializationType(), Phase: phase, RuntimeVersion: version, RuntimeVersionARN: arn,
			FunctionName: fn.Name, FunctionVersion: fn.Version, InstanceID: env.LogStream, InstanceMaxMemory: fn.MemoryMB,
		},
	}
}

// usable reports whether another invocation may go to the environment.
func (env *environment) usable(now time.Time) bool {
	if env.process == nil || env.process.ctx.Err() != nil {
		return false
	}
	expires := env.Credentials.Expires
	return expires.IsZero() || now.Add(env.Function.Timeout+expiryMargin).Before(expires)
}

// close ends the environment and returns when nothing is left of it.
func (env *environment) close() {
	if env.process != nil {
		env.wake()
		env.process.stop("spindown")
	}
	env.stopLogs()
	env.logging.Wait()
	env.logs.flush()
	env.e.streams.remove(env.logs)
	env.release()
}

func (env *environment) release() {
	for _, f := range env.cleanup {
		f()
	}
	env.cleanup = nil
}

// externalExtensions returns the names of the extensions that the layers bring: files in the extensions folder, as Lambda takes them.
func (env *environment) externalExtensions() ([]string, error) {
	if env.layers == "" {
		return nil, nil
	}
	return filesIn(filepath.Join(env.layers, "extensions"))
}

// bounded returns ctx bounded by d on the engine's clock.
func (e *Engine) bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return clock.WithTimeout(ctx, e.cfg.Clock, d)
}
