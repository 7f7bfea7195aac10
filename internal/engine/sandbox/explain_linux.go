package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

const moreNamespaces = "The limit on namespaces is reached: raise it with `sysctl -w user.max_user_namespaces=15000` (as root)"

// explainClone turns the failure to start a process in new namespaces into an error that says what to do.
func explainClone(err error) error {
	next := "Run croft as root, or on a machine whose kernel allows namespaces"
	switch {
	case errors.Is(err, syscall.ENOSPC):
		next = moreNamespaces
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		next = forbiddenNamespaces()
	case errors.Is(err, syscall.EAGAIN):
		next = "The limit on processes is reached: raise it with `ulimit -u`"
	}
	return impossible("start a process in namespaces of its own", err, next)
}

// forbiddenNamespaces looks for the setting that keeps an ordinary user from making namespaces.
func forbiddenNamespaces() string {
	for _, s := range []struct{ path, bad, fix string }{
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		{"/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"},
	} {
		if b, err := os.ReadFile(s.path); err == nil && strings.TrimSpace(string(b)) == s.bad {
			return "Allow user namespaces with `" + s.fix + "` (as root), or run croft as root"
		}
	}
	return "In a container, allow namespaces: `docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined " +
		"--security-opt systempaths=unconfined`; elsewhere run croft as root"
}

// explainStep turns a step's failure in the first process into an error. Those that come from the machine's settings say which.
func explainStep(m reply) error {
	errno := syscall.Errno(m.Errno)
	cause := fmt.Errorf("%s", m.Text)
	if errno != 0 {
		cause = errno
		if said := strings.TrimSuffix(strings.TrimSuffix(m.Text, errno.Error()), ": "); said != "" {
			cause = fmt.Errorf("%s: %w", said, errno)
		}
	}
	refused := errno == syscall.EPERM || errno == syscall.EACCES
	switch {
	case m.Step == opDial, m.Step == opSignal, m.Step == opFreeze, m.Step == opThaw, m.Step == stepWork:
		// Nothing that the machine's settings are to blame for.
		return fmt.Errorf("sandbox: %s: %w", m.Step, cause)
	case errno == syscall.ENOSYS:
		return impossible(m.Step, cause, "Linux 5.12 or newer is needed")
	case errno == syscall.ENOSPC && strings.Contains(m.Step, "namespace"):
		return impossible(m.Step, cause, moreNamespaces)
	case refused && strings.Contains(m.Text, "proc"):
		return impossible(m.Step, cause, "Parts of /proc are hidden here, as in most containers: "+
			"use `docker run --security-opt systempaths=unconfined`, or run croft outside the container")
	case refused:
		return impossible(m.Step, cause, forbiddenNamespaces())
	}
	return impossible(m.Step, cause, "Please report this with the output of `uname -a`")
}
