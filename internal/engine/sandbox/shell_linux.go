package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNET

// isolated is a sandbox of full isolation: a Shell, and then a Running.
type isolated struct {
	cmd     *exec.Cmd
	control *control
	id      identity
	base    Base
	// said is a pipe with what the first process says before it dies, and words what it was.
	said      int
	words     string
	listeners []net.Listener
	packets   []net.PacketConn
	tunnel    *os.File
	noTunnel  string
	done      chan struct{}

	mu sync.Mutex
	// children are those that run, by their number in the sandbox.
	children map[int]*Child
	booted   *Child
	// forked says that booted is the child of a Parent.
	forked  bool
	waiting []*waiter
	// parts are what the sandbox is divided into, by their sessions.
	parts map[int]*part
	peak  int64
	// pids are the processes that were there when somebody last looked, by their numbers outside.
	pids   []int
	work   Work
	groups *groups
	oom    bool
	// ended says that nothing more is to be kept here.
	ended bool
	// thawed is closed unless the sandbox is frozen.
	thawed chan struct{}

	// freezing orders Freeze and Thaw, and guards what follows.
	freezing sync.Mutex
	frozen   bool
	// frozenAlone says that the server stopped the only process itself.
	frozenAlone bool
	lone        *lone // nil until found
	// over says that the first process has ended.
	over bool
}

// prepareIsolated is Prepare for full isolation.
func prepareIsolated(ctx context.Context, b Base) (*isolated, error) {
	id, err := chooseIdentity(b.Slot)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	s, err := launch(b, id)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, s.Kill)
	err = s.build(ctx)
	stop()
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		return s, nil
	}
	s.Kill()
	<-s.done
	for _, l := range s.listeners {
		l.Close()
	}
	for _, p := range s.packets {
		p.Close()
	}
	if s.tunnel != nil {
		s.tunnel.Close()
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, err
}

// launch starts the first process.
func launch(b Base, id identity) (*isolated, error) {
	s := &isolated{id: id, base: b, done: make(chan struct{}), children: map[int]*Child{}, thawed: make(chan struct{})}
	close(s.thawed)
	control, peer, err := controlPair(s.childEnded)
	if err != nil {
		return nil, err
	}
	defer peer.Close()
	s.control = control
	said, saying, err := errorPipe()
	if err != nil {
		control.conn.Close()
		return nil, err
	}
	defer saying.Close()
	s.said = said
	s.cmd = firstCommand(b, id, saying, peer)
	if s.groups, err = makeGroups(theGround()); err != nil {
		control.conn.Close()
		unix.Close(said)
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if err = s.groups.watch(); err == nil {
		err = s.cmd.Start()
	}
	if errors.Is(err, unix.EACCES) {
		// Everybody may run the program. One in some ten thousand starts side by side was refused all the same, on Linux 6.18, and the next was not.
		s.cmd = firstCommand(b, id, saying, peer)
		err = s.cmd.Start()
	}
	if err != nil {
		s.groups.remove()
		control.conn.Close()
		unix.Close(said)
		return nil, explainClone(err)
	}
	go s.watch()
	return s, nil
}

// firstCommand is the command that starts the first process.
func firstCommand(b Base, id identity, saying, peer *os.File) *exec.Cmd {
	cmd := &exec.Cmd{
		Path: b.First.path(),
		Args: []string{outerName},
		// Processors bring threads, and what each keeps for itself: for the little that is done at once here they cost more than they give.
		Env:        []string{"GOMAXPROCS=1"},
		Dir:        "/",
		Stderr:     saying,
		ExtraFiles: []*os.File{peer},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: namespaces,
			// A session of its own, so that Ctrl-C at the server's terminal is the server's alone to handle.
			Setsid: true,
		},
	}
	if id.userNamespace {
		attr := cmd.SysProcAttr
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings, attr.GidMappings = id.uidMap, id.gidMap
		attr.GidMappingsEnableSetgroups = id.setGroups
	}
	return cmd
}

// errorPipe returns a pipe whose writer never waits: a first process that has much to say must not hang with it.
func errorPipe() (r int, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return 0, nil, err
	}
	return fds[0], os.NewFile(uintptr(fds[1]), "errors"), nil
}

