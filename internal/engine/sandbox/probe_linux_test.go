package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// probe is what runs in the sandboxes of these tests. It prints "name: outcome" lines.
func probe(args []string) int {
	switch args[0] {
	case "attack":
		attack(args[1], args[2], args[3])
	case "memory":
		text, err := os.ReadFile("/proc/self/oom_score_adj")
		fmt.Println("score: " + strings.TrimSpace(string(text)))
		say("read", err)
		say("lower", os.WriteFile("/proc/self/oom_score_adj", []byte("0"), 0))
	case "mounts":
		printMounts()
	case "leave-file":
		say("leave", os.WriteFile("/tmp/mine", []byte("x"), 0o666))
	case "find-file":
		_, err := os.ReadFile("/tmp/mine")
		say("find", err)
	case "dial":
		c, err := net.Dial("tcp", args[1])
		if err != nil {
			say("heard", err)
			return 1
		}
		line, _ := bufio.NewReader(c).ReadString('\n')
		fmt.Println("heard: " + strings.TrimSpace(line))
	default:
		return probeMore(args)
	case "exit-0":
	case "exit-7":
		return 7
	case "abort":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "family", "orphan":
		// The child holds the output open by its standard error, and reports that it runs.
		child := exec.Command(os.Args[0], "probe", "child")
		child.Stderr = os.Stderr
		out, _ := child.StdoutPipe()
		_ = child.Start()
		line, _ := bufio.NewReader(out).ReadString('\n')
		fmt.Print(line)
		if args[0] == "family" {
			_ = unix.Pause()
		}
	case "child":
		fmt.Println("child: ready")
		_ = unix.Pause()
	}
	return 0
}

// say prints the innermost error, or "done".
func say(name string, err error) {
	text := "done"
	var errno syscall.Errno
	if errors.As(err, &errno) {
		text = errno.Error()
	} else if err != nil {
		text = err.Error()
	}
	fmt.Println(name + ": " + text)
}

func attack(hostAddr, abstract, secret string) {
	attackFiles(secret)
	describe()
	attackKernel()
	attackNetwork(hostAddr, abstract)
	_ = unix.Kill(-1, unix.SIGKILL)
	for _, s := range []unix.Signal{unix.SIGKILL, unix.SIGSTOP, unix.SIGTERM, unix.SIGINT, unix.SIGHUP} {
		_ = unix.Kill(1, s)
	}
	fmt.Println("kill the first process: survived")
}

func attackFiles(secret string) {
	for name, path := range map[string]string{
		"/etc/shadow": "/etc/shadow", "the server's file": secret, "/proc/1/environ": "/proc/1/environ",
		"/proc/1/root": "/proc/1/root/etc/shadow",
	} {
		_, err := os.ReadFile(path)
		say("read "+name, err)
	}
	for _, dir := range []string{"/", "/home", "/root", "/sys", "/tmp", "/dev"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			say("list "+dir, err)
			continue
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		fmt.Println("list " + dir + ": " + strings.Join(names, " "))
	}
	for name, path := range map[string]string{
		"/": "/x", "/usr/lib": "/usr/lib/x", "/etc": "/etc/passwd", "/var/task": "/var/task/x", "/tmp": "/tmp/x",
		"/proc/sys": "/proc/sys/net/ipv4/ip_unprivileged_port_start",
	} {
		say("write "+name, os.WriteFile(path, []byte("0"), 0o644))
	}
	say("change the program", os.Chmod(probePath, 0o777))
	say("fill /tmp", os.WriteFile("/tmp/large", make([]byte, 2<<20), 0o644))
	f, err := os.OpenFile("/dev/stdout", os.O_WRONLY, 0)
	say("write /dev/stdout", err)
	f.Close()
}

