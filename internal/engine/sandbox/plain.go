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
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Reduced isolation, the server's side. The program runs below a supervisor, which is this program started again, in a process group of their
// own: the supervisor sets the limits, and ends the group when the server ends, however that ends.

// plain is a running sandbox of reduced isolation.
type plain struct {
	supervisor *exec.Cmd
	// life is the server's end of a pipe whose other end the supervisor reads: its end is the server's end.
	life      *os.File
	said      *os.File // what the supervisor says
	dir       string   // the program's temporary folder
	listeners []net.Listener
	peak      atomic.Int64
	done      chan struct{}
	exit      Exit

	mu sync.Mutex
	// pid is the program's process; 0 before it runs and once it has ended.
	pid int
	// gone says that the group's number may be another's by now.
	gone bool
}

// plainSpec is what the server tells the supervisor.
type plainSpec struct {
	Args, Env []string
	Dir       string
	// FileBytes bounds each file that the program writes.
	FileBytes int64
}

// plainMessage is one line that the supervisor says: Pid when the program runs, Exit and PeakBytes when it has ended, or Error.
type plainMessage struct {
	Pid       int    `json:",omitempty"`
	Exit      *Exit  `json:",omitempty"`
	PeakBytes int64  `json:",omitempty"`
	Error     string `json:",omitempty"`
}

func startPlain(ctx context.Context, spec Spec, output *os.File) (*plain, error) {
	p := &plain{done: make(chan struct{}), exit: Exit{Code: -1}}
	said, err := p.launch(spec, output)
	if err == nil {
		stop := context.AfterFunc(ctx, p.Kill)
		err = p.awaitStart(said)
		stop()
		if err == nil {
			err = ctx.Err()
		}
		go p.watch(said)
		if err == nil {
			return p, nil
		}
		p.Kill()
		<-p.done
	}
	p.discard()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, err
}

// launch makes what the program needs and starts its supervisor. It returns what reads the supervisor's messages.
func (p *plain) launch(spec Spec, output *os.File) (*json.Decoder, error) {
	var err error
	if p.dir, err = os.MkdirTemp("", "croft-function-"); err != nil {
		return nil, err
	}
	places := map[string]string{}
	for _, addr := range spec.Listen {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		l, err := net.Listen("tcp4", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, err
		}
		p.listeners = append(p.listeners, l)
		places[addr] = l.Addr().String()
	}
	path, err := self()
	if err != nil {
		return nil, err
	}
	specR, specW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer specR.Close()
	p.life = specW
	said, saying, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer saying.Close()
	p.said = said
	p.supervisor = &exec.Cmd{
		Path: path, Args: []string{plainName, p.dir}, Env: []string{}, Dir: "/",
		ExtraFiles: []*os.File{specR, saying, output},
		// A session of its own, so that Ctrl-C at the server's terminal is the server's alone to handle.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := p.supervisor.Start(); err != nil {
		p.supervisor = nil
		return nil, err
	}
	err = json.NewEncoder(specW).Encode(translate(spec, places, p.dir))
	if errors.Is(err, syscall.EPIPE) {
		err = nil // the supervisor ended, and what it said is worth more
	}
	return json.NewDecoder(io.LimitReader(said, maxSpec)), err
}

// discard gives up what a sandbox that did not come to be has left.
func (p *plain) discard() {
	for _, l := range p.listeners {
		l.Close()
	}
	if p.supervisor == nil {
		p.cleanUp()
	}
}

func (p *plain) cleanUp() {
	for _, f := range []*os.File{p.life, p.said} {
		if f != nil {
			f.Close()
		}
	}
	if p.dir != "" {
		_ = os.RemoveAll(p.dir) // what cannot be removed, the system's own cleaning of temporary folders removes
	}
}

func (p *plain) awaitStart(said *json.Decoder) error {
	var m plainMessage
	if err := said.Decode(&m); err != nil {
		return errors.New("sandbox: the supervisor ended early")
	}
	if m.Error != "" {
		return fmt.Errorf("sandbox: %s", m.Error)
	}
	p.mu.Lock()
	p.pid = m.Pid
	p.mu.Unlock()
	return nil
}

// watch waits for the program's end, and is the only one to do so.
func (p *plain) watch(said *json.Decoder) {
	var m plainMessage
	if err := said.Decode(&m); err == nil && m.Exit != nil {
		p.exit = *m.Exit
		p.raisePeak(m.PeakBytes)
	}
	p.mu.Lock()
	p.pid = 0
	p.mu.Unlock()
	p.Kill()
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	_ = p.supervisor.Wait() // says nothing that the supervisor has not said
	p.cleanUp()
	close(p.done)
}

// Listeners implements Process.
func (p *plain) Listeners() []net.Listener { return p.listeners }

// Done implements Process.
func (p *plain) Done() <-chan struct{} { return p.done }

// Exit implements Process.
func (p *plain) Exit() Exit { return p.exit }

// Kill implements Process. A process that has left the group is not reached.
func (p *plain) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		_ = syscall.Kill(-p.supervisor.Process.Pid, syscall.SIGKILL)
	}
}

// PeakMemory implements Process.
func (p *plain) PeakMemory() int64 {
	p.mu.Lock()
	pid := p.pid
	p.mu.Unlock()
	if pid > 0 {
		p.raisePeak(peakOf(pid))
	}
	return p.peak.Load()
}

func (p *plain) raisePeak(n int64) {
	for old := p.peak.Load(); n > old && !p.peak.CompareAndSwap(old, n); old = p.peak.Load() {
	}
}

// translate turns what spec says of the inside of a sandbox into what is true outside of one.
func translate(spec Spec, places map[string]string, dir string) plainSpec {
	binds := slices.Clone(spec.Binds)
	binds = append(binds, Bind{Source: filepath.Join(dir, "tmp"), Target: "/tmp"})
	// The longest first: one target may lie in another.
	slices.SortStableFunc(binds, func(a, b Bind) int { return len(b.Target) - len(a.Target) })
	out := plainSpec{Dir: outside(spec.Dir, binds), FileBytes: spec.TmpBytes}
	for _, a := range spec.Args {
		out.Args = append(out.Args, outside(a, binds))
	}
	given := map[string]bool{}
	for _, kv := range spec.Env {
		name, value, _ := strings.Cut(kv, "=")
		given[name] = true
		out.Env = append(out.Env, name+"="+elsewhere(value, places, binds))
	}
	for _, name := range []string{"HOME", "TMPDIR"} {
		if !given[name] {
			out.Env = append(out.Env, name+"="+filepath.Join(dir, "tmp"))
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
