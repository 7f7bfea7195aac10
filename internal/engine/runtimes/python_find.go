package runtimes

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"croft/internal/engine/sandbox"
)

// interpreter is one Python of the machine, as python/probe.py describes it.
type interpreter struct {
	Minor      int      `json:"minor"`
	Version    string   `json:"version"`
	Executable string   `json:"executable"`
	Prefix     string   `json:"prefix"`
	Paths      []string `json:"paths"`
	Libraries  []string `json:"libraries"`
	// SDK says that boto3 is installed.
	SDK bool `json:"sdk"`
	// Modules are those that are loaded when what standard.txt names is.
	Modules []string `json:"modules"`
}

// binds returns what the interpreter needs to see of the machine: its own prefix where it has one, and the places that belong to it
// where it shares the prefix with everything else.
func (in *interpreter) binds() []sandbox.Bind {
	sources := append([]string{in.Executable}, in.Paths...)
	if in.ownPrefix() {
		sources = append([]string{in.Prefix}, sources...)
	}
	var out []sandbox.Bind
	for _, s := range append(sources, in.Libraries...) {
		if !strings.HasPrefix(s, "/usr/lib/") && !strings.HasPrefix(s, "/usr/lib64/") {
			out = append(out, sandbox.Bind{Source: s, Target: s, Optional: true})
		}
	}
	return out
}

// ownPrefix reports whether the interpreter has a folder for itself.
func (in *interpreter) ownPrefix() bool {
	switch in.Prefix {
	case "/", "/usr", "/usr/local":
		return false
	}
	return true
}

// libraryPath returns where shared libraries are looked for, in Lambda's order: the language's and the system's own before the function's. The
// interpreter's come first of all, because another libpython of the same version may be among the system's.
func (in *interpreter) libraryPath() string {
	return in.ownLibraries() + ":/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
}

// ownLibraries is the part of libraryPath that is the machine's.
func (in *interpreter) ownLibraries() string {
	path := "/lib64:/usr/lib64"
	switch runtime.GOARCH {
	case "amd64":
		path = "/usr/lib/x86_64-linux-gnu:" + path
	case "arm64":
		path = "/usr/lib/aarch64-linux-gnu:" + path
	}
	if in.ownPrefix() {
		path = in.Prefix + "/lib:" + path
	}
	return path
}

// candidate is a file that looks like an interpreter.
type candidate struct {
	path string
	// minor is the version that its name tells, or 0.
	minor int
	// script: it is a shim, which must run to tell what it stands for, and is slow.
	script bool
}

// find returns the interpreter of the given minor version, one that has the SDK if there are several, or else the nearest there is.
func (p *python) find(ctx context.Context, minor int) (*interpreter, error) {
	all := candidates(p.places(), minor)
	var best *interpreter
	for _, c := range all {
		if c.minor != 0 && c.minor != minor || c.script && best != nil {
			continue
		}
		in := p.probe(ctx, c.path)
		if in == nil || in.Minor != minor {
			continue
		}
		if in.SDK {
			return in, nil
		}
		if best == nil {
			best = in
		}
	}
	if best != nil {
		return best, nil
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return distance(a.minor, minor) - distance(b.minor, minor) })
	for _, c := range all {
		if in := p.probe(ctx, c.path); in != nil && in.Minor >= 8 {
			return in, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, lacking(nil, "The runtime python3.%d needs a Python interpreter, and none was found on PATH, in /usr/bin, in /usr/local/bin "+
		"or among those of pyenv, uv, asdf and mise. Install one, for example with `apt-get install python3` or `pyenv install 3.%[1]d`", minor)
}

// distance orders versions by nearness; of two as near, the newer first. An unknown version comes last.
func distance(have, want int) int {
	switch {
	case have == 0:
		return 1000
	case have >= want:
		return 2 * (have - want)
	}
	return 2*(want-have) + 1
}

// candidates lists the interpreters in dirs, in that order; shims last.
func candidates(dirs []string, minor int) []candidate {
	names := []string{fmt.Sprintf("python3.%d", minor), "python3", "python"}
	for m := 14; m >= 8; m-- {
		names = append(names, fmt.Sprintf("python3.%d", m))
	}
	var real, shims []candidate
	seen := map[string]bool{}
	for _, dir := range dirs {
		for _, name := range names {
			path, err := filepath.EvalSymlinks(filepath.Join(dir, name))
			if err != nil || !filepath.IsAbs(path) || seen[path] {
				continue
			}
			seen[path] = true
			c := candidate{path: path, minor: minorIn(path), script: isScript(path)}
			if c.script {
				shims = append(shims, c)
			} else {
				real = append(real, c)
			}
		}
	}
	return append(real, shims...)
}

// PythonPlaces returns the folders in which Python interpreters are looked for: those on PATH, in its order, and then those where the system, pyenv, uv,
// asdf, mise and Homebrew put them. A glob that fails finds nothing.
func PythonPlaces(getenv func(string) string, glob func(pattern string) []string) []string {
	dirs := append(filepath.SplitList(getenv("PATH")), "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")
	var patterns []string
	if root := getenv("PYENV_ROOT"); root != "" {
		patterns = append(patterns, filepath.Join(root, "versions/*/bin"))
	}
	if home := getenv("HOME"); home != "" {
		for _, p := range []string{".pyenv/versions/*/bin", ".local/share/uv/python/*/bin", ".asdf/installs/python/*/bin", ".local/share/mise/installs/python/*/bin"} {
			patterns = append(patterns, filepath.Join(home, p))
		}
	}
	for _, pattern := range patterns {
		found := glob(pattern)
		slices.SortFunc(found, func(a, b string) int { return strings.Compare(b, a) })
		dirs = append(dirs, found...)
	}
	return dirs
}

// usualPlaces are this machine's PythonPlaces.
func usualPlaces() []string {
	return PythonPlaces(os.Getenv, func(pattern string) []string {
		found, _ := filepath.Glob(pattern) // a folder whose name makes a bad pattern is passed over
		return found
	})
}

// minorIn reads the version from a name like python3.12.
func minorIn(path string) int {
	m := regexp.MustCompile(`^python3\.(\d+)$`).FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}

func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 2)
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == "#!"
}