func describe() {
	var others []string
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() {
			others = append(others, e.Name())
		}
	}
	fmt.Println("other processes: " + strings.Join(others, " "))
	own := func(v string) bool { return strings.HasPrefix(v, mainVar+"=") } // set by this program's own call of Main
	fmt.Println("environment: " + strings.Join(slices.DeleteFunc(os.Environ(), own), " "))
	var open []string
	for fd := range 64 {
		// Those that Go opens for itself close on exec; inherited ones do not.
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			to, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
			name, _, _ := strings.Cut(to, ":")
			open = append(open, name)
		}
	}
	fmt.Println("open descriptors: " + strings.Join(open, " "))
	dir, _ := os.Getwd()
	fmt.Println("working folder: " + dir)
	fmt.Println("user:", os.Getuid(), os.Getgid())
	status, _ := os.ReadFile("/proc/self/status")
	var caps []string
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if strings.HasPrefix(name, "Cap") || name == "NoNewPrivs" || name == "Seccomp" {
			n, _ := strconv.ParseUint(value, 16, 64)
			caps = append(caps, fmt.Sprintf("%s=%x", name, n))
		}
	}
	fmt.Println("capabilities: " + strings.Join(caps, " "))
	var limits []string
	for _, l := range []struct {
		name string
		n    int
	}{{"core", unix.RLIMIT_CORE}, {"nofile", unix.RLIMIT_NOFILE}, {"nproc", unix.RLIMIT_NPROC}} {
		var r syscall.Rlimit
		_ = syscall.Getrlimit(l.n, &r)
		if l.n == unix.RLIMIT_NOFILE {
			r.Cur = r.Max // Go raises the soft limit at its start
		}
		limits = append(limits, fmt.Sprintf("%s=%d/%d", l.name, r.Cur, r.Max))
	}
	fmt.Println("limits: " + strings.Join(limits, " "))
}

func attackKernel() {
	call := func(name string, number uintptr, args ...uintptr) {
		a := append(slices.Clone(args), make([]uintptr, 6)...)
		_, _, errno := syscall.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno != 0 {
			say(name, errno)
			return
		}
		say(name, nil)
	}
	say("become root", syscall.Setuid(0))
	say("make a device", unix.Mknod("/tmp/device", unix.S_IFBLK|0o666, int(unix.Mkdev(254, 0))))
	say("mount", unix.Mount("tmpfs", "/tmp", "tmpfs", 0, ""))
	say("remount / writable", unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	say("unmount /proc/sys", unix.Unmount("/proc/sys", unix.MNT_DETACH))
	say("unshare a user namespace", unix.Unshare(unix.CLONE_NEWUSER))
	call("clone a user namespace", unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD))
	call("clone3", unix.SYS_CLONE3)
	say("ptrace the parent", unix.PtraceAttach(1))
	call("bpf", unix.SYS_BPF)
	call("keyctl", unix.SYS_KEYCTL)
	call("io_uring", unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(new([120]byte))))
	call("userfaultfd", unix.SYS_USERFAULTFD)
	say("chroot", unix.Chroot("/tmp"))
	say("set the host name", unix.Sethostname([]byte("x")))
}

func attackNetwork(hostAddr, abstract string) {
	for name, s := range map[string][3]int{
		"vsock":         {unix.AF_VSOCK, unix.SOCK_STREAM, 0},
		"packet socket": {unix.AF_PACKET, unix.SOCK_RAW, 0},
		"raw socket":    {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
	} {
		_, err := unix.Socket(s[0], s[1], s[2])
		say(name, err)
	}
	for name, to := range map[string][2]string{
		"connect to the machine":   {"tcp4", hostAddr},
		"connect to the internet":  {"tcp4", "192.0.2.1:80"},
		"connect to metadata":      {"tcp4", "169.254.169.254:80"},
		"connect to a host socket": {"unix", abstract},
	} {
		_, err := net.Dial(to[0], to[1])
		say(name, err)
	}
	if _, err := net.LookupHost("example.com"); err != nil {
		fmt.Println("resolve a name: fails")
	}
}

func printMounts() {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		fmt.Println(f[4] + ": " + f[5])
	}
}
