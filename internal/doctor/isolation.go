package doctor

import (
	"context"
	"strings"

	"croft/internal/engine/sandbox"
)

// isolation really makes a sandbox, and looks at the settings that forbid one.
func isolation(ctx context.Context, m Machine) []Finding {
	if m.DefaultReduced {
		return []Finding{{
			Area: "isolation", Status: Warning, Found: "reduced isolation: " + m.Reduced,
			Why: "this system has no namespaces; mistakes are kept apart, malice is not", Next: "run only functions that you trust, or run croft on Linux or in a Linux virtual machine",
		}}
	}
	able := m.Able(ctx)
	if able.Namespaces == "" {
		out := []Finding{{Area: "isolation", Status: OK, Found: "functions are isolated: namespaces, seccomp and a root of their own can be made"}}
		out = append(append(out, restrictions(m, Note)...), freezing(able), network(able))
		return append(out, limits(m, able)...)
	}
	out := []Finding{{
		Area: "isolation", Status: Missing, Found: able.Namespaces, Why: "functions are refused: each needs namespaces of its own",
		Next: "do what the lines below or the message says; or, for functions that you trust: croft up --isolation=none (" + m.Reduced + ")",
	}}
	return append(out, restrictions(m, Missing)...)
}

// restrictions are the settings of a Linux that keep ordinary users from making namespaces. bad is what they are worth here.
func restrictions(m Machine, bad Status) []Finding {
	var out []Finding
	if m.read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
		f := Finding{
			Area: "isolation", Status: bad, Found: "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns = 1)",
			Why: "Ubuntu 23.10 and later let an ordinary user's program make them only with a profile; root is not affected",
		}
		f.Next = "give croft a profile: printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile croft " + m.Program +
			" flags=(unconfined) {\\n  userns,\\n}\\n' | sudo tee /etc/apparmor.d/croft && sudo apparmor_parser -r /etc/apparmor.d/croft" +
			"; or, for all programs: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
		out = append(out, f)
	}
	if m.read("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
		out = append(out, Finding{
			Area: "isolation", Status: bad, Found: "user namespaces are for root alone (kernel.unprivileged_userns_clone = 0)",
			Why: "an ordinary user's functions cannot be isolated", Next: "sudo sysctl -w kernel.unprivileged_userns_clone=1",
		})
	}
	if limit := m.read("/proc/sys/user/max_user_namespaces"); limit == "0" {
		out = append(out, Finding{
			Area: "isolation", Status: bad, Found: "no user namespaces are allowed (user.max_user_namespaces = 0)",
			Why: "each function needs one", Next: "sudo sysctl -w user.max_user_namespaces=15000",
		})
	}
	return out
}

func freezing(a sandbox.Able) Finding {
	if a.Freeze != "" {
		return Finding{
			Area: "isolation", Status: Warning, Found: "environments cannot be frozen between invocations: " + a.Freeze,
			Why: "what a function leaves behind in the background goes on running; Lambda stops it",
		}
	}
	return Finding{Area: "isolation", Status: OK, Found: "environments are frozen between invocations"}
}

// network says whether functions have a way out. The ability's own words end with what to do.
func network(a sandbox.Able) Finding {
	if a.Tunnel == "" {
		return Finding{Area: "network", Status: OK, Found: "functions have a network device: the internet, and what --allow-host names"}
	}
	what, next, _ := strings.Cut(a.Tunnel, ". ")
	return Finding{
		Area: "network", Status: Warning, Found: "no network device: " + what, Next: next,
		Why: "functions reach this cloud at AWS_ENDPOINT_URL and nothing else: no names of AWS, no internet, no database, no --allow-host",
	}
}

// limits says who holds functions to their limits: the kernel, through control groups, or what takes their place.
func limits(m Machine, a sandbox.Able) []Finding {
	out := []Finding{
		{Area: "limits", Status: OK, Found: "memory: the kernel holds each function to its MemorySize"},
		{Area: "limits", Status: OK, Found: "processes: the kernel holds each function to 1,024"},
		{Area: "limits", Status: OK, Found: "processors: the kernel shares them out in proportion to MemorySize"},
	}
	const required = "; croft up --isolation=required refuses to start"
	for i, l := range []struct{ missing, found, why string }{
		{
			a.MemoryLimit, "memory: looked at 20 times a second; a function over its MemorySize is ended then",
			"between two looks a function can take more, down to what the machine has" + required,
		},
		{a.ProcessLimit, "processes: 1,024 for each program of a function, not for all together", "a function with extensions may have more of them" + required},
		{
			a.CPUShare, "processors: no shares; what runs competes alike",
			"a function that computes with many threads takes processors from the others and from croft" + required,
		},
	} {
		if l.missing == "" {
			continue
		}
		f := &out[i]
		f.Status, f.Found, f.Why = Note, l.found, l.why+" (control groups: "+l.missing+")"
		f.Next = groups(m)
	}
	for i := len(out) - 1; i > 0; i-- { // the same advice once, for the first that needs it
		for _, before := range out[:i] {
			if before.Next == out[i].Next {
				out[i].Next = ""
			}
		}
	}
	return out
}

// groups says how to get control groups.
func groups(m Machine) string {
	switch {
	case m.exists("/sys/fs/cgroup/cgroup.controllers") && m.User == 0:
		return "start croft in a group of its own: systemd-run --scope -p Delegate=yes croft up"
	case m.exists("/sys/fs/cgroup/cgroup.controllers"):
		return "have systemd delegate: systemd-run --user --scope -p Delegate=yes croft up; or run croft as a systemd service with Delegate=yes"
	case m.exists("/sys/fs/cgroup/memory") && m.User != 0:
		return "run croft as root, or start the machine with cgroup v2 alone: systemd.unified_cgroup_hierarchy=1 on the kernel's command line"
	case m.exists("/sys/fs/cgroup/memory"):
		return "mount the missing controllers so that this process may write them; in a container: --cgroupns=private with a writable /sys/fs/cgroup"
	}
	return "mount cgroup v2: mount -t cgroup2 none /sys/fs/cgroup (as root); in a container: a writable /sys/fs/cgroup"
}

func seccomp(_ context.Context, m Machine) []Finding {
	if m.OS != "linux" {
		return nil
	}
	actions := m.read("/proc/sys/kernel/seccomp/actions_avail")
	if !strings.Contains(actions, "errno") && !strings.Contains(m.read("/proc/self/status"), "Seccomp:") {
		return []Finding{{
			Area: "isolation", Status: Missing, Found: "the kernel has no seccomp filters", Why: "functions are not started without one",
			Next: "use a kernel with CONFIG_SECCOMP_FILTER, as all distributions build it",
		}}
	}
	return []Finding{{Area: "isolation", Status: OK, Found: "the kernel filters system calls (seccomp)"}}
}
