package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNET

// isolated is a running sandbox of full isolation.
type isolated struct {
	cmd       *exec.Cmd
	control   *net.UnixConn
	stderr    headBuffer
	listeners []net.Listener
	status    *os.File
	peak      atomic.Int64
	done      chan struct{}
	exit      Exit
}

// startIsolated is Start for full isolation.
func startIsolated(ctx context.Context, spec Spec, output *os.File) (*isolated, error) {
	id, err := chooseIdentity(spec.Slot)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	p, err := launch(spec, id, output)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, p.Kill)
	err = p.handshake(len(spec.Listen))
	stop()
	if err == nil {
		err = ctx.Err()
	}
	go p.watch()
	if err == nil {
		return p, nil
	}
	p.Kill()
	<-p.done
	for _, l := range p.listeners {
		l.Close()
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if text := p.stderr.String(); text != "" {
		err = fmt.Errorf("%w (%s)", err, text)
	}
	return nil, err
}

// launch starts the outer stage and gives it its specification.
func launch(spec Spec, id identity, output *os.File) (*isolated, error) {
	specR, specW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer specW.Close()
	defer specR.Close()
	control, peer, err := controlPair()
	if err != nil {
		return nil, err
	}
	defer peer.Close()
	p := &isolated{control: control, done: make(chan struct{}), exit: Exit{Code: -1}}
	p.cmd = &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{outerName},
		Env:        []string{},
		Dir:        "/",
		Stderr:     &p.stderr,
		ExtraFiles: []*os.File{specR, peer, output},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: namespaces,
			// A session of its own, so that Ctrl-C at the server's terminal is the server's alone to handle.
			Setsid: true,
		},
	}
	if id.userNamespace {
		attr := p.cmd.SysProcAttr
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings, attr.GidMappings = id.uidMap, id.gidMap
		attr.GidMappingsEnableSetgroups = id.setGroups
	}
	if err := p.cmd.Start(); err != nil {
		control.Close()
		return nil, explainClone(err)
	}
	err = json.NewEncoder(specW).Encode(outerSpec{Spec: spec, HostUID: id.hostUID, HostGID: id.hostGID, DropGroups: id.setGroups})
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		// A broken pipe means that the stage ended, and what it said is worth more.
		p.Kill()
		p.watch()
		return nil, err
	}
	return p, nil
}

// controlPair returns the server's end of a new control socket and the file to inherit.
func controlPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, peer := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		peer.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), peer, nil
}

// handshake takes the stage's messages until the program runs.
func (p *isolated) handshake(listeners int) error {
	m, files, err := p.receive()
	if err != nil {
		return err
	}
	err = p.takeListeners(m, files, listeners)
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		return err
	}
	m, files, err = p.receive()
	if err != nil {
		return err
	}
	if m.Kind != msgStarted || len(files) != 1 {
		return fmt.Errorf("sandbox: unexpected message %q", m.Kind)
	}
	p.status = files[0]
	return nil
}

func (p *isolated) takeListeners(m message, files []*os.File, want int) error {
	if m.Kind != msgListening || len(files) != want {
		return fmt.Errorf("sandbox: unexpected message %q with %d descriptors", m.Kind, len(files))
	}
	for _, f := range files {
		l, err := net.FileListener(f)
		if err != nil {
			return err
		}
		p.listeners = append(p.listeners, l)
	}
	return nil
}

// receive reads one message and the descriptors that came with it. The message failed becomes an error.
func (p *isolated) receive() (message, []*os.File, error) {
	buf, oob := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(4*maxListen))
	n, oobn, _, _, err := p.control.ReadMsgUnix(buf, oob)
	if err != nil || n == 0 {
		return message{}, nil, errors.New("sandbox: the first process ended early")
	}
	var files []*os.File
	if oobn > 0 {
		if files, err = receivedFiles(oob[:oobn]); err != nil {
			return message{}, nil, err
		}
	}
	var m message
	if err := json.Unmarshal(buf[:n], &m); err != nil {
		return message{}, files, fmt.Errorf("sandbox: malformed message: %w", err)
	}
	if m.Kind == msgFailed {
		return m, files, explainStep(m)
	}
	return m, files, nil
}

func receivedFiles(oob []byte) ([]*os.File, error) {
	controls, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, c := range controls {
		fds, err := unix.ParseUnixRights(&c)
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

// watch waits for the sandbox's end, and is the only one to do so.
func (p *isolated) watch() {
	for {
		m, files, err := p.receive()
		for _, f := range files {
			f.Close()
		}
		if err != nil {
			break
		}
		if m.Kind == msgExited {
			p.exit = m.Exit
			p.raisePeak(m.PeakBytes)
		}
	}
	p.Kill()
	// The status says nothing that the control socket has not said. Wait returns when all processes of the namespace are gone, because
	// the kernel lets its first process go last.
	_ = p.cmd.Wait()
	p.control.Close()
	if p.status != nil {
		p.status.Close()
	}
	close(p.done)
}

// Listeners implements Process.
func (p *isolated) Listeners() []net.Listener { return p.listeners }

// Done implements Process.
func (p *isolated) Done() <-chan struct{} { return p.done }

// Exit implements Process.
func (p *isolated) Exit() Exit { return p.exit }

// Kill implements Process.
func (p *isolated) Kill() {
	// The process may have ended by itself, which is as good.
	_ = p.cmd.Process.Kill()
}

// PeakMemory implements Process.
func (p *isolated) PeakMemory() int64 {
	buf := make([]byte, 4<<10)
	if p.status != nil {
		n, _ := p.status.ReadAt(buf, 0)
		p.raisePeak(peakIn(buf[:n]))
	}
	return p.peak.Load()
}

func (p *isolated) raisePeak(n int64) {
	for old := p.peak.Load(); n > old && !p.peak.CompareAndSwap(old, n); old = p.peak.Load() {
	}
}

// peakIn finds VmHWM in the text of /proc/PID/status, in bytes; 0 when the process has gone.
func peakIn(status []byte) int64 {
	_, rest, ok := bytes.Cut(status, []byte("VmHWM:"))
	if !ok {
		return 0
	}
	line, _, _ := bytes.Cut(rest, []byte("kB"))
	kb, err := strconv.ParseInt(strings.TrimSpace(string(line)), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

// headBuffer keeps the first bytes written to it: what a stage says before it dies.
type headBuffer struct {
	mu  sync.Mutex
	buf []byte
}

const maxStderr = 4 << 10

func (b *headBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf = append(b.buf, p[:min(len(p), maxStderr-len(b.buf))]...)
	return len(p), nil
}

func (b *headBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.TrimSpace(string(b.buf))
}
