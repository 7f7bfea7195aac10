package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/clock"
)

// groups are a sandbox's control groups. Its first process is in none of them: it must go on when the function has used up everything, and what it
// needs is not the function's. The others enter before they do anything else; a running process is never moved, which takes the kernel ten milliseconds.
type groups struct {
	// dirs has the folder of each controller that there is, with whether it is of the second version.
	dirs map[string]groupDir
	// v1 are the folders of the first version, v2 that of the second, if any.
	v1 []string
	v2 string
	// leave gives up the nests that they lie in.
	leave []func()
	// usageFile and killedFile tell of memory, threadsFile how many threads there are; nil without their controllers.
	usageFile, killedFile, threadsFile *os.File
}

type groupDir struct {
	path string
	v2   bool
}

// groupName tells groups of this server apart, and those of other servers.
func groupName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it does not fail
	return "croft-" + strconv.Itoa(os.Getpid()) + "-" + hex.EncodeToString(b[:])
}

// makeGroups makes them, without limits.
func makeGroups(from *ground) (*groups, error) {
	g := &groups{dirs: map[string]groupDir{}}
	name := groupName()
	made := map[string]string{} // by the folder that the server's ground has
	for _, c := range controllers() {
		parent, v2 := from.at(c)
		if parent == "" {
			continue
		}
		if made[parent] == "" {
			path, err := g.make(from, parent, name, v2)
			if err != nil {
				g.remove()
				return nil, err
			}
			made[parent] = path
		}
		g.dirs[c] = groupDir{made[parent], v2}
	}
	return g, nil
}

// make makes one group below parent, in a nest where processors are shared.
func (g *groups) make(from *ground, parent, name string, v2 bool) (string, error) {
	if v2 || parent == from.v1["cpu"] {
		nest, err := from.nests.enter(parent, v2, from.has)
		if err != nil {
			return "", err
		}
		g.leave = append(g.leave, func() { from.nests.leave(nest) })
		parent = nest
	}
	path := filepath.Join(parent, name)
	if err := os.Mkdir(path, 0o755); err != nil {
		return "", err
	}
	if v2 {
		g.v2 = path
	} else {
		g.v1 = append(g.v1, path)
	}
	return path, nil
}

// counted reports whether the kernel counts the sandbox's memory, and bounds it.
func (g *groups) counted() bool {
	_, ok := g.dirs["memory"]
	return ok
}

// boundsProcesses reports whether the kernel bounds the sandbox's processes.
func (g *groups) boundsProcesses() bool {
	_, ok := g.dirs["pids"]
	return ok
}

// entries opens what a process enters the groups by: files of the first version, to which it writes its number, and the folder of the second.
func (g *groups) entries() (v1 []*os.File, v2 *os.File, err error) {
	defer func() {
		if err != nil {
			for _, f := range v1 {
				f.Close()
			}
		}
	}()
	for _, dir := range g.v1 {
		f, err := os.OpenFile(filepath.Join(dir, "tasks"), os.O_WRONLY, 0)
		if err != nil {
			return v1, nil, err
		}
		v1 = append(v1, f)
	}
	if g.v2 != "" {
		v2, err = os.Open(g.v2)
	}
	return v1, v2, err
}

// files are those to which a process writes 0 to enter.
func (g *groups) files() []string {
	var out []string
	for _, dir := range g.v1 {
		out = append(out, filepath.Join(dir, "tasks"))
	}
	if g.v2 != "" {
		out = append(out, filepath.Join(g.v2, "cgroup.procs"))
	}
	return out
}

// minMemory is the least that the kernel's limit is set to, in bytes: with less not even an end is orderly.
const minMemory = 4 << 20

// limit sets the limits. The kernel charges files in /tmp like memory; the sampler sees to what must not count them.
func (g *groups) limit(l Limits, tmp int64) error {
	if l.Memory > 0 {
		if d, ok := g.dirs["memory"]; ok {
			if err := limitMemory(d, max(l.Memory-l.Shared+tmp, minMemory)); err != nil {
				return err
			}
		}
	}
	if d, ok := g.dirs["pids"]; ok {
		n := l.Processes
		if n <= 0 {
			n = maxProcesses
		}
		if err := writeGroup(d.path, "pids.max", strconv.Itoa(n)); err != nil {
			return err
		}
	}
	if d, ok := g.dirs["cpu"]; ok && l.CPUWeight > 0 {
		weight := min(max(l.CPUWeight, 1), 10000)
		file, value := "cpu.weight", weight
		if !d.v2 {
			file, value = "cpu.shares", max(weight*1024/100, 2)
		}
		if err := writeGroup(d.path, file, strconv.Itoa(value)); err != nil {
			return err
		}
	}
	return nil
}

