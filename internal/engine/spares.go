package engine

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"croft/internal/clock"
	"croft/internal/engine/runtimes"
	"croft/internal/engine/sandbox"
)

// How many spares of a runtime in use are kept, by what one costs: children of a fork server and sandboxes without a process are small.
const (
	smallSpares = 3
	largeSpares = 1
	// largeSpare is the memory in bytes from which on a spare is large.
	largeSpare = 16 << 20
	// refillPause is how long nothing must have started before spares are made: starts that somebody waits for come first.
	refillPause = 5 * time.Millisecond
)

// spare is a sandbox without a function, in which a process of the runtime may already wait.
type spare struct {
	shell sandbox.Shell
	// booted says that a process waits. Its output and its frames' connection are then below.
	booted bool
	out    *output
	conn   net.Conn // nil when the process does not speak frames, or when nothing is booted
	// shared is the memory in bytes that the process shares with its fork server.
	shared int64
}

// discard ends a spare that nobody uses.
func (s *spare) discard() {
	s.shell.Kill()
	<-s.shell.Done()
	for _, l := range s.shell.Listeners() {
		l.Close()
	}
	for _, p := range s.shell.Packets() {
		p.Close()
	}
	if t := s.shell.Tunnel(); t != nil {
		t.Close()
	}
	if s.conn != nil {
		s.conn.Close()
	}
	if s.out != nil {
		s.out.close()
	}
}

func (s *spare) alive() bool {
	select {
	case <-s.shell.Done():
		return false
	default:
		return true
	}
}

// stack is the spares of one key.
type stack struct {
	launch *runtimes.Launch
	spares []*spare
	used   time.Time
	// parent is whether the runtime's fork server is up, and server the server when it is.
	parent parentState
	server *sandbox.Parent
}

// parentState is how far a fork server is.
type parentState int

const (
	parentDown parentState = iota
	parentRising
	parentUp
)

// spares is the store of sandboxes without a function. It is safe for concurrent use.
type spares struct {
	e *Engine

	mu     sync.Mutex
	stacks map[string]*stack
	closed bool
	// short has a token when a stack may have too few.
	short chan struct{}
}

func newSpares(e *Engine) *spares {
	return &spares{e: e, stacks: map[string]*stack{}, short: make(chan struct{}, 1)}
}

// take returns a spare for launch: one that was made ahead, or a new one.
func (s *spares) take(ctx context.Context, launch *runtimes.Launch) (*spare, error) {
	if sp := s.ready(launch); sp != nil {
		return sp, nil
	}
	return s.make(ctx, launch)
}

