package doctor

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"croft/internal/engine/runtimes"
	"croft/internal/engine/sandbox"
)

func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

// good is a machine on which all is well.
func good() Machine {
	return Machine{
		OS: "linux", User: 1000, Program: "/usr/bin/croft", Built: day(1), Now: day(2),
		Files: fstest.MapFS{
			"usr/bin/python3.11": file(""), "usr/bin/node": file(""),
			"proc/sys/fs/inotify/max_user_watches": file("65536\n"), "proc/sys/fs/inotify/max_user_instances": file("128\n"),
			"proc/sys/kernel/seccomp/actions_avail": file("kill_process errno allow\n"),
			"sys/fs/cgroup/cgroup.controllers":      file("cpu memory"), "sys/fs/cgroup/user.slice/cgroup.controllers": file("cpu memory pids"),
			"proc/self/cgroup": file("0::/user.slice\n"),
		},
		Env: map[string]string{"PATH": "/usr/bin", "HOME": "/home/me"},
		Run: func(_ context.Context, args ...string) ([]byte, error) {
			if path.Base(args[0]) == "node" {
				return []byte("v22.1.0\n"), nil
			}
			return []byte("3.11.7 True " + args[0] + "\n"), nil
		},
		Able: func(context.Context) sandbox.Able { return sandbox.Able{} }, Processor: "x86_64", Reduced: "they share everything",
		Writable: func(string) error { return nil }, Free: func(string) (uint64, error) { return 5 << 30, nil },
		Endpoint: "http://127.0.0.1:4566", Croft: func(context.Context) (string, error) { return "", errors.New("refused") }, Busy: func() bool { return false },
		Data: "/data", Temp: "/tmp", Reach: func(context.Context, string) error { return nil },
		Runtimes: []string{"python3.11", "nodejs22.x", "provided.al2023"}, Places: runtimes.PythonPlaces, NodePlaces: runtimes.NodePlaces,
	}
}

// with changes the files of a machine: those with a text of "-" go.
func with(m Machine, files map[string]string) Machine {
	all := fstest.MapFS{}
	for name, f := range m.Files.(fstest.MapFS) {
		all[name] = f
	}
	for name, text := range files {
		delete(all, name)
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			all[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink}
		} else if text != "-" {
			all[name] = file(text)
		}
	}
	m.Files = all
	return m
}

func TestAGoodMachine(t *testing.T) {
	found := Examine(t.Context(), good())
	for _, f := range found {
		if f.Status != OK {
			t.Errorf("%+v", f)
		}
	}
	if len(found) < 10 || !Fit(found) {
		t.Errorf("%d findings", len(found))
	}
}

