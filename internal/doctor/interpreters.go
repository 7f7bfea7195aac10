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
	}
	return distance(in.minor, minor)
}

// oldestNode is the oldest version of Node.js that the engine takes.
const oldestNode = 18

// findNodes asks the interpreters in the places where the engine looks, in its order. Of several of one major version it takes the first.
func findNodes(ctx context.Context, m Machine) []interpreter {
	var found []interpreter
	majors := map[int]bool{}
	asked := 0
	for _, dir := range m.NodePlaces(m.getenv, m.glob) {
		for _, name := range []string{"node", "nodejs"} {
			file := filepath.Join(dir, name)
			if path.Base(dir) == "shims" || asked >= 4*maxEach || !m.exists(file) || ctx.Err() != nil {
				continue
			}
			asked++
			text, err := m.Run(ctx, file, "--version")
			in := interpreter{path: file, version: strings.TrimPrefix(strings.TrimSpace(string(text)), "v")}
			if err != nil || !in.parse() || majors[in.major] {
				continue
			}
			majors[in.major] = true
			found = append(found, in)
		}
	}
	return found
}

func nodes(ctx context.Context, m Machine) []Finding {
	var wanted []int
	for _, r := range m.Runtimes {
		text, ok := strings.CutPrefix(r, "nodejs")
		if n, err := strconv.Atoi(strings.TrimSuffix(text, ".x")); ok && err == nil {
			wanted = append(wanted, n)
		}
	}
	found := findNodes(ctx, m)
	if len(wanted) == 0 {
		return nil
	}
	if !slices.ContainsFunc(found, func(in interpreter) bool { return in.major >= oldestNode }) {
		return []Finding{{
			Area: "node", Status: Warning, Found: fmt.Sprintf("no Node.js of version %d or later was found", oldestNode),
			Why: "functions of Node.js runtimes cannot run without one; croft brings none", Next: "install the version that you deploy to, for example with: nvm install 22",
		}}
	}
	var out []Finding
	for _, major := range wanted {
		out = append(out, nodeFor(major, found))
	}
	return out
}

// nodeFor tells which interpreter a runtime gets: one of its version or else the nearest, of two as near the newer.
func nodeFor(major int, found []interpreter) Finding {
	best := interpreter{}
	for _, in := range found {
		if in.major >= oldestNode && (best.major == 0 || distance(in.major, major) < distance(best.major, major)) {
			best = in
		}
	}
	f := Finding{Area: "node", Status: OK, Found: fmt.Sprintf("nodejs%d.x: Node.js %s at %s", major, best.version, best.path)}
	if best.major != major {
		f.Status = Note
		f.Found = fmt.Sprintf("nodejs%d.x: no Node.js %d; such functions run on Node.js %s at %s", major, major, best.version, best.path)
		f.Why = "what differs between the versions differs from AWS"
		f.Next = fmt.Sprintf("nvm install %d, or what your system has for it", major)
	}
	return f
}

// distance orders versions by nearness.
func distance(have, want int) int {
	if have >= want {
		return 2 * (have - want)
	}
	return 2*(want-have) + 1
}

// provided tells which programs can run that functions bring.
func provided(_ context.Context, m Machine) []Finding {
	if m.Processor == "" || !slices.ContainsFunc(m.Runtimes, func(r string) bool { return strings.HasPrefix(r, "provided") }) {
		return nil
	}
	return []Finding{{Area: "provided", Status: OK, Found: "programs for " + m.Processor + " run; functions bring them, as bootstrap"}}
}
