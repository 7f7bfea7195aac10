package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// peakIn finds VmHWM in the text of /proc/PID/status, in bytes; 0 when the process has gone.
func peakIn(status []byte) int64 {
	_, rest, ok := bytes.Cut(status, []byte("VmHWM:"))
	if !ok {
		return 0
	}
	line, _, _ := bytes.Cut(rest, []byte("kB"))
	kb, err := strconv.ParseInt(strings.TrimSpace(string(line)), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

// processes lists the processes of the sandbox whose first process is pid, by their numbers outside, without the first itself.
func processes(pid int) []int {
	var out []int
	queue := []int{pid}
	for len(queue) > 0 && len(out) < maxListed {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", queue[0]))
		if err != nil {
			tasks = nil // it has ended
		}
		for _, t := range tasks {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", queue[0], t.Name()))
			if err != nil {
				continue
			}
			for _, f := range strings.Fields(string(b)) {
				if n, err := strconv.Atoi(f); err == nil {
					queue = append(queue, n)
					out = append(out, n)
				}
			}
		}
		queue = queue[1:]
	}
	return out
}

// maxListed bounds processes' answer; a sandbox's limit is lower.
const maxListed = 4096

// Usage implements Running.
func (s *isolated) Usage() Usage {
	var now int64
	for _, pid := range processes(s.cmd.Process.Pid) {
		now += peakOf(pid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peak = max(s.peak, now)
	return Usage{PeakMemory: s.peak}
}
