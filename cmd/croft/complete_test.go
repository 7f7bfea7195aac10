package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"croft/internal/control"
	"croft/internal/engine/sandbox"
)

// completions answers for a command line, without the descriptions.
func completions(t *testing.T, shell string, names func(string) (control.NamesReport, error), words ...string) []string {
	t.Helper()
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	c := &completer{shell: shell, names: names, endpoint: "default"}
	var out []string
	for _, line := range c.run(parser.Model.Node, words) {
		word, _, _ := strings.Cut(line, "\t")
		out = append(out, word)
	}
	return out
}

func TestComplete(t *testing.T) {
	names := func(endpoint string) (control.NamesReport, error) {
		return control.NamesReport{Functions: []string{"CreateOrder", "ShipOrder", "at-" + endpoint}, Stacks: []string{"orders"}}, nil
	}
	for _, c := range []struct{ shell, words, want string }{
		{"bash", "in", "invoke"},
		{"bash", "invoke|", "CreateOrder ShipOrder at-default"},
		{"bash", "invoke|S", "ShipOrder"},
		{"bash", "--endpoint|there|logs|-f|at", "at-there"},
		{"bash", "--endpoint|=|there|logs|at", "at-there"},
		{"zsh", "--endpoint=there|logs|at", "at-there"},
		{"bash", "invoke|CreateOrder|", ""},
		{"bash", "invoke|CreateOrder|--event|", ":files"},
		{"bash", "invoke|-e|", ":files"},
		{"bash", "logs|--fo", "--follow"},
		{"bash", "logs|--since|1h|Sh", "ShipOrder"},
		{"bash", "logs|-f|Sh", "ShipOrder"},
		{"bash", "deploy|--stack|", "orders"},
		{"bash", "up|--isolation|", "auto required none"},
		{"bash", "up|--isolation|=|r", "required"},
		{"bash", "up|--isolation|=", "auto required none"},
		{"fish", "up|--isolation=r", "--isolation=required"},
		{"bash", "up|a|b|", ":files"},
		{"bash", "up|--no-such-flag|", ":files"},
		{"bash", "completion|", "bash zsh fish"},
		{"bash", "exec|--|aws|sqs|", ":command 3"},
		{"bash", "exec|aws|--re", ":command 2"},
		{"bash", "--color|=|never|exec|--|aws|s", ":command 6"},
		{"bash", "exec|--no-i", "--no-intercept"},
		{"bash", "version|", ""},
		{"bash", "nonsense|", ""},
	} {
		words := strings.Split(c.words, "|")
		if got := strings.Join(completions(t, c.shell, names, words...), " "); got != c.want {
			t.Errorf("%s: %q: %q, want %q", c.shell, words, got, c.want)
		}
	}
	none := func(string) (control.NamesReport, error) { return control.NamesReport{}, errors.New("not running") }
	if got := completions(t, "bash", none, "invoke", ""); len(got) != 0 {
		t.Errorf("without a cloud: %q", got)
	}
	if got := completions(t, "bash", none); len(got) < 10 {
		t.Errorf("for nothing: %q", got)
	}
}

// shellScripts complete "croft WORDS" the way that the shell does and print the candidates.
func shellScripts() map[string]string {
	return map[string]string{
		"bash": `source <(croft completion bash)
COMP_WORDS=(croft "$@"); COMP_CWORD=$#
$(complete -p croft | sed 's/.*-F \([^ ]*\).*/\1/')
printf '%s\n' "${COMPREPLY[@]}"`,
		"zsh": `source <(croft completion zsh)
_describe() { print -rl -- "${(@)${(P)4}%%:*}" }
_files() { print -rl -- *(N) }
_normal() { print -rl -- "normal: $words" }
words=(croft "$@"); CURRENT=$#words
_croft`,
		"fish": `croft completion fish | source
complete -C "croft $(string join ' ' -- $argv)" | string replace -r '\t.*' ''`,
	}
}

// TestMain makes the test's program croft itself when it is called by that name.
func TestMain(m *testing.M) {
	sandbox.Main()
	if filepath.Base(os.Args[0]) == "croft" {
		main()
	}
	os.Exit(m.Run())
}

// TestShells completes in the shells themselves, with the program itself.
func TestShells(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "croft")); err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	if err := os.WriteFile(filepath.Join(files, "event one.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for shell, script := range shellScripts() {
		if _, err := exec.LookPath(shell); err != nil {
			t.Logf("NO %s HERE, ITS COMPLETION IS NOT TESTED", shell)
			continue
		}
		for words, want := range map[string][]string{
			"inv": {"invoke"}, "up --wat": {"--watch"}, "up --isolation re": {"required"}, "completion f": {"fish"}, "status x y ": nil,
		} {
			got := inShell(t, dir, files, shell, script, words)
			if !slices.Equal(got, want) {
				t.Errorf("%s: croft %s: %q, want %q", shell, words, got, want)
			}
		}
		if got := inShell(t, dir, files, shell, script, "invoke F --event "); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(strings.ReplaceAll(s, `\`, ""), "event one.json") }) {
			t.Errorf("%s: files: %q", shell, got)
		}
		if got := strings.Join(inShell(t, dir, files, shell, script, "exec -- en"), " "); !strings.Contains(got, "env") && got != "normal: en" {
			t.Errorf("%s: another command: %q", shell, got)
		}
	}
}

func inShell(t *testing.T, dir, files, shell, script, words string) []string {
	t.Helper()
	args := strings.Split(words, " ")
	flags := map[string][]string{"bash": {"--norc", "-c", script, "bash"}, "zsh": {"-f", "-c", script, "zsh"}, "fish": {"--no-config", "-c", script}}[shell]
	cmd := exec.CommandContext(t.Context(), shell, append(flags, args...)...)
	cmd.Dir = files
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + files, "CROFT_ENDPOINT=http://127.0.0.1:1", "TERM=dumb", "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || len(exit.Stderr) > 0 && shell != "fish") {
		t.Fatalf("%s: %v\n%s", shell, err, exit.Stderr)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}

func TestCompletionAsksTheCloudQuickly(t *testing.T) {
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CROFT_ENDPOINT", "http://127.0.0.1:1")
	if got := complete(context.Background(), parser.Model.Node, "bash", []string{"invoke", ""}); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
