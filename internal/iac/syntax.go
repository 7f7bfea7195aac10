package iac

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"croft/internal/clock"
)

const (
	syntaxTime = 5 * time.Second
	// maxSyntaxText bounds in bytes what is shown of a syntax error.
	maxSyntaxText = 2 << 10
)

// compilePython says what is wrong with a file and where, and runs nothing of it.
const compilePython = `import sys
try:
    compile(open(sys.argv[1], "rb").read(), sys.argv[1], "exec")
except (SyntaxError, ValueError) as e:
    sys.exit("%s, line %s" % (getattr(e, "msg", e), getattr(e, "lineno", "?")))
except OSError:
    pass`

// Syntax returns the syntax error in a Python or JavaScript file, as the python3 or node on PATH sees it. For other files, and without such a
// program, it returns nil: then the function's first invocation tells.
func Syntax(ctx context.Context, c clock.Clock, path string) error {
	var args []string
	switch filepath.Ext(path) {
	case ".py":
		args = []string{"python3", "-I", "-c", compilePython, path}
	case ".js", ".cjs", ".mjs":
		args = []string{"node", "--check", path}
	default:
		return nil
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		return nil
	}
	args[0] = program
	if nice, err := exec.LookPath("nice"); err == nil {
		args = append([]string{nice, "-n", "19"}, args...) // the function that starts at the same time goes first
	}
	limit, cancel := clock.WithTimeout(ctx, c, syntaxTime)
	defer cancel()
	cmd := exec.CommandContext(limit, args[0], args[1:]...)
	cmd.WaitDelay = time.Second
	var out head
	cmd.Stderr = &out
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || limit.Err() != nil || exit.ExitCode() != 1 {
		return nil
	}
	text := explainSyntax(filepath.Base(program), strings.TrimSpace(string(out.text)))
	if strings.Contains(text, "import statement outside a module") || strings.Contains(text, "Unexpected token 'export'") {
		return nil // a module, as the function's settings may well say
	}
	return errors.New(text)
}

// explainSyntax makes one line of what an interpreter says.
func explainSyntax(program, text string) string {
	if program == "python3" {
		return text
	}
	where, _, _ := strings.Cut(text, "\n")
	line := where[strings.LastIndexByte(where, ':')+1:]
	for l := range strings.Lines(text) {
		if message, ok := strings.CutPrefix(strings.TrimSpace(l), "SyntaxError: "); ok {
			return message + ", line " + line
		}
	}
	return where
}

// head keeps the beginning of what is written to it. It is no bytes.Buffer, into which io.Copy would write by another way.
type head struct{ text []byte }

func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), maxSyntaxText-len(h.text))]...)
	return len(p), nil
}
