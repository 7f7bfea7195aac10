package sandbox

import (
	"fmt"
	"runtime"
	"slices"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// forbidden are the system calls that a function gets EPERM for: those that change namespaces and mounts, look into other
// processes, load code into the kernel, or have been the way out of sandboxes more than once. Most need capabilities that the
// function lacks already; this is the second lock. A name that the architecture does not have is passed over.
func forbidden() []string {
	return []string{
		"mount", "umount2", "pivot_root", "move_mount", "fsopen", "fsmount", "fsconfig", "fspick", "open_tree", "open_tree_attr",
		"mount_setattr", "chroot", "unshare", "setns",
		"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
		"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
		"keyctl", "add_key", "request_key",
		"kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "query_module",
		"reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "nfsservctl", "syslog", "vhangup", "lookup_dcookie",
		"name_to_handle_at", "open_by_handle_at", "fanotify_init", "iopl", "ioperm", "modify_ldt", "uselib", "ustat", "sysfs", "_sysctl",
		"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname",
	}
}

// uncounted are the system calls that make memory which is no process's: where the kernel does not count it for the sandbox nobody can, and a function
// without /dev/shm can do without.
func uncounted() []string {
	return []string{"memfd_create", "memfd_secret", "shmget", "semget", "msgget"}
}

// namespaceFlags are all that clone knows. Its time namespace cannot be asked for through clone.
const namespaceFlags = namespaces | unix.CLONE_NEWUSER | unix.CLONE_NEWCGROUP

// policy is the filter's; counted says that the kernel counts the sandbox's memory.
func policy(known map[string]int, counted bool) seccomp.Policy {
	present := func(list []string) []string {
		return slices.DeleteFunc(list, func(name string) bool { _, ok := known[name]; return !ok })
	}
	names := present(forbidden())
	errno := func(n unix.Errno) seccomp.Action { return seccomp.ActionErrno | seccomp.Action(n) }
	families := make(seccomp.ArgumentConditions, 0, 4)
	for _, family := range []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK} {
		families = append(families, seccomp.Condition{Argument: 0, Operation: seccomp.NotEqual, Value: family})
	}
	absent := []string{"clone3"}
	if !counted {
		absent = append(absent, present(uncounted())...)
	}
	return seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{
			{Names: names, Action: errno(unix.EPERM)},
			{
				Action: errno(unix.EPERM),
				NamesWithCondtions: []seccomp.NameWithConditions{{Name: "clone", Conditions: seccomp.ArgumentConditions{
					{Argument: 0, Operation: seccomp.BitsSet, Value: namespaceFlags},
				}}},
			},
			// clone3 hides its flags behind a pointer. C libraries fall back to clone when it does not exist.
			{Names: absent, Action: errno(unix.ENOSYS)},
			// Other families reach the kernel's odder corners, and vsock reaches the machine's hypervisor past the network namespace.
			{
				Action:             errno(unix.EAFNOSUPPORT),
				NamesWithCondtions: []seccomp.NameWithConditions{{Name: "socket", Conditions: families}, {Name: "socketpair", Conditions: families}},
			},
		},
	}
}

// filter assembles the whole program. The library lets system calls of another architecture pass, which on x86-64 means all of the
// 32-bit interface, and knows only the calls of its time; both are closed here. Programs take ENOSYS for a kernel that is older.
func filter(counted bool) ([]bpf.Instruction, error) {
	info, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", runtime.GOARCH, err)
	}
	p := policy(info.SyscallNames, counted)
	rest, err := p.Assemble()
	if err != nil {
		return nil, err
	}
	newest := 0
	for _, n := range info.SyscallNames {
		newest = max(newest, n)
	}
	const numberOffset, archOffset, word = 0, 4, 4
	refuse := bpf.RetConstant{Val: uint32(seccomp.ActionErrno) | uint32(unix.ENOSYS)}
	return append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: archOffset, Size: word},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(info.ID), SkipTrue: 1},
		refuse,
		bpf.LoadAbsolute{Off: numberOffset, Size: word},
		bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: uint32(newest), SkipTrue: 1},
		refuse,
	}, rest...), nil
}

// filterProgram returns the filter as the kernel takes it.
func filterProgram(counted bool) ([]unix.SockFilter, error) {
	instructions, err := filter(counted)
	if err != nil {
		return nil, err
	}
	raw, err := bpf.Assemble(instructions)
	if err != nil {
		return nil, err
	}
	program := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		program[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return program, nil
}
