// Command croft is Cloudcroft: the serverless cloud you own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"croft/internal/control"
	"croft/internal/engine/sandbox"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "dev"

// cli is the command line. Each command is one type with a Run method, in its own file.
type cli struct {
	Endpoint string `help:"Address of the cloud that commands talk to." default:"http://127.0.0.1:4566" env:"CROFT_ENDPOINT" placeholder:"URL"`
	Color    string `help:"Colours: auto (on a terminal, unless NO_COLOR is set), always, never." default:"auto" enum:"auto,always,never" placeholder:"WHEN"`

	Up         upCmd         `cmd:"" help:"Start the cloud, deploy apps into it and show their logs."`
	Deploy     deployCmd     `cmd:"" help:"Deploy an app into the running cloud."`
	Invoke     invokeCmd     `cmd:"" help:"Run a function once and print its answer."`
	Logs       logsCmd       `cmd:"" help:"Show what functions have logged."`
	Exec       execCmd       `cmd:"" help:"Run any tool with endpoint, region and credentials set."`
	Env        envCmd        `cmd:"" help:"Print endpoint, region and credentials for a shell."`
	Status     statusCmd     `cmd:"" help:"Show the running cloud and what is deployed in it."`
	Doctor     doctorCmd     `cmd:"" help:"Say what works on this machine and what to do about the rest."`
	Reset      resetCmd      `cmd:"" help:"Empty the running cloud."`
	Completion completionCmd `cmd:"" help:"Print a shell's completion script."`
	Version    versionCmd    `cmd:"" help:"Print croft's version."`
}

// client returns a client of the cloud in an account; empty is the cloud's own.
func (g *cli) client(account string) *control.Client {
	c := control.NewClient(g.Endpoint)
	if account == "" {
		return c
	}
	return c.In(account)
}

// exitError ends the process with its own code, without a message: the command has said what there was to say.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

const description = `Cloudcroft is the serverless cloud you own: your functions, tables, queues and topics, on your machine, behind the AWS tools that you have.

Examples:

  croft up --watch examples/orders      start the cloud, deploy an app, go on
  croft exec -- aws sqs list-queues     run the AWS CLI against it
  croft invoke CreateOrder -e -         run one function
  croft logs -f                         follow all functions' logs
  eval "$(croft env)"                   point this shell's tools at it
  croft doctor                          what works on this machine`

func main() {
	sandbox.Main() // does not return in the processes that the engine starts for functions
	os.Exit(run(os.Args[1:], newConsole(os.Stdout, os.Stderr)))
}

func run(args []string, c console) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var app cli
	exit := -1
	parser, err := kong.New(&app, kong.Name("croft"), kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Writers(c.out, c.err),
		kong.Exit(func(code int) { exit = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(&app))
	if err != nil {
		c.note("croft: %v", err)
		return 1
	}
	switch {
	case len(args) == 0:
		args = []string{"--help"}
	case len(args) > 1 && args[0] == completeWord:
		for _, line := range complete(ctx, parser.Model.Node, args[1], args[2:]) {
			c.say("%s", line)
		}
		return 0
	}
	parsed, err := parser.Parse(args)
	if exit >= 0 {
		return exit // help was printed
	}
	if err == nil {
		app.Endpoint, err = control.ParseEndpoint(app.Endpoint)
	}
	if err != nil {
		c.note("croft: %v\nTry: croft --help", err)
		return 2
	}
	if err = parsed.Run(c.coloured(app.Color)); err == nil {
		err = c.lost()
	}
	var code exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, context.Canceled):
		return 130
	}
	c.note("croft: %v", err)
	return 1
}
