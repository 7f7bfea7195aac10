package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// minFree is the space in bytes below which a folder is worth a warning.
	minFree = 1 << 30
	// minWatches and minInstances are inotify's limits below which --watch soon meets them.
	minWatches   = 8192
	minInstances = 64
)

func folders(_ context.Context, m Machine) []Finding {
	return []Finding{
		folder(m, "temporary folder", m.Temp, "functions and ephemeral clouds have their files there", "free space there, or name another folder: export TMPDIR=DIR"),
		folder(m, "data folder", m.Data, "everything that the cloud keeps lies there", "free space there, or choose another: croft up --data DIR"),
	}
}

func folder(m Machine, name, dir, why, next string) Finding {
	f := Finding{Area: "files", Status: OK, Found: name + " " + dir}
	if err := m.Writable(dir); err != nil {
		f.Status, f.Found, f.Why, f.Next = Missing, fmt.Sprintf("the %s %s cannot be written: %v", name, dir, err), why, next
		return f
	}
	free, err := m.Free(dir)
	if err != nil {
		f.Status, f.Found = Note, fmt.Sprintf("the %s %s can be written; the space left is not known: %v", name, dir, err)
		return f
	}
	f.Found += ": writable, " + size(free) + " free"
	if free < minFree {
		f.Status, f.Why, f.Next = Warning, why, next
	}
	return f
}

func size(bytes uint64) string {
	if bytes < 1<<30 {
		return fmt.Sprintf("%d MB", bytes>>20)
	}
	return fmt.Sprintf("%.1f GB", float64(bytes)/(1<<30))
}

func watches(_ context.Context, m Machine) []Finding {
	if m.OS != "linux" {
		return nil
	}
	number := func(name string) (int, bool) {
		n, err := strconv.Atoi(m.read("/proc/sys/fs/inotify/" + name))
		return n, err == nil
	}
	folders, ok1 := number("max_user_watches")
	instances, ok2 := number("max_user_instances")
	f := Finding{Area: "watching", Status: OK, Found: fmt.Sprintf("%d folders and %d watchers may be watched by a user", folders, instances)}
	switch {
	case !ok1 || !ok2:
		f.Status, f.Found = Note, "the limits of inotify are not known"
	case folders < minWatches || instances < minInstances:
		f.Status, f.Why = Warning, "croft up --watch takes one for each folder of code, and editors take theirs"
		f.Next = "sudo sysctl -w fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512"
	}
	return []Finding{f}
}

// port tells who has the cloud's address.
func port(ctx context.Context, m Machine) []Finding {
	u, err := url.Parse(m.Endpoint)
	if err != nil || u.Host == "" {
		return nil
	}
	version, err := m.Croft(ctx)
	switch {
	case err == nil:
		return []Finding{{Area: "cloud", Status: OK, Found: "croft " + version + " serves at " + m.Endpoint}}
	case !m.Busy():
		return []Finding{{Area: "cloud", Status: OK, Found: "nothing serves at " + m.Endpoint + "; start a cloud with: croft up"}}
	}
	who := holder(m, u.Host)
	if who == "" {
		who = "another program"
	}
	return []Finding{{
		Area: "cloud", Status: Missing, Found: fmt.Sprintf("%s has %s, and it is no croft", who, u.Host), Why: "croft up cannot serve there",
		Next: "stop it, or choose another address: croft up --listen 127.0.0.1:4567, and for the other commands: export CROFT_ENDPOINT=http://127.0.0.1:4567",
	}}
}

// maxProcesses bounds the processes that are looked at for who has a port.
const maxProcesses = 20_000

// holder finds the process that listens at a port of this machine, as far as Linux tells; "" otherwise.
func holder(m Machine, host string) string {
	_, text, err := net.SplitHostPort(host)
	if err != nil {
		return ""
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return ""
	}
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for line := range strings.Lines(m.read(table)) {
			// sl local_address rem_address st … inode; the state 0A is LISTEN. Source: proc_net_tcp.rst of the kernel.
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) {
				sockets["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(sockets) == 0 {
		return ""
	}
	for i, comm := range m.glob("/proc/[0-9]*/comm") {
		if i == maxProcesses {
			break
		}
		dir := strings.TrimSuffix(comm, "/comm")
		for _, fd := range m.glob(dir + "/fd/*") {
			if target, err := fs.ReadLink(m.Files, strings.TrimPrefix(fd, "/")); err == nil && sockets[target] {
				return fmt.Sprintf("%s (process %s)", m.read(comm), strings.TrimPrefix(dir, "/proc/"))
			}
		}
	}
	return ""
}

func clocks(_ context.Context, m Machine) []Finding {
	if m.Now.Before(m.Built.Add(-24*time.Hour)) || m.Now.Year() < 2024 {
		return []Finding{{
			Area: "clock", Status: Missing, Found: "the machine's clock says " + m.Now.UTC().Format(time.RFC3339) + ", before this croft was built",
			Why: "signatures and certificates of the wrong time are refused", Next: "set the clock, for example with: sudo timedatectl set-ntp true",
		}}
	}
	return []Finding{{Area: "clock", Status: OK, Found: "the machine's clock says " + m.Now.UTC().Format(time.RFC3339)}}
}

// variables finds what in the shell's environment leads tools elsewhere. Values are not shown where they may be secret.
func variables(_ context.Context, m Machine) []Finding {
	var out []Finding
	add := func(status Status, found, why, next string) {
		out = append(out, Finding{Area: "environment", Status: status, Found: found, Why: why, Next: next})
	}
	var names []string
	for name := range m.Env {
		if strings.HasPrefix(name, "AWS_ENDPOINT_URL") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if value := m.Env[name]; value != "" && strings.TrimSuffix(value, "/") != m.Endpoint {
			add(Warning, name+" is "+value, "AWS tools in this shell go there and not to "+m.Endpoint, `unset `+name+`, or: eval "$(croft env)"`)
		}
	}
	if v := m.Env["AWS_PROFILE"]; v != "" {
		add(Warning, "AWS_PROFILE is "+v, "AWS tools take region, credentials and perhaps an endpoint from that profile; without an endpoint they reach the real AWS",
			"croft exec -- TOOL leaves it out; or: unset AWS_PROFILE")
	}
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		if m.Env[name] == "" {
			continue
		}
		if none := m.Env["NO_PROXY"] + "," + m.Env["no_proxy"]; !strings.Contains(none, "127.0.0.1") && !strings.Contains(none, "*") {
			add(Warning, name+" is set, and NO_PROXY does not name 127.0.0.1", "some tools would ask the proxy for the cloud on this machine",
				"export NO_PROXY=127.0.0.1,localhost")
			break
		}
	}
	if len(out) == 0 {
		add(OK, "no variable of this shell leads AWS tools elsewhere", "", "")
	}
	return out
}

func store(ctx context.Context, m Machine) []Finding {
	if m.Store == "" {
		return nil
	}
	name := "the database"
	if u, err := url.Parse(m.Store); err == nil && u.Host != "" {
		name = "the database at " + u.Host // the rest of the location may be secret
	}
	if err := m.Reach(ctx, m.Store); err != nil {
		return []Finding{{
			Area: "store", Status: Missing, Found: fmt.Sprintf("%s does not answer: %v", name, err), Why: "CROFT_STORE names it: croft up keeps everything there",
			Next: "start it or mend CROFT_STORE; or unset CROFT_STORE to use the data folder",
		}}
	}
	return []Finding{{Area: "store", Status: OK, Found: name + " answers"}}
}
