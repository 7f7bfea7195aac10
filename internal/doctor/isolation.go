package doctor

import (
	"context"
	"fmt"
	"strings"
)

// isolation really makes a sandbox, and looks at the settings that forbid one.
func isolation(ctx context.Context, m Machine) []Finding {
	if m.DefaultReduced {
		return []Finding{{
			Area: "isolation", Status: Warning, Found: "reduced isolation: " + m.Reduced,
			Why: "this system has no namespaces; mistakes are kept apart, malice is not", Next: "run only functions that you trust, or run croft on Linux or in a Linux virtual machine",
		}}
	}
	err := m.Isolation(ctx)
	if err == nil {
		return append([]Finding{{Area: "isolation", Status: OK, Found: "functions are isolated: namespaces, seccomp and a root of their own can be made"}}, restrictions(m, Note)...)
	}
	out := []Finding{{
		Area: "isolation", Status: Missing, Found: err.Error(), Why: "functions are refused: each needs namespaces of its own",
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

// cgroups says which limits on memory and processor time this machine would allow. croft sets none yet, and says so.
func cgroups(_ context.Context, m Machine) []Finding {
	if m.OS != "linux" {
		return nil
	}
	const why = "croft reports MemorySize to functions and does not enforce it; nothing needs to be done"
	own := ""
	for line := range strings.Lines(m.read("/proc/self/cgroup")) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			own = rest
		}
	}
	f := Finding{Area: "limits", Status: Note, Why: why}
	switch {
	case m.exists("/sys/fs/cgroup/cgroup.controllers"):
		controllers := strings.Fields(m.read("/sys/fs/cgroup" + own + "/cgroup.controllers"))
		has := map[string]bool{}
		for _, c := range controllers {
			has[c] = true
		}
		switch {
		case m.User == 0 && has["memory"] && has["cpu"]:
			f.Found = "cgroup v2 with memory and cpu: memory and processor time could be limited"
		case has["memory"] && has["cpu"]:
			f.Found = "cgroup v2 with memory and cpu delegated to " + own + ": memory and processor time could be limited"
		default:
			f.Found = fmt.Sprintf("cgroup v2 without delegation of memory and cpu (%s has: %s)", own, strings.Join(controllers, " "))
		}
	case m.exists("/sys/fs/cgroup/memory"):
		kind := "cgroup v1"
		if m.exists("/sys/fs/cgroup/unified") {
			kind = "cgroup v1 and v2 side by side"
		}
		if m.User == 0 {
			f.Found = kind + ": root could limit memory and processor time"
		} else {
			f.Found = kind + ": an ordinary user can limit neither memory nor processor time"
		}
	default:
		f.Found = "no cgroups are mounted: neither memory nor processor time can be limited"
	}
	return []Finding{f}
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
