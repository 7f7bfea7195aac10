package runtimes

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"croft/internal/engine/sandbox"
)

//go:embed python
var pythonFiles embed.FS

// sdkPath is where a function finds the SDK that the engine installed.
const sdkPath = "/var/lang/sdk"

// sdkVar tells a bootstrap that starts fresh of that folder, and is gone before the function's code runs. An argument would not do: wrappers expect the
// bootstrap to be the last one.
const sdkVar = "CROFT_PYTHON_SDK"

// python runs python3.9 to python3.14, each with the interpreter of that version or, when the machine has none, the nearest.
type python struct {
	host Host
	// places returns the folders in which interpreters are looked for.
	places func() []string

	mu       sync.Mutex
	probed   map[string]*interpreter // by path; nil for one that does not work
	chosen   map[int]*interpreter    // by the minor version asked for
	warned   map[int]bool
	parents  map[string]*forkServer     // by launch key
	modules  map[string]map[string]bool // what fork servers have loaded, by executable
	sdk      sdkInstaller
	prepared string // the folder with the embedded files
}

func newPython(h Host) *python {
	return &python{
		host:   h,
		places: usualPlaces,
		probed: map[string]*interpreter{},
		chosen: map[int]*interpreter{},
		warned: map[int]bool{},

		parents: map[string]*forkServer{},
		modules: map[string]map[string]bool{},
		sdk:     sdkInstaller{host: h, turn: make(chan struct{}, 1), failed: map[int]sdkFailure{}},
	}
}

// Names implements Runtime.
func (p *python) Names() []string {
	return []string{"python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14"}
}

// Prepare implements Runtime.
func (p *python) Prepare(ctx context.Context, r Request) (*Launch, error) {
	name, code := r.Runtime, r.Code
	minor, err := strconv.Atoi(strings.TrimPrefix(name, "python3."))
	if err != nil {
		return nil, fmt.Errorf("runtimes: %q: %w", name, err)
	}
	in, files, err := p.ready(ctx, minor)
	if err != nil {
		return nil, err
	}
	sdk := ""
	if !in.SDK {
		if sdk, err = p.sdk.folder(ctx, in, code); err != nil {
			return nil, err
		}
	}
	kind, err := start(r.Env, code, r.Layers, p.preloads(in))
	if err != nil {
		return nil, fmt.Errorf("runtimes: look through the function's code: %w", err)
	}
	l := &Launch{
		Args:    []string{in.Executable, "-s", RuntimeDir + "/bootstrap.py"},
		Binds:   append(in.binds(), sandbox.Bind{Source: filepath.Join(files, "inside"), Target: RuntimeDir}),
		Version: in.Version,
		Frames:  true,
		Env: map[string]string{
			"PATH":              filepath.Dir(in.Executable) + ":/usr/local/bin:/usr/bin:/bin:/opt/bin",
			"LD_LIBRARY_PATH":   in.libraryPath(),
			"LANG":              defaultLang,
			"TZ":                defaultTZ,
			"AWS_EXECUTION_ENV": "AWS_Lambda_" + name,
		},
		Boot: p.boot(in, files, sdk, kind),
	}
	if l.Boot == nil {
		kind = startFresh
	}
	l.Key = launchKey(in, sdk, kind)
	if sdk != "" {
		l.SDK, l.Env[sdkVar] = sdkPath, sdkPath
		l.Binds = append(l.Binds, sandbox.Bind{Source: sdk, Target: sdkPath})
	}
	if wrapper := r.Env[wrapperVar]; wrapper != "" {
		// It may close descriptors, and sets variables that are to count: the Runtime API is what it can rely on.
		l.Args, l.Frames = append([]string{wrapper}, l.Args...), false
	}
	return l, nil
}

// ready returns the interpreter for a minor version and the folder with the embedded files, both found once.
func (p *python) ready(ctx context.Context, minor int) (*interpreter, string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.prepared == "" {
		tree, err := fs.Sub(pythonFiles, "python")
		if err != nil {
			return nil, "", err
		}
		dir, err := writeTree(filepath.Join(p.host.Dir, "runtime"), "python", tree)
		if err != nil {
			return nil, "", err
		}
		p.prepared = dir
	}
	if in := p.chosen[minor]; in != nil {
		return in, p.prepared, nil
	}
	in, err := p.find(ctx, minor)
	if err != nil {
		return nil, "", err
	}
	if in.Minor != minor && !p.warned[minor] {
		p.warned[minor] = true
		p.host.Progress(fmt.Sprintf("This machine has no Python 3.%d: python3.%[1]d functions run on Python %[2]s (%[3]s)", minor, in.Version, in.Executable))
	}
	p.chosen[minor] = in
	return in, p.prepared, nil
}
