// Package watch tells what changed in folders and files, after the writing has come to rest: editors save in several steps.
//
// What never belongs to an application does not count: version control, caches, and what editors write beside the files that they edit. Of a
// node_modules folder only its first level counts, which every installation changes.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"croft/internal/clock"
)

const (
	// quiet is how long nothing must change before a change is told.
	quiet = 20 * time.Millisecond
	// maxUnrest is how long something may go on changing without being told.
	maxUnrest = 500 * time.Millisecond
	// maxFolders bounds the folders that one Watcher watches: more are a sign of a folder that was not meant.
	maxFolders = 4096
	// maxPaths bounds the paths that one Change names.
	maxPaths = 1000
)

// Change is what changed since the last one.
type Change struct {
	// Paths are the files and folders that changed, in order; absolute.
	Paths []string
	// Everything says that more may have changed than Paths names.
	Everything bool
}

// Watcher watches files and folders with all that is in them. One goroutine calls Watch and Next; another may call Close.
type Watcher struct {
	clock clock.Clock
	files *fsnotify.Watcher
	done  chan struct{} // closes when the reading goroutine has ended

	mu       sync.Mutex
	roots    []string // what Watch was given
	folders  map[string]bool
	changed  map[string]bool
	overflow bool
	failed   error
	stirred  chan struct{} // has a token when something came
}

// New returns a Watcher that watches nothing yet. The caller closes it.
func New(c clock.Clock) (*Watcher, error) {
	files, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, explain(err, 0)
	}
	w := &Watcher{
		clock: c, files: files, done: make(chan struct{}),
		folders: map[string]bool{}, changed: map[string]bool{}, stirred: make(chan struct{}, 1),
	}
	go w.read()
	return w, nil
}

// Close ends the watching; Next then returns an error.
func (w *Watcher) Close() error {
	err := w.files.Close()
	<-w.done
	return err
}

// Watch watches the files and folders at paths, which are absolute, and nothing else any more. A path need not exist: its coming is a change. The
// error says when there are too many folders for this machine's limits, or for good sense.
func (w *Watcher) Watch(paths []string) error {
	w.mu.Lock()
	w.roots = slices.Clone(paths)
	before := w.folders
	w.folders = map[string]bool{}
	w.mu.Unlock()
	for _, p := range paths {
		if err := w.arm(p); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for dir := range before {
		if !w.folders[dir] {
			_ = w.files.Remove(dir) // it may have gone by itself
		}
	}
	return nil
}

// arm watches one path: what is in it, and the nearest folder above it, where it comes and goes.
func (w *Watcher) arm(path string) error {
	for above := filepath.Dir(path); ; above = filepath.Dir(above) {
		if info, err := os.Stat(above); err == nil && info.IsDir() {
			if err := w.add(above); err != nil {
				return err
			}
			break
		}
		if above == filepath.Dir(above) {
			break
		}
	}
	return w.tree(path)
}

// tree watches a folder and those in it that count. What is no folder, or is gone again, needs nothing.
func (w *Watcher) tree(root string) error {
	if real, err := filepath.EvalSymlinks(root); err != nil || real != root {
		info, err := os.Stat(root)
		if err != nil || !info.IsDir() {
			return nil
		}
	}
	// A root that is a link is walked as the folder that it leads to, under its own name.
	return filepath.WalkDir(root+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // gone, or not ours to read: packing will say so
		}
		path = filepath.Clean(path)
		if path != filepath.Clean(root) && ignored(filepath.Base(path)) {
			return fs.SkipDir
		}
		if err := w.add(path); err != nil {
			return err
		}
		if filepath.Base(path) == "node_modules" {
			return fs.SkipDir
		}
		return nil
	})
}

func (w *Watcher) add(dir string) error {
	w.mu.Lock()
	known, count := w.folders[dir], len(w.folders)
	w.mu.Unlock()
	if known {
		return nil
	}
	if count >= maxFolders {
		return fmt.Errorf("more than %d folders would have to be watched, %s among them; name a smaller folder as the function's code", maxFolders, dir)
	}
	err := w.files.Add(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return explain(err, count)
	}
	w.mu.Lock()
	w.folders[dir] = true
	w.mu.Unlock()
	return nil
}

// explain says what to do about a limit of the machine.
func explain(err error, count int) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("the machine's limit on watched folders is reached (%d by this watch): raise it, as root, with: sysctl fs.inotify.max_user_watches=524288", count)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("the limit on open files or watches is reached (%d folders by this watch): raise it with: ulimit -n 4096, or, as root, sysctl fs.inotify.max_user_instances=512: %w", count, err)
	}
	return fmt.Errorf("cannot watch for changes: %w", err)
}

