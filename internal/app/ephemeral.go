package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const ephemeralPrefix = "croft-ephemeral-"

// ephemeralDir makes the folder of a cloud that keeps nothing, and removes those of clouds that were killed before they could do
// it themselves. The folder's name begins with the id of its process.
func ephemeralDir() (string, error) {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), ephemeralPrefix+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range left {
		text, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), ephemeralPrefix), "-")
		pid, err := strconv.Atoi(text)
		if err == nil && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // somebody else's, if it fails
		}
	}
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-*", ephemeralPrefix, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("cannot make a folder for an ephemeral cloud: %w", err)
	}
	return dir, nil
}
