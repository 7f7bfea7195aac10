package engine

import (
	"strings"

	"croft/internal/engine/runtimeapi/telemetry"
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
	levelNone level = iota // in no JSON log
	levelDebug
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

// line is an event in JSON logs.
type line struct {
	Time   string `json:"time"`
	Kind   string `json:"type"`
	Record any    `json:"record"`
}

// report logs an event and tells the extensions.
func (env *environment) report(ev event) {
	now := env.e.cfg.Clock.Now()
	switch {
	case !env.Function.JSONLogs:
		env.logs.add(ev.text)
	case ev.level >= levelOf(env.Function.SystemLogLevel):
		env.logs.add(string(encode(line{telemetry.Time(now), ev.kind, ev.record})))
	}
	if env.process != nil {
		env.process.api.Telemetry().Platform(now, ev.kind, ev.record)
	}
}

// reportExtensions says which extensions there are, once the environment is initialised.
func (env *environment) reportExtensions() {
	for _, x := range env.process.api.Extensions() {
		env.report(event{
			kind: telemetry.KindExtension, level: levelInfo,
			text:   "EXTENSION\tName: " + x.Name + "\tState: " + string(x.State) + "\tEvents: [" + strings.Join(x.Events, ", ") + "]",
			record: telemetry.Extension{Name: x.Name, State: string(x.State), Events: x.Events},
		})
	}
}
