package app

import (
	"context"
	"errors"
	"syscall"

	"croft/internal/engine/sandbox"
)

func isAddrInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// isolation says why functions cannot be isolated on this machine, or nothing when they can.
func isolation(ctx context.Context) string {
	if err := sandbox.Check(ctx); err != nil {
		return err.Error()
	}
	return ""
}
