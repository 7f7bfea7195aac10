package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Parent is a fork server: a process, outside of any sandbox, that has an interpreter and libraries loaded and whose children become the processes of
// sandboxes. It runs trusted code alone. It is safe for concurrent use.
//
// Its descriptor 3 is a sequenced-packet socket. It says once, in a JSON object with "ready" and "memory" (see Memory), that it is ready, and then takes
// requests, a JoinSpec each. It ends with the socket.
type Parent struct {
	cmd     *exec.Cmd
	control *net.UnixConn
	hello   []byte
	memory  int64
	// turns bounds the requests under way, so that the socket has room for each.
	turns  chan struct{}
	done   chan struct{}
	stderr parentOutput
}

const (
	maxForks = 16
	// maxHello bounds in bytes what a parent says when it is ready.
	maxHello = 64 << 10
	// maxForkReply bounds in bytes what a child says when it is in its sandbox.
	maxForkReply = 4 << 10
	// maxParentOutput bounds in bytes what is kept of what a parent writes.
	maxParentOutput = 4 << 10
)

// parentOutput keeps the beginning of what is written to it. The parent's end orders reading after writing.
type parentOutput []byte

func (o *parentOutput) Write(p []byte) (int, error) {
	*o = append(*o, p[:min(len(p), maxParentOutput-len(*o))]...)
	return len(p), nil
}

// StartParent starts p as a fork server, in a session of its own, and returns when it is ready. Of p, Files are the descriptors from 4 on, and Output
// is not used. ctx bounds the start alone. The parent ends when the server ends, however that ends.
func StartParent(ctx context.Context, p Program) (*Parent, error) {
	parent := &Parent{turns: make(chan struct{}, maxForks), done: make(chan struct{})}
	if err := parent.start(p); err != nil {
		return nil, fmt.Errorf("sandbox: start the fork server: %w", err)
	}
	stop := context.AfterFunc(ctx, parent.Close)
	err := parent.awaitReady()
	stop()
	if err == nil && ctx.Err() == nil {
		return parent, nil
	}
	parent.Close()
	<-parent.done
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if len(parent.stderr) > 0 {
		err = fmt.Errorf("%w (%s)", err, parent.stderr)
	}
	return nil, err
}

func (p *Parent) start(program Program) error {
	conn, peer, err := packetPair()
	if err != nil {
		return err
	}
	defer peer.Close()
	p.control = conn
	files, executable := append([]*os.File{peer}, program.Files...), program.Args[0]
	sealed, err := sealedCopy(executable)
	if err != nil {
		conn.Close()
		return err
	}
	if sealed != nil {
		defer sealed.Close()
		executable = fmt.Sprintf("/proc/self/fd/%d", 3+len(files))
		files = append(files, sealed)
	}
	p.cmd = &exec.Cmd{
		Path: executable, Args: program.Args, Env: program.Env, Dir: program.Dir,
		Stdout: &p.stderr, Stderr: &p.stderr,
		ExtraFiles: files,
		// A session of its own, so that Ctrl-C at the server's terminal is the server's alone to handle.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	started := make(chan error)
	go func() {
		// The signal comes when the thread ends that started the process: this one, which waits for it.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // however it ended, it has ended
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		conn.Close()
		return err
	}
	return nil
}

// packetPair returns the server's end of a new socket and the file to give away.
func packetPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, peer := os.NewFile(uintptr(fds[0]), "packets"), os.NewFile(uintptr(fds[1]), "packets")
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		peer.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), peer, nil
}

// awaitReady takes what the parent says when it is ready.
func (p *Parent) awaitReady() error {
	buf := make([]byte, maxHello)
	n, err := p.control.Read(buf)
	if err != nil || n == 0 {
		return errParentEnded
	}
	p.hello = buf[:n:n]
	var hello struct {
		Ready  bool
		Memory int64
	}
	if err := json.Unmarshal(p.hello, &hello); err != nil || !hello.Ready {
		return fmt.Errorf("sandbox: the fork server said %.200q", p.hello)
	}
	p.memory = hello.Memory
	return nil
}

var errParentEnded = errors.New("sandbox: the fork server has ended")

// Hello returns what the parent said when it was ready: a JSON object. It is not changed.
func (p *Parent) Hello() []byte { return p.hello }

// Memory returns, in bytes, what a child would take for the runtime alone had it been started by itself, and shares with the parent instead: what
// Limits.Shared wants. What else the parent has loaded is the platform's, and counts for a child as far as it changes it.
func (p *Parent) Memory() int64 { return p.memory }

// Done closes when the parent has ended.
func (p *Parent) Done() <-chan struct{} { return p.done }

// Close ends the parent. It does not wait; Done tells. Its children are their sandboxes'.
func (p *Parent) Close() {
	_ = p.control.Close() // by which it ends, unless it is stuck
	_ = p.cmd.Process.Kill()
}

// fork asks for a child that becomes a process of a sandbox, and returns its number there. The caller keeps output and files.
func (p *Parent) fork(ctx context.Context, spec JoinSpec, output *os.File, files []*os.File) (int, error) {
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	reply, peer, err := packetPair()
	if err != nil {
		return 0, err
	}
	defer reply.Close()
	err = p.request(spec, append([]*os.File{peer, output}, files...))
	peer.Close()
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { reply.Close() }) // the child ends when nobody takes its reply
	buf := make([]byte, maxForkReply)
	n, err := reply.Read(buf)
	if !stop() {
		return 0, context.Cause(ctx)
	}
	if err != nil || n == 0 {
		return 0, errors.New("sandbox: the fork server's child ended early")
	}
	var answer struct {
		PID         int
		Error, Step string
	}
	if err := json.Unmarshal(buf[:n], &answer); err != nil {
		return 0, fmt.Errorf("sandbox: the fork server's child: %w", err)
	}
	if answer.Error != "" || answer.PID <= 0 {
		return 0, fmt.Errorf("sandbox: the fork server's child could not %s: %s", answer.Step, answer.Error)
	}
	return answer.PID, nil
}

// request sends spec with descriptors of files, the first of which is the reply socket.
func (p *Parent) request(spec JoinSpec, files []*os.File) error {
	spec.Files = len(files) - 1
	b, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	if _, _, err := p.control.WriteMsgUnix(b, unix.UnixRights(fds...), nil); err != nil {
		return fmt.Errorf("%w: %w", errParentEnded, err)
	}
	return nil
}

// sealedCopy returns what to execute in place of path; nil for path itself. A child of the parent reaches the parent's executable through /proc/self/exe, past
// the read-only binds of its sandbox. Where functions have the server's own user id, and that user could change the file, it is a copy in memory that nobody can
// change.
func sealedCopy(path string) (*os.File, error) {
	id, err := chooseIdentity(0)
	if err != nil || id.ownUID != 0 {
		return nil, err
	}
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return nil, err
	}
	if int(stat.Uid) != os.Geteuid() && unix.Access(path, unix.W_OK) != nil {
		return nil, nil
	}
	from, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	return sealed("fork-server", from)
}
