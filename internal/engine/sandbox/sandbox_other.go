//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"os"
	"runtime"
)

// Default is the isolation that functions get on this system unless the user says otherwise.
func Default() Isolation { return Reduced }

func unsupported() error {
	return impossible("run a function on "+runtime.GOOS, errors.ErrUnsupported,
		"Full isolation needs Linux: use a Linux machine or virtual machine, or reduced isolation")
}

// Check reports that this system has no full isolation.
func Check(context.Context) error { return unsupported() }

// Abilities says that this system has none.
func Abilities(context.Context) Able {
	why := Reason(unsupported())
	return Able{Namespaces: why, Tunnel: why, MemoryLimit: why, ProcessLimit: why, CPUShare: why, Freeze: why}
}

// isolated is what this system does not have.
type isolated struct{ Shell }

func prepareIsolated(context.Context, Base) (*isolated, error) { return nil, unsupported() }

// stage does nothing: on this system there are no stages but the plain one.
func stage(string) {}

// self is the path of this program, to be started again.
func self() (string, error) { return os.Executable() }

// peakOf returns 0: this system tells the peak of a process when it ends, and not before.
func peakOf(int) int64 { return 0 }

// residentBelow returns 0: the limit of memory is Linux's alone.
func residentBelow(int) int64 { return 0 }

// maxrssUnit is the unit, in bytes, of a process's largest resident size in its resource usage.
const maxrssUnit = 1

func plainSystemLimits() error { return nil }

// MachineMemory returns 0: it is not known.
func MachineMemory() int64 { return 0 }
