package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
		if missing := required(able(ctx)); missing != "" {
			return 0, fmt.Errorf("full isolation is required and cannot be had: %s. croft doctor says what to do", missing)
		}
		return sandbox.Full, nil
	}
	return 0, fmt.Errorf("the isolation %q is none of auto, required, none", want)
}

// required says what of the machine is missing that keeps a function from others, and the machine from a function; empty when nothing is. The network
// device is not part of it: without one a function reaches less.
func required(a sandbox.Able) string {
	if a.Namespaces != "" {
		return strings.TrimSuffix(a.Namespaces, ".")
	}
	var missing []string
	for _, l := range unlimited(a) {
		cause := l.missing[strings.LastIndex(l.missing, ": ")+1:] // what comes before is a path
		missing = append(missing, l.what+" ("+strings.TrimSpace(cause)+")")
	}
	if len(missing) == 0 {
		return ""
	}
	return "the kernel does not limit " + strings.Join(missing, ", ")
}

// unlimit is something that the kernel does not limit here, and why.
type unlimit struct{ what, missing string }

func unlimited(a sandbox.Able) []unlimit {
	all := []unlimit{{"memory", a.MemoryLimit}, {"processes", a.ProcessLimit}, {"processors", a.CPUShare}}
	return slices.DeleteFunc(all, func(l unlimit) bool { return l.missing == "" })
}

// isolation says why functions cannot be isolated on this machine, or nothing when they can, and then, a line each, with what they do without.
func isolation(a sandbox.Able) (impossible string, less []string) {
	if a.Namespaces != "" {
		return a.Namespaces, nil
	}
	if a.Tunnel != "" {
		less = append(less, "there is no network device: functions reach this cloud and nothing else, neither the internet nor databases")
	}
	var limits []string
	for _, l := range unlimited(a) {
		limits = append(limits, l.what)
	}
	if len(limits) > 0 {
		line := "the kernel does not limit what functions take of " + strings.Join(limits, ", ")
		if a.MemoryLimit != "" {
			line += "; croft looks at their memory 20 times a second"
		}
		less = append(less, line)
	}
	return "", less
}
