package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// plainName is the name under which the program starts itself as the supervisor of a plain sandbox.
const plainName = "croft-plain"

// Descriptors that the supervisor inherits.
const (
	plainSpecFD = 3 + iota
	plainSayFD
	plainOutputFD
)

// plainMain is the supervisor. Its arguments are the sandbox's folder, which it removes when the server has gone, and the number of the program's
// files.
func plainMain() int {
	if len(os.Args) != 3 {
		return 1
	}
	files, err := strconv.Atoi(os.Args[2])
	if err != nil || files < 0 || files > maxFiles {
		return 1
	}
	for fd := plainSpecFD; fd <= plainOutputFD+files; fd++ {
		syscall.CloseOnExec(fd)
	}
	// Handled rather than ignored: the program would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	say := json.NewEncoder(os.NewFile(plainSayFD, "messages"))
	code := 0
	if err := supervise(os.NewFile(plainSpecFD, "specification"), say, os.Args[1], files); err != nil {
		m := plainMessage{Error: err.Error()}
		var errno syscall.Errno
		if strings.HasPrefix(m.Error, stepExecute) && errors.As(err, &errno) {
			m.Errno = int(errno)
		}
		// A server that is gone needs no message.
		_ = say.Encode(m)
		code = 1
	}
	// What the program left behind in the group, and this process with it.
	_ = syscall.Kill(0, syscall.SIGKILL)
	return code
}

// supervise runs the program to its end.
func supervise(life *os.File, say *json.Encoder, dir string, files int) error {
	var spec plainSpec
	if err := json.NewDecoder(io.LimitReader(life, maxSpec)).Decode(&spec); err != nil {
		return fmt.Errorf("read the specification: %w", err)
	}
	if len(spec.Args) == 0 {
		return errors.New("no program is given")
	}
	if err := plainLimits(spec); err != nil {
		return fmt.Errorf("set limits: %w", err)
	}
	output := os.NewFile(plainOutputFD, "output")
	// A program takes a full output that does not block for an error, and the server's poller wants its pipes so.
	if err := syscall.SetNonblock(plainOutputFD, false); err != nil {
		return err
	}
	if err := os.Chdir(orRoot(spec.Dir)); err != nil {
		return err
	}
	cmd := &exec.Cmd{Path: spec.Args[0], Args: spec.Args, Env: spec.Env, Stdout: output, Stderr: output}
	for n := range files {
		fd := plainOutputFD + 1 + n
		if err := syscall.SetNonblock(fd, false); err != nil {
			return err
		}
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(fd), "file"))
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", stepExecute, err)
	}
	for _, f := range append(cmd.ExtraFiles, output) {
		f.Close()
	}
	go func() {
		var b [1]byte
		for { // the server never writes again: what comes is its end
			if n, err := life.Read(b[:]); n == 0 || err != nil {
				break
			}
		}
		_ = os.RemoveAll(dir) // what cannot be removed, the system's own cleaning of temporary folders removes
		_ = syscall.Kill(0, syscall.SIGKILL)
	}()
	// When it cannot be said the server has gone, which the goroutine above sees too.
	_ = say.Encode(plainMessage{Pid: cmd.Process.Pid})
	_ = cmd.Wait() // the state says more
	return say.Encode(ended(cmd.ProcessState))
}

func ended(state *os.ProcessState) plainMessage {
	m := plainMessage{Exit: &Exit{Code: state.ExitCode()}}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		m.Exit.Signal = int(status.Signal())
	}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		m.PeakBytes = usage.Maxrss * maxrssUnit
	}
	return m
}

// plainLimits sets the limits that every system has. That on processes is not among them: without a user namespace it counts all processes of the user.
func plainLimits(spec plainSpec) error {
	type limit struct {
		resource int
		value    uint64
	}
	limits := []limit{{syscall.RLIMIT_CORE, 0}, {syscall.RLIMIT_NOFILE, maxOpenFiles}}
	if spec.FileBytes > 0 {
		limits = append(limits, limit{syscall.RLIMIT_FSIZE, uint64(spec.FileBytes)})
	}
	for _, l := range limits {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(l.resource, &now); err != nil {
			return err
		}
		value := min(l.value, now.Max) // nobody may raise the latter
		if err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: value, Max: value}); err != nil {
			return err
		}
	}
	return plainSystemLimits()
}

func orRoot(dir string) string {
	if dir == "" {
		return "/"
	}
	return dir
}
