package sandbox

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dialTime bounds the first process's attempts to connect: the server's own patience ends earlier or later.
const dialTime = 30 * time.Second

// becomeInit is the end of opStart: from now on the first process is one that waits.
func (f *first) becomeInit(id int) error {
	if err := ignoreSignals(); err != nil {
		return err
	}
	return f.send(reply{ID: id})
}

// executeInit gives up the rights of this thread alone and executes the program anew, which ends the other threads. Programs that contain C need it.
func executeInit(id int, known map[int]bool) error {
	runtime.LockOSThread()
	if err := forbidNewPrivileges(onThisThread); err != nil {
		return err
	}
	if err := giveUpRights(onThisThread); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(controlFD, unix.F_SETFD, 0); err != nil {
		return err
	}
	args := []string{initName, strconv.Itoa(id)}
	for _, pid := range knownChildren(known) {
		args = append(args, strconv.Itoa(pid))
	}
	return syscall.Exec("/proc/self/exe", args, os.Environ())
}

// initMain is the first process after executeInit. Its arguments are the request to answer and the children that it has.
func initMain() int {
	unix.CloseOnExec(controlFD)
	f, err := newFirst()
	if err != nil {
		return 1
	}
	f.early = nil
	var numbers []int
	for _, a := range os.Args[1:] {
		n, err := strconv.Atoi(a)
		if err != nil {
			return 1
		}
		numbers = append(numbers, n)
	}
	if len(numbers) == 0 {
		return 1
	}
	for _, pid := range numbers[1:] {
		f.known[pid] = true
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		f.fail(numbers[0], "hide the first process", err)
		return 1
	}
	go f.reap()
	if err := f.becomeInit(numbers[0]); err != nil {
		return 1
	}
	for f.reapOne() { // those whose signal went to the old image
	}
	f.serve()
	return 1
}

// sigaction is the kernel's struct sigaction.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// ignoreSignals keeps a function from ending its sandbox: a first process gets those signals that it handles, and Go handles nearly all. What the
// process does wrong itself still ends it: the kernel does not let those signals be ignored.
func ignoreSignals() error {
	const ignore = 1 // SIG_IGN
	action := sigaction{handler: ignore}
	for n := uintptr(1); n <= 64; n++ {
		switch syscall.Signal(n) {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGURG: // the first two cannot be, the others serve reap and Go's scheduler
			continue
		}
		if _, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, n, uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0); errno != 0 {
			return fmt.Errorf("ignore signal %d: %w", n, errno)
		}
	}
	return ignoreStops()
}

// ignoreStops spares the first process the signals that tell of children which are stopped and go on.
func ignoreStops() error {
	const noStops = 1 // SA_NOCLDSTOP
	var action sigaction
	chld := uintptr(unix.SIGCHLD)
	if _, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, chld, 0, uintptr(unsafe.Pointer(&action)), 8, 0, 0); errno != 0 {
		return fmt.Errorf("look at signal %d: %w", chld, errno)
	}
	action.flags |= noStops
	if _, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, chld, uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0); errno != 0 {
		return fmt.Errorf("handle signal %d: %w", chld, errno)
	}
	return nil
}

// dial connects to a listener of the sandbox's and answers with the connection.
func (f *first) dial(q request) {
	conn, err := net.DialTimeout("tcp", q.Addr, dialTime)
	if err != nil {
		f.fail(q.ID, q.Op, err)
		return
	}
	defer conn.Close()
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		f.fail(q.ID, q.Op, err)
		return
	}
	defer file.Close()
	// A server that is gone needs no connection.
	_ = f.send(reply{ID: q.ID}, int(file.Fd()))
}

func (f *first) signal(q request) error {
	f.mu.Lock() // so that the number is still that child's
	defer f.mu.Unlock()
	if f.known[q.PID] {
		if err := unix.Kill(q.PID, unix.Signal(q.Signal)); err != nil {
			return err
		}
	}
	return f.send(reply{ID: q.ID})
}

// signalAll sends a signal to processes of which some may have gone.
func (f *first) signalAll(q request) error {
	for _, pid := range q.PIDs {
		if pid <= 1 {
			continue // itself, and everybody
		}
		if err := unix.Kill(pid, unix.Signal(q.Signal)); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return f.send(reply{ID: q.ID})
}

// freeze stops every process of the sandbox, or lets them go on. The kernel does not let a process slip through by forking.
func (f *first) freeze(q request) error {
	s := unix.SIGSTOP
	if q.Op == opThaw {
		s = unix.SIGCONT
	}
	if err := unix.Kill(-1, s); err != nil && err != unix.ESRCH {
		return err
	}
	return f.send(reply{ID: q.ID})
}
