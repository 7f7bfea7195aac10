package lambda

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/blob"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/kv"
	"croft/internal/wire"
)

// function is the stored form of one version of a function. That of $LATEST also holds what belongs to the function as a whole.
type function struct {
	// Number is a published version's, zero for $LATEST.
	Number         int64             `json:"number,omitempty"`
	Name           string            `json:"name"`
	Runtime        string            `json:"runtime"`
	Role           string            `json:"role"`
	Handler        string            `json:"handler"`
	Description    string            `json:"description,omitempty"`
	Timeout        int32             `json:"timeout"`
	Memory         int32             `json:"memory"`
	Environment    map[string]string `json:"environment"` // nil when none was given, which answers show
	Architecture   string            `json:"architecture"`
	LogGroup       string            `json:"logGroup,omitempty"`
	LogFormat      string            `json:"logFormat,omitempty"` // empty means Text
	AppLogLevel    string            `json:"appLogLevel,omitempty"`
	SystemLogLevel string            `json:"systemLogLevel,omitempty"`
	TmpMB          int32             `json:"tmpMb,omitempty"`   // zero means 512
	Tracing        string            `json:"tracing,omitempty"` // empty means PassThrough
	Layers         []functionLayer   `json:"layers,omitempty"`
	// DeadLetter is the ARN of the queue or topic for failed events.
	DeadLetter string `json:"deadLetter,omitempty"`
	SnapStart  bool   `json:"snapStart,omitempty"` // on published versions
	// UpdateRuntimeOn is Auto or FunctionUpdate; empty means Auto.
	UpdateRuntimeOn string `json:"updateRuntimeOn,omitempty"`
	// CodeID is the deployment package's id in the blob store, CodeSHA its SHA-256 in hexadecimal.
	CodeID   string            `json:"codeId"`
	CodeSHA  string            `json:"codeSha"`
	CodeSize int64             `json:"codeSize"`
	Tags     map[string]string `json:"tags,omitempty"`
	Modified time.Time         `json:"modified"`
	// Revision is what clients see; it changes with everything. Generation changes with what the function's processes can see.
	Revision   string `json:"revision"`
	Generation string `json:"generation"`
	whole
}

// whole is what belongs to a function and not to one of its versions.
type whole struct {
	// Published is the number of the version that was published last, and PublishedAs the fingerprint that $LATEST had then.
	Published   int64  `json:"published,omitempty"`
	PublishedAs string `json:"publishedAs,omitempty"`
	// Reserved is the reserved concurrency; nil when there is none.
	Reserved *int32 `json:"reserved,omitempty"`
	// Recursion is Allow or Terminate; empty means Terminate.
	Recursion string `json:"recursion,omitempty"`
}

// version returns the name of the version: $LATEST or a number.
func (f *function) version() string {
	if f.Number == 0 {
		return latest
	}
	return strconv.FormatInt(f.Number, 10)
}

// Defaults and limits. Source: Lambda Developer Guide, "Lambda quotas", and the API Reference.
const (
	defaultTimeout = 3
	maxTimeout     = 900
	defaultMemory  = 128
	maxMemory      = 10240
	maxTags        = 50
	storageMB      = 512
)

func (f *function) code() blob.Ref {
	return blob.Ref{ID: f.CodeID, SHA256: f.CodeSHA, Size: f.CodeSize}
}

func (f *function) setCode(r blob.Ref) { f.CodeID, f.CodeSHA, f.CodeSize = r.ID, r.SHA256, r.Size }

// changed gives the function a new revision and, when its processes could tell, a new generation.
func (f *function) changed(now time.Time, visible bool) {
	f.Revision = cloud.NewRequestID()
	if visible {
		f.Generation, f.Modified = cloud.NewRequestID(), now
	}
}

func (f *function) logGroup() string {
	if f.LogGroup != "" {
		return f.LogGroup
	}
	return "/aws/lambda/" + f.Name
}

// toEngine returns what the engine must know to run the function.
func (f *function) toEngine(r reference) engine.Function {
	return engine.Function{
		ARN: r.arn(), Name: f.Name, Version: f.version(), Account: r.account, Region: r.region,
		Runtime: f.Runtime, Handler: f.Handler, Role: f.Role, MemoryMB: int(f.Memory),
		Timeout: time.Duration(f.Timeout) * time.Second, Env: f.Environment, LogGroup: f.logGroup(),
		CodeSHA: f.CodeSHA, CodeID: f.CodeID, Revision: f.Generation,
		Layers: enginePackages(f.Layers), TmpMB: int(f.tmpMB()), SnapStart: f.SnapStart && f.Number != 0,
		JSONLogs: f.LogFormat == lambda.LogFormatJSON, AppLogLevel: f.AppLogLevel, SystemLogLevel: f.SystemLogLevel,
	}
}

