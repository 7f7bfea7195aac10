package sandbox

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How the first process starts programs. Executing croft once more for each, only to give up rights and execute something else, would cost more
// than everything else together. Instead the process forks, and the child does with nothing but system calls what is to be done before the
// program. It is a copy of one thread of a Go program: it must not allocate, grow its stack, write a pointer or meet the scheduler, which is why the
// functions that it runs are nosplit, and why everything that they need lies in a forkPlan made before. It waits on a socket, whose other end is
// the server's, for the program that it is to become.

// Steps of a child, as it reports them. stepReady is no failure.
const (
	stepReady = iota
	stepGroup
	stepKeep
	stepIdentity
	stepNamespace
	stepMap
	stepLimits
	stepCaps
	stepFilter
	stepMessage
	stepFiles
	stepDir
	stepExec
)

func stepName(step uint32) string {
	switch step {
	case stepGroup:
		return "enter a control group"
	case stepKeep:
		return "keep descriptors back"
	case stepIdentity:
		return "take the function's user id"
	case stepNamespace:
		return "start a process in a nested user namespace"
	case stepMap:
		return "map ids in /proc/self"
	case stepLimits:
		return "set limits"
	case stepCaps:
		return "give up privileges"
	case stepFilter:
		return "filter system calls"
	case stepMessage:
		return "read what to execute"
	case stepFiles:
		return "place descriptors"
	case stepDir:
		return "enter the working folder"
	}
	return stepExecute
}

// Where a child keeps its own descriptors while it arranges the program's.
const (
	childSockFD = 500
	childNullFD = 501
	// childHighFD is where received descriptors wait for their places.
	childHighFD = 600
)

const (
	// maxStrings bounds arguments and variables of a program together.
	maxStrings = 8192
)

// Places in forkPlan.limits that requests change.
const (
	limitOfProcesses = 1
	limitOfData      = 3
)

type forkLimit struct {
	resource uintptr
	limit    unix.Rlimit
}

// forkPlan is what a child needs, ready to be used by system calls.
type forkPlan struct {
	sock, null, uid, gid uintptr
	dropGroups           bool
	clone                [11]uint64 // struct clone_args, its third version
	allSignals, none     uint64
	keep, without        [2]unix.CapUserData
	header               unix.CapUserHeader
	limits               [5]forkLimit
	enter                [4]uintptr
	entries              int
	zero                 byte
	uidMap, gidMap       []byte
	filter               []unix.SockFilter
	prog                 unix.SockFprog
	report               [2]uint32
	first                byte
	iov                  unix.Iovec
	msg                  unix.Msghdr
	oob                  [unix.SizeofCmsghdr + 4*(maxFiles+2) + 8]byte
	// image is what programImage makes; strings are the addresses of its parts.
	image    []byte
	strings  []uintptr
	received [maxFiles + 2]uintptr
}

// The files that a child opens.
const (
	uidMapPath    = "/proc/self/uid_map\x00"
	gidMapPath    = "/proc/self/gid_map\x00"
	setgroupsPath = "/proc/self/setgroups\x00"
	deny          = "deny"
)

const (
	cloneClearSighand = 0x100000000
	cloneIntoCgroup   = 0x200000000
	cloneArgsSize     = 88
)

