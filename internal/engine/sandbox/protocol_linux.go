package sandbox

import (
	"net/netip"
	"os"
)

// The names under which the program starts itself, as its first argument.
const (
	outerName = "croft-sandbox"
	initName  = "croft-init"
)

// controlFD is the descriptor at which the first process has its end of the control socket, which carries one packet for each message.
const controlFD = 3

// Operations that the server asks the first process for. opBuild comes first; opFork comes before opStart, opAdopt at any time, and the
// others after it.
const (
	opBuild  = "build"
	opFork   = "fork"
	opAdopt  = "adopt"
	opStart  = "start"
	opDial   = "dial"
	opSignal = "signal"
	opFreeze = "freeze"
	opThaw   = "thaw"
	// opSignalAll sends a signal to processes that the first process need not know.
	opSignalAll = "signal-all"
)

// request is one message of the server.
type request struct {
	ID   int
	Op   string
	Base *outerSpec `json:",omitempty"`
	Work *workSpec  `json:",omitempty"`
	// Count, Processes and Data belong to opFork: how many children, and the limits on processes and on data, in bytes, that they get.
	Count     int   `json:",omitempty"`
	Processes int   `json:",omitempty"`
	Data      int64 `json:",omitempty"`
	// Addr belongs to opDial, PID to opSignal and opAdopt, Signal to opSignal.
	Addr   string `json:",omitempty"`
	PID    int    `json:",omitempty"`
	Signal int    `json:",omitempty"`
	// PIDs belong to opSignalAll.
	PIDs []int `json:",omitempty"`
}

// outerSpec is what the server tells the first process for opBuild.
type outerSpec struct {
	Anchor        string
	Binds         []Bind
	Stock         string
	Listen        []string
	ListenPackets []string
	Hosts         map[string]netip.Addr
	Certificates  string
	Tunnel        bool
	// HostUID and HostGID are what UID and GID map to, as the first process sees them.
	HostUID, HostGID int
	// Enter and EnterFolder say which descriptors come with the request: files to which a process writes its number to enter a control group, and
	// then the folder of one.
	Enter       int
	EnterFolder bool
	// Counted says that the kernel counts the sandbox's memory.
	Counted bool
	// DropGroups says that the process may, and therefore must, give up its supplementary groups.
	DropGroups bool
}

// workSpec is what the server tells it for opStart. Sources are relative to Stock.
type workSpec struct {
	Binds    []Bind
	TmpBytes int64
	// Data is the limit on data, in bytes, of the children that run already; zero: none.
	Data int64
}

// reply is one message of the first process: the answer to the request of the same ID, or, with ID 0, the end of a child.
type reply struct {
	ID int
	// Tunnel says that the last descriptor of the answer to opBuild is a network device's, NoTunnel why there is none.
	Tunnel   bool   `json:",omitempty"`
	NoTunnel string `json:",omitempty"`
	// PIDs are the processes that opFork made, in the sandbox's numbers; a socket comes with each.
	PIDs []int `json:",omitempty"`
	// Step, Errno and Text say what failed.
	Step  string `json:",omitempty"`
	Errno int    `json:",omitempty"`
	Text  string `json:",omitempty"`
	// PID has ended with Exit.
	PID       int   `json:",omitempty"`
	Exit      *Exit `json:",omitempty"`
	PeakBytes int64 `json:",omitempty"`
}

const (
	// maxRequest and maxReply bound the messages in bytes.
	maxRequest = 64 << 10
	maxReply   = 8 << 10
	// maxPassed bounds the descriptors that come with one message.
	maxPassed = 64
)

// stage makes the program the stage of a sandbox that name stands for, if it does, and then does not return.
func stage(name string) {
	switch name {
	case outerName:
		// Operators see it in lists of processes, in place of the descriptor that was executed. It may be lacking.
		_ = os.WriteFile("/proc/self/comm", []byte(outerName), 0)
		os.Exit(outerMain())
	case initName:
		os.Exit(initMain())
	}
}
