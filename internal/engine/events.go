package engine

import (
	"time"
)

// event is something that the platform reports of an environment: as a line of its log, as a JSON document when the function asked for those, and to
// the extensions that subscribed. Kinds and records are those of the Telemetry API's event reference.
type event struct {
	kind   string
	text   string // empty: in JSON logs and telemetry alone
	level  level
	record any
}

// level is a level of system logs. Source: Lambda Developer Guide, "System log level event mapping".
type level int

const (
	levelDebug level = iota
	levelInfo
	levelWarn
)

func levelOf(name string) level {
	switch name {
	case "DEBUG":
		return levelDebug
	case "WARN":
		return levelWarn
	}
	return levelInfo
}

// The records, by their fields' names in documents.
type (
	initStartRecord struct {
		InitializationType string `json:"initializationType"`
		Phase              string `json:"phase"`
		RuntimeVersion     string `json:"runtimeVersion,omitempty"`
		RuntimeVersionARN  string `json:"runtimeVersionArn,omitempty"`
		FunctionName       string `json:"functionName,omitempty"`
		FunctionVersion    string `json:"functionVersion,omitempty"`
	}
	initDoneRecord struct {
		InitializationType string       `json:"initializationType"`
		Phase              string       `json:"phase"`
		Status             string       `json:"status"`
		ErrorType          string       `json:"errorType,omitempty"`
		Metrics            *initMetrics `json:"metrics,omitempty"`
	}
	initMetrics struct {
		Duration float64 `json:"durationMs"`
	}
	startRecord struct {
		RequestID string `json:"requestId"`
		Version   string `json:"version,omitempty"`
	}
	runtimeDoneRecord struct {
		RequestID string          `json:"requestId"`
		Status    string          `json:"status"`
		ErrorType string          `json:"errorType,omitempty"`
		Metrics   *runtimeMetrics `json:"metrics,omitempty"`
	}
	runtimeMetrics struct {
		Duration      float64 `json:"durationMs"`
		ProducedBytes int     `json:"producedBytes"`
	}
	reportRecord struct {
		RequestID string        `json:"requestId"`
		Status    string        `json:"status"`
		ErrorType string        `json:"errorType,omitempty"`
		Metrics   reportMetrics `json:"metrics"`
	}
	reportMetrics struct {
		Duration  float64 `json:"durationMs"`
		Billed    int64   `json:"billedDurationMs"`
		Memory    int     `json:"memorySizeMB"`
		MaxMemory int     `json:"maxMemoryUsedMB"`
		Init      float64 `json:"initDurationMs,omitempty"`
	}
	extensionRecord struct {
		Name   string   `json:"name"`
		State  string   `json:"state"`
		Events []string `json:"events"`
	}
)

// line is an event in JSON logs.
type line struct {
	Time   string `json:"time"`
	Kind   string `json:"type"`
	Record any    `json:"record"`
}

const eventTime = "2006-01-02T15:04:05.000Z"

// report logs an event and tells the extensions.
func (env *environment) report(ev event) {
	now := env.e.cfg.Clock.Now()
	switch {
	case !env.Function.JSONLogs:
		env.logs.add(ev.text)
	case ev.level >= levelOf(env.Function.SystemLogLevel):
		env.logs.add(string(encode(line{now.UTC().Format(eventTime), ev.kind, ev.record})))
	}
	if env.process != nil {
		env.process.api.Telemetry().Platform(now, ev.kind, ev.record)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
