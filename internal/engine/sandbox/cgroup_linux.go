package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// ground is where the server may make control groups: below its own, controller by controller, because on one machine they may be spread over both
// versions of the interface. It does not change while the server runs.
type ground struct {
	// v1 has, for each controller of the first version, the folder of the server's own group.
	v1 map[string]string
	// v2 is the folder below which groups of the second version can be made with the controllers in has; empty when there are none.
	v2  string
	has []string
	// missing says why there is no controller.
	missing map[string]string
	// nests are where sandboxes' groups lie together, below v2 and below the folder of the first version's cpu controller.
	nests nests
}

// The controllers that a sandbox wants.
func controllers() []string { return []string{"memory", "pids", "cpu"} }

// theGround is found once. Groups that a killed server has left are removed then.
var theGround = sync.OnceValue(func() *ground {
	g := findGround()
	for _, dir := range g.folders() {
		sweep(dir)
	}
	return g
})

func (g *ground) folders() []string {
	var out []string
	if g.v2 != "" {
		out = append(out, g.v2)
	}
	for _, c := range controllers() {
		if dir := g.v1[c]; dir != "" && !slices.Contains(out, dir) {
			out = append(out, dir)
		}
	}
	return out
}

// at returns the folder for a controller's groups and whether it is of the second version; "" when there is none.
func (g *ground) at(controller string) (string, bool) {
	if slices.Contains(g.has, controller) {
		return g.v2, true
	}
	return g.v1[controller], false
}

func findGround() *ground {
	g := &ground{v1: map[string]string{}, missing: map[string]string{}}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err == nil {
		var mounts []byte
		if mounts, err = os.ReadFile("/proc/self/mountinfo"); err == nil {
			g.find(own, mounts)
		}
	}
	for _, c := range controllers() {
		dir, _ := g.at(c)
		switch {
		case err != nil:
			g.missing[c] = err.Error()
		case dir == "" && g.missing[c] == "":
			g.missing[c] = "the kernel's controller is not mounted, or not for this process"
		}
	}
	return g
}

// find reads the texts of /proc/self/cgroup and /proc/self/mountinfo.
func (g *ground) find(own, mounts []byte) {
	paths := map[string]string{} // by controller; "" is the second version
	for line := range strings.Lines(string(own)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		for _, c := range strings.Split(f[1], ",") {
			paths[c] = f[2]
		}
	}
	for s := bufio.NewScanner(bytes.NewReader(mounts)); s.Scan(); {
		head, tail, ok := strings.Cut(s.Text(), " - ")
		f, kind := strings.Fields(head), strings.Fields(tail)
		if !ok || len(f) < 5 || len(kind) < 3 {
			continue
		}
		switch kind[0] {
		case "cgroup":
			for _, c := range controllers() {
				if slices.Contains(strings.Split(kind[2], ","), c) {
					g.tryV1(c, groupFolder(f[4], f[3], paths[c]))
				}
			}
		case "cgroup2":
			g.tryV2(groupFolder(f[4], f[3], paths[""]))
		}
	}
}

// groupFolder is where a mount at point of the groups below root shows the group path; "" when it does not.
func groupFolder(point, root, path string) string {
	if strings.HasPrefix(path, "/..") { // outside of this process's namespace
		return ""
	}
	rel, err := filepath.Rel(root, path)
	if err != nil || !filepath.IsLocal(rel) {
		return ""
	}
	return filepath.Join(point, rel)
}

// tryV1 makes a group to see whether that is possible.
func (g *ground) tryV1(controller, dir string) {
	if dir == "" {
		return
	}
	if err := tryGroup(dir); err != nil {
		g.missing[controller] = err.Error()
		return
	}
	g.v1[controller] = dir
}

func tryGroup(dir string) error {
	try := filepath.Join(dir, groupName())
	if err := os.Mkdir(try, 0o755); err != nil {
		return err
	}
	return syscall.Rmdir(try)
}

// tryV2 finds the controllers that a group below dir can have. One that has processes has none to give, so the server moves into a group of its own
// below; where it is not alone in dir that does not help, and is undone.
func (g *ground) tryV2(dir string) {
	if dir == "" {
		return
	}
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	var wanted []string
	for _, c := range strings.Fields(string(b)) {
		if slices.Contains(controllers(), c) && g.v1[c] == "" {
			wanted = append(wanted, c)
		}
	}
	if len(wanted) == 0 {
		return
	}
	refuse := func(err error) {
		for _, c := range wanted {
			g.missing[c] = err.Error()
		}
	}
	// Made by an earlier server of the same group, or by this one.
	server := filepath.Join(dir, "croft-server")
	if err := os.Mkdir(server, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		refuse(err)
		return
	}
	if err := writeGroup(server, "cgroup.procs", "0"); err != nil {
		refuse(err)
		return
	}
	enable := "+" + strings.Join(wanted, " +")
	if err := writeGroup(dir, "cgroup.subtree_control", enable); err != nil {
		if back := writeGroup(dir, "cgroup.procs", "0"); back == nil {
			_ = syscall.Rmdir(server) // another server may be in it
		}
		if errors.Is(err, syscall.EBUSY) {
			err = fmt.Errorf("other processes are in the server's control group %s: start croft with `systemd-run --user --scope -p Delegate=yes`", dir)
		}
		refuse(err)
		return
	}
	g.v2, g.has = dir, wanted
}

func writeGroup(dir, file, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.WriteString(f, text)
	return err
}

// sweep removes the groups that servers have left which are no more, and those in their nests. A group with processes cannot be removed.
func sweep(dir string) {
	groups, err := filepath.Glob(filepath.Join(dir, "croft-*"))
	if err != nil {
		return
	}
	for _, path := range groups {
		pid, err := strconv.Atoi(strings.Split(filepath.Base(path), "-")[1])
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		sweep(path)
		_ = syscall.Rmdir(path)
	}
}
