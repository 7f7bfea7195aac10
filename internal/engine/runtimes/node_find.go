package runtimes

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"croft/internal/clock"
	"croft/internal/engine/sandbox"
)

// oldestNode is the oldest version on which the bootstrap runs.
const oldestNode = 18

// nodeInterpreter is one Node.js of the machine, as nodeProbe describes it.
type nodeInterpreter struct {
	Major      int    `json:"major"`
	Version    string `json:"version"`
	Executable string `json:"executable"`
	// Libraries are the shared libraries that it has loaded.
	Libraries []string `json:"libraries"`
	// RequireModule and DetectModule say that the interpreter knows these features, and has them on.
	RequireModule bool `json:"require_module"`
	DetectModule  bool `json:"detect_module"`
	// Hooks says that modules can be looked for elsewhere without a thread that does it (since 22.15).
	Hooks bool `json:"hooks"`
}

const nodeProbe = `const flags = process.allowedNodeEnvironmentFlags;
console.log(JSON.stringify({
  major: parseInt(process.versions.node), version: process.versions.node, executable: require('fs').realpathSync(process.execPath),
  libraries: process.report.getReport().sharedObjects.filter((p) => p[0] === '/'),
  hooks: typeof require('module').registerHooks === 'function',
  require_module: flags.has('--experimental-require-module'), detect_module: flags.has('--experimental-detect-module'),
}));`

// binds returns what the interpreter needs to see of the machine: its own folder where it has one, which has npm too, or else its file; and libraries
// that are not the system's.
func (in *nodeInterpreter) binds() []sandbox.Bind {
	sources := []string{in.Executable}
	prefix := filepath.Dir(filepath.Dir(in.Executable))
	switch prefix {
	case "/", "/usr", "/usr/local":
		// Distributions keep parts of Node.js there that others build into it.
		sources = append(sources, "/usr/share/nodejs", "/usr/share/node_modules")
	default:
		if filepath.Base(filepath.Dir(in.Executable)) == "bin" {
			sources = append([]string{prefix}, sources...)
		}
	}
	var out []sandbox.Bind
	for _, s := range append(sources, in.Libraries...) {
		if !strings.HasPrefix(s, "/usr/lib/") && !strings.HasPrefix(s, "/usr/lib64/") && !strings.HasPrefix(s, "/lib") {
			out = append(out, sandbox.Bind{Source: s, Target: s, Optional: true})
		}
	}
	return out
}

// flags turns off what Lambda's runtime of that version turns off, unless the function asks for it.
// Source: Lambda Developer Guide, "Building Lambda functions with Node.js", experimental features.
func (in *nodeInterpreter) flags(major int, options string) []string {
	var out []string
	if in.RequireModule && (major == 20 || major == 22) && !strings.Contains(options, "--experimental-require-module") {
		out = append(out, "--no-experimental-require-module")
	}
	if in.DetectModule && major == 22 && !strings.Contains(options, "--experimental-detect-module") {
		out = append(out, "--no-experimental-detect-module")
	}
	return out
}

// libraryPath is where shared libraries are looked for, in Lambda's order: the system's before the function's.
func libraryPath() string {
	path := "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
	switch runtime.GOARCH {
	case "amd64":
		return "/usr/lib/x86_64-linux-gnu:" + path
	case "arm64":
		return "/usr/lib/aarch64-linux-gnu:" + path
	}
	return path
}

// NodePlaces returns the folders in which Node.js is looked for: those on PATH, in its order, and then those where the system, nvm, fnm, asdf, mise,
// volta, n and Homebrew put versions, the newest first. A glob that fails finds nothing.
func NodePlaces(getenv func(string) string, glob func(pattern string) []string) []string {
	dirs := append(filepath.SplitList(getenv("PATH")), "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")
	home := getenv("HOME")
	below := func(root, fallback, rest string) string {
		if root = getenv(root); root == "" && home != "" && fallback != "" {
			root = filepath.Join(home, fallback)
		}
		if root == "" {
			return ""
		}
		return filepath.Join(root, rest)
	}
	for _, pattern := range []string{
		below("NVM_DIR", ".nvm", "versions/node/*/bin"),
		below("FNM_DIR", ".local/share/fnm", "node-versions/*/installation/bin"),
		below("", ".fnm", "node-versions/*/installation/bin"),
		below("ASDF_DATA_DIR", ".asdf", "installs/nodejs/*/bin"),
		below("MISE_DATA_DIR", ".local/share/mise", "installs/node/*/bin"),
		below("VOLTA_HOME", ".volta", "tools/image/node/*/bin"),
		cmp.Or(below("N_PREFIX", "", "n/versions/node/*/bin"), "/usr/local/n/versions/node/*/bin"),
	} {
		if pattern == "" {
			continue
		}
		found := glob(pattern)
		slices.SortFunc(found, func(a, b string) int { return slices.Compare(versionIn(b), versionIn(a)) })
		dirs = append(dirs, found...)
	}
	return dirs
}