func newForkPlan(spec outerSpec, null int) (*forkPlan, error) {
	filter, err := filterProgram(spec.Counted)
	if err != nil {
		return nil, err
	}
	p := &forkPlan{
		null: uintptr(null), uid: uintptr(spec.HostUID), gid: uintptr(spec.HostGID), dropGroups: spec.DropGroups,
		allSignals: ^uint64(0), zero: '0',
		header: unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3},
		limits: [5]forkLimit{
			{unix.RLIMIT_CORE, unix.Rlimit{}},
			{unix.RLIMIT_NPROC, unix.Rlimit{Cur: maxProcesses, Max: maxProcesses}},
			{unix.RLIMIT_NOFILE, unix.Rlimit{Cur: maxOpenFiles, Max: maxOpenFiles}},
			{unix.RLIMIT_DATA, unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}},
			{unix.RLIMIT_SIGPENDING, unix.Rlimit{Cur: maxSignals, Max: maxSignals}},
		},
		uidMap: fmt.Appendf(nil, "%d %d 1", UID, spec.HostUID), gidMap: fmt.Appendf(nil, "%d %d 1", GID, spec.HostGID),
		filter: filter, image: make([]byte, maxSpec), strings: make([]uintptr, maxStrings+4),
	}
	p.clone[0], p.clone[4] = cloneClearSighand, uint64(unix.SIGCHLD)
	// What making a user namespace may take, and what setting it up may take on systems that restrict ordinary users there.
	p.keep[0] = unix.CapUserData{Effective: 1 << unix.CAP_SYS_ADMIN, Permitted: 1 << unix.CAP_SYS_ADMIN}
	p.prog = unix.SockFprog{Len: uint16(len(p.filter)), Filter: &p.filter[0]}
	p.iov = unix.Iovec{Base: &p.first}
	p.iov.SetLen(1)
	p.msg = unix.Msghdr{Iov: &p.iov, Control: &p.oob[0]}
	p.msg.SetIovlen(1)
	p.msg.SetControllen(len(p.oob))
	return p, nil
}

// enterGroups has the children enter control groups: count of the first version by files, and one of the second by its folder, which is the last.
func (p *forkPlan) enterGroups(fds []int, count int, folder bool) error {
	if folder && len(fds) > 0 {
		last := len(fds) - 1
		p.clone[0] |= cloneIntoCgroup
		p.clone[10] = uint64(fds[last])
		fds = fds[:last]
	} else if folder {
		count = -1
	}
	if len(fds) != count || count > len(p.enter) {
		return fmt.Errorf("%d descriptors of control groups", len(fds))
	}
	for i, fd := range fds {
		p.enter[i] = uintptr(fd)
	}
	p.entries = count
	return nil
}

// fork starts a child that waits for its program on sock. It returns the child's process id.
func (p *forkPlan) fork(sock int) (int, error) {
	p.sock = uintptr(sock)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before uint64
	// The child is to get no signal while it still has Go's idea of what to do with one.
	if _, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&p.allSignals)), uintptr(unsafe.Pointer(&before)), 8, 0, 0); errno != 0 {
		return 0, errno
	}
	pid, errno := forkChild(p)
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&before)), 0, 8, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(pid), nil
}

//go:norace
//go:nosplit
func forkChild(p *forkPlan) (uintptr, syscall.Errno) {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&p.clone)), cloneArgsSize, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	childPrepare(p)
	childBecome(p)
	return 0, 0
}

// childFail reports a step's failure and ends the child.
//
//go:norace
//go:nosplit
func childFail(p *forkPlan, step uint32, errno syscall.Errno) {
	p.report[0], p.report[1] = step, uint32(errno)
	childCall(unix.SYS_WRITE, p.sock, uintptr(unsafe.Pointer(&p.report)), 8)
	for {
		childCall(unix.SYS_EXIT_GROUP, 1, 0, 0)
	}
}

//go:norace
//go:nosplit
func childCall(number, a, b, c uintptr) (uintptr, syscall.Errno) {
	r, _, errno := syscall.RawSyscall6(number, a, b, c, 0, 0, 0)
	return r, errno
}

