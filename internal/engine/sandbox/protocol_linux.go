package sandbox

import "os"

// The names under which the program starts itself, as its first argument.
const (
	outerName = "croft-sandbox"
	initName  = "croft-init"
	innerName = "croft-function"
)

// Descriptors that the outer stage inherits.
const (
	outerSpecFD = 3 + iota
	outerControlFD
	outerOutputFD
)

// Descriptors that the inner stage inherits.
const (
	innerSpecFD = 3 + iota
	innerResultFD
)

// outerSpec is what the server tells the outer stage.
type outerSpec struct {
	Spec Spec
	// HostUID and HostGID are what UID and GID map to, as the outer stage sees them.
	HostUID, HostGID int
	// DropGroups says that the stage may, and therefore must, give up its supplementary groups.
	DropGroups bool
}

// innerSpec is what the outer stage tells the inner one.
type innerSpec struct {
	Args, Env []string
	Dir       string
}

// Kinds of messages from the outer stage to the server, in this order. A failed may come instead of any.
const (
	msgListening = "listening" // with one descriptor per address in Spec.Listen
	msgStarted   = "started"   // with a descriptor of the process's /proc/PID/status
	msgExited    = "exited"
	msgFailed    = "failed"
)

// message is one packet on the control socket.
type message struct {
	Kind string
	// Step, Errno and Text belong to failed.
	Step  string `json:",omitempty"`
	Errno int    `json:",omitempty"`
	Text  string `json:",omitempty"`
	// Exit and PeakBytes belong to exited.
	Exit      Exit
	PeakBytes int64 `json:",omitempty"`
}

const (
	maxMessage = 8 << 10
)

// stage makes the program the stage of a sandbox that name stands for, if it does, and then does not return.
func stage(name string) {
	switch name {
	case outerName:
		os.Exit(outerMain())
	case initName:
		os.Exit(initMain())
	case innerName:
		os.Exit(innerMain())
	}
}