// ready takes a spare that was made ahead, and notes that more may be wanted.
func (s *spares) ready(launch *runtimes.Launch) *spare {
	if s.e.cfg.Isolation != sandbox.Full {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stacks[launch.Key]
	if st == nil {
		st = &stack{}
		s.stacks[launch.Key] = st
	}
	st.launch, st.used = launch, s.e.cfg.Clock.Now()
	s.call()
	for len(st.spares) > 0 {
		sp := st.spares[len(st.spares)-1]
		st.spares = st.spares[:len(st.spares)-1]
		if sp.alive() {
			return sp
		}
		s.e.work.Go(sp.discard)
	}
	return nil
}

// make makes a spare, with a waiting process if the launch has one.
func (s *spares) make(ctx context.Context, launch *runtimes.Launch) (*spare, error) {
	sp, err := s.plain(ctx, launch)
	if err != nil || launch.Boot == nil || s.e.cfg.Isolation != sandbox.Full || !s.parentIsUp(launch) {
		return sp, err // its process starts fresh
	}
	if err = s.boot(ctx, sp, launch); err == nil {
		return sp, nil
	}
	sp.discard()
	if launch.Boot.Parent == nil || ctx.Err() != nil {
		return nil, err
	}
	s.e.cfg.Log.Warn("a fork server has failed", "runtime", launch.Key, "error", err)
	s.setParent(launch, parentDown)
	return s.plain(ctx, launch)
}

// plain makes a sandbox in which nothing waits.
func (s *spares) plain(ctx context.Context, launch *runtimes.Launch) (*spare, error) {
	slot := int(s.e.slots.Add(1) % (1 << 16))
	shell, err := sandbox.Prepare(ctx, s.base(launch, slot))
	if err != nil {
		return nil, err
	}
	return &spare{shell: shell}, nil
}

func (s *spares) setParent(launch *runtimes.Launch, to parentState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.stacks[launch.Key]; st != nil {
		st.parent = to
	}
}

// parentIsUp reports whether launch needs no fork server or has one. Otherwise it starts one, which takes longer than a fresh start: nobody waits for it.
func (s *spares) parentIsUp(launch *runtimes.Launch) bool {
	if launch.Boot.Parent == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stacks[launch.Key]
	if st == nil || st.parent != parentDown {
		return st != nil && st.parent == parentUp
	}
	st.parent = parentRising
	s.e.work.Go(func() {
		server, err := launch.Boot.Parent(s.e.ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		st.parent, st.server = parentUp, server
		if err != nil {
			st.parent = parentDown // functions start fresh, and with each it is tried again
			if s.e.ctx.Err() == nil {
				s.e.cfg.Log.Warn("no fork server: functions start slowly", "runtime", launch.Key, "error", err)
			}
		}
		s.call()
	})
	return false
}

// call has the stacks looked through.
func (s *spares) call() {
	select {
	case s.short <- struct{}{}:
	default:
	}
}

// base says what the sandbox of a launch is made with.
func (s *spares) base(launch *runtimes.Launch, slot int) sandbox.Base {
	cfg := s.e.cfg
	b := sandbox.Base{
		Anchor: filepath.Join(cfg.Dir, "root"), Binds: slices.Concat(launch.Binds, s.e.names().binds()), Stock: stock(cfg),
		Listen: []string{runtimeAPIAddr}, Certificates: s.e.names().certificates,
		Slot: slot, Isolation: cfg.Isolation, First: s.e.first,
	}
	if cfg.Endpoint != nil {
		b.Listen = append(b.Listen, cfg.EndpointAddr)
	}
	b.ListenPackets = segmentPackets(cfg)
	if s.e.relay != nil {
		b.Tunnel = true
		b.Listen = append(b.Listen, s.e.names().addrs()...)
		b.Listen = append(b.Listen, segmentListeners(cfg)...)
		b.Listen = append(b.Listen, s.e.relay.Local()...)
	}
	return b
}

// boot starts the launch's waiting process.
func (s *spares) boot(ctx context.Context, sp *spare, launch *runtimes.Launch) error {
	var theirs *os.File
	var err error
	if sp.conn, theirs, err = framePair(); err != nil {
		return err
	}
	defer theirs.Close()
	if sp.out, err = newOutput(); err != nil {
		return err
	}
	go sp.out.run()
	p := sandbox.Program{Args: launch.Boot.Args, Env: slices.Concat(launch.Boot.Env, assignments(s.e.names().variables())), Dir: "/", Files: []*os.File{theirs}, Output: sp.out.write}
	if launch.Boot.Parent == nil {
		err = sp.shell.Boot(ctx, p)
	} else {
		var parent *sandbox.Parent
		if parent, err = launch.Boot.Parent(ctx); err == nil {
			sp.shared = parent.Memory()
			err = sp.shell.Fork(ctx, parent, p)
		}
	}
	sp.booted = err == nil
	return err
}

// framePair returns the server's end of a new stream socket, and the file to inherit.
func framePair() (net.Conn, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "frames"), os.NewFile(uintptr(fds[1]), "frames")
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

// refillOften makes spares when nothing more urgent is under way.
func (s *spares) refillOften() {
	for {
		select {
		case <-s.short:
		case <-s.e.ctx.Done():
			return
		}
		for {
			if clock.Sleep(s.e.ctx, s.e.cfg.Clock, refillPause) != nil {
				return
			}
			if len(s.e.starts) > 0 {
				continue // somebody's start
			}
			if !s.refill() {
				break
			}
		}
	}
}

// refill makes one spare where one is missing, and reports whether it did.
func (s *spares) refill() bool {
	launch := s.missing()
	if launch == nil {
		return false
	}
	ctx, cancel := s.e.bounded(s.e.ctx, s.e.initTime)
	sp, err := s.make(ctx, launch)
	if err == nil {
		if err = sp.shell.Ready(ctx); err != nil {
			sp.discard()
		}
	}
	cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stacks[launch.Key]
	if err != nil || s.closed || st == nil {
		if err == nil {
			s.e.work.Go(sp.discard)
		} else if s.e.ctx.Err() == nil {
			s.e.cfg.Log.Warn("an environment cannot be prepared ahead", "runtime", launch.Key, "error", err)
		}
		return false // the next function that needs one says why, or brings it back
	}
	st.spares = append(st.spares, sp)
	return true
}

// missing returns the launch of a stack that has too few.
func (s *spares) missing() *runtimes.Launch {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.stacks {
		if st.launch.Boot != nil && st.launch.Boot.Parent != nil && st.parent != parentUp {
			continue // what would be made now starts fresh
		}
		want := smallSpares
		if st.launch.Boot != nil && st.launch.Boot.Memory >= largeSpare {
			want = largeSpares
		}
		if len(st.spares) < want {
			return st.launch
		}
	}
	return nil
}

// sweep gives up the spares of runtimes that nobody has used for a while.
func (s *spares) sweep(idle time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.e.cfg.Clock.Now()
	for key, st := range s.stacks {
		if now.Sub(st.used) < idle {
			continue
		}
		delete(s.stacks, key)
		if st.server != nil {
			s.e.work.Go(st.server.Close) // the runtime starts another when one is wanted
		}
		for _, sp := range st.spares {
			s.e.work.Go(sp.discard)
		}
	}
}

// close ends all spares, and lets none be made any more.
func (s *spares) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for key, st := range s.stacks {
		delete(s.stacks, key)
		for _, sp := range st.spares {
			s.e.work.Go(sp.discard)
		}
	}
}
