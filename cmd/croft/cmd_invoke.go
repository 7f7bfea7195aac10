package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"croft/internal/control"
)

// maxEvent bounds what is read of an event, in bytes; the cloud has a limit of its own.
const maxEvent = 64 << 20

type invokeCmd struct {
	Function  string `arg:"" help:"Name or ARN of the function, or its logical id in a template." predict:"function"`
	Event     string `short:"e" help:"File with the event as JSON, - for standard input, or the JSON object itself. Default: {}." placeholder:"FILE|-|JSON" predict:"file"`
	Log       bool   `short:"l" help:"Print the end of the invocation's log as well."`
	Qualifier string `short:"q" help:"The version or alias to run. Default: the function as it is now." placeholder:"VERSION|ALIAS"`
	Async     bool   `help:"Hand the event over and do not wait for the answer." xor:"how"`
	Stream    bool   `help:"Print the answer while the function produces it." xor:"how"`
	DryRun    bool   `help:"Check that the function is there and may be invoked, and do not run it." xor:"how"`
	Account   string `help:"The account that the function is in: twelve digits. Default: the cloud's own." placeholder:"ID"`
}

func (i *invokeCmd) Help() string {
	return `The answer goes to standard output, the log to standard error. The exit code is 1 when the function failed. A function may be named as
its template does, even where the stack has given it a longer name. An event that begins with { is the JSON itself; a file of such a name is ./{….

Examples:

  croft invoke CreateOrder --event examples/orders/event.json
  croft invoke CreateOrder --event '{"body": "{}"}'
  echo '{"items": []}' | croft invoke CreateOrder -e - -l
  croft invoke CreateOrder --qualifier live --async`
}

// Run invokes the function.
func (i *invokeCmd) Run(ctx context.Context, c console, g *cli) error {
	event, err := i.event()
	if err != nil {
		return fmt.Errorf("the event cannot be read: %w", err)
	}
	if len(event) > maxEvent {
		return fmt.Errorf("the event is larger than %d bytes", maxEvent)
	}
	client, req := g.client(i.Account), control.InvokeRequest{Function: i.Function, Qualifier: i.Qualifier}
	var report control.InvokeReport
	switch {
	case i.Stream:
		report, err = client.Stream(ctx, req, event, func(piece []byte) error {
			_, err := io.WriteString(c.out, c.safe(string(piece)))
			return err
		})
	case i.Async:
		req.Type = "Event"
		report, err = client.Invoke(ctx, req, event)
	case i.DryRun:
		req.Type = "DryRun"
		report, err = client.Invoke(ctx, req, event)
	default:
		report, err = client.Invoke(ctx, req, event)
	}
	if err != nil {
		return err
	}
	return i.show(c, report)
}

func (i *invokeCmd) event() ([]byte, error) {
	switch {
	case i.Event == "":
		return []byte("{}"), nil
	case i.Event == "-":
		return io.ReadAll(io.LimitReader(os.Stdin, maxEvent+1))
	case strings.HasPrefix(i.Event, "{"):
		return []byte(i.Event), nil
	}
	return os.ReadFile(i.Event)
}

// show prints what came of an invocation. The error document of a function that failed is an answer too.
func (i *invokeCmd) show(c console, report control.InvokeReport) error {
	if i.Log && len(report.Log) > 0 {
		c.note("%s", strings.TrimSuffix(string(report.Log), "\n"))
	}
	text := c.safe(string(report.Payload))
	if report.FunctionError != "" {
		if i.Stream {
			c.note("%s", text) // after what has been printed, it is no part of the answer
		} else {
			c.say("%s", c.paint(red, text))
		}
		return exitError(1)
	}
	switch {
	case i.Async:
		c.note("accepted")
	case i.DryRun:
		c.note("the function may be invoked")
	case i.Stream:
		c.say("")
	default:
		c.say("%s", text)
	}
	return nil
}
