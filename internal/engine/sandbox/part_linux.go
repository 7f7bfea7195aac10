package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/clock"
)

const (
	// forkFrame is the frame that asks a process to fork: no header, no body.
	forkFrame = "\x05\x00\x00\x00F\x00\x00\x00\x00"
	// killRounds bounds how often a part's processes are looked for and killed, which end faster than they are found unless they fork without end.
	killRounds = 400
	killPause  = 5 * time.Millisecond
)

var (
	errDivide = errors.New("sandbox: the process did not fork")
	errPart   = errors.New("sandbox: a part starts no programs")
)

// part is a session of processes in a sandbox.
type part struct {
	s      *isolated
	main   *Child
	sid    int // the session's number in the sandbox
	memory int64
	end    func()
	ended  chan struct{} // closes when Kill is called
	done   chan struct{}

	mu sync.Mutex
	// hosts are the processes that were there when somebody last looked, by their numbers outside.
	hosts  []int
	peak   int64
	oom    bool
	frozen bool
}

// Divide implements Divisible.
func (s *isolated) Divide(ctx context.Context, via *net.UnixConn, p Program, memory int64) (Running, error) {
	if err := s.giveOutput(p); err != nil {
		return nil, err
	}
	if err := s.moreMemory(memory); err != nil {
		return nil, err
	}
	pid, err := forkOver(ctx, via, p)
	var child *Child
	if err == nil {
		child, err = s.takeIn(ctx, pid)
	}
	if err != nil {
		// The limit that is too high now ends with the sandbox at the latest.
		_ = s.moreMemory(-memory)
		return nil, err
	}
	d := &part{s: s, main: child, sid: pid, memory: memory, ended: make(chan struct{}), done: make(chan struct{})}
	d.end = sync.OnceFunc(func() { close(d.ended) })
	s.mu.Lock()
	if s.parts == nil {
		s.parts = map[int]*part{}
	}
	s.parts[pid] = d
	s.mu.Unlock()
	go d.watch()
	return d, nil
}

// forkOver asks the process at the other end of via for a child, and returns the child's number.
func forkOver(ctx context.Context, via *net.UnixConn, p Program) (int, error) {
	reply, peer, err := packetPair()
	if err != nil {
		return 0, err
	}
	defer reply.Close()
	defer peer.Close()
	fds := []int{int(peer.Fd()), int(p.Output.Fd())}
	for _, f := range p.Files {
		fds = append(fds, int(f.Fd()))
	}
	stop := context.AfterFunc(ctx, func() {
		reply.Close()
		_ = via.SetWriteDeadline(time.Unix(1, 0)) // a process that does not read is of no use any more
	})
	defer stop()
	if _, _, err := via.WriteMsgUnix([]byte(forkFrame), unix.UnixRights(fds...), nil); err != nil {
		return 0, fmt.Errorf("%w: %w", errDivide, err)
	}
	peer.Close()
	buf := make([]byte, maxForkReply)
	n, err := reply.Read(buf)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	var answer struct{ PID int }
	if err == nil {
		err = json.Unmarshal(buf[:n], &answer)
	}
	if err != nil || answer.PID <= 1 {
		return 0, errDivide
	}
	return answer.PID, nil
}

// takeIn makes a process that somebody in the sandbox has started one of the server's children.
func (s *isolated) takeIn(ctx context.Context, pid int) (*Child, error) {
	s.mu.Lock()
	if s.ended || s.children[pid] != nil {
		s.mu.Unlock()
		return nil, errDivide
	}
	c := s.newChild(pid)
	s.mu.Unlock()
	_, err := s.control.call(ctx, request{Op: opAdopt, PID: pid})
	return c, err
}

// moreMemory raises the sandbox's limit.
func (s *isolated) moreMemory(by int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.work.Limits.Memory == 0 || by == 0 {
		return nil
	}
	s.work.Limits.Memory += by
	tmp := s.work.TmpBytes
	if tmp <= 0 {
		tmp = defaultTmp
	}
	return s.groups.limit(s.work.Limits, tmp)
}

// watch ends the part when that is asked for, and with its sandbox.
func (d *part) watch() {
	defer close(d.done)
	defer func() {
		d.s.mu.Lock()
		delete(d.s.parts, d.sid)
		d.s.mu.Unlock()
	}()
	select {
	case <-d.s.done:
		return
	case <-d.ended:
	}
	// Also where it is not what it says, and leads no session. A process that has ended needs no signal.
	_ = d.main.Signal(int(unix.SIGKILL))
	for range killRounds {
		pids := d.members()
		if len(pids) == 0 {
			select {
			case <-d.main.Done():
				// A sandbox that is ending has no limits any more.
				_ = d.s.moreMemory(-d.memory)
			case <-d.s.done:
			}
			return
		}
		if d.signal(pids, unix.SIGKILL) != nil {
			break
		}
		_ = clock.Sleep(context.Background(), clock.Real(), killPause) // the context does not end
	}
	d.s.Kill() // it forks faster than it is killed: the sandbox is of no use any more
	<-d.s.done
}