// childPrepare takes everything from the child that a function's program must not have.
//
//go:norace
//go:nosplit
func childPrepare(p *forkPlan) {
	for i := range p.entries {
		if _, errno := childCall(unix.SYS_WRITE, p.enter[i], uintptr(unsafe.Pointer(&p.zero)), 1); errno != 0 {
			childFail(p, stepGroup, errno)
		}
	}
	if _, errno := childCall(unix.SYS_DUP3, p.sock, childSockFD, unix.O_CLOEXEC); errno != 0 {
		childFail(p, stepKeep, errno)
	}
	p.sock = childSockFD
	if _, errno := childCall(unix.SYS_DUP3, p.null, childNullFD, unix.O_CLOEXEC); errno != 0 {
		childFail(p, stepKeep, errno)
	}
	childCall(unix.SYS_CLOSE_RANGE, 0, childSockFD-1, 0)
	if _, errno := childCall(unix.SYS_CLOSE_RANGE, childNullFD+1, uintptr(^uint32(0)), 0); errno != 0 {
		childFail(p, stepKeep, errno)
	}
	childCall(unix.SYS_SETSID, 0, 0, 0)
	childIdentity(p)
	for i := range p.limits {
		l := &p.limits[i]
		if _, errno := childCall(unix.SYS_PRLIMIT64, 0, l.resource, uintptr(unsafe.Pointer(&l.limit))); errno != 0 {
			childFail(p, stepLimits, errno)
		}
	}
	for c := uintptr(0); c < 64; c++ {
		if _, errno := childCall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0); errno != 0 {
			if errno == syscall.EINVAL && c > 0 {
				break // beyond the kernel's last capability
			}
			childFail(p, stepCaps, errno)
		}
	}
	if _, errno := childCall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&p.header)), uintptr(unsafe.Pointer(&p.without)), 0); errno != 0 {
		childFail(p, stepCaps, errno)
	}
	if _, errno := childCall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		childFail(p, stepCaps, errno)
	}
	if _, errno := childCall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&p.prog))); errno != 0 {
		childFail(p, stepFilter, errno)
	}
}

// childIdentity takes the function's ids and makes the nested user namespace.
//
//go:norace
//go:nosplit
func childIdentity(p *forkPlan) {
	if p.dropGroups {
		if _, errno := childCall(unix.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
			childFail(p, stepIdentity, errno)
		}
	}
	if p.uid != 0 {
		// The right to make the namespace must outlive the change of the user: some systems let nobody else make one.
		if _, errno := childCall(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0); errno != 0 {
			childFail(p, stepIdentity, errno)
		}
		if _, errno := childCall(unix.SYS_SETRESGID, p.gid, p.gid, p.gid); errno != 0 {
			childFail(p, stepIdentity, errno)
		}
		if _, errno := childCall(unix.SYS_SETRESUID, p.uid, p.uid, p.uid); errno != 0 {
			childFail(p, stepIdentity, errno)
		}
		if _, errno := childCall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&p.header)), uintptr(unsafe.Pointer(&p.keep)), 0); errno != 0 {
			childFail(p, stepIdentity, errno)
		}
	}
	if _, errno := childCall(unix.SYS_UNSHARE, unix.CLONE_NEWUSER, 0, 0); errno != 0 {
		childFail(p, stepNamespace, errno)
	}
	// The files of a process that is not dumpable belong to root.
	childCall(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1, 0)
	childWrite(p, uintptr(unsafe.Pointer(unsafe.StringData(setgroupsPath))), uintptr(unsafe.Pointer(unsafe.StringData(deny))), uintptr(len(deny)))
	childWrite(p, uintptr(unsafe.Pointer(unsafe.StringData(uidMapPath))), uintptr(unsafe.Pointer(&p.uidMap[0])), uintptr(len(p.uidMap)))
	childWrite(p, uintptr(unsafe.Pointer(unsafe.StringData(gidMapPath))), uintptr(unsafe.Pointer(&p.gidMap[0])), uintptr(len(p.gidMap)))
	// What waits must not be looked into by what runs. Executing makes it dumpable again.
	childCall(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0)
}

//go:norace
//go:nosplit
func childWrite(p *forkPlan, path, text, size uintptr) {
	fd, errno := childCall(unix.SYS_OPENAT, ^uintptr(99), path, unix.O_WRONLY|unix.O_CLOEXEC) // AT_FDCWD
	if errno != 0 {
		childFail(p, stepMap, errno)
	}
	if _, errno = childCall(unix.SYS_WRITE, fd, text, size); errno != 0 {
		childFail(p, stepMap, errno)
	}
	childCall(unix.SYS_CLOSE, fd, 0, 0)
}

