package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"croft/internal/cloud"
)

// Base says what a sandbox is made with before anybody knows which function it is for.
type Base struct {
	// Anchor is an existing folder over which the root is built. Nothing is written to it, and any number of sandboxes may share it. No Source lies in it.
	Anchor string
	// Binds come in addition to the system's libraries and certificates, in this order: interpreters, bootstraps, SDKs.
	Binds []Bind
	// Stock is the folder of the machine below which every Source of Work.Binds lies. No program of a function ever sees it.
	Stock string
	// Listen are the TCP addresses (host:port, loopback of the sandbox) on which the server listens inside the sandbox, ListenPackets those for UDP.
	Listen, ListenPackets []string
	// Hosts are names that the sandbox's /etc/hosts has, besides localhost, sandbox and sandbox.localdomain.
	Hosts map[string]netip.Addr
	// Certificates is a file of the machine with CA certificates (PEM) that stands in the sandbox where systems keep theirs; empty: the machine's own.
	Certificates string
	// Tunnel asks for a network device that the server answers. A machine that has none gives a sandbox without.
	Tunnel bool
	// First is the program of the first process, which must call Main; nil: the one that runs here.
	First *Image
	// Slot tells sandboxes of one server apart that live at the same time: each gets a user id of its own where the server may give one.
	Slot int
	// Isolation is Full unless it says otherwise. With Reduced nothing is bound: in a Program's Args, Env and Dir the paths below a Target become those
	// below its Source, and addresses in Listen become the free ones that the server took in their place.
	Isolation Isolation
}

// The network of a sandbox with a tunnel, the same in all. 198.18.0.0/15 is set aside for tests of networks (RFC 2544) and met nowhere else.
const (
	TunnelMTU      = 65520
	TunnelAddress  = "198.18.0.1/30"
	TunnelGateway  = "198.18.0.2" // which is also the name server
	TunnelAddress6 = "fd00:c10f::1/126"
	TunnelGateway6 = "fd00:c10f::2"
)

// Program is one program that runs in a sandbox.
type Program struct {
	// Args is the program, by its path in the sandbox, and its arguments.
	Args []string
	// Env is the complete environment.
	Env []string
	// Dir is the working folder.
	Dir string
	// Files are the program's descriptors from 3 on, at most 16. The caller keeps its own.
	Files []*os.File
	// Output is standard output and standard error. The caller keeps its own.
	Output *os.File
}

// Limits bounds what a sandbox takes of the machine. What the machine cannot bound through its kernel the server bounds by looking; see Abilities.
type Limits struct {
	// Memory is in bytes and does not count files in /tmp; more ends the sandbox, and OutOfMemory then says so. Zero: no limit.
	Memory int64
	// Shared is memory in bytes that Memory counts and that the sandbox shares with its Parent, so that the kernel does not charge it.
	Shared int64
	// CPUWeight is the share in relation to other sandboxes; 1 to 10000, 100 is the usual one.
	CPUWeight int
	// Processes bounds processes and threads; zero means Lambda's documented 1,024.
	Processes int
}

// Work is what a sandbox is told when its function is known.
type Work struct {
	// Binds are code and layers, below Base.Stock.
	Binds []Bind
	// TmpBytes bounds /tmp.
	TmpBytes int64
	Limits   Limits
	// Programs is how often Run may be called; at most 32.
	Programs int
}

// Shell is a sandbox that waits for its work. Its methods are called one at a time, Done and Kill at any time.
type Shell interface {
	// Listeners returns the listeners in the order of Base.Listen, Packets those of Base.ListenPackets. The caller closes them.
	Listeners() []net.Listener
	Packets() []net.PacketConn
	// Tunnel returns the server's end of the network device, which is the caller's; nil when there is none. Packets without a header before them.
	Tunnel() *os.File
	// Boot starts p ahead of the work, with everything taken from it that a function's program must not have. p is to wait, by itself, for what it is
	// told over one of its Files, and sees Work.Binds from the moment that Start has returned. Boot or Fork is called at most once.
	Boot(ctx context.Context, p Program) error
	// Fork is Boot with a child of parent in p's place. Of p, Files and Output alone count.
	Fork(ctx context.Context, parent *Parent, p Program) error
	// Ready does ahead what would otherwise take its time from the work: without Boot or Fork before it, a process waits for its program, where that takes
	// nothing from its limits. It is called at most once, after them.
	Ready(ctx context.Context) error
	// Start makes the sandbox the work's. It returns when the binds are there and the limits hold. From then on the first process has no rights any more.
	Start(ctx context.Context, w Work) (Running, error)
	// Done closes when nothing of the sandbox is left.
	Done() <-chan struct{}
	// Kill ends everything in the sandbox. It does not wait; Done tells.
	Kill()
}

