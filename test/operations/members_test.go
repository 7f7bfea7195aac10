package operations

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"croft/internal/service"
	"croft/internal/wire"
	"croft/tools/apigen/pages"
)

// TestMembers tries every optional parameter of every operation, one at a time, and fails for one that makes no difference and is
// not documented as without effect. What it finds is docs/services/members, from which the pages are made; make audit writes it.
func TestMembers(t *testing.T) {
	all := stories(t)
	for _, d := range declared() {
		t.Run(d.API.Name, func(t *testing.T) {
			a := &audit{desc: d, story: all[d.API.Name], rules: readRules(t, d.API.Name), notes: readNotes(t, d.API.Name), wire: map[string]string{}}
			var text strings.Builder
			fmt.Fprintf(&text, "# What each optional parameter does here, as test/operations finds it. Made by \"make audit\".\n")
			for _, op := range d.API.Operations {
				for _, line := range a.operation(t, op) {
					fmt.Fprintln(&text, line)
				}
			}
			for r, used := range a.used() {
				if !used {
					t.Errorf("testdata/members/%s.txt: nothing needs the line %q", d.API.Name, r)
				}
			}
			compare(t, filepath.Join("..", "..", "docs", "services", "members", d.API.Name+".txt"), text.String())
		})
	}
}

func compare(t *testing.T, file, text string) {
	t.Helper()
	if os.Getenv("CROFT_UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != text {
		t.Errorf("%s is not what this test finds (%v); after a change that is meant: make audit", file, err)
	}
}

// audit tries the parameters of one service.
type audit struct {
	desc  service.Descriptor
	story []step
	rules []*rule
	notes string
	// wire are the names of parameters outside JSON, such as x-amz-acl, by operation and parameter.
	wire map[string]string
	// vars are the variables of the story at the call that is tried.
	vars *world
}

// outcome is what a call came to.
type outcome struct {
	answer, state string
	code, message string // of a refusal
}

// operation returns a line for each optional parameter of op.
func (a *audit) operation(t *testing.T, op *wire.Operation) (lines []string) {
	target := a.desc.API.Name + "." + op.Name
	at := a.base(target)
	if at < 0 {
		t.Errorf("%s: no call in the story succeeds", target)
		return nil
	}
	for _, m := range op.Schema.Shape(op.Input).Members {
		a.wire[op.Name+" "+m.Name] = m.Wire
	}
	var main trial
	var special []trial
	t.Run(op.Name, func(t *testing.T) {
		w, input := a.play(t, at)
		a.vars = w
		main = trial{at: at, input: input, variants: a.variants(op, input)}
		special = a.special(op, at, input)
	})
	for _, tr := range special {
		main.variants = slices.DeleteFunc(main.variants, func(v variant) bool { return v.path == tr.path })
	}
	for _, tr := range append(special, main) {
		lines = append(lines, a.run(t, op, tr)...)
	}
	slices.Sort(lines)
	return lines
}

// trial is an input and what it is compared with.
type trial struct {
	at       int
	path     string // of the only parameter that is tried; empty for all
	input    map[string]any
	variants []variant
}

func (a *audit) variants(op *wire.Operation, input map[string]any) []variant {
	v := &variants{schema: op.Schema, values: map[string][]any{}}
	for _, r := range a.rules {
		if r.verb == "value" && r.fits(op.Name, r.member) {
			v.values[r.member] = append(v.values[r.member], a.json(r.text))
		}
	}
	if op.Input != wire.NoRef {
		v.structure(op.Schema.Shape(op.Input), input, "", 0, func(x any) any { return x })
	}
	return v.out
}

// json reads a rule's text, which may have the story's variables. readRules has checked that it is JSON.
func (a *audit) json(text string) (v any) {
	if err := json.Unmarshal([]byte(a.vars.substitute(text)), &v); err != nil {
		return text
	}
	return v
}

// special returns the trials that the rules want to be made of another input than the story's.
func (a *audit) special(op *wire.Operation, at int, input map[string]any) (out []trial) {
	for _, r := range a.rules {
		top, _, _ := strings.Cut(r.member, ".")
		if r.verb != "with" || !has(op, top) || !r.fits(op.Name, r.member) {
			continue
		}
		tr := trial{at: at, path: r.member, input: maps.Clone(input)}
		members, _ := a.json(r.text).(map[string]any)
		for name, value := range members {
			if !has(op, name) {
				continue
			}
			if tr.input[name] = value; value == nil {
				delete(tr.input, name)
			}
		}
		for _, v := range a.variants(op, tr.input) {
			if v.path == r.member {
				tr.variants = append(tr.variants, v)
			}
		}
		out = append(out, tr)
	}
	return out
}

