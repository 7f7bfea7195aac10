package sandbox

import (
	"context"
	"errors"
	"os"
	"strings"
)

// Check makes a whole sandbox, with nothing to run in it, and reports why this machine cannot: a *cloud.Error that says what to do.
func Check(ctx context.Context) error {
	_, err := check(ctx, false)
	return err
}

// Abilities makes a whole sandbox to find out what this machine can do.
func Abilities(ctx context.Context) Able {
	noTunnel, err := check(ctx, true)
	g := theGround()
	out := Able{MemoryLimit: g.missing["memory"], ProcessLimit: g.missing["pids"], CPUShare: g.missing["cpu"]}
	if err != nil {
		out.Namespaces = Reason(err)
		out.Tunnel, out.Freeze = out.Namespaces, out.Namespaces
		return out
	}
	if noTunnel != "" {
		out.Tunnel = noTunnel + ". " + tunnelAdvice(noTunnel)
	}
	return out
}

func tunnelAdvice(reason string) string {
	if strings.Contains(reason, "permission") || strings.Contains(reason, "not permitted") {
		return "Let this user open the device: `chmod 0666 " + tunnelPath + "` (as root); in a container add `--device " + tunnelPath + "`"
	}
	return "In a container add `--device " + tunnelPath + "`; elsewhere load the module: `modprobe tun` (as root)"
}

// check goes all the way to executing a program, which is not there. It returns why there is no tunnel.
func check(ctx context.Context, tunnel bool) (string, error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	defer null.Close()
	// Any folder will do as anchor: it is covered in the sandbox's own mount namespace alone.
	shell, err := Prepare(ctx, Base{Anchor: os.TempDir(), Listen: []string{"127.0.0.1:9001"}, Tunnel: tunnel})
	if err != nil {
		return "", err
	}
	defer func() {
		shell.Kill()
		<-shell.Done()
		for _, l := range shell.Listeners() {
			l.Close()
		}
		if t := shell.Tunnel(); t != nil {
			t.Close()
		}
	}()
	running, err := shell.Start(ctx, Work{TmpBytes: 1 << 20, Programs: 1})
	if err != nil {
		return "", err
	}
	_, err = running.Run(ctx, Program{Args: []string{"/nothing"}, Output: null})
	var missing *ProgramError
	if !errors.As(err, &missing) {
		return "", err
	}
	return shell.(*isolated).noTunnel, nil
}
