package main

import (
	"context"
	"fmt"
	"strings"

	"croft/internal/control"
	"croft/internal/iac"
)

type deployCmd struct {
	App       string            `arg:"" default:"." help:"Folder with a template.yaml, or a template file."`
	Stack     string            `help:"Name of the stack. Default: the folder's name." placeholder:"NAME"`
	Parameter map[string]string `short:"p" help:"A parameter of the template; repeat for more." placeholder:"NAME=VALUE"`
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
	return deploy(ctx, c, control.NewClient(g.Endpoint), p, name, d.Parameter)
}

// deploy brings one project into the cloud and prints what happens, and at the end the stack's outputs.
func deploy(ctx context.Context, c console, client *control.Client, p *iac.Project, stack string, parameters map[string]string) error {
	c.say("\ndeploying %s as stack %s", p.File, stack)
	text, err := p.Build(ctx, client.Upload, func(s string) { c.note("warning: %s", s) })
	if err != nil {
		return err
	}
	req := control.DeployRequest{Stack: stack, Template: text, Parameters: parameters}
	end, err := client.Deploy(ctx, req, func(e control.DeployEvent) {
		line := fmt.Sprintf("  %-28s %-34s %s", e.Status, e.Type, e.LogicalID)
		if e.Reason != "" && !strings.HasSuffix(e.Status, "_IN_PROGRESS") {
			line += "   " + e.Reason
		}
		if strings.HasSuffix(e.Status, "_COMPLETE") || strings.HasSuffix(e.Status, "_FAILED") {
			c.say("%s", strings.TrimRight(line, " "))
		}
	})
	if err != nil {
		return fmt.Errorf("deploying %s: %w", p.File, err)
	}
	if end.Unchanged {
		c.say("  nothing has changed")
	}
	for _, o := range end.Outputs {
		c.say("%-10s %s", o.Key, o.Value)
	}
	return nil
}