// Running is a sandbox at work. Its methods are safe for concurrent use.
type Running interface {
	// Booted returns the process that Boot or Fork started; nil without one.
	Booted() *Child
	// Run starts p. It returns when the program runs. The error is a *ProgramError when p cannot be executed.
	Run(ctx context.Context, p Program) (*Child, error)
	// Dial connects, from inside the sandbox, to addr (host:port) of its loopback.
	Dial(ctx context.Context, addr string) (net.Conn, error)
	// Freeze stops every process of the sandbox, and Thaw lets them go on. Kill works on a frozen sandbox.
	Freeze() error
	Thaw() error
	Usage() Usage
	Done() <-chan struct{}
	Kill()
}

// Usage is what a sandbox has taken so far.
type Usage struct {
	// PeakMemory is the largest amount in bytes at one time, with what is shared with a Parent and without files in /tmp.
	PeakMemory int64
	// OutOfMemory says that the limit of memory ended something in the sandbox.
	OutOfMemory bool
}

// Child is a process that the server started in a sandbox.
type Child struct {
	done chan struct{}
	exit Exit
	// signal sends a signal to the process.
	signal func(sig int) error
}

// Done closes when the process has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Exit returns how it ended, once Done is closed.
func (c *Child) Exit() Exit { return c.exit }

// Signal sends a signal. It does nothing to a process that has ended.
func (c *Child) Signal(sig int) error { return c.signal(sig) }

// ProgramError says that a program cannot be executed: it is not there, not executable, or made for another machine.
type ProgramError struct {
	Path string
	Err  error
}

func (e *ProgramError) Error() string { return "cannot execute " + e.Path + ": " + e.Err.Error() }

func (e *ProgramError) Unwrap() error { return e.Err }

// Able says what this machine can do for sandboxes of full isolation: each is empty, or says why not and what to do. What is missing besides
// Namespaces the server makes up for as far as it can: it samples memory, and functions without a tunnel reach the cloud and nothing else.
type Able struct {
	Namespaces, Tunnel, MemoryLimit, ProcessLimit, CPUShare, Freeze string
}

// What the methods of shells and sandboxes fail with, besides what the system says.
var (
	errEnded      = errors.New("sandbox: the first process has ended")
	errBooted     = errors.New("sandbox: a process has been started ahead already")
	errNoPrograms = errors.New("sandbox: no more programs than Work.Programs can run")
	errOutput     = errors.New("sandbox: a program without an output, or with too many files")
)

// samplePause is how long a sandbox may use more memory than it may before the server sees it, where the kernel does not.
const samplePause = 50 * time.Millisecond

// maxFiles bounds Program.Files.
const maxFiles = 16

// Prepare makes a sandbox that waits for its work. ctx bounds the making alone. The error is a *cloud.Error when the machine cannot isolate.
func Prepare(ctx context.Context, b Base) (Shell, error) {
	if os.Getenv(mainVar) != strconv.Itoa(os.Getpid()) {
		return nil, &cloud.Error{Code: "ServiceException", Status: 500, Message: noMain}
	}
	if len(b.Listen) > maxListen || len(b.ListenPackets) > maxListen {
		return nil, fmt.Errorf("sandbox: more than %d listeners", maxListen)
	}
	if b.Isolation == Reduced {
		s, err := preparePlain(ctx, b)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	s, err := prepareIsolated(ctx, b)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// JoinSpec is what a child of a Parent must do, in this order, to become a process of a sandbox: see docs/architecture/engine.md.
type JoinSpec struct {
	// PID is the sandbox's first process, as the parent sees it. Its namespaces are in /proc/PID/ns.
	PID int `json:"pid"`
	// User says that the sandbox has a user namespace, which is to be entered first of all.
	User bool `json:"user"`
	// UID and GID are the ids to take, once in that namespace; DropGroups says that supplementary groups can, and must, be given up.
	UID        int  `json:"uid"`
	GID        int  `json:"gid"`
	DropGroups bool `json:"drop_groups"`
	// MapUID and MapGID are what UID and GID become in the namespace that the child makes for itself at last.
	MapUID int `json:"map_uid"`
	MapGID int `json:"map_gid"`
	// Cgroups are the files into which the child writes "0" before anything else.
	Cgroups []string `json:"cgroups"`
	// Filter is the seccomp program: an array of struct sock_filter, in base64.
	Filter []byte `json:"filter"`
	// Limits are pairs of RLIMIT number and value, soft and hard alike.
	Limits [][2]uint64 `json:"limits"`
	// OOMScore is what goes to /proc/self/oom_score_adj.
	OOMScore int `json:"oom_score"`
	// Files says how many descriptors come with it besides the reply socket: standard output first, then those of Program.Files.
	Files int `json:"files"`
}
