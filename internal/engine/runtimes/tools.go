package runtimes

import (
	"path/filepath"
	"slices"

	"croft/internal/engine/sandbox"
)

// withTools adds the machine's shells and tools to l where a function brings scripts that are executed beside its code: a wrapper, extensions, a
// bootstrap. They are there on Lambda too.
func withTools(l *Launch, r Request) *Launch {
	if !bringsScripts(r) {
		return l
	}
	with := *l
	with.Key += " tools"
	with.Binds = slices.Clone(l.Binds)
	for _, dir := range []string{"/bin", "/usr/bin"} {
		with.Binds = append(with.Binds, sandbox.Bind{Source: dir, Target: dir, Optional: true})
	}
	return &with
}

func bringsScripts(r Request) bool {
	if r.Env["AWS_LAMBDA_EXEC_WRAPPER"] != "" {
		return true
	}
	files := []string{filepath.Join(r.Code, "bootstrap"), filepath.Join(r.Layers, "bootstrap")}
	if r.Layers != "" {
		extensions, _ := filepath.Glob(filepath.Join(r.Layers, "extensions", "*")) // a folder whose name makes a bad pattern has none
		files = append(files, extensions...)
	}
	return slices.ContainsFunc(files, isScript)
}
