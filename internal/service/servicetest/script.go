package servicetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/wire"
)

// Run runs the scripts that match the glob pattern, each in a cloud of the given services. A script file is a txtar
// archive: what stands before its first "-- NAME --" line is a comment, and each part is a script of its own. A script is a
// list of steps with blank lines between them; lines that begin with # are comments. The steps:
//
//	call SERVICE.OPERATION {JSON INPUT}    then a line ---- and the JSON answer, or CODE: MESSAGE of the error
//	advance 30s                            moves the clock and waits until what falls due has happened
//	in ACCOUNT REGION                      makes the calls that follow act there
//
// In an answer, a string "$NAME" stands for what varies: it takes any value when first met and the same one from then on; "$_"
// takes any value always. In inputs, and inside strings, $NAME is replaced with its value.
func Run(t *testing.T, pattern string, services ...func(service.Deps) service.Descriptor) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no script matches %s (%v)", pattern, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts(string(text)) {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+part.name, func(t *testing.T) {
				s := &script{env: New(t, services...), vars: map[string]string{}}
				for _, step := range steps(part) {
					if err := s.step(step.text); err != nil {
						t.Fatalf("%s:%d: %v", file, step.line, err)
					}
				}
			})
		}
	}
}

type section struct {
	name string
	text string
	line int
}

func parts(text string) (out []section) {
	for i, line := range strings.Split(text, "\n") {
		name, isPart := strings.CutPrefix(line, "-- ")
		if name, closed := strings.CutSuffix(name, " --"); isPart && closed {
			out = append(out, section{name: strings.ReplaceAll(name, " ", "_"), line: i + 2})
			continue
		}
		if len(out) > 0 {
			out[len(out)-1].text += line + "\n"
		}
	}
	return out
}

func steps(part section) (out []section) {
	open := false
	for i, line := range strings.Split(part.text, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			open = false
		case !open:
			out = append(out, section{text: line + "\n", line: part.line + i})
			open = true
		default:
			out[len(out)-1].text += line + "\n"
		}
	}
	return out
}

type script struct {
	env  *Env
	vars map[string]string
}

func (s *script) step(text string) error {
	command, want, _ := strings.Cut(text, "----\n")
	verb, args, _ := strings.Cut(strings.TrimSpace(command), " ")
	switch verb {
	case "call":
		return s.call(strings.TrimSpace(args), strings.TrimSpace(want))
	case "advance":
		d, err := time.ParseDuration(args)
		if err != nil {
			return err
		}
		s.env.Advance(d)
		return nil
	case "in":
		account, region, _ := strings.Cut(args, " ")
		s.env.In(account, region)
		return nil
	default:
		return fmt.Errorf("no step is called %q", verb)
	}
}

func (s *script) call(args, want string) error {
	target, input, _ := strings.Cut(args, " ")
	got, err := s.env.Call(target, s.substitute(input))
	var refused *cloud.Error
	switch {
	case errors.As(err, &refused):
		got = refused.Error()
	case err != nil:
		return err
	}
	s.env.Settle()
	if !strings.HasPrefix(want, "{") || refused != nil {
		if want = s.substitute(want); got != want {
			return fmt.Errorf("%s\ngot   %s\nwant  %s", target, got, want)
		}
		return nil
	}
	var gotValue, wantValue any
	if err := json.Unmarshal([]byte(got), &gotValue); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(want), &wantValue); err != nil {
		return fmt.Errorf("the expected answer: %w", err)
	}
	if err := s.compare(wantValue, gotValue); err != nil {
		return fmt.Errorf("%s: %w\ngot   %s", target, err, got)
	}
	return nil
}

func variables() *regexp.Regexp { return regexp.MustCompile(`\$[a-z][a-z0-9]*`) }

func (s *script) substitute(text string) string {
	return variables().ReplaceAllStringFunc(text, func(name string) string {
		if v, ok := s.vars[name]; ok {
			return v
		}
		return name
	})
}

// compare holds an answer against what is expected of it. Variables get their values first, so that their other uses may stand anywhere in
// the answer.
func (s *script) compare(want, got any) error {
	s.bind(want, got)
	return s.match("", want, got)
}

// bind gives the variables that stand alone in want, and have no value, those that they have in got.
func (s *script) bind(want, got any) {
	switch want := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(want)) {
			s.bind(want[k], g[k])
		}
	case []any:
		g, _ := got.([]any)
		for i := range min(len(want), len(g)) {
			s.bind(want[i], g[i])
		}
	case string:
		text, ok := got.(string)
		if _, bound := s.vars[want]; ok && !bound && want != "" && variables().FindString(want) == want {
			s.vars[want] = text
		}
	}
}

// match compares an answer with what is expected of it.
func (s *script) match(path string, want, got any) error {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: want an object", path)
		}
		for k := range g {
			if _, expected := want[k]; !expected {
				return fmt.Errorf("%s.%s was not expected", path, k)
			}
		}
		for k, w := range want {
			v, there := g[k]
			if !there {
				return fmt.Errorf("%s.%s is missing", path, k)
			}
			if err := s.match(path+"."+k, w, v); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return fmt.Errorf("%s: want %d elements", path, len(want))
		}
		for i, w := range want {
			if err := s.match(fmt.Sprintf("%s[%d]", path, i), w, g[i]); err != nil {
				return err
			}
		}
		return nil
	case string:
		return s.matchText(path, want, got)
	default:
		if want != got {
			return fmt.Errorf("%s: want %v", path, want)
		}
		return nil
	}
}

func (s *script) matchText(path, want string, got any) error {
	text, ok := got.(string)
	if want == "$_" {
		return nil
	}
	if want = s.substitute(want); !ok || want != text {
		return fmt.Errorf("%s: want %q", path, want)
	}
	return nil
}

// Call makes one call named "service.Operation" with a JSON input, as the model spells its members, and returns the answer as JSON.
func (e *Env) Call(target, input string) (string, error) {
	name, opName, _ := strings.Cut(target, ".")
	desc, ok := e.Dispatcher.Service(name)
	if !ok {
		return "", fmt.Errorf("the cloud has no service %q", name)
	}
	for _, op := range desc.API.Operations {
		if op.Name == opName {
			return e.callJSON(desc.API, op, input)
		}
	}
	return "", fmt.Errorf("%s has no operation %q", name, opName)
}

func (e *Env) callJSON(svc *wire.Service, op *wire.Operation, input string) (string, error) {
	in := op.New()
	if err := decode(op.Schema, op.Input, input, in); err != nil {
		return "", fmt.Errorf("the input of %s: %w", op.Name, err)
	}
	out, err := e.Dispatcher.Call(e.Context(), svc, op, in)
	if err != nil {
		return "", err
	}
	return encode(op.Schema, op.Output, out)
}
