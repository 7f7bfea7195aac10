package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"croft/internal/control"
	"croft/internal/iac"
)

type deployCmd struct {
	App       string            `arg:"" default:"." help:"Folder with a template.yaml, or a template file." predict:"file"`
	Stack     string            `help:"Name of the stack. Default: the folder's name." placeholder:"NAME" predict:"stack"`
	Parameter map[string]string `short:"p" help:"A parameter of the template; repeat for more." placeholder:"NAME=VALUE"`
	Account   string            `help:"The account to deploy into: twelve digits. Default: the cloud's own." placeholder:"ID"`
	JSON      bool              `name:"json" help:"Print the stack's outputs as a JSON object, and what happens to standard error."`
}

func (d *deployCmd) Help() string {
	return `Examples:

  croft deploy examples/orders
  croft deploy template.yaml --stack orders-dev -p Stage=dev`
}

// Run deploys one app.
func (d *deployCmd) Run(ctx context.Context, c console, g *cli) error {
	p, err := iac.Open(d.App)
	if err != nil {
		return err
	}
	name := d.Stack
	if name == "" {
		name = p.Name
	}
	client := g.client(d.Account)
	if d.JSON {
		err = deployJSON(ctx, c, client, p, name, d.Parameter)
	} else {
		err = deploy(ctx, c, client, p, name, d.Parameter)
	}
	if ctx.Err() != nil {
		c.note("\nno longer watching; a deployment that has begun goes on in the cloud. Run the command again to see it end, or: croft status")
		return exitError(130)
	}
	return err
}

// deploy brings one project into the cloud and prints what happens, and at the end the stack's outputs.
func deploy(ctx context.Context, c console, client *control.Client, p *iac.Project, stack string, parameters map[string]string) error {
	outputs, err := bring(ctx, c, client, p, stack, parameters)
	width := 0
	for _, o := range outputs {
		width = max(width, len(o.Key))
	}
	for _, o := range outputs {
		c.say("%-*s  %s", width, o.Key, o.Value)
	}
	return err
}

// deployJSON is deploy for programs.
func deployJSON(ctx context.Context, c console, client *control.Client, p *iac.Project, stack string, parameters map[string]string) error {
	aside := c
	aside.out = c.err
	outputs, err := bring(ctx, aside, client, p, stack, parameters)
	if err != nil {
		return err
	}
	object := map[string]string{}
	for _, o := range outputs {
		object[o.Key] = o.Value
	}
	return json.NewEncoder(c.out).Encode(object)
}

// bring deploys, prints what happens, and returns the stack's outputs.
func bring(ctx context.Context, c console, client *control.Client, p *iac.Project, stack string, parameters map[string]string) ([]control.Output, error) {
	c.say("deploying %s as stack %s", p.File, stack)
	text, err := p.Build(ctx, client.Upload, func(s string) { c.note("%s", s) })
	if err != nil {
		return nil, err
	}
	req := control.DeployRequest{Stack: stack, Template: text, Parameters: parameters}
	end, err := client.Deploy(ctx, req, func(e control.DeployEvent) { showStep(c, e) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w%s", p.File, err, nextStep(err))
	}
	if end.Unchanged {
		c.say("  nothing has changed")
	}
	return end.Outputs, nil
}

// showStep prints what has been done. Reasons of failures come together at the end.
func showStep(c console, e control.DeployEvent) {
	failed := strings.HasSuffix(e.Status, "_FAILED")
	if !failed && !strings.HasSuffix(e.Status, "_COMPLETE") {
		return
	}
	line := fmt.Sprintf("  %-26s %-34s %s", e.Status, e.Type, e.LogicalID)
	if failed {
		line = c.paint(red, line)
	}
	c.say("%s", line)
}

// nextStep says what to do about a deployment that failed for a reason that needs more than a look at the template.
func nextStep(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "must have values"):
		return "; give them with -p NAME=VALUE"
	case strings.Contains(text, "do not exist in the template"):
		return "; its section Parameters names those that do"
	}
	return ""
}
