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
	// Isolation is that of the sandboxes. With sandbox.Reduced everything starts fresh.
	Isolation sandbox.Isolation
	// Progress shows a message to the person at the terminal.
	Progress func(message string)
}

// Request is a function that is to be started.
type Request struct {
	// Runtime and Handler are as the Lambda API has them.
	Runtime, Handler string
	// Code is the folder of the machine with the unpacked package, Layers that with the merged layers; Layers is empty when there are none.
	Code, Layers string
	// Env holds the function's own variables.
	Env map[string]string
	// Architecture is x86_64 or arm64; empty means the machine's.
	Architecture string
}

// Launch is how a function's process starts. It is shared and not changed.
type Launch struct {
	// Key is never empty. Launches with equal keys have equal Binds and Boot: a process that was started for one may serve the other.
	Key string
	// Version is that of the interpreter, such as "3.12.1".
	Version string
	Binds   []sandbox.Bind
	// Env are variables that the language brings; the function's own win over them.
	Env map[string]string
	// Frames says that the program speaks frames on descriptor 3; otherwise it speaks HTTP to the Runtime API.
	Frames bool
	// SDK is the folder, in the sandbox, of the SDK that the engine installed: for the assign frame. Empty without one.
	SDK string
	// Args is the program that starts fresh, with its environment complete at its start.
	Args []string
	// Boot is how a process is started before its function is known; nil when this function must start fresh.
	Boot *Boot
}

// Boot starts processes that wait for their function.
type Boot struct {
	// Parent returns the fork server, which it starts at the first use, and again when it has ended; that takes about a second. Nil: Args is executed.
	Parent func(ctx context.Context) (*sandbox.Parent, error)
	Args   []string
	// Env is the complete environment of a process that waits. Its function's comes with the assign frame.
	Env []string
	// Memory is what a waiting process costs in bytes, about.
	Memory int64
}

// Runtime is one language. Its methods are safe for concurrent use.
type Runtime interface {
	// Names returns the identifiers that the Lambda API has for the language's versions.
	Names() []string
	// Prepare returns how to start a function. It may take long the first time, when something must be installed. The error is a *cloud.Error when
	// the machine lacks something.
	Prepare(ctx context.Context, r Request) (*Launch, error)
	// Close ends the processes that the runtime keeps. Prepare is not called any more.
	Close()
}

// Set is all runtimes.
type Set struct {
	all    []Runtime
	byName map[string]Runtime
}

// NewSet returns the runtimes of All.
func NewSet(h Host) *Set {
	s := &Set{all: All(h), byName: map[string]Runtime{}}
	for _, r := range s.all {
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

// Prepare is Runtime.Prepare of the runtime that r names. For one that croft does not have the error names it.
func (s *Set) Prepare(ctx context.Context, r Request) (*Launch, error) {
	rt, ok := s.byName[r.Runtime]
	if !ok {
		return nil, &cloud.Error{
			Code:    "InvalidRuntimeException",
			Status:  502,
			Message: fmt.Sprintf("The runtime %s is not implemented; these are: %s", r.Runtime, strings.Join(Names(), ", ")),
		}
	}
	l, err := rt.Prepare(ctx, r)
	if err != nil {
		return nil, err
	}
	return withTools(l, r), nil
}

// Close ends the processes that the runtimes keep.
func (s *Set) Close() {
	for _, r := range s.all {
		r.Close()
	}
}

// lacking is the error for something that the machine does not have.
func lacking(cause error, format string, args ...any) *cloud.Error {
	return &cloud.Error{Code: "ServiceException", Status: 500, Message: fmt.Sprintf(format, args...), Cause: cause}
}
