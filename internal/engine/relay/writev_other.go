//go:build !linux

package relay

import (
	"bytes"

	"golang.org/x/sys/unix"
)

func writev(fd int, parts [][]byte) (int, error) { return unix.Write(fd, bytes.Join(parts, nil)) }
