package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// first is the first process of a sandbox. It builds the sandbox while it has the rights to, and is its init from then on.
type first struct {
	// control is what was inherited, and conn the same for this program's use.
	control *os.File
	conn    *net.UnixConn
	// ended receives SIGCHLD.
	ended chan os.Signal

	// mu orders what is told to the server about children: that one is there before that it has gone.
	mu sync.Mutex
	// known are the children that the server knows and that run.
	known map[int]bool
	// early are ends of processes that the server may be about to ask for. It is nil once it cannot any more.
	early map[int]reply

	spec outerSpec
	plan *forkPlan
	null *os.File
	// enter are the descriptors by which children enter their control groups.
	enter []int
}

// stepWork is the step that fails when a function's files are not as the server thinks.
const stepWork = "bring in the function's files"

// maxEarly bounds first.early.
const maxEarly = 64

func newFirst() (*first, error) {
	// By the poller: a read that blocks would keep the only processor from the goroutines that reap and connect.
	control := os.NewFile(controlFD, "control")
	conn, err := net.FileConn(control)
	if err != nil {
		return nil, err
	}
	f := &first{control: control, conn: conn.(*net.UnixConn), known: map[int]bool{}, early: map[int]reply{}, ended: make(chan os.Signal, 1)}
	signal.Notify(f.ended, unix.SIGCHLD)
	return f, nil
}

func outerMain() int {
	// All descriptors, also those that the server itself inherited from whoever started it: none goes further unless it is meant to.
	if err := unix.CloseRange(controlFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return 1
	}
	unix.Umask(0o022)
	f, err := newFirst()
	if err != nil {
		return 1
	}
	go f.reap()
	f.serve()
	return 1
}

// serve does what the server asks for until the server closes its end of the control socket, or dies. The end of this process then ends everything
// else in the sandbox.
func (f *first) serve() {
	buf, oob := make([]byte, maxRequest), make([]byte, unix.CmsgSpace(4*maxPassed))
	for {
		n, oobn, _, _, err := f.conn.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			return
		}
		var q request
		if err := json.Unmarshal(buf[:n], &q); err != nil {
			f.fail(0, "read a request", err)
			return
		}
		if oobn > 0 { // with opBuild alone
			if f.enter, err = receivedFDs(oob[:oobn]); err != nil {
				f.fail(q.ID, "enter control groups", err)
				return
			}
		}
		f.handle(q)
	}
}

func (f *first) handle(q request) {
	var err error
	step := q.Op
	switch q.Op {
	case opBuild:
		step, err = f.build(q)
	case opFork:
		step = stepName(stepNamespace)
		err = f.children(q)
	case opAdopt:
		err = f.adopt(q)
	case opStart:
		step, err = f.start(q)
	case opDial:
		go f.dial(q)
	case opSignal:
		err = f.signal(q)
	case opSignalAll:
		err = f.signalAll(q)
	case opFreeze, opThaw:
		err = f.freeze(q)
	default:
		err = errors.New("unknown request")
	}
	if err != nil {
		f.fail(q.ID, step, err)
	}
}

func (f *first) send(m reply, fds ...int) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	_, _, err = f.conn.WriteMsgUnix(b, oob, nil)
	return err
}

func (f *first) fail(id int, step string, err error) {
	m := reply{ID: id, Step: step, Text: err.Error()}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		m.Errno = int(errno)
	}
	m.Text = m.Text[:min(len(m.Text), maxReply/4)]
	// When the server cannot be told it is gone, and so is this process in a moment.
	_ = f.send(m)
}

// build makes the sandbox and answers with its descriptors. With an error it returns the step that failed.
func (f *first) build(q request) (string, error) {
	if q.Base == nil {
		return q.Op, errors.New("nothing is said of the sandbox")
	}
	f.spec = *q.Base
	var files []*os.File
	defer func() {
		for _, file := range files {
			file.Close()
		}
	}()
	answer := reply{ID: q.ID}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"set up the network namespace", func() (err error) { files, err = f.listen(); return err }},
		{"make the network device", func() error { files = f.makeTunnel(files, &answer); return nil }},
		{"assemble the root folder", func() error { return assembleRoot(f.spec, answer.Tunnel) }},
		{"yield memory", yieldMemory},
		{"prepare the start of programs", f.prepareFork},
		{"give up groups and new privileges", f.giveUpEarly},
	} {
		if err := step.do(); err != nil {
			return step.name, err
		}
	}
	var fds []int
	for _, file := range files {
		fds = append(fds, int(file.Fd())) // makes it one that blocks, which the server undoes
	}
	return q.Op, f.send(answer, fds...)
}

// makeTunnel adds the network device to files, or says in the answer why there is none.
func (f *first) makeTunnel(files []*os.File, answer *reply) []*os.File {
	if !f.spec.Tunnel {
		return files
	}
	tunnel, err := openTunnel()
	if err != nil {
		answer.NoTunnel = err.Error()
		return files
	}
	answer.Tunnel = true
	return append(files, tunnel)
}

// giveUpEarly gives up what nothing needs once the root is there. Each call is made by every thread, which takes its time: here nobody waits for it.
func (f *first) giveUpEarly() error {
	if f.spec.DropGroups {
		if err := syscall.Setgroups(nil); err != nil {
			return err
		}
	}
	err := forbidNewPrivileges(onAllThreads)
	if errors.Is(err, syscall.ENOTSUP) {
		return nil // executeInit does it
	}
	return err
}

