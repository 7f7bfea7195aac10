package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Fork implements Shell.
func (s *isolated) Fork(ctx context.Context, parent *Parent, p Program) error {
	if s.booted != nil {
		return errBooted
	}
	if err := s.giveOutput(p); err != nil {
		return err
	}
	spec, err := s.joinSpec(len(p.Files))
	if err != nil {
		return err
	}
	pid, err := parent.fork(ctx, spec, p.Output, p.Files)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return errEnded
	}
	c := s.newChild(pid)
	s.mu.Unlock()
	if _, err := s.control.call(ctx, request{Op: opAdopt, PID: pid}); err != nil {
		return err
	}
	s.booted, s.forked = c, true
	return nil
}

// joinSpec says what a fork server's child must do; what forkChild does says the same to the first process's own.
func (s *isolated) joinSpec(files int) (JoinSpec, error) {
	filter, err := filterProgram(s.groups.counted())
	if err != nil {
		return JoinSpec{}, err
	}
	var b bytes.Buffer
	if err := binary.Write(&b, binary.NativeEndian, filter); err != nil {
		return JoinSpec{}, err
	}
	return JoinSpec{
		PID: s.cmd.Process.Pid, User: s.id.userNamespace,
		UID: s.id.hostUID, GID: s.id.hostGID, DropGroups: s.id.setGroups, MapUID: UID, MapGID: GID,
		Cgroups:  s.groups.files(),
		Filter:   b.Bytes(),
		Limits:   [][2]uint64{{unix.RLIMIT_CORE, 0}, {unix.RLIMIT_NPROC, maxProcesses}, {unix.RLIMIT_NOFILE, maxOpenFiles}, {unix.RLIMIT_SIGPENDING, maxSignals}},
		OOMScore: oomScore, Files: 1 + files,
	}, nil
}
