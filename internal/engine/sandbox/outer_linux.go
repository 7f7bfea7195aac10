package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// outer is the first process of a sandbox while it still has the rights to build it.
type outer struct {
	outerSpec
	output int
	// The program's process, and what init takes over: its /proc/PID/status, the end of its specification, its result.
	pid                  int
	status, spec, result *os.File
}

func outerMain() int {
	// Capabilities belong to a thread: the one that gives up its own at the end must be the one that executes.
	runtime.LockOSThread()
	// All descriptors, also those that the server itself inherited from whoever started it: none goes further unless it is meant to.
	if err := unix.CloseRange(outerSpecFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		fail("keep descriptors back", err)
		return 1
	}
	unix.Umask(0o022)
	go followServer()
	o := &outer{output: outerOutputFD}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"read the specification", o.readSpec},
		{"set up the network namespace", o.listen},
		{"assemble the root folder", o.assembleRoot},
		{"yield memory", yieldMemory},
		{"give up groups", o.dropGroups},
		{"hand over the output", o.giveOutput},
		{"start a process in a nested user namespace", o.start},
		{"give up privileges", o.becomeInit},
	} {
		if err := step.do(); err != nil {
			fail(step.name, err)
			break
		}
	}
	return 1
}

// followServer ends the sandbox when the server closes its end of the control socket or dies. The server never writes to it.
func followServer() {
	var b [1]byte
	for {
		n, err := unix.Read(outerControlFD, b[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			os.Exit(1)
		}
	}
}

func send(m message, fds ...int) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(outerControlFD, b, oob, nil, unix.MSG_NOSIGNAL)
}

func fail(step string, err error) {
	m := message{Kind: msgFailed, Step: step, Text: err.Error()}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		m.Errno = int(errno)
	}
	m.Text = m.Text[:min(len(m.Text), maxMessage/4)]
	// When the server cannot be told it is gone, and so is this process in a moment.
	_ = send(m)
}

func (o *outer) readSpec() error {
	f := os.NewFile(outerSpecFD, "specification")
	defer f.Close()
	return json.NewDecoder(io.LimitReader(f, maxSpec)).Decode(&o.outerSpec)
}

// listen raises the loopback interface and opens the listeners. Their descriptors keep working when this process gives up its rights.
func (o *outer) listen() error {
	if err := unix.Sethostname([]byte("croft")); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := raiseLoopback(); err != nil {
		return fmt.Errorf("raise the loopback interface: %w", err)
	}
	var files []*os.File
	var fds []int
	for _, addr := range o.Spec.Listen {
		l, err := net.Listen("tcp4", addr)
		if err != nil {
			return err
		}
		f, err := l.(*net.TCPListener).File()
		l.Close()
		if err != nil {
			return err
		}
		files = append(files, f)
		fds = append(fds, int(f.Fd()))
	}
	if err := send(message{Kind: msgListening}, fds...); err != nil {
		return err
	}
	for _, f := range files {
		f.Close()
	}
	return nil
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

// yieldMemory makes the sandbox go before the server when memory runs out. Set by a privileged process it is what the function cannot go below.
func yieldMemory() error { return os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0) }

// dropGroups gives up the server's groups, so that files that they may read are not the function's to read.
func (o *outer) dropGroups() error {
	if !o.DropGroups {
		return nil
	}
	return syscall.Setgroups(nil)
}

// giveOutput makes the output the function's own, which it must be for /dev/stdout to be opened, and one that blocks: the server's poller
// wants its pipes otherwise, but a program takes a full output that does not block for an error.
func (o *outer) giveOutput() error {
	if err := unix.SetNonblock(o.output, false); err != nil {
		return err
	}
	if o.HostUID == 0 { // the function has this process's id, which owns the pipe
		return nil
	}
	return unix.Fchown(o.output, o.HostUID, o.HostGID)
}

// start runs the inner stage in a user namespace nested in this one. The inner stage waits for the end of its specification, which comes when
// init closes it: the program must not run before the first process is out of its reach.
func (o *outer) start() error {
	specR, specW, err := os.Pipe()
	if err != nil {
		return err
	}
	resultR, resultW, err := os.Pipe()
	if err != nil {
		return err
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		return err
	}
	o.pid, err = syscall.ForkExec("/proc/self/exe", []string{innerName}, &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{},
		Files: []uintptr{null.Fd(), uintptr(o.output), uintptr(o.output), specR.Fd(), resultW.Fd()},
		Sys: &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: UID, HostID: o.HostUID, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: GID, HostID: o.HostGID, Size: 1}},
			Credential:  &syscall.Credential{Uid: UID, Gid: GID, NoSetGroups: true},
			// What it takes to empty its own bounding set; the inner stage gives it up last.
			AmbientCaps: []uintptr{unix.CAP_SETPCAP},
		},
	})
	if err != nil {
		return err
	}
	for _, f := range []*os.File{null, specR, resultW} {
		f.Close()
	}
	o.status, err = os.Open(fmt.Sprintf("/proc/%d/status", o.pid))
	if err != nil {
		return err
	}
	o.spec, o.result = specW, resultR
	err = json.NewEncoder(specW).Encode(innerSpec{Args: o.Spec.Args, Env: o.Spec.Env, Dir: o.Spec.Dir})
	if errors.Is(err, syscall.EPIPE) {
		return nil // the inner stage ended, and its result says why
	}
	return err
}

// becomeInit executes the program anew, without capabilities and with no way to get any, as what the first process is from now on: one that
// waits. Executing is what takes the capabilities from all threads at once; and of what the old image knew, nothing is left in memory.
func (o *outer) becomeInit() error {
	args := []string{initName, strconv.Itoa(o.pid)}
	for _, f := range []*os.File{o.status, o.spec, o.result} {
		args = append(args, strconv.Itoa(int(f.Fd())))
	}
	for _, fd := range []uintptr{outerControlFD, o.status.Fd(), o.spec.Fd(), o.result.Fd()} {
		if _, err := unix.FcntlInt(fd, unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	for _, drop := range []func() error{dropBoundingSet, dropCapabilities, forbidNewPrivileges} {
		if err := drop(); err != nil {
			return err
		}
	}
	return syscall.Exec("/proc/self/exe", args, []string{})
}
