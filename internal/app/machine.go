package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"croft/internal/engine/sandbox"
)

func isAddrInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// Isolation is what a user wants of the isolation of functions.
type Isolation string

const (
	// IsolationAuto is full isolation on Linux, where functions that cannot have it are refused, and reduced isolation elsewhere.
	IsolationAuto Isolation = "auto"
	// IsolationRequired is full isolation with every limit held by the kernel, or no cloud.
	IsolationRequired Isolation = "required"
	// IsolationNone is reduced isolation.
	IsolationNone Isolation = "none"
)

// isolate decides which isolation functions get. able is asked only where the answer decides.
func isolate(ctx context.Context, want Isolation, able func(context.Context) sandbox.Able) (sandbox.Isolation, error) {
	switch want {
	case "", IsolationAuto:
		return sandbox.Default(), nil
	case IsolationNone:
		return sandbox.Reduced, nil
	case IsolationRequired:
		if missing := required(able(ctx)); len(missing) > 0 {
			return 0, fmt.Errorf("full isolation is required and cannot be had: %s. croft doctor says more", strings.Join(missing, "; "))
		}
		return sandbox.Full, nil
	}
	return 0, fmt.Errorf("the isolation %q is none of auto, required, none", want)
}

// required says what of the machine is missing that keeps a function from others, and the machine from a function. The network device is not part of it:
// without one a function reaches less.
func required(a sandbox.Able) []string {
	if a.Namespaces != "" {
		return []string{strings.TrimSuffix(a.Namespaces, ".")}
	}
	var out []string
	for _, l := range []struct{ what, missing string }{
		{"the kernel limits no memory", a.MemoryLimit}, {"the kernel limits no processes", a.ProcessLimit}, {"the kernel shares out no processors", a.CPUShare},
	} {
		if l.missing != "" {
			out = append(out, l.what+": "+l.missing)
		}
	}
	return out
}

// isolation says why functions cannot be isolated on this machine, or nothing when they can, and then, a line each, with what they do without.
func isolation(a sandbox.Able) (impossible string, less []string) {
	if a.Namespaces != "" {
		return a.Namespaces, nil
	}
	for _, l := range []struct{ missing, line string }{
		{a.Tunnel, "functions reach this cloud and nothing else, neither the internet nor databases: there is no network device"},
		{a.MemoryLimit, "the memory of functions is looked at 20 times a second instead of being limited by the kernel"},
		{a.ProcessLimit, "the processes of functions are limited for each program, not for each function"},
		{a.CPUShare, "functions have no share of the processors by their MemorySize: all compete alike"},
	} {
		if l.missing != "" {
			less = append(less, l.line)
		}
	}
	return "", less
}
