package operations

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// step is one step of a story. Its line has one of the forms
//
//	SERVICE.OPERATION {INPUT}                     a call that must succeed
//	SERVICE.OPERATION {INPUT} NAME=PATH …         and gives variables values out of its answer, such as url=QueueUrl or id=Items.0.Id
//	SERVICE.OPERATION {INPUT} !CODE               a call that must be refused with that code
//	SERVICE.OPERATION {INPUT} @                   the call at which TestMembers tries the operation's parameters
//	advance DURATION                              moves the clock
//	hear                                          takes the next event of the last answer that was a stream
//	in ACCOUNT REGION                             makes the calls that follow act there
//
// and may go on in lines that begin with white space. $NAME in an input stands for the variable's value.
type step struct {
	line   int
	target string // empty for advance and in
	input  string
	save   map[string]string
	fails  string
	tried  bool
	verb   string
	args   []string
}

// stories reads the story of each service, by service.
func stories(t *testing.T) map[string][]step {
	t.Helper()
	out := map[string][]step{}
	for _, d := range declared() {
		file := filepath.Join("testdata", "stories", d.API.Name+".txt")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("a service without a story: %v", err)
			continue
		}
		if out[d.API.Name], err = parseStory(string(text)); err != nil {
			t.Errorf("%s:%v", file, err)
		}
	}
	return out
}

func parseStory(text string) (out []step, err error) {
	var joined []struct {
		text string
		line int
	}
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "":
		case line[0] == ' ' || line[0] == '\t':
			if len(joined) == 0 {
				return nil, fmt.Errorf("%d: a line that goes on from nothing", i+1)
			}
			joined[len(joined)-1].text += " " + strings.TrimSpace(line)
		default:
			joined = append(joined, struct {
				text string
				line int
			}{line, i + 1})
		}
	}
	for _, l := range joined {
		s, err := parseStep(l.text)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", l.line, err)
		}
		s.line = l.line
		out = append(out, s)
	}
	return out, nil
}

func parseStep(text string) (step, error) {
	head, rest, _ := strings.Cut(text, " ")
	if !strings.Contains(head, ".") {
		return step{verb: head, args: strings.Fields(rest)}, nil
	}
	s := step{target: head, save: map[string]string{}}
	in := json.NewDecoder(strings.NewReader(rest))
	var input json.RawMessage
	if err := in.Decode(&input); err != nil && !errors.Is(err, io.EOF) {
		return s, err
	}
	s.input = string(input)
	for _, f := range strings.Fields(rest[in.InputOffset():]) {
		name, path, isSave := strings.Cut(f, "=")
		switch {
		case strings.HasPrefix(f, "!"):
			s.fails = f[1:]
		case f == "@":
			s.tried = true
		case isSave:
			s.save[name] = path
		default:
			return s, fmt.Errorf("%q is neither NAME=PATH nor !CODE nor @", f)
		}
	}
	return s, nil
}

// made is a call that was made, and what came of it.
type made struct {
	step
	given, answer, code string
	before, after       string
}

// take takes a step and looks at the state before and after it; the result is nil for one that is no call.
func (w *world) take(t *testing.T, s step) *made {
	t.Helper()
	before := w.state(t)
	m := w.do(t, s)
	if m != nil {
		m.before, m.after = before, w.state(t)
	}
	return m
}

// do takes a step; the result is nil for one that is no call.
func (w *world) do(t *testing.T, s step) *made {
	t.Helper()
	w.reseed(t, s)
	switch s.verb {
	case "":
	case "advance":
		d, err := time.ParseDuration(s.args[0])
		if err != nil {
			t.Fatal(err)
		}
		w.Advance(d)
		return nil
	case "hear":
		return w.hear(t)
	case "in":
		w.In(s.args[0], s.args[1])
		return nil
	default:
		t.Fatalf("line %d: no step is called %q", s.line, s.verb)
	}
	m := &made{step: s, given: w.substitute(s.input)}
	answer, refused := w.call(t, s.target, m.given)
	m.answer = answer
	if refused != nil {
		m.code, m.answer = refused.Code, refused.Error()
	}
	if m.code != s.fails {
		t.Fatalf("line %d: %s %s: got %s, want %q", s.line, s.target, m.given, m.answer, s.fails)
	}
	for name, path := range s.save {
		value, err := find(answer, path)
		if err != nil {
			t.Fatalf("line %d: %s in %s: %v", s.line, path, answer, err)
		}
		w.vars[name] = value
	}
	if s.target == liveTail {
		w.open = m
	}
	return m
}

// substitute puts the values of variables into JSON, where they stand inside strings.
func (w *world) substitute(text string) string {
	return regexp.MustCompile(`\$[a-z][a-z0-9]*`).ReplaceAllStringFunc(text, func(name string) string {
		v, ok := w.vars[name[1:]]
		quoted, err := json.Marshal(v)
		if !ok || err != nil {
			return name
		}
		return string(quoted[1 : len(quoted)-1])
	})
}

// find returns the text at a path of member names and indices, such as Stacks.0.StackId.
func find(answer, path string) (string, error) {
	var v any
	if err := json.Unmarshal([]byte(answer), &v); err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(at) {
				return "", fmt.Errorf("no element %s", name)
			}
			v = at[i]
		}
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case nil:
		return "", errors.New("nothing is there")
	default:
		return fmt.Sprint(v), nil
	}
}

func TestParseStory(t *testing.T) {
	got, err := parseStory("# words\na.B {\"x\":\n  1} id=C.0 other=D\n\na.B\na.B {} !Code\nadvance 1s\n")
	if err != nil || len(got) != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].input != `{"x": 1}` || got[0].save["id"] != "C.0" || got[0].save["other"] != "D" || got[0].line != 2 {
		t.Errorf("%+v", got[0])
	}
	if got[1].input != "" || got[2].fails != "Code" || got[3].verb != "advance" || got[3].args[0] != "1s" {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"a.B {", "a.B {} what", "  a.B"} {
		if got, err := parseStory(bad); err == nil {
			t.Errorf("%q was taken for %+v", bad, got)
		}
	}
	if v, err := find(`{"A": [{"B": 3}]}`, "A.0.B"); err != nil || v != "3" {
		t.Errorf("%q, %v", v, err)
	}
	if v, err := find(`{"A": []}`, "A.0.B"); err == nil {
		t.Errorf("%q", v)
	}
}