// member is a process of a session: its numbers outside and in the sandbox, and the text of its /proc/PID/status.
type member struct {
	host, pid int
	status    []byte
}

// sessions returns the processes of the sandbox that run, by session.
func (s *isolated) sessions() map[int][]member {
	out := map[int][]member{}
	for _, host := range processes(s.cmd.Process.Pid) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", host))
		if err != nil || bytes.HasPrefix(field(b, "State:"), []byte("Z")) {
			continue // it has ended
		}
		sid, err := strconv.Atoi(string(lastField(b, "NSsid:")))
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(string(lastField(b, "NSpid:")))
		if err == nil {
			out[sid] = append(out[sid], member{host, pid, b})
		}
	}
	return out
}

// members returns the processes of the part that run, by their numbers in the sandbox.
func (d *part) members() []int {
	var out []int
	for _, m := range d.s.sessions()[d.sid] {
		out = append(out, m.pid)
	}
	return out
}

// field returns the rest of a line of /proc/PID/status, and lastField the last word of it.
func field(status []byte, name string) []byte {
	_, rest, ok := bytes.Cut(status, []byte("\n"+name))
	if !ok {
		return nil
	}
	line, _, _ := bytes.Cut(rest, []byte{'\n'})
	return bytes.TrimSpace(line)
}

func lastField(status []byte, name string) []byte {
	words := bytes.Fields(field(status, name))
	if len(words) == 0 {
		return nil
	}
	return words[len(words)-1]
}

func (d *part) signal(pids []int, sig unix.Signal) error {
	_, err := d.s.control.call(context.Background(), request{Op: opSignalAll, PIDs: pids, Signal: int(sig)})
	return err
}

// sampleParts measures the parts that are not frozen, and ends those that have too much memory.
func (s *isolated) sampleParts() {
	s.mu.Lock()
	var awake []*part
	for _, d := range s.parts {
		if !d.isFrozen() {
			awake = append(awake, d)
		}
	}
	s.mu.Unlock()
	if len(awake) == 0 {
		return
	}
	sessions := s.sessions()
	for _, d := range awake {
		d.take(sessions[d.sid])
	}
}

func (d *part) isFrozen() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.frozen
}

// take notes what the part has.
func (d *part) take(members []member) {
	var used int64
	hosts := make([]int, 0, len(members))
	for _, m := range members {
		used += kilobytes(m.status, "RssAnon:") + kilobytes(m.status, "RssShmem:")
		hosts = append(hosts, m.host)
	}
	d.mu.Lock()
	d.hosts = hosts
	d.peak = max(d.peak, used)
	over := d.memory > 0 && used > d.memory
	d.oom = d.oom || over
	d.mu.Unlock()
	if over {
		d.Kill()
	}
}

// Booted implements Running.
func (d *part) Booted() *Child { return d.main }

// Run implements Running.
func (d *part) Run(context.Context, Program) (*Child, error) { return nil, errPart }

// Dial implements Running.
func (d *part) Dial(ctx context.Context, addr string) (net.Conn, error) { return d.s.Dial(ctx, addr) }

// Freeze implements Running. A process that is being started while the others are stopped is found in the second round.
func (d *part) Freeze() error { return d.setFrozen(true, unix.SIGSTOP, 2) }

// Thaw implements Running.
func (d *part) Thaw() error { return d.setFrozen(false, unix.SIGCONT, 1) }

func (d *part) setFrozen(frozen bool, sig unix.Signal, rounds int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range rounds {
		if err := d.signal(d.members(), sig); err != nil {
			return err
		}
	}
	d.frozen = frozen
	return nil
}

// Usage implements Running.
func (d *part) Usage() Usage {
	d.mu.Lock()
	known := d.hosts != nil
	d.mu.Unlock()
	if !known {
		d.take(d.s.sessions()[d.sid])
	}
	d.s.mu.Lock()
	whole := d.s.oom
	d.s.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	var now int64
	for _, host := range d.hosts {
		now += peakOf(host)
	}
	d.peak = max(d.peak, now)
	out := Usage{PeakMemory: d.peak, OutOfMemory: d.oom || whole}
	if d.memory > 0 {
		out.PeakMemory = min(out.PeakMemory, d.memory)
	}
	return out
}

// Done implements Running.
func (d *part) Done() <-chan struct{} { return d.done }

// Kill implements Running.
func (d *part) Kill() { d.end() }
