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
	// IsolationRequired is full isolation, or no cloud.
	IsolationRequired Isolation = "required"
	// IsolationNone is reduced isolation.
	IsolationNone Isolation = "none"
)

// isolate decides which isolation functions get.
func isolate(ctx context.Context, want Isolation) (sandbox.Isolation, error) {
	switch want {
	case "", IsolationAuto:
		return sandbox.Default(), nil
	case IsolationNone:
		return sandbox.Reduced, nil
	case IsolationRequired:
		if err := sandbox.Check(ctx); err != nil {
			return 0, fmt.Errorf("full isolation is required and cannot be had: %s. croft doctor says more", strings.TrimSuffix(sandbox.Reason(err), "."))
		}
		return sandbox.Full, nil
	}
	return 0, fmt.Errorf("the isolation %q is none of auto, required, none", want)
}

// isolation says why functions cannot be isolated on this machine, or nothing when they can.
func isolation(ctx context.Context) string {
	if err := sandbox.Check(ctx); err != nil {
		return sandbox.Reason(err)
	}
	return ""
}
