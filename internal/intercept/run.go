package intercept

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"croft/internal/clock"
)

// Options is what Run runs.
type Options struct {
	// Endpoint is the cloud's address, such as http://127.0.0.1:4566.
	Endpoint string
	// Path is the tool's program, and Args its arguments, the program's name first.
	Path string
	Args []string
	// Env is the tool's environment, to which Run adds what leads to the proxy. The proxies that it names itself are used for hosts that are not AWS's.
	Env []string
	// Note is told what the person should know. Nil means nobody.
	Note func(string)
}

// Run runs a tool on this process's own standard streams and terminal until it ends, and returns its exit code; one that a signal ended has
// 128 plus the signal's number. Signals to this process go on to the tool. The error is about starting it.
func Run(o Options) (code int, err error) {
	endpoint, err := url.Parse(o.Endpoint)
	if err != nil {
		return 0, err
	}
	// From here on no signal ends this process before the files are removed.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, passedOn()...)
	defer signal.Stop(signals)

	env := environment(o.Env)
	p, err := Start(Config{Endpoint: endpoint, Upstream: env.upstream(), Note: o.Note, Clock: clock.Real()})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	m, err := p.write(env)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, m.remove()) }()

	// Not exec.CommandContext: a tool ends by itself, or by the signals that it is sent.
	cmd := &exec.Cmd{Path: o.Path, Args: o.Args, Env: p.prepare(env, m), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("cannot run %s: %w", o.Path, err)
	}
	ctx, ended := context.WithCancel(context.Background())
	passing := make(chan struct{})
	go func() {
		defer close(passing)
		passOn(ctx, signals, cmd.Process)
	}()
	err = cmd.Wait()
	ended()
	<-passing
	return exitCode(cmd.ProcessState), ignoreExit(err)
}

func passedOn() []os.Signal {
	return []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}
}

// passOn sends the signals that come to this process to the tool. Those of the keyboard the terminal has sent to it already.
func passOn(ctx context.Context, signals <-chan os.Signal, to *os.Process) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			if (s == unix.SIGINT || s == unix.SIGQUIT) && inForeground() {
				continue
			}
			_ = to.Signal(s) // it may just have ended
		}
	}
}

// inForeground reports whether this process and the tool are what a terminal sends the keyboard's signals to.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

func exitCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// ignoreExit leaves out the error that says no more than the exit code.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}
