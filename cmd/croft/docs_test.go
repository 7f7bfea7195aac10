package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// sections returns the text of docs/cli.md by command; "" is what stands before the first.
func sections(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	names := []string{""}
	for line := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			names = nil
			for _, m := range regexp.MustCompile(`croft (\w+)`).FindAllStringSubmatch(title, -1) {
				names = append(names, m[1])
			}
		}
		for _, n := range names {
			out[n] += line
		}
	}
	return out
}

// flagsIn finds the flags that a table of a section explains.
func flagsIn(section string) []string {
	var out []string
	for line := range strings.Lines(section) {
		if cell, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok && strings.HasPrefix(line, "| `-") {
			out = append(out, regexp.MustCompile(`(^|[^\w-])--?[a-z][a-z-]*`).FindAllString(cell, -1)...)
		}
	}
	for i, f := range out {
		out[i] = strings.TrimLeft(f, " `,")
	}
	return out
}

// TestThePageSaysWhatHelpSays compares docs/cli.md with the commands and flags that there are.
func TestThePageSaysWhatHelpSays(t *testing.T) {
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	page := sections(t)
	for _, node := range append([]*kong.Node{parser.Model.Node}, parser.Model.Children...) {
		name := ""
		if node != parser.Model.Node {
			name = node.Name
		}
		if page[name] == "" {
			t.Errorf("docs/cli.md has no section on croft %s", name)
			continue
		}
		told := flagsIn(page[name])
		known := map[string]bool{}
		for _, f := range node.Flags {
			known["--"+f.Name], known["-"+string(f.Short)] = true, true
			if !f.Hidden && !slices.Contains(told, "--"+f.Name) && !slices.Contains(told, "-"+string(f.Short)) && !strings.Contains(page[name], "`--"+f.Name+"`") {
				t.Errorf("docs/cli.md does not explain croft %s --%s", name, f.Name)
			}
		}
		for _, f := range told {
			if !known[f] {
				t.Errorf("docs/cli.md explains %s of croft %s, which does not exist", f, name)
			}
		}
	}
}

// TestHelpFitsTerminals looks at every help in a narrow and a wide terminal.
func TestHelpFitsTerminals(t *testing.T) {
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	for columns, width := range map[string]int{"80": 80, "120": 120} {
		t.Setenv("COLUMNS", columns)
		for _, node := range append([]*kong.Node{nil}, parser.Model.Children...) {
			args := []string{"--help"}
			if node != nil {
				args = []string{node.Name, "--help"}
			}
			var out bytes.Buffer
			if exit := run(args, console{out: &out, err: &out}); exit != 0 {
				t.Errorf("%v: exit %d", args, exit)
			}
			for line := range strings.Lines(out.String()) {
				if n := len([]rune(strings.TrimRight(line, "\n"))); n > width {
					t.Errorf("%v is %d wide on %d columns: %s", args, n, width, line)
				}
			}
			if node != nil && node.Help == "" {
				t.Errorf("%s has no help", node.Name)
			}
		}
	}
}
