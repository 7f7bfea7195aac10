package runtimes

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
)

const (
	installTime = 5 * time.Minute
	// retryAfter is how long a failed installation is not tried again.
	retryAfter = time.Minute
	// maxScan bounds what is read of a package to see whether it uses the SDK; a larger package is taken to.
	maxScan = 64 << 20
)

// sdkInstaller gives functions boto3, which Lambda's Python runtimes have, where the interpreter has none.
type sdkInstaller struct {
	host   Host
	turn   chan struct{} // holds a token while one installs
	failed map[int]sdkFailure
}

type sdkFailure struct {
	at  time.Time
	err *cloud.Error
}

// folder returns the folder with the SDK for in, and installs it first when the function in the folder code uses it. It returns "" for a
// function that does not, so that nobody waits for, or fails over, what is not needed.
func (s *sdkInstaller) folder(ctx context.Context, in *interpreter, code string) (string, error) {
	dir := filepath.Join(cmp.Or(s.host.SDKDir, s.host.Dir), "python", fmt.Sprintf("3.%d", in.Minor))
	if installed(dir) {
		return dir, nil
	}
	needed, err := usesSDK(code)
	if err != nil || !needed {
		return "", err
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if installed(dir) {
		return dir, nil
	}
	now := s.host.Clock.Now()
	if f, ok := s.failed[in.Minor]; ok && now.Sub(f.at) < retryAfter {
		return "", f.err
	}
	if err := s.install(ctx, in, dir); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		failure := lacking(err, "The function uses boto3, which %s does not have, and it could not be installed: %v. Run: %s",
			in.Executable, err, strings.Join(installCommand(in, dir), " "))
		s.failed[in.Minor] = sdkFailure{at: now, err: failure}
		s.host.Progress(failure.Message)
		return "", failure
	}
	return dir, nil
}

func installed(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "boto3", "__init__.py"))
	return err == nil
}

// installCommand is what a person would run. Only wheels, so that installing runs no code of the packages.
func installCommand(in *interpreter, dir string) []string {
	return []string{in.Executable, "-m", "pip", "install", "--only-binary=:all:", "--target", dir, "boto3"}
}

func (s *sdkInstaller) install(ctx context.Context, in *interpreter, dir string) error {
	s.host.Progress(fmt.Sprintf("Installing boto3 for Python %s, once, into %s …", in.Version, dir))
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "installing-")
	if err != nil {
		return err
	}
	// Empty by then, unless the installation failed; what cannot be removed does no harm.
	defer func() { _ = os.RemoveAll(tmp) }()
	ctx, cancel := clock.WithTimeout(ctx, s.host.Clock, installTime)
	defer cancel()
	args := installCommand(in, tmp)
	cmd := exec.CommandContext(ctx, args[0], append(args[1:], "--quiet", "--no-input", "--disable-pip-version-check", "--retries=1")...)
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	// The person's own: proxies, certificates and indexes are configured there.
	cmd.Env = append(os.Environ(), "PYTHONNOUSERSITE=1")
	var out limitedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w%s", err, out.lastLine())
	}
	if err := readable(tmp); err != nil {
		return err
	}
	// The folder may be there, incomplete: a command that was interrupted.
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil && !installed(dir) {
		return err
	}
	s.host.Progress("boto3 is installed.")
	return nil
}

// readable lets every user read what was installed, whatever the server's umask.
func readable(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Chmod(path, 0o755)
		case d.Type().IsRegular():
			return os.Chmod(path, 0o644)
		}
		return nil
	})
}

// usesSDK reports whether the Python files under dir mention the SDK without bringing it.
func usesSDK(dir string) (bool, error) {
	if installed(dir) {
		return false, nil
	}
	left := int64(maxScan)
	found := false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(path) != ".py" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, left+1))
		if err != nil {
			return err
		}
		left -= int64(len(text))
		if left < 0 || bytes.Contains(text, []byte("boto3")) || bytes.Contains(text, []byte("botocore")) {
			found = true
			return fs.SkipAll
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("runtimes: the function's code has gone: %w", err)
	}
	return found, err
}

// limitedBuffer keeps the end of what is written to it.
type limitedBuffer struct{ buf []byte }

const maxOutput = 64 << 10

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.buf = append(b.buf, p...)
	if over := len(b.buf) - maxOutput; over > 0 {
		b.buf = b.buf[over:]
	}
	return len(p), nil
}

// lastLine returns ": " and the last line with text, or "".
func (b *limitedBuffer) lastLine() string {
	lines := strings.Split(strings.TrimSpace(string(b.buf)), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return ": " + last
	}
	return ""
}
