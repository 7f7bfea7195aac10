package telemetry

import "time"

// Kinds of events. Those of lines are the categories themselves.
const (
	kindFunction  = "function"
	kindExtension = "extension"

	KindInitStart             = "platform.initStart"
	KindInitRuntimeDone       = "platform.initRuntimeDone"
	KindInitReport            = "platform.initReport"
	KindStart                 = "platform.start"
	KindRuntimeDone           = "platform.runtimeDone"
	KindReport                = "platform.report"
	KindEnd                   = "platform.end" // Logs API alone
	KindRestoreStart          = "platform.restoreStart"
	KindRestoreRuntimeDone    = "platform.restoreRuntimeDone"
	KindRestoreReport         = "platform.restoreReport"
	KindExtension             = "platform.extension"
	KindTelemetrySubscription = "platform.telemetrySubscription"
	KindLogsSubscription      = "platform.logsSubscription" // Logs API alone
	KindLogsDropped           = "platform.logsDropped"
	KindFault                 = "platform.fault" // Logs API alone; its record is a string
)

// Values of the records' fields.
const (
	OnDemand               = "on-demand"
	ProvisionedConcurrency = "provisioned-concurrency"
	SnapStart              = "snap-start"

	PhaseInit   = "init"
	PhaseInvoke = "invoke" // an initialisation that is made again within an invocation

	StatusSuccess = "success"
	StatusFailure = "failure" // the environment did not survive
	StatusError   = "error"   // the function reported an error
	StatusTimeout = "timeout"

	SpanLatency  = "responseLatency"
	SpanDuration = "responseDuration"
)

// Milliseconds is a duration as the records have it, with three decimals.
type Milliseconds float64

// Millis converts d.
func Millis(d time.Duration) Milliseconds { return Milliseconds(float64(d.Microseconds()) / 1000) }

// Time is t as events have it.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// InitStart is the record of KindInitStart and, without the first two fields, of KindRestoreStart.
type InitStart struct {
	InitializationType string `json:"initializationType,omitempty"`
	Phase              string `json:"phase,omitempty"`
	FunctionName       string `json:"functionName,omitempty"`
	FunctionVersion    string `json:"functionVersion,omitempty"`
	// InstanceID is the log stream's name, InstanceMaxMemory the function's memory in MB.
	InstanceID        string        `json:"instanceId,omitempty"`
	InstanceMaxMemory int           `json:"instanceMaxMemory,omitempty"`
	RuntimeVersion    string        `json:"runtimeVersion,omitempty"`
	RuntimeVersionARN string        `json:"runtimeVersionArn,omitempty"`
	Tracing           *TraceContext `json:"tracing,omitempty"`
}

// InitRuntimeDone is the record of KindInitRuntimeDone and, without the first two fields, of KindRestoreRuntimeDone.
type InitRuntimeDone struct {
	InitializationType string        `json:"initializationType,omitempty"`
	Phase              string        `json:"phase,omitempty"`
	Status             string        `json:"status"`
	ErrorType          string        `json:"errorType,omitempty"`
	Spans              []Span        `json:"spans,omitempty"`
	Tracing            *TraceContext `json:"tracing,omitempty"`
}

// InitReport is the record of KindInitReport and, without the first two fields, of KindRestoreReport.
type InitReport struct {
	InitializationType string        `json:"initializationType,omitempty"`
	Phase              string        `json:"phase,omitempty"`
	Status             string        `json:"status,omitempty"`
	ErrorType          string        `json:"errorType,omitempty"`
	Metrics            InitMetrics   `json:"metrics"`
	Spans              []Span        `json:"spans,omitempty"`
	Tracing            *TraceContext `json:"tracing,omitempty"`
}

// InitMetrics is what an initialisation took.
type InitMetrics struct {
	Duration Milliseconds `json:"durationMs"`
}

// Start is the record of KindStart.
type Start struct {
	RequestID string        `json:"requestId"`
	Version   string        `json:"version,omitempty"`
	Tracing   *TraceContext `json:"tracing,omitempty"`
}

// End is the record of KindEnd.
type End struct {
	RequestID string `json:"requestId"`
}

// RuntimeDone is the record of KindRuntimeDone.
type RuntimeDone struct {
	RequestID string              `json:"requestId"`
	Status    string              `json:"status"`
	ErrorType string              `json:"errorType,omitempty"`
	Metrics   *RuntimeDoneMetrics `json:"metrics,omitempty"`
	Spans     []Span              `json:"spans,omitempty"`
	Tracing   *TraceContext       `json:"tracing,omitempty"`
}

// RuntimeDoneMetrics is what the runtime took, and the size of its answer in bytes.
type RuntimeDoneMetrics struct {
	Duration      Milliseconds `json:"durationMs"`
	ProducedBytes int64        `json:"producedBytes"`
}

// Report is the record of KindReport.
type Report struct {
	RequestID string        `json:"requestId"`
	Status    string        `json:"status"`
	ErrorType string        `json:"errorType,omitempty"`
	Metrics   ReportMetrics `json:"metrics"`
	Spans     []Span        `json:"spans,omitempty"`
	Tracing   *TraceContext `json:"tracing,omitempty"`
}

// ReportMetrics are the figures of a REPORT line.
type ReportMetrics struct {
	Duration       Milliseconds `json:"durationMs"`
	BilledDuration int64        `json:"billedDurationMs"`
	MemorySize     int          `json:"memorySizeMB"`
	MaxMemoryUsed  int          `json:"maxMemoryUsedMB"`
	Init           Milliseconds `json:"initDurationMs,omitempty"`
	Restore        Milliseconds `json:"restoreDurationMs,omitempty"`
}

// Extension is the record of KindExtension.
type Extension struct {
	Name      string   `json:"name"`
	State     string   `json:"state"`
	Events    []string `json:"events"`
	ErrorType string   `json:"errorType,omitempty"`
}

// Subscription is the record of KindTelemetrySubscription and KindLogsSubscription.
type Subscription struct {
	Name  string   `json:"name"`
	State string   `json:"state"`
	Types []string `json:"types"`
}

// LogsDropped is the record of KindLogsDropped.
type LogsDropped struct {
	Reason  string `json:"reason"`
	Records int    `json:"droppedRecords"`
	Bytes   int    `json:"droppedBytes"`
}

// Span is a part of what is reported.
type Span struct {
	Name string `json:"name"`
	// Start is what Time makes of a time.
	Start    string       `json:"start"`
	Duration Milliseconds `json:"durationMs"`
}

// TraceContext is an X-Ray trace header.
type TraceContext struct {
	SpanID string `json:"spanId,omitempty"`
	Type   string `json:"type"`
	Value  string `json:"value"`
}

// Trace returns the context of a trace header; nil when there is none.
func Trace(header string) *TraceContext {
	if header == "" {
		return nil
	}
	return &TraceContext{Type: "X-Amzn-Trace-Id", Value: header}
}
