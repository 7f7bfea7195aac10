// Package runtimes knows the languages: which interpreter of the machine runs a runtime of Lambda, what of the machine that interpreter
// needs to see, and how to start it so that it serves the function's events.
package runtimes

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/engine/sandbox"
)

// Places inside a sandbox.
const (
	// TaskRoot is where the function's code lies.
	TaskRoot = "/var/task"
	// RuntimeDir is where the language's bootstrap lies.
	RuntimeDir = "/var/runtime"
)

// Host is what runtimes need of the engine.
type Host struct {
	Clock clock.Clock
	Log   *slog.Logger
	// Dir is the engine's data folder.
	Dir string
	// SDKDir is where SDKs are installed; Dir when empty.
	SDKDir string
	// Progress shows a message to the person at the terminal.
	Progress func(message string)
}

// Launch is how a function's process starts.
type Launch struct {
	Args  []string
	Binds []sandbox.Bind
	// Env are variables that the language brings; the function's own win over them.
	Env map[string]string
	// Version is that of the interpreter, such as "3.12.1".
	Version string
}

// Runtime is one language. Its methods are safe for concurrent use.
type Runtime interface {
	// Names returns the identifiers that the Lambda API has for the language's versions.
	Names() []string
	// Prepare returns how to start a function of the runtime called name whose unpacked package is the folder code. It may
	// take long the first time, when something must be installed. The error is a *cloud.Error when the machine lacks something.
	Prepare(ctx context.Context, name, code string) (*Launch, error)
}

// Set is all runtimes.
type Set struct{ byName map[string]Runtime }

// NewSet returns the runtimes of All.
func NewSet(h Host) *Set {
	s := &Set{byName: map[string]Runtime{}}
	for _, r := range All(h) {
		for _, name := range r.Names() {
			s.byName[name] = r
		}
	}
	return s
}

// Names returns the identifiers of all runtimes that can run.
func Names() []string {
	var out []string
	for _, r := range All(Host{}) {
		out = append(out, r.Names()...)
	}
	return out
}

// Prepare is Runtime.Prepare of the runtime called name. For a runtime that croft does not have the error names it.
func (s *Set) Prepare(ctx context.Context, name, code string) (*Launch, error) {
	r, ok := s.byName[name]
	if !ok {
		return nil, &cloud.Error{
			Code:    "InvalidRuntimeException",
			Status:  502,
			Message: fmt.Sprintf("The runtime %s is not implemented; these are: %s", name, strings.Join(Names(), ", ")),
		}
	}
	return r.Prepare(ctx, name, code)
}

// lacking is the error for something that the machine does not have.
func lacking(cause error, format string, args ...any) *cloud.Error {
	return &cloud.Error{Code: "ServiceException", Status: 500, Message: fmt.Sprintf(format, args...), Cause: cause}
}