// read takes what the system tells until the watcher is closed.
func (w *Watcher) read() {
	defer close(w.done)
	for {
		select {
		case e, open := <-w.files.Events:
			if !open {
				w.fail(errors.New("the watching has ended"))
				return
			}
			w.take(e)
		case err, open := <-w.files.Errors:
			if !open {
				w.fail(errors.New("the watching has ended"))
				return
			}
			w.mu.Lock()
			w.overflow = true // what was lost is not known
			w.mu.Unlock()
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				w.fail(err)
			}
			w.stir()
		}
	}
}

func (w *Watcher) fail(err error) {
	w.mu.Lock()
	if w.failed == nil {
		w.failed = err
	}
	w.mu.Unlock()
	w.stir()
}

func (w *Watcher) stir() {
	select {
	case w.stirred <- struct{}{}:
	default:
	}
}

// take notes one event.
func (w *Watcher) take(e fsnotify.Event) {
	if e.Op == fsnotify.Chmod && !isDir(e.Name) && !executableMatters(e.Name) {
		return
	}
	w.mu.Lock()
	inside, above := w.place(e.Name)
	w.mu.Unlock()
	if !inside && !above {
		return
	}
	if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
		w.mu.Lock()
		delete(w.folders, e.Name)
		w.mu.Unlock()
	}
	if e.Has(fsnotify.Create) && isDir(e.Name) {
		if err := w.appear(e.Name, above); err != nil {
			w.fail(err)
			return
		}
	}
	if above && !inside && !e.Has(fsnotify.Create) {
		return // its folders' own events tell what went
	}
	w.mu.Lock()
	if len(w.changed) < maxPaths {
		w.changed[e.Name] = true
	} else {
		w.overflow = true
	}
	w.mu.Unlock()
	w.stir()
}

// appear watches a folder that has come: in a root, or on the way to one.
func (w *Watcher) appear(dir string, above bool) error {
	if !above {
		return w.tree(dir)
	}
	w.mu.Lock()
	roots := slices.Clone(w.roots)
	w.mu.Unlock()
	for _, r := range roots {
		if r == dir || strings.HasPrefix(r, dir+string(filepath.Separator)) {
			if err := w.arm(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// place tells whether a path lies in a root and counts, and whether it is a root or lies above one.
func (w *Watcher) place(path string) (inside, above bool) {
	const sep = string(filepath.Separator)
	for _, r := range w.roots {
		if path == r || strings.HasPrefix(r, path+sep) {
			above = true
		}
		below, ok := strings.CutPrefix(path, r)
		if ok && (below == "" || strings.HasPrefix(below, sep)) && !slices.ContainsFunc(strings.Split(below, sep), ignored) {
			inside = true
		}
	}
	return inside, above
}

// Next waits until something has changed and come to rest, and returns it. What changes between two calls is told by the second. The error is
// ctx's, or says why the watching cannot go on.
func (w *Watcher) Next(ctx context.Context) (Change, error) {
	for {
		select {
		case <-w.stirred:
		case <-ctx.Done():
			return Change{}, ctx.Err()
		}
		if err := w.rest(ctx); err != nil {
			return Change{}, err
		}
		if c, err := w.collect(); err != nil || len(c.Paths) > 0 || c.Everything {
			return c, err
		}
	}
}

// rest waits until nothing has changed for a while, or for so long that it does not seem to end.
func (w *Watcher) rest(ctx context.Context) error {
	limit := w.clock.Now().Add(maxUnrest)
	for w.clock.Now().Before(limit) {
		t := w.clock.NewTimer(quiet)
		select {
		case <-t.C():
			return nil
		case <-w.stirred:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// collect returns what has changed, and begins anew.
func (w *Watcher) collect() (Change, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := Change{Everything: w.overflow}
	for p := range w.changed {
		c.Paths = append(c.Paths, p)
	}
	slices.Sort(c.Paths)
	w.changed, w.overflow = map[string]bool{}, false
	return c, w.failed
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// executableMatters reports whether a change of a file's mode can change the package that the file goes into: only whether it may be executed does.
func executableMatters(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// ignored reports whether what is called name never belongs to an application.
func ignored(name string) bool {
	switch name {
	case ".git", ".hg", ".svn", ".jj", "__pycache__", ".DS_Store", ".aws-sam", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox",
		".idea", ".vscode", ".cache", ".parcel-cache", ".turbo", "4913":
		return true
	}
	for _, end := range []string{"~", ".swp", ".swo", ".swx", ".swpx", ".tmp", ".pyc", ".pyo", "___jb_tmp___", "___jb_old___", ".crswap"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return strings.HasPrefix(name, ".#") || strings.HasPrefix(name, ".goutputstream-") || strings.HasPrefix(name, ".sb-") ||
		strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#")
}
