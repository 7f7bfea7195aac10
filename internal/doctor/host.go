package doctor

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"croft/internal/clock"
	"croft/internal/control"
	"croft/internal/engine"
	"croft/internal/engine/runtimes"
	"croft/internal/engine/sandbox"
	"croft/internal/kv/pgkv"
)

const (
	// probeTime bounds one program that is run, answerTime what is asked over the network.
	probeTime  = 20 * time.Second
	answerTime = 3 * time.Second
	maxOutput  = 64 << 10
)

// Host is the machine that this process runs on, asked about the cloud at endpoint and the data folder data.
func Host(endpoint, data string) Machine {
	m := Machine{
		OS: runtime.GOOS, Processor: processor(), User: os.Geteuid(), Files: os.DirFS("/"), Env: map[string]string{}, Now: clock.Real().Now(),
		Run: run, Able: sandbox.Abilities, Reduced: sandbox.Reduction, DefaultReduced: sandbox.Default() == sandbox.Reduced,
		Writable: writable, Free: free, Endpoint: endpoint, Data: data, Temp: os.TempDir(), Store: os.Getenv("CROFT_STORE"),
		Runtimes: engine.Runtimes(), Places: runtimes.PythonPlaces, NodePlaces: runtimes.NodePlaces,
	}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		m.Env[name] = value
	}
	if program, err := os.Executable(); err == nil {
		m.Program = program
		if info, err := os.Stat(program); err == nil {
			m.Built = info.ModTime()
		}
	}
	m.Croft = func(ctx context.Context) (string, error) {
		ctx, cancel := clock.WithTimeout(ctx, clock.Real(), answerTime)
		defer cancel()
		health, err := control.NewClient(endpoint).Health(ctx)
		return health.Version, err
	}
	m.Busy = func() bool {
		u, err := url.Parse(endpoint)
		if err != nil {
			return false
		}
		conn, err := net.DialTimeout("tcp", u.Host, answerTime)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	m.Reach = func(ctx context.Context, store string) error {
		ctx, cancel := clock.WithTimeout(ctx, clock.Real(), answerTime)
		defer cancel()
		return pgkv.Ping(ctx, store)
	}
	return m
}

func processor() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	default:
		return runtime.GOARCH
	}
}

// run runs a program in an environment with nothing in it that changes what it says of itself.
func run(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := clock.WithTimeout(ctx, clock.Real(), probeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C.UTF-8"}
	// What it leaves running may hold its output open.
	cmd.WaitDelay = time.Second
	var out head
	cmd.Stdout = &out
	err := cmd.Run()
	return out.text, err
}

// head keeps the beginning of what is written to it. It is no bytes.Buffer, into which io.Copy would write by another way.
type head struct{ text []byte }

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), maxOutput-len(h.text))]...)
	return len(p), nil
}

// writable tries to write into a folder, which it makes if need be. Looking leaves nothing behind.
func writable(dir string) error {
	var made []string
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, os.ErrNotExist) || at == filepath.Dir(at) {
			break
		}
		made = append(made, at)
	}
	defer func() {
		for _, d := range made {
			_ = os.Remove(d)
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "croft-doctor-")
	if err != nil {
		return err
	}
	_, err = f.WriteString("x")
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// free returns the space left where dir lies, or will lie: a data folder is made by the first start.
func free(dir string) (uint64, error) {
	var s syscall.Statfs_t
	err := syscall.Statfs(dir, &s)
	for errors.Is(err, os.ErrNotExist) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
		err = syscall.Statfs(dir, &s)
	}
	if err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}
