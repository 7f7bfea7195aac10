// Package doctor says what of croft works on a machine and what to do about the rest.
//
// The probes are pure: what they know of the machine comes through Machine, so that tests can be any machine. This package's host.go is the real one.
package doctor

import (
	"context"
	"io/fs"
	"path"
	"strings"
	"time"

	"croft/internal/engine/sandbox"
)

// Status says how good what was found is.
type Status string

const (
	// OK needs nothing.
	OK Status = "ok"
	// Note is worth knowing.
	Note Status = "note"
	// Warning may lead to trouble.
	Warning Status = "warning"
	// Missing is something without which croft, or its functions, do not run.
	Missing Status = "missing"
)

// Finding is one thing that was looked at.
type Finding struct {
	// Area groups findings: "python", "isolation".
	Area   string `json:"area"`
	Status Status `json:"status"`
	// Found is what is there.
	Found string `json:"found"`
	// Why says why it matters; empty when all is well.
	Why string `json:"why,omitempty"`
	// Next is what to do, a command where there is one.
	Next string `json:"next,omitempty"`
}

// Machine is what the probes look at. Its functions are called by one goroutine.
type Machine struct {
	// OS is "linux" or "darwin"; User the effective user id.
	OS   string
	User int
	// Processor is Lambda's name of the machine's architecture.
	Processor string
	// Files is the file system from its root; paths have no leading slash.
	Files fs.FS
	// Env are the environment variables.
	Env map[string]string
	// Program is croft's own path; Built when that file was written.
	Program string
	Built   time.Time
	Now     time.Time
	// Run runs a program and returns its standard output.
	Run func(ctx context.Context, args ...string) ([]byte, error)
	// Able makes a whole sandbox and says what this machine can do for functions.
	Able func(ctx context.Context) sandbox.Able
	// Reduced says in plain words what functions can do without full isolation; DefaultReduced that this system has no other.
	Reduced        string
	DefaultReduced bool
	// Writable makes a file in a folder, which it makes first, and says why it cannot. Free returns the bytes left there.
	Writable func(dir string) error
	Free     func(dir string) (uint64, error)
	// Endpoint is the cloud's address. Croft returns the version of the croft that answers there, or an error; Busy reports that something listens there.
	Endpoint string
	Croft    func(ctx context.Context) (string, error)
	Busy     func() bool
	// Data and Temp are folders.
	Data, Temp string
	// Store is the location of a shared store, or empty; Reach connects to it.
	Store string
	Reach func(ctx context.Context, store string) error
	// Runtimes are the function runtimes that this croft has; Places where Python is looked for, NodePlaces where Node.js is.
	Runtimes           []string
	Places, NodePlaces func(getenv func(string) string, glob func(string) []string) []string
}

// Examine looks at everything. It takes some seconds at most; ctx ends it early.
func Examine(ctx context.Context, m Machine) []Finding {
	var out []Finding
	for _, probe := range []func(context.Context, Machine) []Finding{
		pythons, nodes, provided, seccomp, isolation, folders, watches, port, clocks, variables, store,
	} {
		out = append(out, probe(ctx, m)...)
	}
	return out
}

// Fit reports whether nothing is missing.
func Fit(findings []Finding) bool {
	for _, f := range findings {
		if f.Status == Missing {
			return false
		}
	}
	return true
}

func (m Machine) getenv(name string) string { return m.Env[name] }

// read returns a file's text without the space around it; "" when it cannot be read.
func (m Machine) read(name string) string {
	b, err := fs.ReadFile(m.Files, strings.TrimPrefix(name, "/"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (m Machine) exists(name string) bool {
	_, err := fs.Stat(m.Files, strings.TrimPrefix(path.Clean(name), "/"))
	return err == nil
}

// glob returns the paths that a pattern fits, with their leading slash.
func (m Machine) glob(pattern string) []string {
	found, err := fs.Glob(m.Files, strings.TrimPrefix(pattern, "/"))
	if err != nil {
		return nil
	}
	for i, f := range found {
		found[i] = "/" + f
	}
	return found
}
