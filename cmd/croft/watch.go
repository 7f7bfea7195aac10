package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/control"
	"croft/internal/iac"
	"croft/internal/logview"
	"croft/internal/watch"
)

// keepUp redeploys each project when its files change, until ctx ends. broken are those whose first deployment failed. It returns what waits for the
// end of all that.
func (u *upCmd) keepUp(ctx context.Context, c console, client *control.Client, projects []*iac.Project, broken map[*iac.Project]bool) func() {
	var running sync.WaitGroup
	for _, p := range projects {
		running.Go(func() {
			if err := u.keepUpOne(ctx, c, client, p, broken[p]); err != nil && ctx.Err() == nil {
				c.note("croft: %s is not watched any more: %v", p.File, err)
			}
		})
	}
	return running.Wait
}

func (u *upCmd) keepUpOne(ctx context.Context, c console, client *control.Client, p *iac.Project, broken bool) (err error) {
	w, err := watch.New(clock.Real())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	live := &iac.Live{
		Clock: clock.Real(), Project: p, Watcher: w,
		Builder: p.Builder(client.Upload, func(string) {}), // the first deployment has said it
		Deploy: func(ctx context.Context, template string, step func(control.DeployEvent)) (bool, error) {
			end, err := client.Deploy(ctx, control.DeployRequest{Stack: p.Name, Template: template, Parameters: u.Parameter}, step)
			if err != nil {
				err = fmt.Errorf("%s: %w%s", p.File, err, nextStep(err))
			}
			return end.Unchanged, err
		},
		Report: func(r iac.Redeployment) { c.redeployed(clock.Real().Now(), r) },
		Check: func(ctx context.Context, path string) error {
			return iac.Syntax(ctx, clock.Real(), path)
		},
		Warn: func(err error) { c.said(clock.Real().Now(), c.paint(red, logview.Harmless(err.Error()))) },
	}
	return live.Run(ctx, broken)
}

// redeployed says in one line what a saved file led to.
func (c console) redeployed(now time.Time, r iac.Redeployment) {
	// A file may have any name.
	changed := strings.ReplaceAll(logview.Harmless(r.Changed), "\n", "␊")
	if r.Err != nil {
		c.said(now, c.paint(red, fmt.Sprintf("%s changed, and is not deployed: %s", changed, logview.Harmless(r.Err.Error()))))
		return
	}
	if r.Unchanged {
		c.said(now, changed+" changed: the cloud has it so already")
		return
	}
	var what []string
	if len(r.Updated) > 0 {
		what = append(what, strings.Join(r.Updated, ", ")+" redeployed")
	}
	if len(r.Removed) > 0 {
		what = append(what, strings.Join(r.Removed, ", ")+" removed")
	}
	if what == nil {
		what = []string{"the stack redeployed"}
	}
	c.said(now, fmt.Sprintf("%s changed: %s in %d ms", changed, strings.Join(what, ", "), r.Took.Milliseconds()))
}

// said prints what croft itself says among the functions' log lines.
func (c console) said(now time.Time, text string) {
	c.say("%s %s  %s", c.paint(dim, now.Local().Format("15:04:05.000")), c.paint(bold, "croft"), text)
}
