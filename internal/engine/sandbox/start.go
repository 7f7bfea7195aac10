package sandbox

import (
	"context"
	"net"
	"os"
)

// Spec says what runs and what it sees.
type Spec struct {
	// Anchor is an existing folder over which the root is built. Nothing is written to it, and any number of sandboxes may share it. No Source lies in it.
	Anchor string
	// Binds come in addition to the system's libraries and certificates, in this order.
	Binds []Bind
	// Args is the program, by its path in the sandbox, and its arguments. Nil makes the whole sandbox and ends at once.
	Args []string
	// Env is the complete environment.
	Env []string
	// Dir is the working folder.
	Dir string
	// Listen are the loopback addresses (host:port) on which the server listens inside the sandbox.
	Listen []string
	// TmpBytes bounds /tmp.
	TmpBytes int64
	// Slot tells sandboxes of one server apart that live at the same time: each gets a user id of its own where the server may give one.
	Slot int
	// Isolation is Full unless it says otherwise. With Reduced nothing is bound: in Args, Env and Dir the paths below a Target become those below
	// its Source, and addresses in Listen become the free ones that the server took in their place.
	Isolation Isolation
}

// Process is a running sandbox. Its methods are safe for concurrent use.
type Process interface {
	// Listeners returns the listeners in the order of Spec.Listen. The caller closes them.
	Listeners() []net.Listener
	// Done closes when nothing of the sandbox is left.
	Done() <-chan struct{}
	// Exit returns how the program ended. It may be called once Done is closed.
	Exit() Exit
	// Kill ends everything in the sandbox. It does not wait; Done tells.
	Kill()
	// PeakMemory returns the largest resident size in bytes that the program's main process has had; 0 when the system does not tell before
	// the process has ended.
	PeakMemory() int64
}

// Start makes a sandbox and runs spec's program in it, with output as its standard output and standard error; the caller keeps output.
// It returns when the program runs. ctx bounds the start alone. The error is a *cloud.Error when the machine cannot isolate.
func Start(ctx context.Context, spec Spec, output *os.File) (Process, error) {
	shell, err := Prepare(ctx, Base{Anchor: spec.Anchor, Binds: spec.Binds, Listen: spec.Listen, Slot: spec.Slot, Isolation: spec.Isolation})
	if err != nil {
		return nil, err
	}
	p := &process{Shell: shell, exit: Exit{Code: -1}, done: make(chan struct{})}
	if p.running, err = shell.Start(ctx, Work{TmpBytes: spec.TmpBytes, Programs: 1}); err == nil {
		p.child, err = p.running.Run(ctx, Program{Args: spec.Args, Env: spec.Env, Dir: spec.Dir, Output: output})
	}
	if err != nil {
		shell.Kill()
		<-shell.Done()
		for _, l := range shell.Listeners() {
			l.Close()
		}
		return nil, err
	}
	go p.watch()
	return p, nil
}

// process is a sandbox that ends with its only program.
type process struct {
	Shell
	running Running
	child   *Child
	exit    Exit
	done    chan struct{}
}

func (p *process) watch() {
	select {
	case <-p.child.Done():
		p.Kill()
		p.exit = p.child.Exit()
	case <-p.Shell.Done():
		<-p.child.Done()
		p.exit = p.child.Exit()
	}
	<-p.Shell.Done()
	close(p.done)
}

// Done implements Process.
func (p *process) Done() <-chan struct{} { return p.done }

// Exit implements Process.
func (p *process) Exit() Exit { return p.exit }

// PeakMemory implements Process.
func (p *process) PeakMemory() int64 { return p.running.Usage().PeakMemory }
