package sandbox

import "golang.org/x/sys/unix"

// MachineMemory returns the machine's memory in bytes; 0 when it is not known.
func MachineMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}
