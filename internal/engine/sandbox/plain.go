package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"croft/internal/clock"
)

// Reduced isolation, the server's side. Each program runs below a supervisor, which is this program started again, in a process group of their
// own: the supervisor sets the limits, and ends the group when the server ends, however that ends.

// plain is a sandbox of reduced isolation: a Shell, and then a Running.
type plain struct {
	base      Base
	dir       string // the programs' temporary folder is in it
	listeners []net.Listener
	packets   []net.PacketConn
	// places says where the listeners are that Base asks for elsewhere.
	places map[string]string
	done   chan struct{}
	end    sync.Once

	mu sync.Mutex
	// work is set by Start.
	work     Work
	programs int
	booted   *Child
	running  []*plainProgram
	killed   bool
	peak     int64
	oom      bool
}

// plainProgram is one program and its supervisor.
type plainProgram struct {
	s          *plain
	supervisor *exec.Cmd
	// life is the server's end of a pipe whose other end the supervisor reads: its end is the server's end.
	life  *os.File
	said  *os.File // what the supervisor says
	child *Child
	// pid is the program's process; 0 before it runs and once it has ended. gone says that the group's number may be another's by now.
	pid  int
	gone bool
}

// plainSpec is what the server tells the supervisor.
type plainSpec struct {
	Args, Env []string
	Dir       string
	// FileBytes bounds each file that the program writes.
	FileBytes int64
}

// plainMessage is one line that the supervisor says: Pid when the program runs, Exit and PeakBytes when it has ended, or Error, with Errno when the
// program is at fault.
type plainMessage struct {
	Pid       int    `json:",omitempty"`
	Exit      *Exit  `json:",omitempty"`
	PeakBytes int64  `json:",omitempty"`
	Error     string `json:",omitempty"`
	Errno     int    `json:",omitempty"`
}

// preparePlain is Prepare for reduced isolation.
func preparePlain(ctx context.Context, b Base) (*plain, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s := &plain{base: b, places: map[string]string{}, done: make(chan struct{})}
	err := s.listen()
	if err == nil {
		s.dir, err = os.MkdirTemp("", "croft-function-")
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(s.dir, "tmp"), 0o700)
	}
	if err != nil {
		s.Kill()
		for _, l := range s.listeners {
			l.Close()
		}
		for _, p := range s.packets {
			p.Close()
		}
		return nil, err
	}
	return s, nil
}

func (s *plain) listen() error {
	for _, addr := range s.base.Listen {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp4", net.JoinHostPort(host, "0"))
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, l)
		s.places[addr] = l.Addr().String()
	}
	for _, addr := range s.base.ListenPackets {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		p, err := net.ListenPacket("udp4", net.JoinHostPort(host, "0"))
		if err != nil {
			return err
		}
		s.packets = append(s.packets, p)
		if _, taken := s.places[addr]; !taken {
			s.places[addr] = p.LocalAddr().String()
		}
	}
	return nil
}

// Listeners implements Shell.
func (s *plain) Listeners() []net.Listener { return s.listeners }

// Packets implements Shell.
func (s *plain) Packets() []net.PacketConn { return s.packets }

// Tunnel implements Shell: programs have the machine's own network.
func (s *plain) Tunnel() *os.File { return nil }

// Boot implements Shell. What p is told over its Files later is not translated as its Args and Env are.
// Ready implements Shell: nothing takes long.
func (s *plain) Ready(context.Context) error { return nil }

// Boot implements Shell.
func (s *plain) Boot(ctx context.Context, p Program) error {
	s.mu.Lock()
	booted := s.booted
	s.mu.Unlock()
	if booted != nil {
		return errBooted
	}
	c, err := s.run(ctx, p, s.base.Binds)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.booted = c
	s.mu.Unlock()
	return nil
}

// Fork implements Shell.
func (s *plain) Fork(context.Context, *Parent, Program) error {
	return fmt.Errorf("sandbox: a fork server's child in reduced isolation: %w", errors.ErrUnsupported)
}

