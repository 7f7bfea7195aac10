package template

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/cloud"
)

// world is a Resolver for tests: the Ref of X is "x-id", and an attribute of it "X.attr".
type world struct{}

func (world) Ref(id string) (*Value, error) { return NewString(strings.ToLower(id) + "-id"), nil }

func (world) GetAtt(id, attribute string) (*Value, error) {
	if attribute == "List" {
		return NewList(NewString("a"), NewString("b")), nil
	}
	return NewString(id + "." + attribute), nil
}

func (world) Import(name string) (*Value, error) {
	if name == "missing" {
		return nil, cloud.Errorf("ValidationError", "No export named %s found.", name)
	}
	return NewString("exported " + name), nil
}

func testPseudo() Pseudo {
	return Pseudo{AccountID: "123456789012", Region: "eu-central-1", StackID: "arn:stack", StackName: "shop", NotificationARNs: []string{"arn:t"}}
}

func bind(t *testing.T, src string, params map[string]string) (*Bound, error) {
	t.Helper()
	tmpl, err := Parse([]byte(src))
	if err != nil {
		return nil, err
	}
	p, err := tmpl.ResolveParameters(params)
	if err != nil {
		return nil, err
	}
	return tmpl.Bind(p, testPseudo())
}

// TestGolden runs testdata/*.txt: a template, then what it evaluates to or the error it gives. The sections of a file are
// separated by lines of the form "-- name --": params (name=value lines), template, want or error.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range goldenCases(string(raw)) {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+c["case"], func(t *testing.T) { runGolden(t, c) })
		}
	}
}

// goldenCases splits a file into its cases; each begins with "== name".
func goldenCases(raw string) []map[string]string {
	var cases []map[string]string
	section := ""
	for line := range strings.Lines(raw) {
		trimmed := strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(trimmed, "== "):
			cases = append(cases, map[string]string{"case": trimmed[3:]})
			section = "template"
		case strings.HasPrefix(trimmed, "-- ") && strings.HasSuffix(trimmed, " --"):
			section = strings.TrimSuffix(trimmed[3:], " --")
		case len(cases) > 0:
			cases[len(cases)-1][section] += line
		}
	}
	return cases
}

func runGolden(t *testing.T, c map[string]string) {
	params := map[string]string{}
	for line := range strings.Lines(c["params"]) {
		if k, v, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok {
			params[k] = v
		}
	}
	got := evaluate(t, c["template"], params)
	want := strings.TrimSpace(c["want"])
	if c["error"] != "" {
		want = "error " + strings.TrimSpace(c["error"])
	}
	if strings.TrimSpace(got) != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// evaluate renders everything a template yields.
func evaluate(t *testing.T, src string, params map[string]string) string {
	fail := func(err error) string {
		if e, ok := errors.AsType[*Error](err); ok && e.Pos.Line > 0 {
			return "error " + e.At("t")
		}
		return "error " + err.Error()
	}
	b, err := bind(t, src, params)
	if err != nil {
		return fail(err)
	}
	g, err := b.Graph()
	if err != nil {
		return fail(err)
	}
	var out strings.Builder
	for _, id := range g.Order {
		v, err := b.Eval(id, world{})
		if err != nil {
			return fail(err)
		}
		out.WriteString(id + " " + v.String() + "\n")
	}
	outputs, err := b.EvalOutputs(world{})
	if err != nil {
		return fail(err)
	}
	for _, o := range outputs {
		out.WriteString("output " + o.Name + "=" + o.Value)
		if o.ExportName != "" {
			out.WriteString(" export " + o.ExportName)
		}
		out.WriteString("\n")
	}
	return out.String()
}
