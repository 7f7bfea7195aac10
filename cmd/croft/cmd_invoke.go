package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxEvent bounds an event in bytes. Source: Lambda quotas, synchronous invocation payload.
const maxEvent = 6 << 20

type invokeCmd struct {
	Function string `arg:"" help:"Name or ARN of the function, or its logical id in a template." predict:"function"`
	Event    string `short:"e" help:"File with the event as JSON, - for standard input, or the JSON object itself. Default: {}." placeholder:"FILE|-|JSON" predict:"file"`
	Log      bool   `short:"l" help:"Print the end of the invocation's log as well."`
	Account  string `help:"The account that the function is in: twelve digits. Default: the cloud's own." placeholder:"ID"`
}

func (i *invokeCmd) Help() string {
	return `The answer goes to standard output, the log to standard error. The exit code is 1 when the function failed. A function may be named as
its template does, even where the stack has given it a longer name. An event that begins with { is the JSON itself; a file of such a name is ./{….

Examples:

  croft invoke CreateOrder --event examples/orders/event.json
  croft invoke CreateOrder --event '{"body": "{}"}'
  echo '{"items": []}' | croft invoke CreateOrder -e - -l`
}

// Run invokes the function.
func (i *invokeCmd) Run(ctx context.Context, c console, g *cli) error {
	event := []byte("{}")
	var err error
	switch i.Event {
	case "":
	case "-":
		event, err = io.ReadAll(io.LimitReader(os.Stdin, maxEvent+1))
	default:
		if strings.HasPrefix(i.Event, "{") {
			event = []byte(i.Event)
			break
		}
		event, err = os.ReadFile(i.Event)
	}
	if err != nil {
		return fmt.Errorf("the event cannot be read: %w", err)
	}
	if len(event) > maxEvent {
		return fmt.Errorf("the event is larger than the %d bytes that Lambda takes", maxEvent)
	}
	report, err := g.client(i.Account).Invoke(ctx, i.Function, event)
	if err != nil {
		return err
	}
	if i.Log {
		c.note("%s", strings.TrimSuffix(string(report.Log), "\n"))
	}
	c.say("%s", c.safe(string(report.Payload)))
	if report.FunctionError != "" {
		return exitError(1)
	}
	return nil
}