func limitMemory(d groupDir, bytes int64) error {
	value := strconv.FormatInt(bytes, 10)
	settings := [][2]string{{"memory.limit_in_bytes", value}, {"memory.memsw.limit_in_bytes", value}}
	if d.v2 {
		settings = [][2]string{{"memory.max", value}, {"memory.swap.max", "0"}, {"memory.oom.group", "1"}}
	} else if before, err := os.ReadFile(filepath.Join(d.path, settings[1][0])); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(before)), 10, 64); err == nil && n < bytes {
			// The first must never be above the second.
			if err := writeGroup(d.path, settings[1][0], value); err != nil {
				return err
			}
		}
	}
	for i, s := range settings {
		err := writeGroup(d.path, s[0], s[1])
		if err != nil && (i == 0 || !errors.Is(err, os.ErrNotExist)) { // kernels without swap accounting lack the others
			return err
		}
	}
	return nil
}

// watch opens what is read again and again.
func (g *groups) watch() (err error) {
	if d, ok := g.dirs["pids"]; ok {
		if g.threadsFile, err = openGroup(d.path, "pids.current"); err != nil {
			return err
		}
	}
	d, ok := g.dirs["memory"]
	if !ok {
		return nil
	}
	usage, killed := "memory.usage_in_bytes", "memory.oom_control"
	if d.v2 {
		usage, killed = "memory.current", "memory.events"
	}
	if g.usageFile, err = openGroup(d.path, usage); err != nil {
		return err
	}
	g.killedFile, err = openGroup(d.path, killed)
	return err
}

// openGroup opens a file for reading past the poller: that those files can be polled is of no use here.
func openGroup(dir, file string) (*os.File, error) {
	path := filepath.Join(dir, file)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// readGroup reads a file of the kernel's from its beginning.
func readGroup(f *os.File, buf []byte) ([]byte, error) {
	n, err := f.ReadAt(buf, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return buf[:n], err
}

// used is the memory of the group in bytes without files, in memory or of a disk. To tell those takes longer, and is left out where the result is no
// more than enough even with them.
func (g *groups) used(enough int64) (int64, error) {
	if g.usageFile == nil {
		return 0, os.ErrClosed
	}
	var buf [32]byte
	b, err := readGroup(g.usageFile, buf[:])
	if err != nil {
		return 0, err
	}
	total, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	if err != nil || total <= enough {
		return total, err
	}
	d := g.dirs["memory"]
	cached := "total_cache "
	if d.v2 {
		cached = "file "
	}
	if b, err = os.ReadFile(filepath.Join(d.path, "memory.stat")); err != nil {
		return 0, err
	}
	files, err := counter(b, cached)
	return max(total-files, 0), err
}

// killed says how many processes the kernel has ended because of the limit.
func (g *groups) killed() int64 {
	if g.killedFile == nil {
		return 0
	}
	var buf [512]byte
	b, err := readGroup(g.killedFile, buf[:])
	if err != nil {
		return 0
	}
	n, err := counter(b, "oom_kill ")
	if err != nil {
		return 0
	}
	return n
}

// counter finds a line "name value" in a file of the kernel's.
func counter(text []byte, name string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("sandbox: the kernel does not tell %s", name)
}

// removeTries and removePause bound the wait for the kernel to let go of a group whose last process has just ended.
const (
	removeTries = 100
	removePause = 5 * time.Millisecond
)

// remove removes the groups, which must be empty. What cannot be removed, a later server removes.
func (g *groups) remove() {
	for _, f := range []*os.File{g.usageFile, g.killedFile, g.threadsFile} {
		if f != nil {
			f.Close()
		}
	}
	dirs := g.v1
	if g.v2 != "" {
		dirs = append(dirs, g.v2)
	}
	for _, dir := range dirs {
		for range removeTries {
			if err := syscall.Rmdir(dir); !errors.Is(err, unix.EBUSY) {
				break
			}
			_ = clock.Sleep(context.Background(), clock.Real(), removePause) // the context does not end
		}
	}
	for _, leave := range g.leave {
		leave()
	}
	g.leave = nil
}
