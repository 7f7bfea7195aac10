// Package sandbox runs programs in isolation from the machine, from the server and from every other sandbox.
//
// What a program in a sandbox has: user, pid, mount, ipc, uts and network namespaces of its own; a root made from an empty tmpfs into
// which system libraries, CA certificates and the folders named in Base.Binds and Work.Binds are bound read-only; a private /tmp; a /proc that
// shows its own processes; five device nodes. It runs as an unprivileged user without capabilities, cannot regain any, and
// a system call filter takes away what a function has no use for.
//
// What it can reach: the listeners named in Base.Listen and Base.ListenPackets, on the loopback interface of its own network namespace. The server
// accepts on them (the kernel's loopback, no proxy between). With Base.Tunnel there is also a network device, whose other end the server holds.
//
// How it is made: the program starts itself again (Main) as the first process of the new namespaces, which builds the root, opens the listeners, hands
// their descriptors to the server over a socket, and waits (a Shell). When the server tells it the function it binds the function's files, and gives up
// every right but that of sending signals (a Running). Programs are children that it forks while it has rights: each makes a user namespace nested in
// the sandbox's, gives up every privilege and waits on a socket of its own for what to execute; see fork_linux.go. Nothing travels in arguments or
// environment variables. The first process ends when the server's end of its socket closes, and the kernel then ends everything else in the namespaces:
// nothing outlives the server, not even one that was killed.
//
// It works for root, whose functions then run as an unprivileged user id of their own, and for an ordinary user, whose functions have
// that user's id and nothing that belongs to it.
//
// All that is full isolation, which needs Linux. Reduced isolation is what is left on other systems, and on request: a process group with limits,
// a clean environment, a temporary folder of its own and listeners on the machine's loopback interface; see Reduction and plain.go.
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"croft/internal/cloud"
)

// UID and GID are what a process in a sandbox believes to be.
const (
	UID = 993
	GID = 990
)

// Isolation says how far a process is kept apart.
type Isolation int

const (
	// Full is everything that the package's documentation says.
	Full Isolation = iota
	// Reduced keeps mistakes apart, not malice.
	Reduced
)

// Reduction says in plain words what a function with Reduced isolation can do that one with Full cannot.
const Reduction = "functions run as the user who runs croft and can reach that user's files, processes and network"

// maxOpenFiles is Lambda's documented quota of file descriptors.
const maxOpenFiles = 1024

// maxSignals bounds signals that wait and timers. The kernel counts them for the user as well, who is the server's own when that is an ordinary one: a function
// that has them all leaves none for anybody else.
const maxSignals = 4096

const (
	maxListen = 8
	// maxSpec bounds a specification in bytes, as stages read it.
	maxSpec = 1 << 20
)

// maxPrograms bounds Work.Programs.
const maxPrograms = 32

// maxProcesses is Lambda's documented quota of processes and threads.
const maxProcesses = 1024

// stepExecute is the step whose failure may be the program's fault and not the machine's.
const stepExecute = "execute the program"

// Bind is a file or folder of the machine that the sandbox sees, read-only.
type Bind struct {
	Source, Target string
	// Optional passes over a Source that does not exist.
	Optional bool
}

// Main makes the program a stage of a sandbox if it was started as one, and then does not return. Programs and test binaries that start
// sandboxes call it first of all.
func Main() {
	if len(os.Args) == 0 {
		return
	}
	if os.Args[0] == plainName {
		os.Exit(plainMain())
	}
	stage(os.Args[0])
	if err := os.Setenv(mainVar, strconv.Itoa(os.Getpid())); err != nil {
		return // Start says then that Main was not called
	}
}

// mainVar tells Start that Main was called in this process, whose id it holds: the environment is inherited and the fact is not. A program that
// does not call Main would run itself again from its beginning where a sandbox is wanted: a test binary all its tests, and those once more.
const mainVar = "CROFT_SANDBOX_MAIN"

const noMain = "This program cannot run functions: it does not call croft.Main() first of all, in main or in TestMain."

// Exit is how a process ended.
type Exit struct {
	// Code is the exit status; -1 when a signal ended the process, or when its end was not seen because the sandbox was killed.
	Code int
	// Signal is the signal that ended it, or zero.
	Signal int
}

// String returns "exit status 1" or "signal: killed".
func (e Exit) String() string {
	if e.Signal != 0 {
		return "signal: " + syscall.Signal(e.Signal).String()
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// Reason returns what an error of Check says, without the code that is there for Lambda's API.
func Reason(err error) string {
	var e *cloud.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// impossible is the error for a machine that cannot isolate: what failed, and what to do.
func impossible(what string, cause error, next string) *cloud.Error {
	return &cloud.Error{
		Code:    "ServiceException",
		Status:  500,
		Message: fmt.Sprintf("This machine cannot isolate functions: %s: %v. %s", what, cause, next),
		Cause:   cause,
	}
}
