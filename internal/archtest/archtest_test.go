package archtest

import (
	_ "embed"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

//go:embed policy.txt
var policy string

func tree0(t *testing.T) *tree {
	t.Helper()
	tr, err := load("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.files) < 20 {
		t.Fatalf("only %d files found: the walk is wrong", len(tr.files))
	}
	return tr
}

func TestImports(t *testing.T) {
	tr, rules := tree0(t), parsePolicy(policy)
	for _, f := range tr.files {
		from, ok := find(rules, f.pkg())
		if !ok {
			t.Errorf("%s: package %s is not in policy.txt", f.path, f.pkg())
			continue
		}
		if f.test {
			continue // tests may look at anything below them; the build keeps them acyclic
		}
		for _, imp := range f.ast.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			pkg, ours := strings.CutPrefix(name, module+"/")
			if !ours || pkg == f.pkg() {
				continue
			}
			to, ok := find(rules, pkg)
			if !ok || !allowed(from, to) {
				t.Errorf("%s: %s may not import %s", tr.at(f, imp), f.pkg(), pkg)
			}
		}
	}
}

// TestPolicyNames: every word of the policy names packages that there are, and none does twice. What a merge leaves behind is no package either.
func TestPolicyNames(t *testing.T) {
	tr := tree0(t)
	seen := map[string]bool{}
	for _, r := range parsePolicy(policy) {
		if seen[r.pattern] {
			t.Errorf("policy.txt, line %d: %s stands there twice", r.line+1, r.pattern)
		}
		seen[r.pattern] = true
		if !slices.ContainsFunc(tr.files, func(f *file) bool { return r.fits(f.pkg()) }) {
			t.Errorf("policy.txt, line %d: %s is no package", r.line+1, r.pattern)
		}
	}
}

func TestPolicyItself(t *testing.T) {
	rules := parsePolicy("a\nb/... c together\nd")
	get := func(pkg string) rule {
		r, ok := find(rules, pkg)
		if !ok {
			t.Fatalf("%s has no rule", pkg)
		}
		return r
	}
	for _, c := range []struct {
		from, to string
		want     bool
	}{{"b", "a", true}, {"a", "b", false}, {"b/x", "b/y", true}, {"b", "c", false}, {"d", "b/x/y", true}, {"d", "d", false}} {
		if got := allowed(get(c.from), get(c.to)); got != c.want {
			t.Errorf("%s -> %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

func TestPackageDocs(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range tree0(t).files {
		if !f.test {
			documented[f.pkg()] = documented[f.pkg()] || f.ast.Doc.Text() != ""
		}
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment", pkg)
		}
	}
}

func TestSizes(t *testing.T) {
	tr := tree0(t)
	for _, f := range tr.files {
		if f.generated {
			continue
		}
		fileMax, funcMax := 500, 60
		if f.test {
			fileMax, funcMax = 800, 120
		}
		if f.lines > fileMax {
			t.Errorf("%s has %d lines, more than %d", f.path, f.lines, fileMax)
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := tr.fset.Position(fn.End()).Line - tr.fset.Position(fn.Pos()).Line + 1; n > funcMax {
				t.Errorf("%s: %s has %d lines, more than %d", tr.at(f, fn), fn.Name.Name, n, funcMax)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if i, ok := n.(*ast.InterfaceType); ok && i.Methods.NumFields() > 10 {
				t.Errorf("%s: an interface of %d methods, more than 10", tr.at(f, n), i.Methods.NumFields())
			}
			return true
		})
	}
}

// forbidden lists what only one package may use, whoever asks.
func forbidden() map[string]string {
	out := map[string]string{
		"math/rand": "internal/clock", "math/rand/v2": "internal/clock",
		"database/sql": "internal/kv/pgkv", "github.com/cockroachdb/pebble/v2": "internal/kv/pebblekv",
		"log.Fatal": "cmd/croft", "log.Fatalf": "cmd/croft",
	}
	for _, f := range []string{"Now", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Since", "Until"} {
		out["time."+f] = "internal/clock"
	}
	return out
}

func TestForbidden(t *testing.T) {
	tr, only := tree0(t), forbidden()
	for _, f := range tr.files {
		for _, imp := range f.ast.Imports {
			name, _ := strconv.Unquote(imp.Path.Value)
			if home, listed := only[name]; listed && home != f.pkg() {
				t.Errorf("%s: %s may be imported by %s alone", tr.at(f, imp), name, home)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok || x.Obj != nil {
				return true
			}
			if home, listed := only[x.Name+"."+sel.Sel.Name]; listed && home != f.pkg() {
				t.Errorf("%s: %s.%s may be used by %s alone", tr.at(f, n), x.Name, sel.Sel.Name, home)
			}
			return true
		})
	}
}

func TestNoInitNoMutableGlobals(t *testing.T) {
	tr := tree0(t)
	// globals holds each package's variables by name, and their declarations.
	globals, specs := map[string]map[string]bool{}, map[any]bool{}
	for _, f := range tr.files {
		if globals[f.pkg()] == nil {
			globals[f.pkg()] = map[string]bool{}
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init()", tr.at(f, fn))
			}
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, s := range gen.Specs {
				specs[s] = true
				for _, name := range s.(*ast.ValueSpec).Names {
					globals[f.pkg()][name.Name] = name.Name != "_"
				}
			}
		}
	}
	for _, f := range tr.files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			for _, target := range assigned(n) {
				id := root(target)
				if id == nil || !globals[f.pkg()][id.Name] {
					continue
				}
				// The parser resolves what the file itself declares; what it leaves open is the package's.
				if id.Obj == nil || specs[id.Obj.Decl] {
					t.Errorf("%s: package-level variable %s is changed", tr.at(f, n), id.Name)
				}
			}
			return true
		})
	}
}

func assigned(n ast.Node) []ast.Expr {
	switch s := n.(type) {
	case *ast.AssignStmt:
		if s.Tok != token.DEFINE {
			return s.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{s.X}
	}
	return nil
}

// root returns the variable that an assignment to e changes: of a.b[c] it is a.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}