// TestFindings changes one thing of a good machine each, and says what is found then.
func TestFindings(t *testing.T) {
	examine(t, map[string]changed{
		"no python":          {func(m *Machine) { *m = with(*m, map[string]string{"usr/bin/python3.11": "-"}) }, "python", Missing, "apt-get install python3"},
		"a broken python":    {func(m *Machine) { m.Run = fails }, "python", Missing, "no Python interpreter"},
		"python that babble": {func(m *Machine) { m.Run = says("hello\n") }, "python", Missing, "no Python interpreter"},
		"an ancient python":  {func(m *Machine) { m.Run = says("3.6.1 True /usr/bin/python3.6") }, "python", Missing, "no Python interpreter"},
		"no boto3":           {func(m *Machine) { m.Run = says("3.11.7 False /usr/bin/python3.11") }, "python", Note, "installs boto3 once"},
		"another python":     {func(m *Machine) { m.Runtimes = []string{"python3.14"} }, "python", Note, "run on Python 3.11.7 at /usr/bin/python3.11"},
		"pyenv": {func(m *Machine) {
			*m = with(*m, map[string]string{"home/me/.pyenv/versions/3.11.7/bin/python3.11": "", "usr/bin/python3.11": "-"})
		}, "python", OK, "/home/me/.pyenv/versions/3.11.7/bin/python3.11"},
		"mise": {func(m *Machine) {
			*m = with(*m, map[string]string{"home/me/.local/share/mise/installs/python/3.11/bin/python3": "", "usr/bin/python3.11": "-"})
		}, "python", OK, "mise/installs/python/3.11/bin/python3"},
		"only shims": {func(m *Machine) {
			*m = with(*m, map[string]string{"x/shims/python3": "", "usr/bin/python3.11": "-"})
			m.Env = map[string]string{"PATH": "/x/shims"}
		}, "python", Missing, "no Python interpreter"},
		"no node":          {func(m *Machine) { *m = with(*m, map[string]string{"usr/bin/node": "-"}) }, "node", Warning, "no Node.js of version 18"},
		"nvm":              {func(m *Machine) { *m = with(*m, map[string]string{"home/me/.nvm/versions/node/v22.1.0/bin/node": ""}) }, "node", OK, "22.1.0"},
		"another node":     {func(m *Machine) { m.Runtimes = []string{"python3.11", "nodejs24.x"} }, "node", Note, "nodejs24.x: no Node.js 24; such functions run on Node.js 22.1.0 at /usr/bin/node"},
		"no room":          {func(m *Machine) { m.Free = func(string) (uint64, error) { return 100 << 20, nil } }, "files", Warning, "100 MB free"},
		"unknown room":     {func(m *Machine) { m.Free = func(string) (uint64, error) { return 0, errors.New("odd") } }, "files", Note, "not known: odd"},
		"not writable":     {func(m *Machine) { m.Writable = func(string) error { return fs.ErrPermission } }, "files", Missing, "croft up --data DIR"},
		"few watches":      {func(m *Machine) { *m = with(*m, map[string]string{"proc/sys/fs/inotify/max_user_watches": "100"}) }, "watching", Warning, "sysctl -w fs.inotify.max_user_watches"},
		"unknown watches":  {func(m *Machine) { *m = with(*m, map[string]string{"proc/sys/fs/inotify/max_user_watches": "-"}) }, "watching", Note, "not known"},
		"croft runs":       {func(m *Machine) { m.Croft = func(context.Context) (string, error) { return "1.2", nil } }, "cloud", OK, "croft 1.2 serves"},
		"the port is busy": {func(m *Machine) { m.Busy = func() bool { return true } }, "cloud", Missing, "another program has 127.0.0.1:4566"},
		"by whom": {func(m *Machine) {
			m.Busy = func() bool { return true }
			*m = with(*m, map[string]string{
				"proc/net/tcp": "  sl  local_address rem_address   st\n" +
					"   0: 0100007F:11D6 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4242 1 0\n",
				"proc/77/comm": "nginx\n", "proc/77/fd/3": "-> socket:[4242]", "proc/78/comm": "x\n", "proc/78/fd/3": "-> socket:[1]",
			})
		}, "cloud", Missing, "nginx (process 77) has 127.0.0.1:4566"},
		"a wrong clock":      {func(m *Machine) { m.Now = day(1).AddDate(-3, 0, 0) }, "clock", Missing, "set-ntp"},
		"another endpoint":   {func(m *Machine) { m.Env["AWS_ENDPOINT_URL_SQS"] = "http://elsewhere" }, "environment", Warning, "unset AWS_ENDPOINT_URL_SQS"},
		"the right endpoint": {func(m *Machine) { m.Env["AWS_ENDPOINT_URL"] = "http://127.0.0.1:4566/" }, "environment", OK, "no variable"},
		"a profile":          {func(m *Machine) { m.Env["AWS_PROFILE"] = "prod" }, "environment", Warning, "AWS_PROFILE is prod"},
		"a proxy":            {func(m *Machine) { m.Env["http_proxy"] = "http://user:secret@proxy" }, "environment", Warning, "export NO_PROXY"},
		"a proxy, excepted":  {func(m *Machine) { m.Env["http_proxy"], m.Env["NO_PROXY"] = "http://p", "localhost,127.0.0.1" }, "environment", OK, "no variable"},
		"a store":            {func(m *Machine) { m.Store = "postgres://u:secret@db:5432/x" }, "store", OK, "the database at db:5432 answers"},
		"a lost store": {func(m *Machine) {
			m.Store = "postgres://u:secret@db/x"
			m.Reach = func(context.Context, string) error { return errors.New("no route") }
		}, "store", Missing, "the database at db does not answer: no route"},
	})
}