// lastWords is what the first process said on its standard error.
func (s *isolated) lastWords() string {
	buf := make([]byte, maxStderr)
	n, _ := unix.Read(s.said, buf)
	return strings.TrimSpace(string(buf[:max(n, 0)]))
}

const maxStderr = 4 << 10

func (s *isolated) build(ctx context.Context) error {
	b := s.base
	entries, folder, err := s.groups.entries()
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	count := len(entries)
	if folder != nil {
		entries = append(entries, folder)
	}
	var fds []int
	for _, f := range entries {
		defer f.Close()
		fds = append(fds, int(f.Fd()))
	}
	a, err := s.control.call(ctx, request{Op: opBuild, Base: &outerSpec{
		Enter: count, EnterFolder: folder != nil, Counted: s.groups.counted(),
		Anchor: b.Anchor, Binds: b.Binds, Stock: b.Stock, Listen: b.Listen, ListenPackets: b.ListenPackets, Hosts: b.Hosts,
		Certificates: b.Certificates, Tunnel: b.Tunnel,
		HostUID: s.id.hostUID, HostGID: s.id.hostGID, DropGroups: s.id.setGroups,
	}}, fds...)
	if errors.Is(err, errEnded) && ctx.Err() == nil {
		s.Kill()
		<-s.done
		if s.words != "" {
			err = fmt.Errorf("%w (%s)", err, s.words)
		}
	}
	if err != nil {
		return err
	}
	return s.take(a)
}

// take makes listeners and connections of the descriptors that came with the answer to opBuild.
func (s *isolated) take(a answer) error {
	want := len(s.base.Listen) + len(s.base.ListenPackets)
	if a.Tunnel {
		want++
	}
	if len(a.files) != want {
		a.discard()
		return fmt.Errorf("sandbox: %d descriptors instead of %d", len(a.files), want)
	}
	s.noTunnel = a.NoTunnel
	if a.Tunnel {
		s.tunnel, a.files = a.files[want-1], a.files[:want-1]
	}
	defer a.discard()
	for i, f := range a.files {
		if i < len(s.base.Listen) {
			l, err := net.FileListener(f)
			if err != nil {
				return err
			}
			s.listeners = append(s.listeners, l)
			continue
		}
		c, err := net.FilePacketConn(f)
		if err != nil {
			return err
		}
		s.packets = append(s.packets, c)
	}
	return nil
}

// watch waits for the sandbox's end, and is the only one to do so.
func (s *isolated) watch() {
	s.control.run()
	s.Kill()
	s.closeLone()
	// The status says nothing that is not known. Wait returns when all processes of the namespace are gone, because the kernel lets its first
	// process go last.
	_ = s.cmd.Wait()
	s.control.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for pid, c := range s.children {
		c.exit = Exit{Code: -1}
		close(c.done)
		delete(s.children, pid)
	}
	for _, w := range s.waiting {
		w.sock.Close()
	}
	s.waiting = nil
	s.oom = s.oom || s.groups.killed() > 0
	s.groups.remove()
	s.words = s.lastWords()
	unix.Close(s.said)
	close(s.done)
}

// childEnded is told of the end of a child.
func (s *isolated) childEnded(r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peak = max(s.peak, r.PeakBytes)
	s.pids = nil
	if r.Exit.Signal == int(syscall.SIGKILL) && s.groups.killed() > 0 {
		s.oom = true
		s.Kill()
	}
	c, ok := s.children[r.PID]
	if !ok {
		return
	}
	delete(s.children, r.PID)
	c.exit = *r.Exit
	close(c.done)
}

// Listeners implements Shell.
func (s *isolated) Listeners() []net.Listener { return s.listeners }

// Packets implements Shell.
func (s *isolated) Packets() []net.PacketConn { return s.packets }

// Tunnel implements Shell.
func (s *isolated) Tunnel() *os.File { return s.tunnel }

// Done implements Shell and Running.
func (s *isolated) Done() <-chan struct{} { return s.done }

// Kill implements Shell and Running.
func (s *isolated) Kill() {
	// The process may have ended by itself, which is as good.
	_ = s.cmd.Process.Kill()
}

