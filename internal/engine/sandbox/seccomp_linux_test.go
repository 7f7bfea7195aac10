package sandbox

import (
	"encoding/binary"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// TestFilterDecides runs the filter's program over the head of the kernel's seccomp_data: what the calls of sandboxed programs cannot show.
func TestFilterDecides(t *testing.T) {
	counted := filterMachine(t, true)
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	const errno, allow = 0x00050000, 0x7fff0000
	for name, c := range map[string]struct {
		number, arch uint32
		want         int
	}{
		"read":                         {uint32(unix.SYS_READ), uint32(info.ID), allow},
		"mount":                        {uint32(unix.SYS_MOUNT), uint32(info.ID), errno | int(unix.EPERM)},
		"read of another architecture": {uint32(unix.SYS_READ), uint32(info.ID) ^ 1, errno | int(unix.ENOSYS)},
		"x32":                          {uint32(unix.SYS_READ) | 0x40000000, uint32(info.ID), errno | int(unix.ENOSYS)},
		"a call of a later kernel":     {5000, uint32(info.ID), errno | int(unix.ENOSYS)},
	} {
		data := make([]byte, 64)
		binary.BigEndian.PutUint32(data[0:], c.number)
		binary.BigEndian.PutUint32(data[4:], c.arch)
		got, err := counted.Run(data)
		if err != nil || got != c.want {
			t.Errorf("%s: %#x, %v; want %#x", name, got, err, c.want)
		}
	}
}

// TestUncountedMemory: what nobody counts cannot be made.
func TestUncountedMemory(t *testing.T) {
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	const errno, allow = 0x00050000, 0x7fff0000
	for _, number := range []uint32{unix.SYS_MEMFD_CREATE, unix.SYS_SHMGET, unix.SYS_SEMGET, unix.SYS_MSGGET} {
		data := make([]byte, 64)
		binary.BigEndian.PutUint32(data[0:], number)
		binary.BigEndian.PutUint32(data[4:], uint32(info.ID))
		for isCounted, want := range map[bool]int{true: allow, false: errno | int(unix.ENOSYS)} {
			if got, err := filterMachine(t, isCounted).Run(data); err != nil || got != want {
				t.Errorf("call %d, counted %v: %#x, %v; want %#x", number, isCounted, got, err, want)
			}
		}
	}
}

func filterMachine(t *testing.T, isCounted bool) *bpf.VM {
	t.Helper()
	program, err := filter(isCounted)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}
