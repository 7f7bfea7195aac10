package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"croft/internal/clock"
)

// watched is a folder under watch.
type watched struct {
	*Watcher
	t   *testing.T
	dir string
}

// watching makes a folder with the given files, watches the named roots in it, and waits for nothing.
func watching(t *testing.T, roots []string, files ...string) *watched {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, dir: dir}
	for _, f := range files {
		w.write(f, "first")
	}
	if w.Watcher, err = New(clock.Real()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	var full []string
	for _, r := range roots {
		full = append(full, filepath.Join(dir, r))
	}
	if err := w.Watch(full); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *watched) path(name string) string { return filepath.Join(w.dir, name) }

func (w *watched) write(name, text string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(name)), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.path(name), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// expect takes changes until all the named paths have come, and fails when others come.
func (w *watched) expect(names ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	missing := map[string]bool{}
	for _, n := range names {
		missing[w.path(n)] = true
	}
	for len(missing) > 0 {
		c, err := w.Next(ctx)
		if err != nil {
			w.t.Fatalf("%v; still missing %v", err, missing)
		}
		for _, p := range c.Paths {
			if !slices.Contains(names, strings.TrimPrefix(p, w.dir+"/")) {
				w.t.Errorf("unexpected change of %s", p)
			}
			delete(missing, p)
		}
	}
}

// until takes changes until one is what is looked for: others may still be on their way.
func (w *watched) until(is func(path string) bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	for {
		c, err := w.Next(ctx)
		w.do(err)
		if slices.ContainsFunc(c.Paths, is) {
			return
		}
	}
}

func TestSaves(t *testing.T) {
	w := watching(t, []string{"fn"}, "fn/app.py", "fn/lib/util.py", "other/x.py")
	w.write("fn/app.py", "second")
	w.expect("fn/app.py")
	w.write("fn/lib/util.py", "second")
	w.expect("fn/lib/util.py")
	// As many editors save: a new file takes the place of the old one.
	w.write("fn/app.py.tmp", "third")
	w.do(os.Rename(w.path("fn/app.py.tmp"), w.path("fn/app.py")))
	w.expect("fn/app.py")
	w.do(os.Remove(w.path("fn/lib/util.py")))
	w.expect("fn/lib/util.py")
}

func TestWhatDoesNotCount(t *testing.T) {
	w := watching(t, []string{"fn"}, "fn/app.py", "fn/__pycache__/app.pyc", "fn/.git/HEAD", "fn/node_modules/a/index.js", "other/x.py")
	for _, f := range []string{"fn/__pycache__/app.pyc", "fn/.git/HEAD", "fn/.app.py.swp", "fn/4913", "fn/app.py~", "fn/.#app.py", "other/x.py", "y", "fn/node_modules/a/index.js"} {
		w.write(f, "second")
	}
	w.do(os.Chmod(w.path("fn/app.py"), 0o600))
	w.write("fn/node_modules/.package-lock.json", "{}")
	w.expect("fn/node_modules/.package-lock.json")
}

func TestFoldersComeAndGo(t *testing.T) {
	w := watching(t, []string{"fn", "later/deep"}, "fn/app.py")
	w.write("fn/new/deep/mod.py", "first")
	w.until(func(p string) bool { return p == w.path("fn/new") })
	w.write("fn/new/deep/mod.py", "second")
	w.until(func(p string) bool { return p == w.path("fn/new/deep/mod.py") })
	w.write("later/deep/x.py", "first")
	w.until(func(p string) bool { return strings.HasPrefix(p, w.path("later")) })
	w.do(os.RemoveAll(w.path("fn")))
	w.until(func(p string) bool { return p == w.path("fn/app.py") })
	w.write("fn/app.py", "again")
	w.until(func(p string) bool { return p == w.path("fn") })
	w.write("fn/app.py", "and again")
	w.until(func(p string) bool { return p == w.path("fn/app.py") })
}

func TestOneFileOfAFolder(t *testing.T) {
	w := watching(t, []string{"template.yaml"}, "template.yaml", "README.md")
	w.write("README.md", "second")
	w.write("new.yaml", "new")
	w.write(".template.yaml.swp", "x")
	w.write("next", "x")
	w.do(os.Rename(w.path("next"), w.path("template.yaml")))
	w.expect("template.yaml")
	w.do(os.Remove(w.path("template.yaml")))
	w.write("template.yaml", "back")
	w.expect("template.yaml")
}

func TestALinkIsWatchedAsWhatItLeadsTo(t *testing.T) {
	w := watching(t, nil, "real/app.py")
	w.do(os.Symlink("real", w.path("fn")))
	w.do(w.Watch([]string{w.path("fn")}))
	w.write("real/app.py", "second")
	w.expect("fn/app.py")
}

func TestManyAtOnceAreOneChange(t *testing.T) {
	w := watching(t, []string{"fn"}, "fn/app.py")
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("fn/f%d.py", i))
		w.write(names[i], "x")
	}
	w.expect(names...)
}

func TestEnds(t *testing.T) {
	w := watching(t, []string{"fn"}, "fn/app.py")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.Close()
	if _, err := w.Next(t.Context()); err == nil {
		t.Error("a closed watcher goes on")
	}
}

func TestLimitsSayWhatToDo(t *testing.T) {
	if err := explain(syscall.ENOSPC, 7); !strings.Contains(err.Error(), "sysctl fs.inotify.max_user_watches") {
		t.Error(err)
	}
	if err := explain(syscall.EMFILE, 7); !strings.Contains(err.Error(), "ulimit -n") || !strings.Contains(err.Error(), "max_user_instances") {
		t.Error(err)
	}
	if err := explain(syscall.EIO, 7); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	w := watching(t, []string{"fn"}, "fn/app.py")
	for i := range maxFolders {
		w.folders[fmt.Sprint(i)] = true
	}
	if err := w.add(w.path("fn/more")); err == nil || !strings.Contains(err.Error(), "more than 4096 folders") {
		t.Error(err)
	}
}