func usualNodePlaces() []string {
	return NodePlaces(os.Getenv, func(pattern string) []string {
		found, _ := filepath.Glob(pattern) // a folder whose name makes a bad pattern is passed over
		return found
	})
}

// versionIn reads the version from a path like …/v22.1.0/bin.
func versionIn(path string) []int {
	m := regexp.MustCompile(`/v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:/installation)?(?:/bin)?(?:/node)?$`).FindStringSubmatch(path)
	var out []int
	for i := 1; i < len(m); i++ {
		n, err := strconv.Atoi(m[i])
		if err != nil {
			break
		}
		out = append(out, n)
	}
	return out
}

// find returns the interpreter of the given major version, or else the nearest there is.
func (n *node) find(ctx context.Context, major int) (*nodeInterpreter, error) {
	all := nodeCandidates(n.places())
	for _, c := range all {
		if c.minor != 0 && c.minor != major {
			continue
		}
		if in := n.probe(ctx, c.path); in != nil && in.Major == major {
			return in, nil
		}
	}
	// All that might be nearer than what is known have been probed, or tell their version.
	slices.SortStableFunc(all, func(a, b candidate) int {
		return distance(cmp.Or(a.minor, n.major(a)), major) - distance(cmp.Or(b.minor, n.major(b)), major)
	})
	for _, c := range all {
		if in := n.probe(ctx, c.path); in != nil && in.Major >= oldestNode {
			return in, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, lacking(nil, "The runtime nodejs%d.x needs Node.js, and none of version %d or later was found on PATH, in /usr/bin, in /usr/local/bin "+
		"or among those of nvm, fnm, asdf, mise, volta and n. Install it, for example with `apt-get install nodejs` or `nvm install %[1]d`", major, oldestNode)
}

// major is what a probe has found of c.
func (n *node) major(c candidate) int {
	if in := n.probed[c.path]; in != nil {
		return in.Major
	}
	return 0
}

// nodeCandidates lists the interpreters in dirs, in that order; shims last. A candidate's minor is the major version that its path tells.
func nodeCandidates(dirs []string) []candidate {
	var real, shims []candidate
	seen := map[string]bool{}
	for _, dir := range dirs {
		for _, name := range []string{"node", "nodejs"} {
			path, err := filepath.EvalSymlinks(filepath.Join(dir, name))
			if err != nil || !filepath.IsAbs(path) || seen[path] {
				continue
			}
			seen[path] = true
			c := candidate{path: path, script: isScript(path)}
			if v := versionIn(path); len(v) > 1 { // a single number may mean anything
				c.minor = v[0]
			}
			switch {
			case c.script:
				shims = append(shims, c)
			case filepath.Base(path) == "node" || filepath.Base(path) == "nodejs": // otherwise the program that several names mean
				real = append(real, c)
			}
		}
	}
	return append(real, shims...)
}

// probe runs an interpreter once to learn about it. One that does not work is nil.
func (n *node) probe(ctx context.Context, path string) *nodeInterpreter {
	if in, ok := n.probed[path]; ok {
		return in
	}
	ctx, cancel := clock.WithTimeout(ctx, n.host.Clock, probeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-e", nodeProbe)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C.UTF-8"}
	cmd.WaitDelay = time.Second
	var out limitedBuffer
	cmd.Stdout = &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil // says nothing about the interpreter
	}
	in := &nodeInterpreter{}
	if err == nil {
		err = json.Unmarshal(out.buf, in)
	}
	if err != nil {
		n.host.Log.Debug("not a usable Node.js", "path", path, "error", err)
		in = nil
	}
	n.probed[path] = in
	if in != nil {
		n.probed[in.Executable] = in
	}
	return in
}
