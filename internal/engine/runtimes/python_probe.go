package runtimes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"croft/internal/clock"
)

const (
	probeTime = 20 * time.Second
	// maxProbes bounds the file with what is known of interpreters, in bytes.
	maxProbes = 4 << 20
)

// probed is what a file remembers of an interpreter, for as long as its stamp holds.
type probed struct {
	Stamp       string
	Interpreter *interpreter
}

// probe runs an interpreter once to learn about it, unless an earlier server has. One that does not work is nil.
func (p *python) probe(ctx context.Context, path string) *interpreter {
	if in, ok := p.probed[path]; ok {
		return in
	}
	known := p.readProbes()
	in := known[path].Interpreter
	if in == nil || stamp(path, in) != known[path].Stamp {
		var err error
		in, err = p.ask(ctx, path)
		if ctx.Err() != nil {
			return nil // says nothing about the interpreter
		}
		if err != nil {
			p.host.Log.Debug("not a usable Python", "path", path, "error", err)
		} else if in.Executable == path { // what a shim stands for changes without it
			known[path] = probed{Stamp: stamp(path, in), Interpreter: in}
			p.writeProbes(known)
		}
	}
	p.probed[path] = in
	if in != nil {
		p.probed[in.Executable] = in
	}
	return in
}

// ask runs the interpreter at path.
func (p *python) ask(ctx context.Context, path string) (*interpreter, error) {
	script, standard, err := probeScript()
	if err != nil {
		return nil, err
	}
	ctx, cancel := clock.WithTimeout(ctx, p.host.Clock, probeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{"-I", "-c", script}, strings.Fields(standard)...)...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "PYENV_ROOT=" + os.Getenv("PYENV_ROOT"), "LC_ALL=C.UTF-8"}
	cmd.WaitDelay = time.Second
	var out limitedBuffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	in := &interpreter{}
	if err := json.Unmarshal(out.buf, in); err != nil {
		return nil, err
	}
	return in, nil
}

// probeScript returns what an interpreter runs, and the modules that it is given as arguments.
func probeScript() (script, standard string, err error) {
	a, err := pythonFiles.ReadFile("python/probe.py")
	if err != nil {
		return "", "", err
	}
	b, err := pythonFiles.ReadFile("python/parent/standard.txt")
	return string(a), string(b), err
}

// stamp changes with all that could make the answer of the interpreter at path another one: itself, the folders of its modules, what it is asked.
func stamp(path string, in *interpreter) string {
	sum := sha256.New()
	script, standard, err := probeScript()
	fmt.Fprintln(sum, script, standard, err)
	for _, p := range append([]string{path, in.Executable}, in.Paths...) {
		var size, at int64
		if info, err := os.Stat(p); err == nil {
			size, at = info.Size(), info.ModTime().UnixNano()
		}
		fmt.Fprintln(sum, p, size, at)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (p *python) probesFile() string { return filepath.Join(p.host.Dir, "runtime", "pythons.json") }

// readProbes returns what earlier servers found, by path. What cannot be read is found again.
func (p *python) readProbes() map[string]probed {
	known := map[string]probed{}
	info, err := os.Stat(p.probesFile())
	if err != nil || info.Size() > maxProbes {
		return known
	}
	text, err := os.ReadFile(p.probesFile())
	if err != nil || json.Unmarshal(text, &known) != nil {
		return map[string]probed{}
	}
	return known
}

// writeProbes keeps what is known. When it cannot, the next server finds it again.
func (p *python) writeProbes(known map[string]probed) {
	text, err := json.Marshal(known)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(p.probesFile()), 0o755)
	}
	var f *os.File
	if err == nil {
		f, err = os.CreateTemp(filepath.Dir(p.probesFile()), "pythons-")
	}
	if err == nil {
		_, err = f.Write(text)
		if e := f.Close(); err == nil {
			err = e
		}
		if err == nil {
			err = os.Rename(f.Name(), p.probesFile())
		}
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}
	if err != nil {
		p.host.Log.Debug("what is known of interpreters is not kept", "error", err)
	}
}