// Start implements Shell.
func (s *plain) Start(ctx context.Context, w Work) (Running, error) {
	if w.Programs < 0 || w.Programs > maxPrograms {
		return nil, fmt.Errorf("sandbox: %d programs", w.Programs)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.work, s.programs = w, w.Programs
	if w.Limits.Memory > 0 {
		go s.sampler()
	}
	return s, nil
}

// Booted implements Running.
func (s *plain) Booted() *Child { return s.booted }

// Run implements Running.
func (s *plain) Run(ctx context.Context, p Program) (*Child, error) {
	s.mu.Lock()
	s.programs--
	allowed := s.programs >= 0
	binds := append(slices.Clone(s.base.Binds), s.work.Binds...)
	s.mu.Unlock()
	if !allowed {
		return nil, errNoPrograms
	}
	return s.run(ctx, p, binds)
}

func (s *plain) run(ctx context.Context, p Program, binds []Bind) (*Child, error) {
	if len(p.Args) == 0 {
		return nil, errors.New("sandbox: no program is given")
	}
	if p.Output == nil || len(p.Files) > maxFiles {
		return nil, errOutput
	}
	r, said, err := s.launch(p, binds)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, r.kill)
	err = r.awaitStart(said, p.Args[0])
	stop()
	if err == nil {
		err = ctx.Err()
	}
	go r.watch(said)
	if err == nil {
		return r.child, nil
	}
	r.kill()
	<-r.child.done
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, err
}

// launch starts the supervisor of a program. It returns what reads the supervisor's messages.
func (s *plain) launch(p Program, binds []Bind) (*plainProgram, *json.Decoder, error) {
	path, err := self()
	if err != nil {
		return nil, nil, err
	}
	specR, specW, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer specR.Close()
	said, saying, err := os.Pipe()
	if err != nil {
		specW.Close()
		return nil, nil, err
	}
	defer saying.Close()
	r := &plainProgram{s: s, life: specW, said: said, child: &Child{done: make(chan struct{}), exit: Exit{Code: -1}}}
	r.child.signal = r.signal
	r.supervisor = &exec.Cmd{
		Path: path, Args: []string{plainName, s.dir, strconv.Itoa(len(p.Files))}, Env: []string{}, Dir: "/",
		ExtraFiles: append([]*os.File{specR, saying, p.Output}, p.Files...),
		// A session of its own, so that Ctrl-C at the server's terminal is the server's alone to handle.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	s.mu.Lock()
	err = errEnded
	if !s.killed {
		err = r.supervisor.Start()
	}
	if err == nil {
		s.running = append(s.running, r)
	}
	s.mu.Unlock()
	if err != nil {
		specW.Close()
		said.Close()
		return nil, nil, err
	}
	if err := json.NewEncoder(specW).Encode(s.translate(p, binds)); err != nil && !errors.Is(err, syscall.EPIPE) {
		r.kill() // EPIPE says that the supervisor ended, and what it said is worth more
	}
	return r, json.NewDecoder(io.LimitReader(said, maxSpec)), nil
}

func (r *plainProgram) awaitStart(said *json.Decoder, program string) error {
	var m plainMessage
	if err := said.Decode(&m); err != nil {
		return errors.New("sandbox: the supervisor ended early")
	}
	if m.Errno != 0 {
		return &ProgramError{Path: program, Err: syscall.Errno(m.Errno)}
	}
	if m.Error != "" {
		return fmt.Errorf("sandbox: %s", m.Error)
	}
	r.s.mu.Lock()
	r.pid = m.Pid
	r.s.mu.Unlock()
	return nil
}

// watch waits for the program's end, and is the only one to do so.
func (r *plainProgram) watch(said *json.Decoder) {
	s := r.s
	var m plainMessage
	err := said.Decode(&m)
	s.mu.Lock()
	if err == nil && m.Exit != nil {
		r.child.exit = *m.Exit
		s.peak = max(s.peak, m.PeakBytes)
	}
	r.pid = 0
	s.mu.Unlock()
	r.kill()
	s.mu.Lock()
	r.gone = true
	s.mu.Unlock()
	_ = r.supervisor.Wait() // says nothing that the supervisor has not said
	r.life.Close()
	r.said.Close()
	s.mu.Lock()
	s.running = slices.DeleteFunc(s.running, func(other *plainProgram) bool { return other == r })
	close(r.child.done)
	over := s.killed && len(s.running) == 0
	s.mu.Unlock()
	if over {
		s.finish()
	}
}

// kill ends the program and its supervisor. A process that has left their group is not reached.
func (r *plainProgram) kill() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.signalGroup(syscall.SIGKILL)
}

