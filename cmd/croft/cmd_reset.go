package main

import (
	"context"

	"croft/internal/control"
)

type resetCmd struct{}

func (r *resetCmd) Help() string {
	return `Everything goes: stacks, tables, queues, topics, functions, logs, credentials. There is no way back.`
}

// Run empties the cloud.
func (r *resetCmd) Run(ctx context.Context, c console, g *cli) error {
	if err := control.NewClient(g.Endpoint).Reset(ctx); err != nil {
		return err
	}
	c.say("the cloud at %s is empty", g.Endpoint)
	return nil
}
