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
	program, err := filter()
	if err != nil {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
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
		got, err := vm.Run(data)
		if err != nil || got != c.want {
			t.Errorf("%s: %#x, %v; want %#x", name, got, err, c.want)
		}
	}
}