// TestFindingsOfAbilities is the same for what the machine can do for functions.
func TestFindingsOfAbilities(t *testing.T) {
	examine(t, map[string]changed{
		"macOS":             {func(m *Machine) { m.OS, m.DefaultReduced = "darwin", true }, "isolation", Warning, "reduced isolation: they share everything"},
		"no isolation":      {func(m *Machine) { m.Able = refuses }, "isolation", Missing, "--isolation=none"},
		"AppArmor":          {func(m *Machine) { *m = with(*m, apparmor()); m.Able = refuses }, "isolation", Missing, "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		"AppArmor, profile": {func(m *Machine) { *m = with(*m, apparmor()); m.Able = refuses }, "isolation", Missing, "profile croft /usr/bin/croft flags=(unconfined)"},
		"AppArmor, no harm": {func(m *Machine) { *m = with(*m, apparmor()) }, "isolation", Note, "AppArmor restricts"},
		"Debian's switch": {func(m *Machine) {
			*m = with(*m, map[string]string{"proc/sys/kernel/unprivileged_userns_clone": "0\n"})
			m.Able = refuses
		}, "isolation", Missing, "kernel.unprivileged_userns_clone=1"},
		"no user namespaces": {func(m *Machine) {
			*m = with(*m, map[string]string{"proc/sys/user/max_user_namespaces": "0\n"})
			m.Able = refuses
		}, "isolation", Missing, "max_user_namespaces=15000"},
		"no seccomp": {func(m *Machine) { *m = with(*m, map[string]string{"proc/sys/kernel/seccomp/actions_avail": "-"}) }, "isolation", Missing, "CONFIG_SECCOMP_FILTER"},
		"an old node": {func(m *Machine) {
			python := m.Run
			m.Run = func(ctx context.Context, args ...string) ([]byte, error) {
				if path.Base(args[0]) == "node" {
					return []byte("v16.1.0\n"), nil
				}
				return python(ctx, args...)
			}
		}, "node", Warning, "no Node.js of version 18"},
		"node by volta": {func(m *Machine) {
			*m = with(*m, map[string]string{"home/me/.volta/tools/image/node/22.1.0/bin/node": "", "usr/bin/node": "-"})
		}, "node", OK, "nodejs22.x: Node.js 22.1.0 at /home/me/.volta"},
		"programs":         {func(m *Machine) { m.Processor = "arm64" }, "provided", OK, "programs for arm64"},
		"a network device": {func(m *Machine) {}, "network", OK, "--allow-host"},
		"no network device": {func(m *Machine) {
			m.Able = lacks(sandbox.Able{Tunnel: "open /dev/net/tun: no such file. modprobe tun"})
		}, "network", Warning, "no such file"},
		"its advice": {func(m *Machine) {
			m.Able = lacks(sandbox.Able{Tunnel: "open /dev/net/tun: no such file. modprobe tun"})
		}, "network", Warning, "no --allow-host modprobe tun"},
		"frozen":             {func(m *Machine) {}, "isolation", OK, "frozen between"},
		"not frozen":         {func(m *Machine) { m.Able = lacks(sandbox.Able{Freeze: "no"}) }, "isolation", Warning, "goes on running"},
		"memory":             {func(m *Machine) {}, "limits", OK, "MemorySize"},
		"no delegation":      {func(m *Machine) { m.Able = lacks(noGroups()) }, "limits", Note, "systemd-run --user --scope"},
		"no limit of memory": {func(m *Machine) { m.Able = lacks(noGroups()) }, "limits", Note, "20 times a second; a function over its MemorySize is ended then"},
		"why":                {func(m *Machine) { m.Able = lacks(noGroups()) }, "limits", Note, "(control groups: permission denied)"},
		"no processor share": {func(m *Machine) { m.Able = lacks(sandbox.Able{CPUShare: "x"}) }, "limits", Note, "competes alike"},
		"no process limit":   {func(m *Machine) { m.Able = lacks(sandbox.Able{ProcessLimit: "x"}) }, "limits", Note, "--isolation=required refuses"},
		"cgroup v1":          {func(m *Machine) { *m = with(*m, v1()); m.Able = lacks(noGroups()) }, "limits", Note, "run croft as root"},
		"cgroup v1, root":    {func(m *Machine) { *m = with(*m, v1()); m.User = 0; m.Able = lacks(noGroups()) }, "limits", Note, "mount the missing"},
		"cgroup v2, root":    {func(m *Machine) { m.User = 0; m.Able = lacks(noGroups()) }, "limits", Note, "systemd-run --scope"},
		"no cgroups": {func(m *Machine) {
			*m = with(*m, map[string]string{"sys/fs/cgroup/cgroup.controllers": "-"})
			m.Able = lacks(noGroups())
		}, "limits", Note, "mount -t cgroup2"},
	})
}

// changed is a good machine with one thing changed, and what is found then.
type changed struct {
	change func(*Machine)
	area   string
	status Status
	want   string
}

func examine(t *testing.T, machines map[string]changed) {
	t.Helper()
	for name, c := range machines {
		m := good()
		c.change(&m)
		found := Examine(t.Context(), m)
		matched := false
		for _, f := range found {
			text := f.Found + " " + f.Why + " " + f.Next
			if strings.Contains(text, "secret") {
				t.Errorf("%s: a secret is shown: %s", name, text)
			}
			matched = matched || f.Area == c.area && f.Status == c.status && strings.Contains(text, c.want)
		}
		if !matched {
			t.Errorf("%s: no %s of %s with %q in %+v", name, c.status, c.area, c.want, found)
		}
		if (c.status == Missing) == Fit(found) {
			t.Errorf("%s: fit is %v", name, Fit(found))
		}
	}
}

func apparmor() map[string]string {
	return map[string]string{"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}
}

func v1() map[string]string {
	return map[string]string{"sys/fs/cgroup/cgroup.controllers": "-", "sys/fs/cgroup/memory/tasks": ""}
}

func fails(context.Context, ...string) ([]byte, error) { return nil, errors.New("exit status 1") }

func refuses(context.Context) sandbox.Able {
	return sandbox.Able{Namespaces: "operation not permitted", Tunnel: "the same", MemoryLimit: "the same", Freeze: "the same"}
}

func lacks(a sandbox.Able) func(context.Context) sandbox.Able {
	return func(context.Context) sandbox.Able { return a }
}

func noGroups() sandbox.Able {
	return sandbox.Able{MemoryLimit: "permission denied", ProcessLimit: "permission denied", CPUShare: "permission denied"}
}

// TestAdviceOnce checks that what is to be done about three limits is said once.
func TestAdviceOnce(t *testing.T) {
	m := good()
	m.Able = lacks(noGroups())
	said := 0
	for _, f := range Examine(t.Context(), m) {
		if f.Area == "limits" && f.Next != "" {
			said++
		}
	}
	if said != 1 {
		t.Errorf("said %d times", said)
	}
}

func says(text string) func(context.Context, ...string) ([]byte, error) {
	return func(context.Context, ...string) ([]byte, error) { return []byte(text), nil }
}

// TestThisMachine checks that what is found here can be found at all: the probes of the real machine neither fail nor leave anything behind.
func TestThisMachine(t *testing.T) {
	data := t.TempDir() + "/not/yet"
	m := Host("http://127.0.0.1:1", data)
	m.Able = lacks(sandbox.Able{}) // the sandbox's own tests make one
	found := Examine(t.Context(), m)
	for _, area := range []string{"python", "node", "isolation", "files", "cloud", "clock", "environment"} {
		ok := false
		for _, f := range found {
			ok = ok || f.Area == area && f.Found != ""
		}
		if !ok {
			t.Errorf("nothing is said of %s: %+v", area, found)
		}
	}
	if err := writable(data); err != nil || m.exists(data) {
		t.Errorf("%v, or the folder was left behind", err)
	}
}
