// Package archtest holds the tests about the tree itself: who imports whom, what every file and function may weigh, and what is
// forbidden everywhere. The import policy is the text of policy.txt.
//
// The tests read the source with go/parser. A test that asked the go command would be answered from the test cache on a broken tree.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const module = "croft"

// file is one Go file of the tree.
type file struct {
	// path is relative to the module's root, with slashes.
	path      string
	ast       *ast.File
	lines     int
	test      bool
	generated bool
}

func (f *file) pkg() string { return path.Dir(f.path) }

type tree struct {
	fset  *token.FileSet
	files []*file
}

// load parses every Go file below root.
func load(root string) (*tree, error) {
	t := &tree{fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := t.parse(root, p)
		if err != nil {
			return err
		}
		t.files = append(t.files, f)
		return nil
	})
	return t, err
}

func (t *tree) parse(root, p string) (*file, error) {
	src, err := os.ReadFile(p)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(root, p)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ParseFile(t.fset, p, src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	return &file{
		path: filepath.ToSlash(rel), ast: parsed, lines: strings.Count(string(src), "\n"),
		test: strings.HasSuffix(p, "_test.go"), generated: ast.IsGenerated(parsed),
	}, nil
}

func (t *tree) at(f *file, n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.path, t.fset.Position(n.Pos()).Line)
}

// rule is one pattern of the policy.
type rule struct {
	pattern  string
	line     int
	together bool
}

func parsePolicy(text string) []rule {
	var out []rule
	for i, l := range strings.Split(text, "\n") {
		if strings.HasPrefix(l, "#") {
			continue
		}
		words := strings.Fields(l)
		together := len(words) > 0 && words[len(words)-1] == "together"
		if together {
			words = words[:len(words)-1]
		}
		for _, w := range words {
			out = append(out, rule{w, i, together})
		}
	}
	return out
}

func (r rule) fits(pkg string) bool {
	base, below := strings.CutSuffix(r.pattern, "/...")
	return pkg == base || below && strings.HasPrefix(pkg, base+"/")
}

// find returns the rule that names pkg, or else the one with the longest pattern that fits it.
func find(rules []rule, pkg string) (best rule, ok bool) {
	for _, r := range rules {
		if r.pattern == pkg {
			return r, true
		}
		if r.fits(pkg) && (!ok || len(r.pattern) > len(best.pattern)) {
			best, ok = r, true
		}
	}
	return best, ok
}

// allowed reports whether a package of rule from may import one of rule to.
func allowed(from, to rule) bool {
	return to.line < from.line || to.line == from.line && from.together && from.pattern == to.pattern
}
