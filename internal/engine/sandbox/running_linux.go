package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waiter is a process of a sandbox that waits to become a program.
type waiter struct {
	sock  *os.File
	child *Child
}

// Booted implements Running.
func (s *isolated) Booted() *Child { return s.booted }

// Run implements Running.
func (s *isolated) Run(ctx context.Context, p Program) (*Child, error) {
	s.mu.Lock()
	if len(s.waiting) == 0 {
		s.mu.Unlock()
		return nil, errNoPrograms
	}
	w := s.waiting[0]
	s.waiting = s.waiting[1:]
	s.mu.Unlock()
	defer w.sock.Close()
	if err := s.giveOutput(p); err != nil {
		return nil, err
	}
	image, err := programImage(p)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	if err := w.become(ctx, image, p); err != nil {
		return nil, err
	}
	return w.child, nil
}

// giveOutput makes the output the function's own, which it must be for /dev/stdout to be opened, and all descriptors ones that block: the server's
// poller wants them otherwise, but a program takes a full output that does not block for an error.
func (s *isolated) giveOutput(p Program) error {
	if p.Output == nil || len(p.Files) > maxFiles {
		return errOutput
	}
	for _, f := range append([]*os.File{p.Output}, p.Files...) {
		if err := unix.SetNonblock(int(f.Fd()), false); err != nil {
			return err
		}
	}
	if s.id.ownUID == 0 { // the function has the server's id, which owns the pipe
		return nil
	}
	return unix.Fchown(int(p.Output.Fd()), s.id.ownUID, s.id.ownGID)
}

// programImage writes what the process reads: the numbers of arguments and variables, then the working folder, arguments and variables, each with a
// zero at its end.
func programImage(p Program) (*os.File, error) {
	if len(p.Args) == 0 {
		return nil, errors.New("sandbox: no program is given")
	}
	dir := p.Dir
	if dir == "" {
		dir = "/"
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(len(p.Args)))
	b = binary.NativeEndian.AppendUint32(b, uint32(len(p.Env)))
	for _, list := range [][]string{{dir}, p.Args, p.Env} {
		for _, text := range list {
			if strings.IndexByte(text, 0) >= 0 {
				return nil, &ProgramError{Path: p.Args[0], Err: syscall.EINVAL}
			}
			b = append(append(b, text...), 0)
		}
	}
	if len(b) > maxSpec || len(p.Args)+len(p.Env) >= maxStrings {
		return nil, &ProgramError{Path: p.Args[0], Err: syscall.E2BIG}
	}
	fd, err := unix.MemfdCreate("program", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "program")
	if _, err := f.Write(b); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// become has the process execute p, and returns when it has.
func (w *waiter) become(ctx context.Context, image *os.File, p Program) error {
	raw, err := w.sock.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		// It fails only when there is nothing left to interrupt.
		_ = w.sock.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	report := func() (step uint32, errno syscall.Errno, err error) {
		var b [8]byte
		n, err := w.sock.Read(b[:])
		if n < len(b) || err != nil {
			return 0, 0, errEnded
		}
		return binary.NativeEndian.Uint32(b[:]), syscall.Errno(binary.NativeEndian.Uint32(b[4:])), nil
	}
	// The first report says that the process waits, or why it cannot.
	step, errno, err := report()
	if err == nil && step == stepReady {
		fds := []int{int(image.Fd()), int(p.Output.Fd())}
		for _, f := range p.Files {
			fds = append(fds, int(f.Fd()))
		}
		ctlErr := raw.Control(func(fd uintptr) {
			err = unix.Sendmsg(int(fd), []byte{0}, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
		})
		if err = errors.Join(ctlErr, err); err == nil {
			// The end of the socket is that of the old program.
			if step, errno, err = report(); err != nil && ctx.Err() == nil {
				return nil
			}
		}
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	case step == stepExec:
		return &ProgramError{Path: p.Args[0], Err: errno}
	case step == stepDir:
		return fmt.Errorf("sandbox: %s %s: %w", stepName(step), p.Dir, errno)
	}
	return explainStep(reply{Step: stepName(step), Errno: int(errno), Text: errno.Error()})
}

// Dial implements Running.
func (s *isolated) Dial(ctx context.Context, addr string) (net.Conn, error) {
	a, err := s.control.call(ctx, request{Op: opDial, Addr: addr})
	if err != nil {
		return nil, err
	}
	defer a.discard()
	if len(a.files) != 1 {
		return nil, errors.New("sandbox: no connection came")
	}
	return net.FileConn(a.files[0])
}