// Boot implements Shell.
func (s *isolated) Boot(ctx context.Context, p Program) error {
	if s.booted != nil {
		return errBooted
	}
	if err := s.makeWaiters(ctx, request{Count: 1}); err != nil {
		return err
	}
	c, err := s.Run(ctx, p)
	if err != nil {
		return err
	}
	s.booted = c
	return nil
}

// Ready implements Shell. A process that waits has no limit of its own on processes, and its limit on data comes with Start. Which processes there are,
// Usage need not find out then.
func (s *isolated) Ready(ctx context.Context) error {
	if s.booted == nil && s.groups.boundsProcesses() {
		if err := s.makeWaiters(ctx, request{Count: 1}); err != nil {
			return err
		}
	}
	pids := processes(s.cmd.Process.Pid)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pids = pids
	return nil
}

// makeWaiters has the first process make children that wait for their programs.
func (s *isolated) makeWaiters(ctx context.Context, q request) error {
	q.Op = opFork
	a, err := s.control.call(ctx, q)
	if err != nil {
		return err
	}
	return s.takeWaiters(a, q.Count)
}

func (s *isolated) takeWaiters(a answer, count int) error {
	if len(a.files) != count || len(a.PIDs) != count {
		a.discard()
		return fmt.Errorf("sandbox: %d processes instead of %d", len(a.files), count)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		a.discard()
		return errEnded
	}
	for i, f := range a.files {
		s.waiting = append(s.waiting, &waiter{sock: f, child: s.newChild(a.PIDs[i])})
	}
	return nil
}

// newChild returns the Child of a process. s.mu is held.
func (s *isolated) newChild(pid int) *Child {
	c := &Child{done: make(chan struct{})}
	c.signal = func(sig int) error {
		select {
		case <-c.done:
			return nil
		default:
		}
		_, err := s.control.call(context.Background(), request{Op: opSignal, PID: pid, Signal: sig})
		if errors.Is(err, errEnded) {
			return nil
		}
		return err
	}
	s.children[pid] = c
	s.pids = nil
	return c
}

// Start implements Shell.
func (s *isolated) Start(ctx context.Context, w Work) (Running, error) {
	spec, err := s.workSpec(w)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, s.Kill)
	defer stop()
	// The kernel takes its time for limits, and the first process for the rest: side by side. Nothing of the function's runs before both are done.
	limited := make(chan error, 1)
	go func() { limited <- s.groups.limit(w.Limits, spec.TmpBytes) }()
	err = s.bring(ctx, w, spec)
	if l := <-limited; l != nil {
		return nil, fmt.Errorf("sandbox: set limits: %w", l)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.work = w
	s.mu.Unlock()
	if w.Limits.Memory > 0 {
		go s.sampler()
	}
	return s, nil
}

// bring has the first process make the waiters that the work wants, and then make the sandbox the work's.
func (s *isolated) bring(ctx context.Context, w Work, spec workSpec) error {
	s.mu.Lock()
	missing := w.Programs - len(s.waiting)
	s.mu.Unlock()
	if missing > 0 {
		if err := s.makeWaiters(ctx, request{Count: missing, Processes: w.Limits.Processes, Data: spec.Data}); err != nil {
			return err
		}
	}
	_, err := s.control.call(ctx, request{Op: opStart, Work: &spec})
	return err
}

// workSpec makes the sources of binds relative to the stock.
func (s *isolated) workSpec(w Work) (workSpec, error) {
	if w.Programs < 0 || w.Programs > maxPrograms {
		return workSpec{}, fmt.Errorf("sandbox: %d programs", w.Programs)
	}
	out := workSpec{TmpBytes: w.TmpBytes, Data: s.dataLimit(w.Limits)}
	if out.TmpBytes <= 0 {
		out.TmpBytes = defaultTmp
	}
	for _, b := range w.Binds {
		rel, err := filepath.Rel(s.base.Stock, b.Source)
		if s.base.Stock == "" || err != nil || !filepath.IsLocal(rel) {
			return workSpec{}, fmt.Errorf("sandbox: %s is not below the stock %s", b.Source, s.base.Stock)
		}
		out.Binds = append(out.Binds, Bind{Source: rel, Target: b.Target, Optional: b.Optional})
	}
	return out, nil
}
