package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"croft/internal/control"
)

type invokeCmd struct {
	Function string `arg:"" help:"Name or ARN of the function, or its logical id in a template."`
	Event    string `short:"e" help:"File with the event as JSON, or - for standard input. Default: {}." placeholder:"FILE"`
	Log      bool   `short:"l" help:"Print the end of the invocation's log as well."`
}

func (i *invokeCmd) Help() string {
	return `The answer goes to standard output, the log to standard error. The exit code is 1 when the function failed. A function may be named as
its template does, even where the stack has given it a longer name.

Examples:

  croft invoke CreateOrder --event examples/orders/event.json
  echo '{"items": []}' | croft invoke CreateOrder -e - -l`
}

// Run invokes the function.
func (i *invokeCmd) Run(ctx context.Context, c console, g *cli) error {
	event := []byte("{}")
	var err error
	switch i.Event {
	case "":
	case "-":
		event, err = io.ReadAll(os.Stdin)
	default:
		event, err = os.ReadFile(i.Event)
	}
	if err != nil {
		return fmt.Errorf("the event cannot be read: %w", err)
	}
	report, err := control.NewClient(g.Endpoint).Invoke(ctx, i.Function, event)
	if err != nil {
		return err
	}
	if i.Log {
		if _, err := c.err.Write(report.Log); err != nil {
			return err
		}
	}
	c.say("%s", report.Payload)
	if report.FunctionError != "" {
		return exitError(1)
	}
	return nil
}