func (f *first) prepareFork() error {
	var err error
	if f.null, err = os.Open("/dev/null"); err != nil {
		return err
	}
	if f.plan, err = newForkPlan(f.spec, int(f.null.Fd())); err != nil {
		return err
	}
	return f.plan.enterGroups(f.enter, f.spec.Enter, f.spec.EnterFolder)
}

// listen raises the loopback interface and opens the listeners. Their descriptors keep working when this process gives up its rights.
func (f *first) listen() ([]*os.File, error) {
	if err := unix.Sethostname([]byte("sandbox")); err != nil {
		return nil, fmt.Errorf("set the host name: %w", err)
	}
	if err := raiseLoopback(); err != nil {
		return nil, fmt.Errorf("raise the loopback interface: %w", err)
	}
	var files []*os.File
	for _, addr := range f.spec.Listen {
		l, err := net.Listen("tcp4", addr)
		if err != nil {
			return files, err
		}
		file, err := l.(*net.TCPListener).File()
		l.Close()
		if err != nil {
			return files, err
		}
		files = append(files, file)
	}
	for _, addr := range f.spec.ListenPackets {
		l, err := net.ListenPacket("udp4", addr)
		if err != nil {
			return files, err
		}
		file, err := l.(*net.UDPConn).File()
		l.Close()
		if err != nil {
			return files, err
		}
		files = append(files, file)
	}
	return files, nil
}

func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req); err != nil {
		return err
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// oomScore makes the sandbox go before the server when memory runs out. Set by a privileged process it is what the function cannot go below.
const oomScore = 500

func yieldMemory() error {
	return os.WriteFile("/proc/self/oom_score_adj", fmt.Append(nil, oomScore), 0)
}

// children starts processes that wait to become programs, and answers with the sockets at which they do.
func (f *first) children(q request) error {
	if f.plan == nil || q.Count < 1 || q.Count > maxPrograms {
		return errors.New("no processes can be made")
	}
	limit := uint64(maxProcesses)
	if q.Processes > 0 {
		limit = uint64(q.Processes)
	}
	f.plan.limits[limitOfProcesses].limit = unix.Rlimit{Cur: limit, Max: limit}
	if q.Data > 0 {
		f.plan.limits[limitOfData].limit = unix.Rlimit{Cur: uint64(q.Data), Max: uint64(q.Data)}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := reply{ID: q.ID}
	var socks []int
	defer func() {
		for _, s := range socks {
			unix.Close(s)
		}
	}()
	for range q.Count {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		pid, err := f.plan.fork(pair[1])
		unix.Close(pair[1])
		socks = append(socks, pair[0])
		if err != nil {
			return err
		}
		f.known[pid] = true
		answer.PIDs = append(answer.PIDs, pid)
	}
	return f.send(answer, socks...)
}

// start makes the sandbox the function's and gives up every right to change it again.
func (f *first) start(q request) (string, error) {
	if q.Work == nil || f.plan == nil {
		return q.Op, errors.New("nothing is said of the work")
	}
	if err := bringWork(f.spec.Stock != "", *q.Work); err != nil {
		return stepWork, err
	}
	f.mu.Lock()
	f.early = nil
	err := limitData(f.known, q.Work.Data)
	f.mu.Unlock()
	if err != nil {
		return stepName(stepLimits), err
	}
	f.plan = nil
	f.null.Close()
	for _, fd := range f.enter {
		unix.Close(fd)
	}
	const step = "give up privileges"
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return step, err
	}
	err = giveUpRights(onAllThreads)
	if errors.Is(err, syscall.ENOTSUP) {
		return step, executeInit(q.ID, f.known)
	}
	if err != nil {
		return step, err
	}
	return step, f.becomeInit(q.ID)
}

// reap waits for children, and for the orphans that the kernel gives to the first process.
func (f *first) reap() {
	for range f.ended {
		for f.reapOne() {
		}
	}
}

func (f *first) reapOne() bool {
	f.mu.Lock() // also against a child that ends before it is known
	defer f.mu.Unlock()
	var status unix.WaitStatus
	var usage unix.Rusage
	pid, err := unix.Wait4(-1, &status, unix.WNOHANG, &usage)
	if errors.Is(err, unix.EINTR) {
		return true
	}
	if err != nil || pid == 0 {
		return false
	}
	m := reply{PID: pid, Exit: &Exit{Code: status.ExitStatus()}, PeakBytes: usage.Maxrss << 10}
	if status.Signaled() {
		m.Exit.Signal = int(status.Signal())
	}
	switch {
	case f.known[pid]:
		delete(f.known, pid)
		// A server that is gone needs no message.
		_ = f.send(m)
	case f.early != nil && len(f.early) < maxEarly:
		f.early[pid] = m
	}
	return true
}

// adopt reports the end of a process that somebody else started in the sandbox, from now on or at once.
func (f *first) adopt(q request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.send(reply{ID: q.ID}); err != nil {
		return err
	}
	if m, ok := f.early[q.PID]; ok {
		delete(f.early, q.PID)
		return f.send(m)
	}
	if f.early == nil && unix.Kill(q.PID, 0) == unix.ESRCH { // nobody keeps how it ended
		return f.send(reply{PID: q.PID, Exit: &Exit{Code: -1}})
	}
	f.known[q.PID] = true
	return nil
}

func knownChildren(known map[int]bool) []int {
	var out []int
	for pid := range known {
		out = append(out, pid)
	}
	slices.Sort(out)
	return out
}
