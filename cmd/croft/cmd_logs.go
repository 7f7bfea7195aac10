package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"croft/internal/clock"
	"croft/internal/control"
)

type logsCmd struct {
	Function string        `arg:"" optional:"" help:"Name of a function. Default: all."`
	Follow   bool          `short:"f" help:"Go on with new lines as they come."`
	Since    time.Duration `help:"Only lines of that long back: 10m, 2h. Default: all." placeholder:"DURATION"`
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
		query.Set("since", clock.Real().Now().Add(-l.Since).UTC().Format(time.RFC3339))
	}
	err := control.NewClient(g.Endpoint).Logs(ctx, query, func(line control.LogLine) error { return printLog(c, line) })
	if ctx.Err() != nil {
		return nil // Ctrl-C is how following ends
	}
	return err
}

func printLog(c console, l control.LogLine) error {
	_, err := fmt.Fprintf(c.out, "%s %s  %s\n", l.Time.Local().Format("15:04:05.000"), l.Function, l.Text)
	return err
}
