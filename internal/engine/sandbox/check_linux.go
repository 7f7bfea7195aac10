package sandbox

import (
	"context"
	"errors"
	"os"
)

// Check makes a whole sandbox, with nothing to run in it, and reports why this machine cannot: a *cloud.Error that says what to do.
func Check(ctx context.Context) error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	// Any folder will do as anchor: it is covered in the sandbox's own mount namespace alone.
	shell, err := Prepare(ctx, Base{Anchor: os.TempDir(), Listen: []string{"127.0.0.1:9001"}})
	if err != nil {
		return err
	}
	defer func() {
		shell.Kill()
		<-shell.Done()
		for _, l := range shell.Listeners() {
			l.Close()
		}
	}()
	running, err := shell.Start(ctx, Work{TmpBytes: 1 << 20, Programs: 1})
	if err != nil {
		return err
	}
	// That there is nothing to execute is found after everything else.
	_, err = running.Run(ctx, Program{Args: []string{"/nothing"}, Output: null})
	var missing *ProgramError
	if !errors.As(err, &missing) {
		return err
	}
	return nil
}
