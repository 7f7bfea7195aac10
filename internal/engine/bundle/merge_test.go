package bundle

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"croft/internal/cloud"
)

// tree lists what a folder holds: folders end with a slash, links and files are followed by what is in them.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		name, err := filepath.Rel(dir, p)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			name += "/"
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			name += "->" + target
		default:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			name += "=" + string(b)
		}
		out = append(out, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

const link = fs.ModeSymlink | 0o777

func TestMerge(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second []member
		want          string
	}{
		{"apart", []member{{"a/x", "1", 0o644}}, []member{{"b/y", "2", 0o755}}, "a/ a/x=1 b/ b/y=2"},
		{"later wins", []member{{"a/x", "1", 0o644}, {"a/z", "1", 0o644}}, []member{{"a/x", "2", 0o644}}, "a/ a/x=2 a/z=1"},
		{"file over folder", []member{{"a/x", "1", 0o644}}, []member{{"a", "2", 0o644}}, "a=2"},
		{"folder over file", []member{{"a", "1", 0o644}}, []member{{"a/x/y", "2", 0o644}}, "a/ a/x/ a/x/y=2"},
		{"empty folder over file", []member{{"a", "1", 0o644}}, []member{{"a/", "", fs.ModeDir | 0o755}}, "a/"},
		{"folder over folder", []member{{"a/x", "1", 0o644}}, []member{{"a/", "", fs.ModeDir | 0o755}}, "a/ a/x=1"},
		{"folder over link", []member{{"b/x", "1", 0o644}, {"a", "b", link}}, []member{{"a/x", "2", 0o644}}, "a/ a/x=2 b/ b/x=1"},
		{"file over link", []member{{"b", "1", 0o644}, {"a", "b", link}}, []member{{"a", "2", 0o644}}, "a=2 b=1"},
		{"link over file", []member{{"a", "1", 0o644}, {"b", "1", 0o644}}, []member{{"a", "b", link}}, "a->b b=1"},
		{"link over link", []member{{"a", "b", link}}, []member{{"a", "c", link}}, "a->c"},
		{"link over folder", []member{{"a/x/y", "1", 0o644}}, []member{{"a", "c", link}}, "a->c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := NewStore(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			var opened atomic.Int32
			list := []Package{{sha(1), opener(zipOf(t, c.first...), &opened)}, {sha(2), opener(zipOf(t, c.second...), &opened)}}
			for range 2 {
				dir, release, err := s.AcquireMerged(t.Context(), list)
				if err != nil {
					t.Fatal(err)
				}
				if got := tree(t, dir); got != c.want {
					t.Errorf("%s\nnot %s", got, c.want)
				}
				release()
			}
			if opened.Load() != 2 {
				t.Errorf("opened %d times", opened.Load())
			}
		})
	}
}

func TestMergeOrderMatters(t *testing.T) {
	s, err := NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var opened atomic.Int32
	a := Package{sha(1), opener(zipOf(t, member{"f", "1", 0o644}), &opened)}
	b := Package{sha(2), opener(zipOf(t, member{"f", "2", 0o644}), &opened)}
	for want, list := range map[string][]Package{"f=2": {a, b}, "f=1": {b, a}} {
		dir, release, err := s.AcquireMerged(t.Context(), list)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if got := tree(t, dir); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}

// A package that conflicts with itself is at fault, whatever lies below it; nothing of the list stays.
func TestMergeRefuses(t *testing.T) {
	good := []member{{"a/x", "1", 0o644}, {"l", "a", link}}
	for name, second := range map[string][]member{
		"file and folder":  {{"b", "1", 0o644}, {"b/x", "1", 0o644}},
		"folder and file":  {{"a/x", "1", 0o644}, {"a", "1", 0o644}},
		"file and link":    {{"b", "1", 0o644}, {"b", "a", link}},
		"folder and link":  {{"a/x", "1", 0o644}, {"a", "b", link}},
		"link out":         {{"a", "../x", link}},
		"name out":         {{"../x", "1", 0o644}},
		"link and through": {{"k", "a", link}, {"k/y", "1", 0o644}},
	} {
		t.Run(name, func(t *testing.T) {
			at := t.TempDir()
			s, err := NewStore(at)
			if err != nil {
				t.Fatal(err)
			}
			var opened atomic.Int32
			_, _, err = s.AcquireMerged(t.Context(), []Package{
				{sha(1), opener(zipOf(t, good...), &opened)}, {sha(2), opener(zipOf(t, second...), &opened)},
			})
			if cloud.Code(err) != "InvalidParameterValueException" {
				t.Errorf("%v", err)
			}
			if left := tree(t, at); left != "" {
				t.Errorf("left: %s", left)
			}
		})
	}
}

func TestMergeBounds(t *testing.T) {
	s, err := NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.AcquireMerged(t.Context(), nil); err == nil {
		t.Error("nothing was merged")
	}
	if _, _, err := s.AcquireMerged(t.Context(), make([]Package, MaxMerged+1)); err == nil {
		t.Error("too many were merged")
	}
	if _, _, err := s.AcquireMerged(t.Context(), []Package{{SHA: "../x"}}); err == nil {
		t.Error("a hash that is none was taken")
	}
	// The bound is one for all packages: what the first took the second does not have.
	left := int64(3)
	var opened atomic.Int32
	dir := t.TempDir()
	first := Package{sha(1), opener(zipOf(t, member{"a", "12", 0o644}), &opened)}
	if err := mergeOne(context.Background(), first, dir, &left); err != nil {
		t.Fatal(err)
	}
	if err := mergeOne(context.Background(), Package{sha(2), opener(zipOf(t, member{"b", "34", 0o644}), &opened)}, dir, &left); err == nil {
		t.Error("more than the bound was unpacked")
	}
}
