package main

import (
	"context"
	"encoding/json"
	"io"
	"os"

	"croft/internal/app"
	"croft/internal/control"
	"croft/internal/iac"
)

// childReport is the one line that a cloud started with --child prints when it serves and its apps are deployed. Fixtures read it.
type childReport struct {
	control.CredentialsReport
	Endpoint string `json:"endpoint"`
	Version  string `json:"version"`
}

// serveChild deploys the apps, whose events go to standard error, and then serves as a child.
func (u *upCmd) serveChild(ctx context.Context, c console, a *app.App, projects []*iac.Project) error {
	aside := c
	aside.out = c.err
	client := control.NewClient(a.URL())
	for _, p := range projects {
		if err := deploy(ctx, aside, client, p, p.Name, u.Parameter); err != nil {
			return err
		}
	}
	return child(ctx, c.out, os.Stdin, a)
}

// child serves as a child of a test fixture: it says where on standard output, and stops when standard input ends, which it does
// when the parent dies, however it dies.
func child(ctx context.Context, out io.Writer, in io.Reader, a *app.App) error {
	client := control.NewClient(a.URL())
	creds, err := client.Credentials(ctx)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(childReport{CredentialsReport: creds, Endpoint: a.URL(), Version: version}); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { // ends with the input, or with the process
		_, err := io.Copy(io.Discard, in)
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case err := <-a.Failed():
		return err
	case <-ctx.Done():
		return nil
	}
}
