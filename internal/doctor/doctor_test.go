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
		Isolation: func(context.Context) error { return nil }, Reduced: "they share everything",
		Writable: func(string) error { return nil }, Free: func(string) (uint64, error) { return 5 << 30, nil },
		Endpoint: "http://127.0.0.1:4566", Croft: func(context.Context) (string, error) { return "", errors.New("refused") }, Busy: func() bool { return false },
		Data: "/data", Temp: "/tmp", Reach: func(context.Context, string) error { return nil },
		Runtimes: []string{"python3.11", "nodejs22.x"}, Places: runtimes.PythonPlaces,
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
		if f.Status != OK && f.Area != "limits" {
			t.Errorf("%+v", f)
		}
	}
	if len(found) < 10 || !Fit(found) {
		t.Errorf("%d findings", len(found))
	}
}

// TestFindings changes one thing of a good machine each, and says what is found then.
func TestFindings(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Machine)
		area   string
		status Status
		want   string
	}{
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
		"no node":           {func(m *Machine) { *m = with(*m, map[string]string{"usr/bin/node": "-"}) }, "node", Note, "none was found"},
		"nvm":               {func(m *Machine) { *m = with(*m, map[string]string{"home/me/.nvm/versions/node/v22.1.0/bin/node": ""}) }, "node", OK, "22.1.0"},
		"another node":      {func(m *Machine) { m.Runtimes = []string{"python3.11", "nodejs24.x"} }, "node", Note, "nodejs24.x"},
		"no node functions": {func(m *Machine) { m.Runtimes = []string{"python3.11"} }, "node", Note, "refuses functions of Node.js"},
		"macOS":             {func(m *Machine) { m.OS, m.DefaultReduced = "darwin", true }, "isolation", Warning, "reduced isolation: they share everything"},
		"no isolation":      {func(m *Machine) { m.Isolation = refuses }, "isolation", Missing, "--isolation=none"},
		"AppArmor":          {func(m *Machine) { *m = with(*m, apparmor()); m.Isolation = refuses }, "isolation", Missing, "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		"AppArmor, profile": {func(m *Machine) { *m = with(*m, apparmor()); m.Isolation = refuses }, "isolation", Missing, "profile croft /usr/bin/croft flags=(unconfined)"},
		"AppArmor, no harm": {func(m *Machine) { *m = with(*m, apparmor()) }, "isolation", Note, "AppArmor restricts"},
		"Debian's switch": {func(m *Machine) {
			*m = with(*m, map[string]string{"proc/sys/kernel/unprivileged_userns_clone": "0\n"})
			m.Isolation = refuses
		}, "isolation", Missing, "kernel.unprivileged_userns_clone=1"},
		"no user namespaces": {func(m *Machine) {
			*m = with(*m, map[string]string{"proc/sys/user/max_user_namespaces": "0\n"})
			m.Isolation = refuses
		}, "isolation", Missing, "max_user_namespaces=15000"},
		"no seccomp":      {func(m *Machine) { *m = with(*m, map[string]string{"proc/sys/kernel/seccomp/actions_avail": "-"}) }, "isolation", Missing, "CONFIG_SECCOMP_FILTER"},
		"cgroup v2":       {func(m *Machine) {}, "limits", Note, "delegated to /user.slice"},
		"cgroup v2, root": {func(m *Machine) { m.User = 0 }, "limits", Note, "could be limited"},
		"no delegation": {func(m *Machine) {
			*m = with(*m, map[string]string{"sys/fs/cgroup/user.slice/cgroup.controllers": "pids"})
		}, "limits", Note, "without delegation"},
		"cgroup v1":       {func(m *Machine) { *m = with(*m, v1()) }, "limits", Note, "an ordinary user can limit neither"},
		"cgroup v1, root": {func(m *Machine) { *m = with(*m, v1()); m.User = 0 }, "limits", Note, "root could limit"},
		"hybrid": {func(m *Machine) {
			*m = with(with(*m, v1()), map[string]string{"sys/fs/cgroup/unified/cgroup.controllers": ""})
		}, "limits", Note, "v1 and v2 side by side"},
		"no cgroups":       {func(m *Machine) { *m = with(*m, map[string]string{"sys/fs/cgroup/cgroup.controllers": "-"}) }, "limits", Note, "no cgroups"},
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
	} {
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

func refuses(context.Context) error { return errors.New("operation not permitted") }

func says(text string) func(context.Context, ...string) ([]byte, error) {
	return func(context.Context, ...string) ([]byte, error) { return []byte(text), nil }
}

// TestThisMachine checks that what is found here can be found at all: the probes of the real machine neither fail nor leave anything behind.
func TestThisMachine(t *testing.T) {
	data := t.TempDir() + "/not/yet"
	m := Host("http://127.0.0.1:1", data)
	m.Isolation = func(context.Context) error { return nil } // the sandbox's own tests make one
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
