package sandbox

import (
	"bufio"
	"context"
	"os"
	"testing"
)

// setup is a sandbox with one program.
type setup struct {
	Base
	Work    Work
	Program Program
}

// started is what run returns.
type started struct {
	Running
	shell Shell
	child *Child
}

// run makes a sandbox with one program. After an error nothing is left of it.
func run(ctx context.Context, s setup) (*started, error) {
	shell, err := Prepare(ctx, s.Base)
	if err != nil {
		return nil, err
	}
	out := &started{shell: shell}
	s.Work.Programs = max(s.Work.Programs, 1)
	out.Running, err = shell.Start(ctx, s.Work)
	if err == nil {
		out.child, err = out.Run(ctx, s.Program)
	}
	if err != nil {
		end(shell)
		return nil, err
	}
	return out, nil
}

// end ends a sandbox and returns when nothing is left of it.
func end(shell Shell) {
	shell.Kill()
	<-shell.Done()
	for _, l := range shell.Listeners() {
		l.Close()
	}
	for _, p := range shell.Packets() {
		p.Close()
	}
	if t := shell.Tunnel(); t != nil {
		t.Close()
	}
}

// started runs s until the test's end, or fails the test. It returns what the program prints.
func (s setup) start(t *testing.T) (*started, *bufio.Scanner, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.Program.Output = w
	p, err := run(t.Context(), s)
	w.Close()
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	t.Cleanup(func() {
		end(p.shell)
		r.Close()
	})
	return p, bufio.NewScanner(r), nil
}
