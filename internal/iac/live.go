package iac

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"croft/internal/clock"
	"croft/internal/control"
	"croft/internal/watch"
)

// Paths returns the files and folders that the project consists of: the template, and local code, whether it is there or not. Of a template that is
// broken it knows the code that it named before.
func (b *Builder) Paths(ctx context.Context) []string {
	before := maps.Clone(b.code)
	b.scanning = true
	if _, err := b.Build(ctx); err != nil {
		maps.Copy(b.code, before)
	}
	b.scanning = false
	out := []string{b.project.path()}
	for p := range b.code {
		out = append(out, p)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Changed makes the next Build pack again what a change touches.
func (b *Builder) Changed(c watch.Change) {
	if c.Everything {
		clear(b.done)
		return
	}
	for code := range b.done {
		if slices.ContainsFunc(c.Paths, func(p string) bool { return within(p, code) || within(code, p) }) {
			delete(b.done, code)
		}
	}
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// Redeployment is what came of a change of a project's files.
type Redeployment struct {
	// Changed names the files, as a person would: relative to the project, and not all of many.
	Changed string
	// Updated are the logical ids of the resources that were made or changed, in that order, Removed those of the ones that are gone.
	Updated, Removed []string
	// Unchanged says that the cloud has what the files say again, after a mistake in them.
	Unchanged bool
	// Took is the time from the change's coming to rest until it was in effect.
	Took time.Duration
	// Err says why the cloud runs what it ran before. The watching goes on.
	Err error
}

// Live keeps a project that is deployed up to date with its files.
type Live struct {
	Clock   clock.Clock
	Project *Project
	Builder *Builder
	Watcher *watch.Watcher
	// Deploy brings a template into the cloud and calls step for each step. It reports whether that changed nothing.
	Deploy func(ctx context.Context, template string, step func(control.DeployEvent)) (unchanged bool, err error)
	// Report is told of each redeployment.
	Report func(Redeployment)
	// Check looks at a changed file after its redeployment and returns what is wrong with it, for Warn; nil for neither.
	Check func(ctx context.Context, path string) error
	Warn  func(error)

	failed bool // the last redeployment did
}

// Run redeploys until ctx ends, which is no error. broken says that the deployment before it failed, and that nothing is to be tried before something
// has changed. Changes that come while a redeployment is under way become one more together.
func (l *Live) Run(ctx context.Context, broken bool) error {
	// What changed since the deployment was built is not told by a watch that begins now.
	change := watch.Change{Everything: true}
	deployed := ""
	for first := true; ; first = false {
		// Before the building, so that nothing falls between the two.
		if err := l.Watcher.Watch(l.Builder.Paths(ctx)); err != nil {
			return err
		}
		begin := l.Clock.Now()
		l.Builder.Changed(change)
		text, err := l.Builder.Build(ctx)
		if !(first && broken) && (err != nil || text != deployed) {
			deployed = l.redeploy(ctx, text, err, change, begin)
		}
		change, err = l.Watcher.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// redeploy deploys what was built, unless that failed, and returns what the cloud has then; "" when that is not known.
func (l *Live) redeploy(ctx context.Context, text string, built error, change watch.Change, begin time.Time) string {
	r := Redeployment{Changed: l.name(change), Err: built}
	unchanged := false
	if built == nil {
		unchanged, r.Err = l.Deploy(ctx, text, func(e control.DeployEvent) {
			switch {
			case !done(e), slices.Contains(r.Updated, e.LogicalID): // one that was replaced is removed as well
			case e.Status == "DELETE_COMPLETE":
				r.Removed = append(r.Removed, e.LogicalID)
			default:
				r.Updated = append(r.Updated, e.LogicalID)
			}
		})
	}
	r.Took = l.Clock.Now().Sub(begin)
	r.Unchanged = unchanged && l.failed
	if ctx.Err() == nil && (!unchanged || r.Err != nil || l.failed) {
		l.Report(r)
	}
	l.failed = r.Err != nil
	l.check(ctx, change.Paths)
	if r.Err != nil {
		// The packages of what was not deployed may be swept before the next try.
		l.Builder.Changed(watch.Change{Everything: true})
		return ""
	}
	return text
}

func (l *Live) check(ctx context.Context, paths []string) {
	if l.Check == nil {
		return
	}
	for _, p := range paths {
		if err := l.Check(ctx, p); err != nil && ctx.Err() == nil {
			l.Warn(fmt.Errorf("%s: %w", l.relative(p), err))
		}
	}
}

// done reports whether a stack's event says that a resource has come to what the template says.
func done(e control.DeployEvent) bool {
	return e.Type != "AWS::CloudFormation::Stack" && strings.HasSuffix(e.Status, "_COMPLETE") && !strings.Contains(e.Status, "ROLLBACK")
}

// maxNamed bounds how many files a Redeployment names.
const maxNamed = 3

func (l *Live) name(c watch.Change) string {
	// Editors make files that are gone a moment later: what is gone is named only when nothing else is.
	var names, gone []string
	for _, p := range c.Paths {
		if _, err := os.Lstat(p); err != nil {
			gone = append(gone, l.relative(p))
		} else {
			names = append(names, l.relative(p))
		}
	}
	if len(names) == 0 {
		names = gone
	}
	if more := len(names) - maxNamed; more > 0 {
		names = append(names[:maxNamed], fmt.Sprintf("%d more", more))
	}
	if len(names) == 0 {
		return l.Project.File
	}
	return strings.Join(names, ", ")
}

func (l *Live) relative(path string) string {
	if r, err := filepath.Rel(l.Project.dir, path); err == nil {
		return r
	}
	return path
}
