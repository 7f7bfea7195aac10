package sandbox

import (
	"fmt"
	"os"
)

// Default is the isolation that functions get on this system unless the user says otherwise: a machine that cannot isolate runs no functions.
func Default() Isolation { return Full }

// self is the path of this program, to be started again, even when its file has been replaced.
func self() (string, error) { return "/proc/self/exe", nil }

// peakOf returns the largest resident size in bytes that a process has had, or 0 when it has gone.
func peakOf(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	return peakIn(b)
}

// residentBelow is the resident memory in bytes, without files, of a process and of those that it started.
func residentBelow(pid int) int64 {
	total := residentOf(pid)
	for _, child := range processes(pid) {
		total += residentOf(child)
	}
	return total
}

// maxrssUnit is the unit, in bytes, of a process's largest resident size in its resource usage.
const maxrssUnit = 1 << 10

// plainSystemLimits sets what this system has beyond the usual limits.
func plainSystemLimits() error { return yieldMemory() }
