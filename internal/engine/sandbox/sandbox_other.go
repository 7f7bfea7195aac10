//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
)

// Main does nothing on this system.
func Main() {}

// Process is a running sandbox; on this system there is none.
type Process struct{}

func unsupported() error {
	return impossible("run a function on "+runtime.GOOS, errors.ErrUnsupported,
		"Functions run on Linux: use a Linux machine or virtual machine")
}

// Check reports that this system has no sandbox.
func Check(context.Context) error { return unsupported() }

// Start reports that this system has no sandbox.
func Start(context.Context, Spec, *os.File) (*Process, error) { return nil, unsupported() }

// Listeners returns nothing.
func (p *Process) Listeners() []net.Listener { return nil }

// Done returns a channel that never closes.
func (p *Process) Done() <-chan struct{} { return nil }

// Exit returns nothing of meaning.
func (p *Process) Exit() Exit { return Exit{} }

// PeakMemory returns zero.
func (p *Process) PeakMemory() int64 { return 0 }

// Kill does nothing.
func (p *Process) Kill() {}