func has(op *wire.Operation, member string) bool {
	return op.Input != wire.NoRef && slices.ContainsFunc(op.Schema.Shape(op.Input).Members, func(m wire.Member) bool { return m.Name == member })
}

// run makes a trial and returns a line for each parameter.
func (a *audit) run(t *testing.T, op *wire.Operation, tr trial) (lines []string) {
	var base outcome
	t.Run(op.Name+"/base", func(t *testing.T) { base = a.settled(t, tr.at, tr.input, outcome{}) })
	tried := map[string][]outcome{}
	for _, v := range tr.variants {
		t.Run(op.Name+"/"+v.path, func(t *testing.T) { tried[v.path] = append(tried[v.path], a.settled(t, tr.at, v.input, base)) })
	}
	for _, path := range slices.Sorted(maps.Keys(tried)) {
		class, detail, problem := a.classify(op.Name, path, base, tried[path])
		if problem != "" {
			t.Errorf("%s.%s %s: %s", a.desc.API.Name, op.Name, path, problem)
			continue
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", op.Name, path, class, detail)))
	}
	return lines
}

// base is the index of the step that the parameters of target are tried at: the marked one, or else of a write the first that
// succeeds, and of a read the last, when there is something to be read.
func (a *audit) base(target string) int {
	at := -1
	for i, s := range a.story {
		if s.target != target || s.fails != "" {
			continue
		}
		if s.tried {
			return i
		}
		if at < 0 || isRead(target) {
			at = i
		}
	}
	return at
}

// play plays the story in a cloud of its own as far as before the step at, and returns that step's input.
func (a *audit) play(t *testing.T, at int) (*world, map[string]any) {
	w := newWorld(t)
	for _, s := range a.story[:at] {
		w.do(t, s)
	}
	w.reseed(t, a.story[at])
	input := map[string]any{}
	if text := w.substitute(a.story[at].input); text != "" {
		if err := json.Unmarshal([]byte(text), &input); err != nil {
			t.Fatal(err)
		}
	}
	return w, input
}

// settled tries until two clouds that did the same are the same, so that what really differs can be told from identifiers that a
// background worker drew a moment earlier or later. An outcome that is the base's, or a refusal, needs no second look.
func (a *audit) settled(t *testing.T, at int, input any, base outcome) outcome {
	seen := map[outcome]bool{}
	for range 8 {
		o := a.try(t, at, input)
		if o == base || o.code != "" || seen[o] {
			return o
		}
		seen[o] = true
	}
	t.Fatal("clouds that did the same are never the same: nothing can be compared")
	return outcome{}
}

// try makes the call of the step at, with another input, in a cloud of its own.
func (a *audit) try(t *testing.T, at int, input any) outcome {
	w, _ := a.play(t, at)
	text, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	answer, refused := w.call(t, a.story[at].target, string(text))
	o := outcome{answer: answer, state: w.state(t)}
	if refused != nil {
		o.code, o.message = refused.Code, refused.Message
		return o
	}
	if a.story[at].target == liveTail {
		o.answer = w.hearOn(t, a.story[at+1:])
	}
	return o
}

// hearOn takes steps as far as the last one that takes an event of a stream, and returns those events.
func (w *world) hearOn(t *testing.T, steps []step) (heard string) {
	w.open = new(made)
	for i, s := range steps {
		if !slices.ContainsFunc(steps[i:], func(s step) bool { return s.verb == "hear" }) {
			break
		}
		if m := w.do(t, s); s.verb == "hear" {
			heard += m.answer + "\n"
		}
	}
	return heard
}

// classify says what the tries of a parameter show, or what is wrong with it.
func (a *audit) classify(op, path string, base outcome, tried []outcome) (class, detail, problem string) {
	for _, r := range a.rules {
		if r.verb == "real" && r.fits(op, path) {
			return pages.ClassReal, "", ""
		}
	}
	var effect, echoed, refused, asAWS, none int
	var codes, unclear []string
	for _, o := range tried {
		switch {
		case o == base:
			none++
		case o.code != "" && a.told(op, path, "aws", o.code):
			asAWS++
		case o.code != "" && a.names(op, path, o):
			refused++
			if !slices.Contains(codes, o.code) {
				codes = append(codes, o.code)
			}
		case o.code != "" && (isToken(path) && !constraint(o) || a.told(op, path, "effect", o.code)):
			effect++
		case o.code != "":
			unclear = append(unclear, o.code+": "+o.message)
		case o.state == base.state && !isRead(a.desc.API.Name+"."+op) && !a.told(op, path, "answer", "asked for"):
			echoed++
		default:
			effect++
		}
	}
	switch {
	case effect > 0:
		return pages.ClassReal, "", ""
	case refused > 0 && none <= 1:
		return pages.ClassRefused, strings.Join(codes, " "), ""
	case asAWS > 0:
		return pages.ClassAsAWS, "", ""
	case echoed > 0:
		return "", "", "shows in the answer of a write and changes nothing: store it, refuse it by name, or say in testdata/members that it only asks for something"
	case none > 0 && a.documented(path):
		return pages.ClassNone, "", ""
	case none > 0:
		return "", "", "is accepted and makes no difference: honour it, refuse it by name, or name it in the notes under \"Kept without effect\""
	}
	return "", "", "no valid value is known: give one in testdata/members; tried: " + strings.Join(unclear, "; ")
}

// shortWord is the length of names, such as Code, that stand in messages about other things than the parameters below them.
const shortWord = 4

// names reports whether a refusal says that croft does not have the parameter, rather than that its value is wrong.
func (a *audit) names(op, path string, o outcome) bool {
	if a.told(op, path, "refused", o.code) {
		return true
	}
	if constraint(o) {
		return false
	}
	names := []string{a.wire[op+" "+path]}
	parts := strings.Split(path, ".")
	for i, part := range parts {
		if len(part) > shortWord || i == len(parts)-1 {
			names = append(names, part)
		}
	}
	message := plain(o.message)
	named := slices.ContainsFunc(names, func(name string) bool { return name != "" && strings.Contains(message, plain(name)) })
	return named && slices.ContainsFunc([]string{"croft", "unsupported", "notsupported", "notvalidforthis"}, func(words string) bool {
		return strings.Contains(message, words)
	})
}

// plain is a text's letters and digits, so that a header's name is found whether it has dashes or not.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}

// told reports whether a rule says what a refusal means.
func (a *audit) told(op, path, verb, code string) bool {
	return slices.ContainsFunc(a.rules, func(r *rule) bool { return r.verb == verb && r.text == code && r.fits(op, path) })
}

// constraint reports whether a refusal is about the form of a value, which says nothing of what the parameter does.
func constraint(o outcome) bool { return strings.Contains(o.message, "failed to satisfy constraint") }

// isToken reports whether a parameter has values that only the cloud itself gives out. That it refuses others shows that it looks at them.
func isToken(path string) bool {
	for _, name := range []string{"NextToken", "nextToken", "Marker", "ContinuationToken", "ExclusiveStartKey", "RevisionId"} {
		if strings.HasSuffix(path, name) {
			return true
		}
	}
	return false
}

// documented reports whether the notes name the parameter among what is kept without effect.
func (a *audit) documented(path string) bool {
	_, section, _ := strings.Cut(a.notes, "## Kept without effect")
	section, _, _ = strings.Cut(section, "\n## ")
	return strings.Contains(section, "`"+path+"`") || strings.Contains(section, "`"+path[strings.LastIndex(path, ".")+1:]+"`")
}

func (a *audit) used() map[string]bool {
	out := map[string]bool{}
	for _, r := range a.rules {
		out[r.line] = r.used
	}
	return out
}

func readNotes(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "services", "notes", name+".md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rule is a line of testdata/members/SERVICE.txt: "OPERATION MEMBER VERB REST", where * stands for every operation. The verbs:
//
//	value JSON     a value to try, instead of what the shape suggests; several lines give several
//	with JSON      members that the call has when this parameter is tried, null for one that it has not
//	effect CODE    a refusal with that code shows that the value is looked at
//	answer asked for
//	               a write's parameter that is about its answer alone
//	aws CODE       AWS itself refuses it here with that code
//	refused CODE   a refusal with that code is croft's own, though it does not say the parameter's name as the model has it
//	real REASON    has an effect that these tries cannot show; the reason names the test that does
type rule struct {
	line, op, member, verb, text string
	used                         bool
}

// fits reports whether r is about a parameter, and notes that it was of use.
func (r *rule) fits(op, member string) bool {
	if (r.op == op || r.op == "*") && r.member == member {
		r.used = true
		return true
	}
	return false
}

func readRules(t *testing.T, name string) (out []*rule) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "members", name+".txt"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(line, " ", 4)
		if len(f) != 4 {
			t.Fatalf("testdata/members/%s.txt: %q", name, line)
		}
		r := &rule{line: line, op: f[0], member: f[1], verb: f[2], text: f[3]}
		switch r.verb {
		case "value", "with":
			if !json.Valid([]byte(r.text)) {
				t.Fatalf("testdata/members/%s.txt: %q is no JSON", name, line)
			}
		case "answer", "effect", "aws", "refused", "real":
		default:
			t.Fatalf("testdata/members/%s.txt: %q", name, line)
		}
		out = append(out, r)
	}
	return out
}
