package runtimes

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"croft/internal/engine/sandbox"
)

//go:embed node
var nodeFiles embed.FS

const (
	// nodeModules is where a function finds the SDK that the engine installed, as on Lambda.
	nodeModules = RuntimeDir + "/node_modules"
	// nodeRootModules is where it finds it under a Node.js without hooks: import looks there by itself, and finds the other place by a thread alone
	// that takes a tenth of a second. Not with layers, whose packages come before those of the runtime and would come after these.
	nodeRootModules = "/node_modules"
	// nodeWaiting is what a process costs that waits for its function, in bytes: what it does not share with others, measured.
	nodeWaiting    = 14 << 20
	nodeWaitingSDK = 30 << 20
	// maxAhead bounds the packages of the SDK that a process loads before it has a function.
	maxAhead = 8
)

// node runs the nodejs runtimes, each with the interpreter of that version or, when the machine has none, the nearest.
type node struct {
	host Host
	// places returns the folders in which interpreters are looked for.
	places func() []string
	sdk    nodeSDK

	mu     sync.Mutex
	probed map[string]*nodeInterpreter // by path; nil for one that does not work
	chosen map[int]*nodeInterpreter    // by the major version asked for
	files  string                      // the folder with the bootstrap
}

func newNode(h Host) *node {
	return &node{
		host: h, places: usualNodePlaces, sdk: newNodeSDK(h),
		probed: map[string]*nodeInterpreter{}, chosen: map[int]*nodeInterpreter{},
	}
}

// Names implements Runtime.
func (n *node) Names() []string {
	return []string{"nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x"}
}

// Close implements Runtime.
func (n *node) Close() {}

// Prepare implements Runtime.
func (n *node) Prepare(ctx context.Context, r Request) (*Launch, error) {
	major, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(r.Runtime, "nodejs"), ".x"))
	if err != nil {
		return nil, fmt.Errorf("runtimes: %q: %w", r.Runtime, err)
	}
	in, files, err := n.ready(ctx, major)
	if err != nil {
		return nil, err
	}
	sdk, err := n.sdk.packages(ctx, in, r.Code, r.Layers)
	if err != nil {
		return nil, err
	}
	l := &Launch{
		Key:     strings.Join([]string{r.Runtime, in.Executable, sdk.dir}, " "),
		Version: in.Version,
		Binds:   append(in.binds(), sandbox.Bind{Source: files, Target: RuntimeDir}),
		Env:     nodeEnv(in, major, r.Runtime),
		Frames:  true,
		Args:    append(append([]string{in.Executable}, in.flags(major, r.Env["NODE_OPTIONS"])...), RuntimeDir+"/bootstrap.js"),
	}
	memory := int64(nodeWaiting)
	ahead := append(slices.Clone(l.Args), "ahead")
	if sdk.dir != "" {
		l.SDK = nodeModules
		if !in.Hooks && r.Layers == "" && n.host.Isolation != sandbox.Reduced {
			l.SDK = nodeRootModules
		}
		l.Key += " " + l.SDK
		l.Binds = append(l.Binds, sandbox.Bind{Source: filepath.Join(sdk.dir, "node_modules"), Target: l.SDK})
		ahead = append(append(ahead, l.SDK), sdk.asked[:min(len(sdk.asked), maxAhead)]...)
		memory = nodeWaitingSDK
	}
	if n.host.Isolation != sandbox.Reduced && !startsFresh(r.Env) {
		l.Boot = &Boot{Args: ahead, Env: environ(l.Env), Memory: memory}
	}
	return l, nil
}

// nodeEnv returns the variables that Lambda's runtime has, as far as the function can tell the difference.
func nodeEnv(in *nodeInterpreter, major int, runtime string) map[string]string {
	return map[string]string{
		"PATH":              filepath.Dir(in.Executable) + ":/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"LD_LIBRARY_PATH":   libraryPath(),
		"LANG":              "en_US.UTF-8",
		"TZ":                ":UTC",
		"AWS_EXECUTION_ENV": "AWS_Lambda_" + runtime,
		"NODE_PATH": fmt.Sprintf("/opt/nodejs/node%d/node_modules:/opt/nodejs/node_modules:%s:%s:%s",
			major, nodeModules, RuntimeDir, TaskRoot),
	}
}

// environ returns variables as processes get them, in order.
func environ(env map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}

// startsFresh reports whether a function has variables that Node.js, its libraries or the C library look at when a process starts, or that put
// another program before it.
func startsFresh(env map[string]string) bool {
	for name := range env {
		switch name {
		case "NODE_ENV", "NODE_TLS_REJECT_UNAUTHORIZED":
			continue // read when they are needed
		case "AWS_LAMBDA_EXEC_WRAPPER", "TZ", "LANG", "LANGUAGE", "SSL_CERT_FILE", "SSL_CERT_DIR", "GLIBC_TUNABLES":
			return true
		}
		for _, prefix := range []string{"NODE_", "LD_", "LC_", "UV_", "OPENSSL_", "MALLOC_", "ICU_"} {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
	}
	return false
}

// ready returns the interpreter for a major version and the folder with the bootstrap, both found once.
func (n *node) ready(ctx context.Context, major int) (*nodeInterpreter, string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.files == "" {
		tree, err := fs.Sub(nodeFiles, "node")
		if err != nil {
			return nil, "", err
		}
		dir, err := writeTree(filepath.Join(n.host.Dir, "runtime"), "node", tree, filepath.Base(nodeModules))
		if err != nil {
			return nil, "", err
		}
		n.files = dir
	}
	if in := n.chosen[major]; in != nil {
		return in, n.files, nil
	}
	in, err := n.find(ctx, major)
	if err != nil {
		return nil, "", err
	}
	if in.Major != major {
		n.host.Progress(fmt.Sprintf("This machine has no Node.js %d: nodejs%[1]d.x functions run on Node.js %[2]s (%[3]s)", major, in.Version, in.Executable))
	}
	n.chosen[major] = in
	return in, n.files, nil
}
