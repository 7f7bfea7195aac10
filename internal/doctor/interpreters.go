package doctor

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// interpreter is one that works.
type interpreter struct {
	path, version string
	major, minor  int
	sdk           bool
}

// askPython prints what matters of an interpreter: its version, where it really is, whether it has the AWS SDK.
const askPython = `import importlib.util as u,os,sys
print("%d.%d.%d"%sys.version_info[:3],u.find_spec("boto3") is not None,os.path.realpath(getattr(sys,"_base_executable",None) or sys.executable))`

// maxEach bounds the interpreters of one version that are asked.
const maxEach = 4

// findPythons asks the interpreters in the places where the engine looks. Shims stand for one of the others and are passed over.
func findPythons(ctx context.Context, m Machine) []interpreter {
	var out []interpreter
	asked, seen := map[string]int{}, map[string]bool{}
	for _, dir := range m.Places(m.getenv, m.glob) {
		if path.Base(dir) == "shims" {
			continue
		}
		for _, name := range []string{"python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14", "python3"} {
			file := filepath.Join(dir, name)
			if asked[name] >= maxEach && name != "python3" || asked[name] >= 4*maxEach || !m.exists(file) || ctx.Err() != nil {
				continue
			}
			asked[name]++
			text, err := m.Run(ctx, file, "-I", "-c", askPython)
			words := strings.Fields(string(text))
			if err != nil || len(words) != 3 || seen[words[2]] {
				continue
			}
			seen[words[2]] = true
			in := interpreter{path: words[2], version: words[0], sdk: words[1] == "True"}
			if in.parse() && in.major == 3 {
				out = append(out, in)
			}
		}
	}
	return out
}

func (in *interpreter) parse() bool {
	parts := strings.SplitN(strings.TrimPrefix(in.version, "v"), ".", 3)
	if len(parts) < 2 {
		return false
	}
	var err, err2 error
	in.major, err = strconv.Atoi(parts[0])
	in.minor, err2 = strconv.Atoi(parts[1])
	return err == nil && err2 == nil
}

func pythons(ctx context.Context, m Machine) []Finding {
	found := findPythons(ctx, m)
	usable := slices.ContainsFunc(found, func(in interpreter) bool { return in.minor >= 8 })
	if !usable {
		return []Finding{{
			Area: "python", Status: Missing, Found: "no Python interpreter was found", Why: "Python functions cannot run without one; croft brings none",
			Next: "install one, for example with: apt-get install python3, or: pyenv install 3.12",
		}}
	}
	var out []Finding
	for _, runtime := range m.Runtimes {
		text, ok := strings.CutPrefix(runtime, "python3.")
		minor, err := strconv.Atoi(text)
		if !ok || err != nil {
			continue
		}
		out = append(out, python(runtime, minor, found))
	}
	return out
}

// python tells which interpreter a runtime gets: one of its version, with the SDK if there is one, or else the nearest.
func python(runtime string, minor int, found []interpreter) Finding {
	best := -1
	for i, in := range found {
		if in.minor < 8 {
			continue
		}
		if best < 0 || rank(in, minor) < rank(found[best], minor) {
			best = i
		}
	}
	in := found[best]
	f := Finding{Area: "python", Status: OK, Found: fmt.Sprintf("%s: Python %s at %s", runtime, in.version, in.path)}
	switch {
	case in.minor != minor:
		f.Status = Note
		f.Found = fmt.Sprintf("%s: no Python 3.%d; such functions run on Python %s at %s", runtime, minor, in.version, in.path)
		f.Why = "what differs between the versions differs from AWS"
		f.Next = fmt.Sprintf("pyenv install 3.%d, or what your system has for it", minor)
	case !in.sdk:
		f.Found += ", without boto3"
		f.Status = Note
		f.Why = "croft installs boto3 once, into its own folder, for the first function that uses it; that needs a package index"
	default:
		f.Found += ", with boto3"
	}
	return f
}

// rank orders interpreters for a version: the smaller the better. It is the engine's order.
func rank(in interpreter, minor int) int {
	switch {
	case in.minor == minor && in.sdk:
		return 0
	case in.minor == minor:
		return 1
	case in.minor > minor:
		return 2 * (in.minor - minor)
	}
	return 2*(minor-in.minor) + 1
}

// nodePlaces are the folders where Node.js usually is.
func nodePlaces(m Machine) []string {
	dirs := append(filepath.SplitList(m.Env["PATH"]), "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")
	home, nvm := m.Env["HOME"], m.Env["NVM_DIR"]
	if nvm == "" && home != "" {
		nvm = home + "/.nvm"
	}
	patterns := []string{nvm + "/versions/node/*/bin"}
	if home != "" {
		patterns = append(patterns, home+"/.asdf/installs/nodejs/*/bin", home+"/.local/share/mise/installs/node/*/bin",
			home+"/.local/share/fnm/node-versions/*/installation/bin", home+"/.volta/tools/image/node/*/bin")
	}
	for _, p := range patterns {
		dirs = append(dirs, m.glob(p)...)
	}
	return dirs
}

func nodes(ctx context.Context, m Machine) []Finding {
	var found []string
	majors := map[int]bool{}
	for _, dir := range nodePlaces(m) {
		file := filepath.Join(dir, "node")
		if path.Base(dir) == "shims" || len(found) >= 4*maxEach || !m.exists(file) || ctx.Err() != nil {
			continue
		}
		text, err := m.Run(ctx, file, "--version")
		in := interpreter{path: file, version: strings.TrimSpace(string(text))}
		if err != nil || !in.parse() || majors[in.major] {
			continue
		}
		majors[in.major] = true
		found = append(found, strings.TrimPrefix(in.version, "v")+" at "+file)
	}
	there := "Node.js: none was found"
	if len(found) > 0 {
		there = "Node.js " + strings.Join(found, ", ")
	}
	var lacking []string
	has := false
	for _, r := range m.Runtimes {
		text, ok := strings.CutPrefix(r, "nodejs")
		if !ok {
			continue
		}
		has = true
		if n, err := strconv.Atoi(strings.TrimSuffix(text, ".x")); err == nil && !majors[n] {
			lacking = append(lacking, r)
		}
	}
	switch {
	case !has:
		return []Finding{{Area: "node", Status: Note, Found: there, Why: "this croft refuses functions of Node.js runtimes when they are deployed: it has " + strings.Join(m.Runtimes, ", ")}}
	case len(lacking) > 0:
		return []Finding{{
			Area: "node", Status: Note, Found: there, Why: "nothing of their own version is there for " + strings.Join(lacking, ", "),
			Next: "install the version that you deploy to, for example with: nvm install 22",
		}}
	}
	return []Finding{{Area: "node", Status: OK, Found: there}}
}
