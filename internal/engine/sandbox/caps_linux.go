package sandbox

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// onAllThreads makes one system call on every thread of the process. It fails with ENOTSUP in programs that contain C.
func onAllThreads(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := syscall.AllThreadsSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

// onThisThread is onAllThreads for the calling thread alone.
func onThisThread(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := syscall.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

// forbidNewPrivileges has no program get more rights by its execution than the process has.
func forbidNewPrivileges(call func(number uintptr, args ...uintptr) error) error {
	return call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
}

// giveUpRights leaves the capability to send signals and nothing else; it comes after forbidNewPrivileges. The bounding set is left as it is: with new privileges forbidden a program
// that is executed keeps, of what the set would give it, only what this process has; and emptying it would take 41 calls on every thread.
func giveUpRights(call func(number uintptr, args ...uintptr) error) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	keep := [2]unix.CapUserData{{Effective: 1 << unix.CAP_KILL, Permitted: 1 << unix.CAP_KILL}}
	return call(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&keep[0])))
}
