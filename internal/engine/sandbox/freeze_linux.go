package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A sandbox is frozen by signals: the processes of a frozen control group would stay for ever when the server is killed, because the first process could
// not end them. The first process signals all others at once, and the kernel lets none slip through by forking. Most sandboxes have one process alone, which
// the server can signal by itself, and then the first process does not even wake.

// lone is the only process of a sandbox.
type lone struct {
	pid int
	// fd is a descriptor of the process, which stands for no other when its number does.
	fd *os.File
}

// Freeze implements Running.
func (s *isolated) Freeze() error {
	s.freezing.Lock()
	defer s.freezing.Unlock()
	if s.frozen {
		return nil
	}
	alone, err := s.stopLone()
	if err != nil {
		return err
	}
	if !alone {
		if _, err := s.control.call(context.Background(), request{Op: opFreeze}); err != nil {
			return err
		}
	}
	s.frozen, s.frozenAlone = true, alone
	s.mu.Lock()
	defer s.mu.Unlock()
	s.thawed = make(chan struct{})
	return nil
}

// Thaw implements Running.
func (s *isolated) Thaw() error {
	s.freezing.Lock()
	defer s.freezing.Unlock()
	if !s.frozen {
		return nil
	}
	if s.frozenAlone {
		if err := s.lone.signal(unix.SIGCONT); err != nil {
			return err
		}
	} else if _, err := s.control.call(context.Background(), request{Op: opThaw}); err != nil {
		return err
	}
	s.frozen = false
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.thawed)
	return nil
}

// stopLone stops the sandbox's process if it has no more than one, and reports whether it did. s.freezing is held.
func (s *isolated) stopLone() (bool, error) {
	if _, ok := s.groups.dirs["pids"]; !ok || s.over {
		return false, nil // nobody could tell whether there are others
	}
	if s.lone == nil {
		var err error
		if s.lone, err = findLone(s.cmd.Process.Pid); err != nil || s.lone == nil {
			return false, err
		}
	}
	switch err := s.lone.signal(unix.SIGSTOP); {
	case errors.Is(err, os.ErrProcessDone):
		s.lone.fd.Close()
		s.lone = nil
		return false, nil
	case err != nil:
		return false, nil // a kernel or a system that does not let the server do it
	}
	// From here on the process cannot fork. If all threads in the sandbox's group are its own, there is nobody else.
	threads, err := s.lone.threads()
	if err != nil {
		return false, nil // it has ended
	}
	all, err := s.groups.threads()
	return err == nil && all == threads, nil
}

// findLone returns the only process below the one with number first; nil when there are more, or none.
func findLone(first int) (*lone, error) {
	before := processes(first)
	if len(before) != 1 {
		return nil, nil
	}
	fd, err := unix.PidfdOpen(before[0], 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l := &lone{pid: before[0], fd: os.NewFile(uintptr(fd), "process")}
	// Its number may have become another process's in between.
	if !slices.Equal(processes(first), before) {
		l.fd.Close()
		return nil, nil
	}
	return l, nil
}

// closeLone gives up what Freeze has opened. The first process has not been waited for yet, so that its number is still its own.
func (s *isolated) closeLone() {
	s.freezing.Lock()
	defer s.freezing.Unlock()
	s.over = true
	if s.lone != nil {
		s.lone.fd.Close()
	}
}

// signal sends a signal. The error is os.ErrProcessDone when the process has ended.
func (l *lone) signal(sig unix.Signal) error {
	raw, err := l.fd.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := raw.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return err
	}
	if errors.Is(sent, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return sent
}

// threads counts the process's threads: its folder of them has a link for each, besides the two that every folder has.
func (l *lone) threads() (int, error) {
	var stat syscall.Stat_t
	if err := syscall.Stat(fmt.Sprintf("/proc/%d/task", l.pid), &stat); err != nil {
		return 0, err
	}
	return int(stat.Nlink) - 2, nil
}

// threads counts those of all processes in the groups.
func (g *groups) threads() (int, error) {
	var buf [32]byte
	b, err := readGroup(g.threadsFile, buf[:])
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(bytes.TrimSpace(b)))
}
