package main

import (
	"context"
	"strings"

	"croft/internal/control"
)

type statusCmd struct{}

// Run shows the running cloud.
func (s *statusCmd) Run(ctx context.Context, c console, g *cli) error {
	r, err := control.NewClient(g.Endpoint).Status(ctx)
	if err != nil {
		return err
	}
	data := r.Data
	if data == "" {
		data = "nothing is kept"
	}
	isolation := "functions are isolated"
	if r.Isolation != "" {
		isolation = "functions cannot run: " + r.Isolation
	}
	if r.Reduced != "" {
		isolation = "reduced isolation: " + r.Reduced
	}
	c.say("croft      %s at %s, since %s", r.Version, r.Endpoint, r.Started.Local().Format("2006-01-02 15:04:05"))
	c.say("account    %s, region %s", r.Account, r.Region)
	c.say("data       %s (%s)", data, r.Durability)
	if r.Bodies != "" {
		c.say("bodies     %s", r.Bodies)
	}
	c.say("isolation  %s", isolation)
	for _, line := range r.Less {
		c.say("           but %s", line)
	}
	for i, n := range r.Nodes {
		label, self := "nodes", ""
		if i > 0 {
			label = ""
		}
		if n.Self {
			self = " (this one)"
		}
		c.say("%-10s %s croft %s at %s, since %s, %d leases%s",
			label, n.ID, n.Version, n.Address, n.Since.Local().Format("2006-01-02 15:04:05"), len(n.Leases), self)
	}
	c.say("services   %s", strings.Join(r.Services, " "))
	if len(r.Stacks) == 0 {
		c.say("stacks     none; deploy one with: croft deploy DIR")
	}
	for i, st := range r.Stacks {
		label := "stacks"
		if i > 0 {
			label = ""
		}
		c.say("%-10s %s %s", label, st.Name, st.Status)
	}
	return nil
}
