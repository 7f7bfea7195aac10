package engine

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"time"

	"croft/internal/clock"
	"croft/internal/engine/sandbox"
)

// Function is what the engine must know of a function to run it. Two functions that differ in anything that their processes
// can see must differ in Revision.
type Function struct {
	// ARN names the function without a version; with Version it names a pool of environments.
	ARN string
	// Name is the function's name, as AWS_LAMBDA_FUNCTION_NAME has it.
	Name string
	// Version is "$LATEST" or a number.
	Version string
	Account string
	Region  string
	// Runtime is an identifier of the Lambda API, such as python3.12.
	Runtime string
	Handler string
	// Role is the ARN of the execution role.
	Role     string
	MemoryMB int
	// Timeout bounds one invocation.
	Timeout time.Duration
	// Env holds the function's own variables. Those that Lambda reserves win over them.
	Env map[string]string
	// LogGroup is the log group's name; empty means /aws/lambda/NAME.
	LogGroup string
	// CodeSHA is the SHA-256 of the deployment package in hexadecimal; CodeID is what Config.Code finds it by.
	CodeSHA, CodeID string
	// Revision changes with code and configuration. Environments of another revision of the same ARN and Version are retired.
	Revision string
	// Layers are the function's layers in the order in which they are merged: of two files of one name the later layer's wins.
	Layers []Package
	// Architecture is x86_64 or arm64; empty means the machine's.
	Architecture string
	// TmpMB is the size of /tmp; zero means 512.
	TmpMB int
	// Reserved is the function's reserved concurrency, over all its versions; nil when it has none. Zero lets nothing run.
	Reserved *int
	// JSONLogs asks for log lines in JSON. AppLogLevel and SystemLogLevel are Lambda's names of levels, empty unless JSONLogs is set.
	JSONLogs                    bool
	AppLogLevel, SystemLogLevel string
	// SnapStart: environments start from a snapshot of one that is initialised.
	SnapStart bool
}

// Package is a zip file that Config.Package opens.
type Package struct {
	// ID is what it is found by, SHA its SHA-256 in hexadecimal.
	ID, SHA string
	// ARN names the layer version, for error messages.
	ARN string
}

// Invocation is one event for a function.
type Invocation struct {
	// RequestID is the invocation's identifier, a UUID.
	RequestID string
	// Payload is the event, JSON.
	Payload []byte
	// ClientContext is the JSON that the caller sent as X-Amz-Client-Context, decoded from base64; empty when there was none.
	ClientContext []byte
	// InvokedARN is the ARN that the caller named, with its qualifier; empty means the function's.
	InvokedARN string
	// TraceID is the X-Ray trace header; empty when there is none.
	TraceID string
	// Tail asks for Result.LogTail.
	Tail bool
	// Identity is the JSON of the Cognito identity that calls; empty when there is none.
	Identity []byte
	// Stream receives the answer as it is produced. Result.Payload is then empty unless FunctionError is set. Nil: the answer is collected.
	Stream Stream
}

// Stream receives an answer while the function produces it. It is called by one goroutine at a time.
type Stream interface {
	// Begin is called once, before anything is written: with the media type that the function gave its answer, and whether the function streams it; a
	// function that does not is written in one piece.
	Begin(mediaType string, streamed bool) error
	io.Writer
}

// Provision says how provisioned concurrency of a function version stands.
type Provision struct {
	// Requested is what was asked for; Allocated environments exist, Available of them are initialised.
	Requested, Allocated, Available int
	// Failure is why environments cannot be made; empty while they can.
	Failure string
}

// Result is how an invocation ended. A failure of the function is a Result with FunctionError set, not an error.
type Result struct {
	// Payload is the function's answer, or Lambda's error document when FunctionError is set.
	Payload []byte
	// FunctionError is empty or "Unhandled".
	FunctionError string
	// LogTail is the last 4 KB of the invocation's log lines when Invocation.Tail asked for them.
	LogTail []byte
	// Cold reports that an environment was started for this invocation.
	Cold bool
	// Duration is what the handler took, Billed the same with Init added and rounded up to a millisecond, Init the time the
	// environment took to start; zero when it was warm.
	Duration, Billed, Init time.Duration
	// Restore is what it took to start the environment from a snapshot; zero when it was warm, or started otherwise.
	Restore time.Duration
	// MaxMemoryMB is the largest resident size of the environment's main process so far.
	MaxMemoryMB int
}

