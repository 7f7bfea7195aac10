package sandbox

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"croft/internal/clock"
)

// sampler looks at the sandbox's memory until it ends, except while it is frozen.
func (s *isolated) sampler() {
	c := clock.Real()
	for {
		s.mu.Lock()
		thawed := s.thawed
		s.mu.Unlock()
		select {
		case <-thawed:
		case <-s.done:
			return
		}
		t := c.NewTimer(samplePause)
		select {
		case <-t.C():
		case <-s.done:
			t.Stop()
			return
		}
		s.sample()
		s.sampleParts()
	}
}

// sample measures once, and ends the sandbox if it has too much.
func (s *isolated) sample() {
	used, err := s.used()
	if err != nil {
		return // it is ending
	}
	killed := s.groups.killed() > 0
	s.mu.Lock()
	limit := s.work.Limits.Memory
	s.peak = max(s.peak, used)
	over := limit > 0 && used > limit || killed
	s.oom = s.oom || over
	s.mu.Unlock()
	if over {
		s.Kill()
	}
}

// used is the memory that is held against the sandbox's limit: its own without files in memory, and what it shares with a Parent. It may tell too much
// where that is within the limit and no more than the peak.
func (s *isolated) used() (int64, error) {
	s.mu.Lock()
	shared, peak := s.work.Limits.Shared, s.peak
	limit := s.work.Limits.Memory - shared
	s.mu.Unlock()
	if s.groups.counted() {
		enough := peak - shared
		if limit > 0 {
			enough = min(enough, limit)
		}
		used, err := s.groups.used(enough)
		return used + shared, err
	}
	own, err := s.resident(limit)
	return own + shared, err
}

// resident is what used is where the kernel does not tell: of all processes together, as far as it is their own.
func (s *isolated) resident(limit int64) (int64, error) {
	pids := processes(s.cmd.Process.Pid)
	s.mu.Lock()
	s.pids = pids
	s.mu.Unlock()
	var total int64
	for _, pid := range pids {
		total += residentOf(pid)
	}
	if limit <= 0 || total <= limit {
		return total, nil
	}
	// What processes share among themselves, and with a Parent, has been counted for each. The exact figure takes long.
	total = 0
	for _, pid := range pids {
		total += proportionOf(pid)
	}
	return total, nil
}

// residentOf is a process's resident memory without files of a disk, in bytes; 0 when it has gone.
func residentOf(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	return kilobytes(b, "RssAnon:") + kilobytes(b, "RssShmem:")
}

// proportionOf is a process's part of the memory that it uses, in bytes, without files. A process can keep others from asking so exactly, and then counts
// with all that it has.
func proportionOf(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return residentOf(pid)
	}
	shared := kilobytes(b, "Pss_Shmem:")
	if shared > 0 {
		shared = sharedOf(pid, shared)
	}
	return kilobytes(b, "Pss_Anon:") + shared
}

// maxMaps bounds what is read, in bytes, to tell the kinds of shared memory apart.
const maxMaps = 4 << 20

// sharedOf is the part of all that is no file in /tmp; all of it when that takes too long to find out.
func sharedOf(pid int, all int64) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return all
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMaps))
	if err != nil || len(b) == maxMaps {
		return all
	}
	var total int64
	nameless := false
	for line := range bytes.Lines(b) {
		if size, ok := bytes.CutPrefix(line, []byte("Pss:")); ok && nameless {
			total += kilobytes(size, "")
		}
		if fields := bytes.Fields(line); len(fields) >= 6 && bytes.IndexByte(fields[0], '-') > 0 { // where a mapping begins
			name := string(fields[5])
			nameless = name == "/dev/zero" || strings.HasPrefix(name, "/memfd:") || strings.HasPrefix(name, "/SYSV")
		}
	}
	return total
}

// Usage implements Running.
func (s *isolated) Usage() Usage {
	s.mu.Lock()
	pids := s.pids
	s.mu.Unlock()
	if pids == nil {
		pids = processes(s.cmd.Process.Pid)
	}
	var now int64
	for _, pid := range pids {
		now += peakOf(pid)
	}
	used, _ := s.used() // zero when it is ending
	killed := s.groups.killed() > 0
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pids = pids
	s.peak = max(s.peak, now, used)
	s.oom = s.oom || killed
	out := Usage{PeakMemory: s.peak, OutOfMemory: s.oom}
	if limit := s.work.Limits.Memory; limit > 0 {
		// Programs and libraries, which the figures of processes include, are not held against the limit.
		out.PeakMemory = min(out.PeakMemory, limit)
	}
	return out
}

// peakIn finds VmHWM in the text of /proc/PID/status, in bytes; 0 when the process has gone.
func peakIn(status []byte) int64 { return kilobytes(status, "VmHWM:") }

func kilobytes(text []byte, name string) int64 {
	_, rest, ok := bytes.Cut(text, []byte(name))
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

// dataSlack is how much more than its memory a process may ask for where only samples bound it, in bytes: what it asks for it need not use.
const dataSlack = 1 << 30

// dataLimit is what RLIMIT_DATA is set to; zero leaves it alone, because the kernel bounds the memory itself.
func (s *isolated) dataLimit(l Limits) int64 {
	if s.groups.counted() || l.Memory <= 0 {
		return 0
	}
	return l.Memory + dataSlack
}

// limitData bounds children that run already. One that has ended needs no bound.
func limitData(known map[int]bool, limit int64) error {
	if limit <= 0 {
		return nil
	}
	for pid := range known {
		err := unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: uint64(limit), Max: uint64(limit)}, nil)
		if err != nil && err != syscall.ESRCH {
			return err
		}
	}
	return nil
}