// signalGroup is called with s.mu held.
func (r *plainProgram) signalGroup(sig syscall.Signal) {
	if !r.gone {
		// An empty group needs no signal.
		_ = syscall.Kill(-r.supervisor.Process.Pid, sig)
	}
}

func (r *plainProgram) signal(sig int) error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.pid == 0 {
		return nil
	}
	if err := syscall.Kill(r.pid, syscall.Signal(sig)); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// Kill implements Shell and Running.
func (s *plain) Kill() {
	s.mu.Lock()
	s.killed = true
	for _, r := range s.running {
		r.signalGroup(syscall.SIGKILL)
	}
	over := len(s.running) == 0
	s.mu.Unlock()
	if over {
		s.finish()
	}
}

func (s *plain) finish() {
	s.end.Do(func() {
		if s.dir != "" {
			_ = os.RemoveAll(s.dir) // what cannot be removed, the system's own cleaning of temporary folders removes
		}
		close(s.done)
	})
}

// Done implements Shell and Running.
func (s *plain) Done() <-chan struct{} { return s.done }

// Dial implements Running: the sandbox's loopback is the machine's.
func (s *plain) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

// Freeze implements Running. Supervisors go on, to see the server's end.
func (s *plain) Freeze() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.running {
		r.signalGroup(syscall.SIGSTOP)
		if !r.gone {
			_ = syscall.Kill(r.supervisor.Process.Pid, syscall.SIGCONT)
		}
	}
	return nil
}

// Thaw implements Running.
func (s *plain) Thaw() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.running {
		r.signalGroup(syscall.SIGCONT)
	}
	return nil
}

// Usage implements Running.
func (s *plain) Usage() Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	var now int64
	for _, r := range s.running {
		if r.pid > 0 {
			now += peakOf(r.pid)
		}
	}
	s.peak = max(s.peak, now)
	return Usage{PeakMemory: s.peak, OutOfMemory: s.oom}
}

// sampler looks at the programs' memory until they have ended, where the system tells.
func (s *plain) sampler() {
	c := clock.Real()
	for {
		t := c.NewTimer(samplePause)
		select {
		case <-t.C():
		case <-s.done:
			t.Stop()
			return
		}
		s.mu.Lock()
		var pids []int
		for _, r := range s.running {
			if r.pid > 0 {
				pids = append(pids, r.pid)
			}
		}
		s.mu.Unlock()
		var now int64
		for _, pid := range pids {
			now += residentBelow(pid)
		}
		if now > s.work.Limits.Memory {
			s.mu.Lock()
			s.oom = true
			s.mu.Unlock()
			s.Kill()
		}
	}
}

// translate turns what p says of the inside of a sandbox into what is true outside of one.
func (s *plain) translate(p Program, binds []Bind) plainSpec {
	tmp := filepath.Join(s.dir, "tmp")
	binds = append(slices.Clone(binds), Bind{Source: tmp, Target: "/tmp"})
	// The longest first: one target may lie in another.
	slices.SortStableFunc(binds, func(a, b Bind) int { return len(b.Target) - len(a.Target) })
	out := plainSpec{Dir: outside(p.Dir, binds), FileBytes: s.work.TmpBytes}
	for _, a := range p.Args {
		out.Args = append(out.Args, outside(a, binds))
	}
	given := map[string]bool{}
	for _, kv := range p.Env {
		name, value, _ := strings.Cut(kv, "=")
		given[name] = true
		out.Env = append(out.Env, name+"="+elsewhere(value, s.places, binds))
	}
	for _, name := range []string{"HOME", "TMPDIR"} {
		if !given[name] {
			out.Env = append(out.Env, name+"="+tmp)
		}
	}
	return out
}

// elsewhere translates a variable: an address, or a list of paths.
func elsewhere(value string, places map[string]string, binds []Bind) string {
	scheme, rest, found := strings.Cut(value, "://")
	if !found {
		scheme, rest = "", value
	} else {
		scheme += "://"
	}
	if place, ok := places[rest]; ok {
		return scheme + place
	}
	list := strings.Split(value, ":")
	for i, path := range list {
		list[i] = outside(path, binds)
	}
	return strings.Join(list, ":")
}

// outside translates one path. Anything else stays as it is.
func outside(path string, binds []Bind) string {
	for _, b := range binds {
		if below, ok := strings.CutPrefix(path, b.Target); ok && (below == "" || below[0] == '/') {
			return b.Source + below
		}
	}
	return path
}
