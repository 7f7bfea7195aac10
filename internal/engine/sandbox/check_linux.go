package sandbox

import (
	"context"
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
	p, err := Start(ctx, Spec{Anchor: os.TempDir(), Listen: []string{"127.0.0.1:9001"}, TmpBytes: 1 << 20}, null)
	if err != nil {
		return err
	}
	for _, l := range p.Listeners() {
		l.Close()
	}
	p.Kill()
	<-p.Done()
	return nil
}