// loadFunction returns a function's $LATEST, or nil.
func loadFunction(r kv.Reader, name string) (*function, error) {
	return loadAt(r, functionKey(name), decodeFunction)
}

// loadVersion returns a published version, or nil.
func loadVersion(r kv.Reader, name string, number int64) (*function, error) {
	return loadAt(r, versionKey(name, number), decodeFunction)
}

func loadAt(r kv.Reader, key kv.Key, decode func([]byte) (*function, error)) (*function, error) {
	v, err := r.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decode(v)
}

func decodeFunction(value []byte) (*function, error) {
	f := new(function)
	if err := json.Unmarshal(value, f); err != nil {
		return nil, fmt.Errorf("lambda: damaged function: %w", err)
	}
	if f.CodeID == "" { // a former version found packages by their hash
		f.CodeID = f.CodeSHA
	}
	return f, nil
}

// storeFunction stores a function's $LATEST or one of its versions.
func storeFunction(w kv.Writer, f *function) error {
	v, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("lambda: %w", err)
	}
	if f.Number != 0 {
		return w.Put(versionKey(f.Name, f.Number), v)
	}
	return w.Put(functionKey(f.Name), v)
}

// phase is what an answer says of a function's progress. The change itself is complete when the answer is sent; AWS's is not, and its
// clients know how to wait.
type phase int

const (
	settled phase = iota
	creating
	updating
	listed
)

// configuration returns the function as answers show it.
func (f *function) configuration(arn string, p phase) *lambda.FunctionConfiguration {
	c := &lambda.FunctionConfiguration{
		FunctionName: &f.Name, FunctionArn: &arn, Runtime: &f.Runtime, Role: &f.Role, Handler: &f.Handler,
		CodeSize: &f.CodeSize, CodeSha256: wire.Ptr(codeDigest(f.CodeSHA)), Description: &f.Description,
		Timeout: &f.Timeout, MemorySize: &f.Memory, Version: wire.Ptr(f.version()), RevisionId: &f.Revision,
		LastModified:     wire.Ptr(f.Modified.UTC().Format("2006-01-02T15:04:05.000+0000")),
		PackageType:      wire.Ptr(lambda.PackageTypeZip),
		Architectures:    []string{f.Architecture},
		EphemeralStorage: &lambda.EphemeralStorage{Size: f.tmpMB()},
		TracingConfig:    f.tracing(),
		SnapStart:        f.snapStart(),
		LoggingConfig:    f.logging(), Layers: layerAnswers(f.Layers),
	}
	if f.DeadLetter != "" {
		c.DeadLetterConfig = &lambda.DeadLetterConfig{TargetArn: &f.DeadLetter}
	}
	if f.Environment != nil {
		c.Environment = &lambda.EnvironmentResponse{Variables: f.Environment}
	}
	f.progress(c, p)
	return c
}

// progress fills in the state. While a change is under way on AWS, the function has a revision that is not its last one.
func (f *function) progress(c *lambda.FunctionConfiguration, p phase) {
	const reason, code = "The function is being created.", "Creating"
	switch p {
	case creating:
		c.State, c.StateReason, c.StateReasonCode = wire.Ptr("Pending"), wire.Ptr(reason), wire.Ptr(code)
		c.RevisionId = wire.Ptr(cloud.NewRequestID())
	case updating:
		c.State, c.LastUpdateStatus = wire.Ptr("Active"), wire.Ptr("InProgress")
		c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = wire.Ptr(reason), wire.Ptr(code)
		c.RevisionId = wire.Ptr(cloud.NewRequestID())
	case settled:
		c.State, c.LastUpdateStatus = wire.Ptr("Active"), wire.Ptr("Successful")
	case listed:
	}
}

// codeDigest turns a SHA-256 in hexadecimal into base64.
func codeDigest(sha string) string {
	b, err := hex.DecodeString(sha)
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(b)
}

// machine is the architecture of functions that name none.
func machine() string {
	if runtime.GOARCH == "arm64" {
		return lambda.ArchitectureArm64
	}
	return lambda.ArchitectureX86_64
}
