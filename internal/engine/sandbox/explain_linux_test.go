package sandbox

import (
	"strings"
	"syscall"
	"testing"
)

func TestExplainStep(t *testing.T) {
	const namespace = "start a process in a nested user namespace"
	for _, c := range []struct {
		m    reply
		want string
	}{
		{reply{Step: namespace, Errno: int(syscall.ENOSPC), Text: "no space left on device"}, "namespace: no space left on device. The limit on namespaces is reached: raise it with `sysctl"},
		{reply{Step: "mount the root", Errno: int(syscall.ENOSPC), Text: "mount: no space left on device"}, "root: mount: no space left on device. Please report"},
		{reply{Step: "mount /proc", Errno: int(syscall.EPERM), Text: "mount /proc"}, "mount /proc: operation not permitted. Parts of /proc are hidden"},
		{reply{Step: "mount the root", Errno: int(syscall.ENOSYS), Text: "open_tree"}, "Linux 5.12"},
	} {
		err := explainStep(c.m)
		if got := Reason(err); !strings.Contains(got, c.want) || strings.Contains(got, "ServiceException") {
			t.Errorf("%+v: %s", c.m, got)
		}
	}
}