// childBecome waits for the program and becomes it.
//
//go:norace
//go:nosplit
func childBecome(p *forkPlan) {
	if _, errno := childCall(unix.SYS_WRITE, p.sock, uintptr(unsafe.Pointer(&p.report)), 8); errno != 0 {
		childFail(p, stepMessage, errno)
	}
	n, errno := childCall(unix.SYS_RECVMSG, p.sock, uintptr(unsafe.Pointer(&p.msg)), unix.MSG_CMSG_CLOEXEC)
	if errno != 0 || n == 0 {
		childFail(p, stepMessage, errno) // the server has no use for the child
	}
	files := childReceived(p)
	if files < 2 {
		childFail(p, stepMessage, syscall.EPROTO)
	}
	args := childStrings(p)
	childPlace(p, childNullFD, 0)
	childPlace(p, p.received[1], 1)
	childPlace(p, p.received[1], 2)
	for i := 2; i < files; i++ {
		childPlace(p, p.received[i], uintptr(i+1))
	}
	if _, errno := childCall(unix.SYS_CHDIR, p.strings[0], 0, 0); errno != 0 {
		childFail(p, stepDir, errno)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&p.none)), 0, 8, 0, 0)
	_, errno = childCall(unix.SYS_EXECVE, p.strings[1], uintptr(unsafe.Pointer(&p.strings[1])), uintptr(unsafe.Pointer(&p.strings[args+2])))
	childFail(p, stepExec, errno)
}

//go:norace
//go:nosplit
func childPlace(p *forkPlan, from, to uintptr) {
	if _, errno := childCall(unix.SYS_DUP3, from, to, 0); errno != 0 {
		childFail(p, stepFiles, errno)
	}
}

// childReceived moves the descriptors that came with the message out of the way of their places, and returns how many there are.
//
//go:norace
//go:nosplit
func childReceived(p *forkPlan) int {
	if p.msg.Controllen < unix.SizeofCmsghdr {
		return 0
	}
	count := int(*(*uint64)(unsafe.Pointer(&p.oob))-unix.SizeofCmsghdr) / 4
	if count > len(p.received) {
		return 0
	}
	for i := range count {
		fd := *(*int32)(unsafe.Pointer(&p.oob[unix.SizeofCmsghdr+4*i]))
		high, errno := childCall(unix.SYS_FCNTL, uintptr(fd), unix.F_DUPFD_CLOEXEC, childHighFD)
		if errno != 0 {
			childFail(p, stepFiles, errno)
		}
		p.received[i] = high
	}
	return count
}

// childStrings reads the program's image and finds its strings. It returns the number of arguments.
//
//go:norace
//go:nosplit
func childStrings(p *forkPlan) int {
	size := uintptr(0)
	for size < uintptr(len(p.image)) {
		n, _, errno := syscall.RawSyscall6(unix.SYS_PREAD64, p.received[0], uintptr(unsafe.Pointer(&p.image[size])), uintptr(len(p.image))-size, size, 0, 0)
		if errno != 0 {
			childFail(p, stepMessage, errno)
		}
		if n == 0 {
			break
		}
		size += n
	}
	if size < 2*4 {
		childFail(p, stepMessage, syscall.EPROTO)
	}
	args, vars := int(*(*uint32)(unsafe.Pointer(&p.image[0]))), int(*(*uint32)(unsafe.Pointer(&p.image[4])))
	if args < 1 || args > maxStrings || vars < 0 || vars > maxStrings-args-1 {
		childFail(p, stepMessage, syscall.E2BIG)
	}
	at := uintptr(2 * 4)
	for i := range 1 + args + vars {
		slot := i
		if i > args {
			slot = i + 1 // after the null that ends the arguments
		}
		if at >= size {
			childFail(p, stepMessage, syscall.EPROTO)
		}
		p.strings[slot] = uintptr(unsafe.Pointer(&p.image[at]))
		for at < size && p.image[at] != 0 {
			at++
		}
		at++
	}
	return args
}
