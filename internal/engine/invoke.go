package engine

import (
	"context"
	"errors"
)

// Engine runs functions. It is safe for concurrent use.
type Engine struct{ cfg Config }

// New returns an engine that has no environments yet.
func New(cfg Config) (*Engine, error) {
	if cfg.Clock == nil || cfg.Dir == "" || cfg.Code == nil {
		return nil, errors.New("engine: Clock, Dir and Code are required")
	}
	return &Engine{cfg: cfg}, nil
}

// Invoke gives inv to an environment of fn and waits for the answer. When ctx ends first Invoke returns its error, and the function
// runs to its end all the same, as on Lambda.
func (e *Engine) Invoke(ctx context.Context, fn Function, inv Invocation) (*Result, error) {
	return nil, errors.New("engine: environments cannot be started")
}

// Retire ends all environments of the function, those in use once their invocation is over. It is called when a function is
// updated or deleted, and does not wait.
func (e *Engine) Retire(functionARN string) {}

// Close ends all environments, also those in use, and waits until nothing of them is left.
func (e *Engine) Close() error { return nil }
