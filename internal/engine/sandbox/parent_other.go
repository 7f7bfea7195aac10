//go:build !linux

package sandbox

import "context"

// Parent is what this system does not have: everything starts fresh.
type Parent struct{}

// StartParent reports that.
func StartParent(context.Context, Program) (*Parent, error) { return nil, unsupported() }

// Hello returns nil.
func (p *Parent) Hello() []byte { return nil }

// Memory returns 0.
func (p *Parent) Memory() int64 { return 0 }

// Done returns a channel that never closes.
func (p *Parent) Done() <-chan struct{} { return nil }

// Close does nothing.
func (p *Parent) Close() {}
