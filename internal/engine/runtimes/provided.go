package runtimes

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// EntrypointError says that a function of a provided runtime has no program that this machine can execute. Lambda's error for it, given to the caller
// of the function, is Runtime.InvalidEntrypoint.
type EntrypointError struct{ Message string }

func (e *EntrypointError) Error() string { return e.Message }

// EntrypointType is the errorType of an EntrypointError, and of a sandbox.ProgramError.
const EntrypointType = "Runtime.InvalidEntrypoint"

// provided runs what the function brings: a program called bootstrap that speaks to the Runtime API.
type provided struct{}

// Names implements Runtime.
func (provided) Names() []string { return []string{"provided.al2", "provided.al2023"} }

// Close implements Runtime.
func (provided) Close() {}

// Prepare implements Runtime. The error may be an *EntrypointError.
func (provided) Prepare(_ context.Context, r Request) (*Launch, error) {
	program, err := bootstrapOf(r)
	if err != nil {
		return nil, err
	}
	return &Launch{
		Key: r.Runtime,
		Env: map[string]string{
			"PATH":            "/usr/local/bin:/usr/bin:/bin:/opt/bin",
			"LD_LIBRARY_PATH": libraryPath(),
			"LANG":            "en_US.UTF-8",
			"TZ":              ":UTC",
		},
		Args: []string{program},
	}, nil
}

// bootstrapOf returns the program by its path in the sandbox: the package's, or else the layers'.
func bootstrapOf(r Request) (string, error) {
	for _, place := range []struct{ source, target string }{{r.Code, TaskRoot}, {r.Layers, "/opt"}} {
		if place.source == "" {
			continue
		}
		file := filepath.Join(place.source, "bootstrap")
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
			continue
		}
		target := place.target + "/bootstrap"
		switch {
		case err != nil:
			return "", err
		case info.Mode().Perm()&0o111 == 0:
			return "", &EntrypointError{"fork/exec " + target + ": permission denied"}
		}
		if machine := foreignMachine(file); machine != "" {
			return "", &EntrypointError{fmt.Sprintf("fork/exec %s: exec format error: it is built for %s, and this machine is %s", target, machine, ownMachine())}
		}
		return target, nil
	}
	return "", &EntrypointError{"Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}
}

// foreignMachine names the machine for which the program in file is built; "" when it is this one, or not to be told.
func foreignMachine(file string) string {
	f, err := elf.Open(file)
	if err != nil {
		return "" // a script, or nothing that can be executed: executing it will tell
	}
	defer f.Close()
	if name := machineName(f.Machine); name != ownMachine() {
		return name
	}
	return ""
}

// machineName is Lambda's name of an architecture, or else the ELF format's.
func machineName(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "x86_64"
	case elf.EM_AARCH64:
		return "arm64"
	}
	return m.String()
}

func ownMachine() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	}
	return runtime.GOARCH
}
