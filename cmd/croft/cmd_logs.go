package main

import (
	"context"
	"errors"
	"net/url"
	"time"

	"croft/internal/clock"
	"croft/internal/control"
	"croft/internal/logview"
)

type logsCmd struct {
	Function string        `arg:"" optional:"" help:"Name of a function, or its logical id in a template. Default: all." predict:"function"`
	Follow   bool          `short:"f" help:"Go on with new lines as they come."`
	Since    time.Duration `help:"Only what was logged that long ago or later: 30s, 10m, 2h. Default: everything." placeholder:"DURATION"`
	Filter   string        `help:"Only lines that contain TEXT." placeholder:"TEXT"`
	Account  string        `help:"The account that the functions are in: twelve digits. Default: the cloud's own." placeholder:"ID"`
}

func (l *logsCmd) Help() string {
	return `The lines of all functions come in the order of time. On a terminal each function has its colour, Lambda's own lines are dim and errors red. Control
characters that a function logs are shown as pictures (␛), so that they cannot act on your terminal.

Examples:

  croft logs                  everything all functions have logged
  croft logs -f ShipOrder     one function's log, and what comes
  croft logs --since 10m --filter ERROR`
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
	client := g.client(l.Account)
	printer := c.logs(l.Filter)
	if !l.Follow {
		return client.Logs(ctx, query, printer.Print)
	}
	for {
		err := follow(ctx, client, query, func(line control.LogLine) error {
			query.Set("since", line.Time.Add(time.Millisecond).UTC().Format(time.RFC3339Nano)) // where to go on after a restart
			return printer.Print(line)
		})
		if err == nil && ctx.Err() == nil {
			c.note("croft has stopped; the logs go on when it is back (Ctrl-C ends this)")
			err = awaitCloud(ctx, client)
		}
		if ctx.Err() != nil {
			return nil // Ctrl-C is how following ends
		}
		if err != nil {
			return err
		}
	}
}

// follow calls show for the lines that query asks for, in the order of time, until the cloud stops, which is no error, or ctx ends.
func follow(ctx context.Context, client *control.Client, query url.Values, show func(control.LogLine) error) error {
	streaming, stop := context.WithCancel(ctx)
	defer stop()
	asked, err := url.ParseQuery(query.Encode()) // show may change it for the next time
	if err != nil {
		return err
	}
	lines, ended := make(chan control.LogLine), make(chan error, 1)
	go func() {
		defer close(lines)
		ended <- client.Logs(streaming, asked, func(l control.LogLine) error {
			select {
			case lines <- l:
				return nil
			case <-streaming.Done():
				return streaming.Err()
			}
		})
	}()
	if err := logview.Merge(ctx, clock.Real(), lines, show); err != nil {
		stop()
		<-ended
		return err
	}
	return <-ended
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