// Credentials are what the function's SDK signs with.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	// Expires is when they end; environments are replaced before. The zero time means never.
	Expires time.Time
}

// LogValue keeps the secrets out of logs.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.AccessKeyID) }

// String keeps the secrets out of formatted text.
func (c Credentials) String() string { return c.AccessKeyID }

// Environment identifies one execution environment to what lies outside the engine.
type Environment struct {
	// ID is unique among all environments that ever were: 32 hexadecimal digits, also the end of the log stream's name.
	ID       string
	Function Function
	// Credentials are those the environment was started with.
	Credentials Credentials
	// LogStream is the name of the environment's log stream.
	LogStream string
}

// LogLine is one log event.
type LogLine struct {
	Time time.Time
	// Text has no newline at its end.
	Text string
}

// LogBatch is log lines of one environment, in order.
type LogBatch struct {
	Account, Region string
	Group, Stream   string
	Lines           []LogLine
}

// Trust lets functions reach the endpoint under the names of AWS.
type Trust struct {
	// TLS is the server's side of such connections.
	TLS *tls.Config
	// Certificates are the CA certificates (PEM) that functions trust.
	Certificates []byte
}

// Config is what an engine needs of its surroundings. Clock, Dir and Code are required.
type Config struct {
	Clock clock.Clock
	// Log receives the engine's own messages; nil discards them.
	Log *slog.Logger
	// Dir is the engine's data folder: unpacked code, installed SDKs. It is created when missing.
	Dir string
	// SDKDir is where SDKs are installed instead; it outlives the engine's data. Dir when empty.
	SDKDir string
	// Package opens a layer's zip file. The engine closes it. Nil: functions with layers fail.
	Package func(ctx context.Context, fn Function, p Package) (io.ReaderAt, int64, io.Closer, error)
	// Code opens the deployment package (zip) of a function. The engine closes it.
	Code func(ctx context.Context, fn Function) (io.ReaderAt, int64, io.Closer, error)
	// Credentials returns temporary credentials of the function's role. Nil starts functions without credentials.
	Credentials func(ctx context.Context, fn Function) (Credentials, error)
	// Logs stores log lines. It is called by one goroutine at a time for one environment; what it refuses is lost and reported to Log.
	// Nil discards them.
	Logs func(ctx context.Context, batch LogBatch) error
	// Endpoint returns what the function reaches at AWS_ENDPOINT_URL. Nil gives it no endpoint.
	Endpoint func(env Environment) http.Handler
	// EndpointAddr is the loopback address, inside the environment, of Endpoint: "127.0.0.1:4566" when empty.
	EndpointAddr string
	// Progress receives what a person should see, such as "installing boto3 …". Nil discards it. It may be called from any goroutine.
	Progress func(message string)
	// Isolation is how far functions are kept apart: fully, unless it says otherwise.
	Isolation sandbox.Isolation
	// First is the program of sandboxes' first processes, which calls sandbox.Main and is smaller than this one. Nil: this one.
	First []byte
	// MaxEnvironments bounds the environments that exist at once; zero means as many as the machine has memory for, 1,000 at most.
	MaxEnvironments int
	// MaxConcurrency bounds the invocations that run at once in one account and region; zero means 1,000, Lambda's default.
	MaxConcurrency int
	// AllowHosts are the addresses (HOST:PORT) that functions reach though they are the machine's own or otherwise refused.
	AllowHosts []string
	// Trust is called once, before the first function starts, and says how functions reach the endpoint under the names of AWS. Nil leaves those names
	// to the internet.
	Trust func() (Trust, error)
	// Segments receives the X-Ray segment documents (JSON objects of at most 64 KB) that functions send. It is called from any goroutine and must not block.
	// Nil: functions have no X-Ray daemon.
	Segments func(env Environment, document []byte)
	// ClosedNetworks refuses functions private networks, as relay.Config.Private does.
	ClosedNetworks bool
	// NoAhead turns Ahead off.
	NoAhead bool
	// MaxResponse bounds a function's answer in bytes; zero means Lambda's 6 MB.
	MaxResponse int64
	// IdleTimeout is how long an unused environment is kept; zero means five minutes.
	IdleTimeout time.Duration
	// MaxWait is how long a caller waits for an environment before it gets TooManyRequestsException; zero means thirty seconds.
	MaxWait time.Duration
}
