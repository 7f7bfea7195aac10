package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"croft/internal/clock"
	"croft/internal/engine/sandbox"
)

const (
	namespaceName = "croft-test-namespace"
	probeName     = "croft-test-probe"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	switch filepath.Base(os.Args[0]) {
	case namespaceName:
		if err := becomeFunction(os.Args[1], os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "namespace:", err)
		}
		os.Exit(3)
	case probeName:
		probe(os.Args[1:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// becomeFunction runs in new user, mount and network namespaces. It makes the device as a sandbox does, hands it over, and becomes the program.
func becomeFunction(resolv string, args []string) error {
	tun, err := openTunnel()
	if err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount(resolv, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind resolv.conf: %w", err)
	}
	if err := unix.Sendmsg(3, []byte{1}, unix.UnixRights(tun), nil, 0); err != nil {
		return fmt.Errorf("hand the device over: %w", err)
	}
	unix.Close(tun)
	if n, err := unix.Read(3, make([]byte, 1)); n != 1 {
		return fmt.Errorf("wait for the relay: %w", err)
	}
	unix.Close(3)
	path := args[0]
	if path == probeName {
		path = "/proc/self/exe"
	}
	return syscall.Exec(path, args, os.Environ())
}

func openTunnel() (int, error) {
	tun, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("/dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq("tun0")
	if err != nil {
		return -1, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(tun, unix.TUNSETIFF, req); err != nil {
		return -1, fmt.Errorf("TUNSETIFF: %w", err)
	}
	for _, name := range []string{"lo", "tun0"} {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return -1, err
		}
		if err := configure(i, name == "tun0"); err != nil {
			return -1, fmt.Errorf("configure %s: %w", name, err)
		}
	}
	return tun, nil
}

func configure(i *net.Interface, isTunnel bool) error {
	link := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(link[4:], uint32(i.Index))
	binary.NativeEndian.PutUint32(link[8:], unix.IFF_UP)
	binary.NativeEndian.PutUint32(link[12:], unix.IFF_UP)
	if !isTunnel {
		return netlink(unix.RTM_NEWLINK, 0, link)
	}
	mtu := binary.NativeEndian.AppendUint32(nil, sandbox.TunnelMTU)
	if err := netlink(unix.RTM_NEWLINK, 0, link, attr(unix.IFLA_MTU, mtu)); err != nil {
		return err
	}
	const create = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	for _, text := range []string{sandbox.TunnelAddress, sandbox.TunnelAddress6} {
		p := netip.MustParsePrefix(text)
		ip := p.Addr().AsSlice()
		family := byte(unix.AF_INET)
		if p.Addr().Is6() {
			family = unix.AF_INET6
		}
		message := make([]byte, unix.SizeofIfAddrmsg)
		message[0], message[1], message[2] = family, byte(p.Bits()), unix.IFA_F_NODAD
		binary.NativeEndian.PutUint32(message[4:], uint32(i.Index))
		if err := netlink(unix.RTM_NEWADDR, create, message, attr(unix.IFA_LOCAL, ip), attr(unix.IFA_ADDRESS, ip)); err != nil {
			return err
		}
		route := make([]byte, unix.SizeofRtMsg)
		route[0], route[4], route[5], route[7] = family, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RTN_UNICAST
		out := binary.NativeEndian.AppendUint32(nil, uint32(i.Index))
		if err := netlink(unix.RTM_NEWROUTE, create, route, attr(unix.RTA_OIF, out)); err != nil {
			return err
		}
	}
	return nil
}

func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, (4-len(b)%4)%4)...)
}

func netlink(kind, flags uint16, message []byte, attrs ...[]byte) error {
	body := append(message, bytes.Join(attrs, nil)...)
	b := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	b = append(append(b, make([]byte, 8)...), body...)
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	if _, _, err := unix.Recvfrom(fd, answer, 0); err != nil {
		return err
	}
	if errno := -*(*int32)(unsafe.Pointer(&answer[16])); errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}

// function is a program in a namespace that has nothing but a device which the relay answers.
type function struct {
	t      testing.TB
	link   *Link
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	output bytes.Buffer
}

// uids are those that the namespace's user is on the host: the tests' own, and an ordinary one.
func uids() []int {
	if os.Getuid() != 0 {
		return []int{os.Getuid()}
	}
	return []int{0, 65534}
}

func needTunnel(t testing.TB) {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("NOT TESTED: the relay with a network device, as /dev/net/tun cannot be opened: %v", err)
	}
	unix.Close(fd)
}

// start runs args in a new namespace, its device attached to r.
func start(t testing.TB, r *Relay, uid int, args ...string) *function {
	t.Helper()
	needTunnel(t)
	resolv := t.TempDir() + "/resolv.conf"
	if err := os.WriteFile(resolv, []byte("nameserver "+sandbox.TunnelGateway+"\noptions timeout:5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for dir := resolv; dir != "/tmp" && dir != "/"; dir = dir[:max(1, strings.LastIndex(dir, "/"))] {
		if fi, err := os.Stat(dir); err == nil && fi.IsDir() {
			_ = os.Chmod(dir, 0o755) // the folders above are the testing package's
		}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "theirs")
	f := &function{t: t}
	gid := os.Getgid()
	if uid != os.Getuid() {
		gid = uid
	}
	f.cmd = &exec.Cmd{Path: "/proc/self/exe", Args: append([]string{namespaceName, resolv}, args...), Stdout: &f.output, Stderr: &f.output,
		ExtraFiles: []*os.File{theirs}, Dir: "/", Env: append(os.Environ(), "HOME=/"), SysProcAttr: &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}},
			Credential:  &syscall.Credential{NoSetGroups: true},
			Pdeathsig:   syscall.SIGKILL,
		}}
	if f.stdin, err = f.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
			t.Skipf("NOT TESTED: the relay with a network device, as no user namespace can be made: %v", err)
		}
		t.Fatal(err)
	}
	theirs.Close()
	defer unix.Close(pair[0])
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(pair[0], make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		_ = f.cmd.Wait()
		t.Fatalf("no device came: %v\n%s", err, f.output.String())
	}
	messages, _ := unix.ParseSocketControlMessage(oob[:n])
	fds, _ := unix.ParseUnixRights(&messages[0])
	f.link = r.Attach(os.NewFile(uintptr(fds[0]), "tunnel"))
	if _, err := unix.Write(pair[0], []byte{1}); err != nil {
		t.Fatal(err)
	}
	return f
}

// wait returns what the program printed.
func (f *function) wait() string {
	f.t.Helper()
	f.stdin.Close()
	ctx, cancel := clock.WithTimeout(f.t.Context(), clock.Real(), time.Minute)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = f.cmd.Process.Kill() })()
	if err := f.cmd.Wait(); err != nil {
		f.t.Fatalf("%v: %v\n%s", f.cmd.Args, err, f.output.String())
	}
	f.link.Close()
	return strings.TrimSpace(f.output.String())
}

// run is start and wait.
func run(t testing.TB, r *Relay, uid int, args ...string) string {
	t.Helper()
	return start(t, r, uid, args...).wait()
}
