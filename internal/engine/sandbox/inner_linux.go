package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxProcesses is Lambda's documented quota of processes and threads.
const maxProcesses = 1024

// innerMain gives up what the process still has and becomes the program. It runs on one thread: the filter and the capabilities of
// that thread are those that the program starts with.
func innerMain() int {
	runtime.LockOSThread()
	unix.CloseOnExec(innerSpecFD)
	unix.CloseOnExec(innerResultFD)
	unix.Umask(0o022)
	var spec innerSpec
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"read the specification", func() error { return readInnerSpec(&spec) }},
		{"set limits", setLimits},
		{"enter the working folder", func() error { return os.Chdir(orRoot(spec.Dir)) }},
		{"empty the bounding set", dropBoundingSet},
		{"drop capabilities", dropCapabilities},
		{"forbid new privileges", forbidNewPrivileges},
		{"filter system calls", loadFilter},
		{stepExecute, func() error { return become(spec) }},
	} {
		if err := step.do(); err != nil {
			reportInner(step.name, err)
			return 1
		}
	}
	return 0
}

func readInnerSpec(spec *innerSpec) error {
	f := os.NewFile(innerSpecFD, "specification")
	defer f.Close()
	// To its end, which says that the first process is ready.
	b, err := io.ReadAll(io.LimitReader(f, maxSpec))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, spec)
}

func setLimits() error {
	for _, l := range []struct {
		resource int
		value    uint64
	}{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_NPROC, maxProcesses},
		{unix.RLIMIT_NOFILE, maxOpenFiles},
	} {
		if err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return err
		}
	}
	return nil
}

func become(spec innerSpec) error {
	if len(spec.Args) == 0 {
		os.Exit(0)
	}
	return syscall.Exec(spec.Args[0], spec.Args, spec.Env)
}

func reportInner(step string, err error) {
	m := message{Kind: msgFailed, Step: step, Text: err.Error()}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		m.Errno = int(errno)
	}
	// Without this report init sees the exit status alone.
	_ = json.NewEncoder(os.NewFile(innerResultFD, "result")).Encode(m)
}
