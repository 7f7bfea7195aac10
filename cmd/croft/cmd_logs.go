package main

import (
	"context"
	"errors"
	"net/url"
	"time"

	"croft/internal/clock"
	"croft/internal/control"
)

type logsCmd struct {
	Function string        `arg:"" optional:"" help:"Name of a function, or its logical id in a template. Default: all."`
	Follow   bool          `short:"f" help:"Go on with new lines as they come."`
	Since    time.Duration `help:"Only what was logged that long ago or later: 30s, 10m, 2h. Default: everything." placeholder:"DURATION"`
}

func (l *logsCmd) Help() string {
	return `Examples:

  croft logs                  everything all functions have logged
  croft logs -f ShipOrder     one function's log, and what comes
  croft logs --since 10m`
}

// Run prints log lines.
func (l *logsCmd) Run(ctx context.Context, c console, g *cli) error {
	query := url.Values{}
	if l.Function != "" {
		query.Set("function", l.Function)
	}
	if l.Follow {
		query.Set("follow", "1")
	}
	if l.Since > 0 {
		query.Set("since", clock.Real().Now().Add(-l.Since).UTC().Format(time.RFC3339Nano))
	}
	client := control.NewClient(g.Endpoint)
	for {
		err := client.Logs(ctx, query, func(line control.LogLine) error {
			query.Set("since", line.Time.Add(time.Millisecond).UTC().Format(time.RFC3339Nano)) // where to go on after a restart
			return c.log(line)
		})
		if err == nil && l.Follow && ctx.Err() == nil {
			c.note("croft has stopped; the logs go on when it is back (Ctrl-C ends this)")
			err = awaitCloud(ctx, client)
		}
		if ctx.Err() != nil {
			return nil // Ctrl-C is how following ends
		}
		if err != nil || !l.Follow {
			return err
		}
	}
}

// awaitCloud returns when the cloud serves, and with an error when ctx ends before.
func awaitCloud(ctx context.Context, client *control.Client) error {
	for {
		if _, err := client.Health(ctx); err == nil || !errors.Is(err, control.ErrNotRunning) {
			return err
		}
		if err := clock.Sleep(ctx, clock.Real(), time.Second/2); err != nil {
			return err
		}
	}
}
