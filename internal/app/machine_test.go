package app

import (
	"context"
	"strings"
	"testing"

	"croft/internal/engine/sandbox"
)

func TestIsolate(t *testing.T) {
	never := func(context.Context) sandbox.Able {
		t.Error("a sandbox is made where nothing depends on it")
		return sandbox.Able{}
	}
	for want, expect := range map[Isolation]sandbox.Isolation{"": sandbox.Default(), IsolationAuto: sandbox.Default(), IsolationNone: sandbox.Reduced} {
		if got, err := isolate(t.Context(), want, never); err != nil || got != expect {
			t.Errorf("%q: %v, %v", want, got, err)
		}
	}
	if _, err := isolate(t.Context(), "some", never); err == nil || !strings.Contains(err.Error(), `"some"`) {
		t.Error(err)
	}
}

func TestRequiredIsolation(t *testing.T) {
	for name, c := range map[string]struct {
		able sandbox.Able
		want string
	}{
		"everything":            {sandbox.Able{}, ""},
		"no network device":     {sandbox.Able{Tunnel: "gone"}, ""},
		"no namespaces":         {sandbox.Able{Namespaces: "user namespaces are off.", MemoryLimit: "x"}, "cannot be had: user namespaces are off. croft doctor"},
		"no limit of memory":    {sandbox.Able{MemoryLimit: "mkdir /sys/x: permission denied"}, "does not limit memory (permission denied). croft doctor"},
		"no limit of processes": {sandbox.Able{ProcessLimit: "not mounted"}, "does not limit processes (not mounted)"},
		"neither":               {sandbox.Able{MemoryLimit: "a", CPUShare: "b"}, "does not limit memory (a), processors (b)"},
	} {
		got, err := isolate(t.Context(), IsolationRequired, func(context.Context) sandbox.Able { return c.able })
		switch {
		case c.want == "" && (err != nil || got != sandbox.Full):
			t.Errorf("%s: %v, %v", name, got, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", name, err)
		}
	}
	a := sandbox.Abilities(t.Context())
	if _, err := isolate(t.Context(), IsolationRequired, sandbox.Abilities); (err == nil) != (required(a) == "") {
		t.Errorf("this machine: %v with %+v", err, a)
	}
}

func TestWhatFunctionsDoWithout(t *testing.T) {
	if why, less := isolation(sandbox.Able{}); why != "" || len(less) != 0 {
		t.Error(why, less)
	}
	if why, less := isolation(sandbox.Able{Namespaces: "no", Tunnel: "no", MemoryLimit: "no"}); why != "no" || len(less) != 0 {
		t.Error(why, less)
	}
	_, less := isolation(sandbox.Able{Tunnel: "a", MemoryLimit: "b", ProcessLimit: "c", CPUShare: "d"})
	if len(less) != 2 || !strings.Contains(less[0], "network device") || !strings.Contains(less[1], "of memory, processes, processors; croft looks at") {
		t.Error(less)
	}
	_, less = isolation(sandbox.Able{CPUShare: "d"})
	if len(less) != 1 || !strings.HasSuffix(less[0], "of processors") {
		t.Error(less)
	}
}
