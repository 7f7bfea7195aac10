package operations

import (
	"strings"
	"testing"

	"croft/tools/apigen/pages"
)

// reads are how the names of operations that change nothing begin.
func reads() []string {
	return []string{"Get", "List", "Describe", "Head", "Validate", "Filter", "Scan", "Query", "BatchGet", "TransactGet", "Select", "StartLiveTail"}
}

// harmless are operations that change nothing although their names do not say so.
func harmless() map[string]string {
	return map[string]string{
		"sts.AssumeRole": "credentials are derived from the cloud's key, so that nothing needs to be stored",
	}
}

// stateless are reads whose answers do not come from what was written: two different inputs or callers must get two answers.
func stateless() map[string]string {
	return map[string]string{
		"sts.GetCallerIdentity":           "says who asks",
		"cloudformation.ValidateTemplate": "looks at the template that it is given",
	}
}

func isRead(target string) bool {
	_, op, _ := strings.Cut(target, ".")
	for _, prefix := range reads() {
		if strings.HasPrefix(op, prefix) {
			return true
		}
	}
	return harmless()[target] != ""
}

// TestStories plays the stories and then asks of every operation that croft lists what they have shown of it.
func TestStories(t *testing.T) {
	shown := map[string][]*made{}
	all := stories(t)
	for _, d := range declared() {
		t.Run(d.API.Name, func(t *testing.T) {
			w := newWorld(t)
			for _, s := range all[d.API.Name] {
				m := w.take(t, s)
				if m == nil {
					continue
				}
				if err := m.problem(); err != "" {
					t.Errorf("line %d: %s %s: %s", s.line, m.target, m.given, err)
				}
				shown[m.target] = append(shown[m.target], m)
			}
		})
	}
	if t.Failed() {
		return
	}
	for _, d := range declared() {
		for _, op := range d.API.Operations {
			target := d.API.Name + "." + op.Name
			if !pages.Own(d.Impl, op.Name) {
				t.Errorf("%s: the service has no method for it", target)
			}
			if missing := evidence(target, shown[target]); missing != "" {
				t.Errorf("%s: %s (test/operations/testdata/stories/%s.txt)", target, missing, d.API.Name)
			}
		}
	}
}

// problem says what is wrong with one call, or nothing.
func (m *made) problem() string {
	switch changed := m.before != m.after; {
	case m.code == "NotImplemented":
		return "is listed, and answers that it is not there"
	case m.code != "" && changed:
		return "was refused, and changed something"
	case m.code == "" && isRead(m.target) && changed:
		return "is a read, and changed something"
	}
	return ""
}

// evidence says what the calls of one operation fail to show: of a write, that it changes something; of a read, that its answer
// to one input depends on what was written between.
func evidence(target string, calls []*made) string {
	succeeded, changed, answers, straddles := false, false, map[string]bool{}, false
	for i, m := range calls {
		succeeded = succeeded || m.code == ""
		changed = changed || m.code == "" && m.before != m.after
		answers[m.answer] = true
		for _, earlier := range calls[:i] {
			straddles = straddles || earlier.given == m.given && earlier.after != m.before && earlier.answer != m.answer
		}
	}
	switch {
	case len(calls) == 0:
		return "no story has a call of it"
	case !succeeded:
		return "every call of it is refused"
	case !isRead(target):
		if !changed {
			return "it is no read, and changes nothing"
		}
	case stateless()[target] != "":
		if len(answers) < 2 {
			return "it gives one answer to all inputs and callers"
		}
	case !straddles:
		return "no story asks the same before and after a change that shows in the answer"
	}
	return ""
}

func TestEvidence(t *testing.T) {
	call := func(target, given, answer, code, before, after string) *made {
		return &made{step: step{target: target}, given: given, answer: answer, code: code, before: before, after: after}
	}
	for _, c := range []struct {
		name, target string
		calls        []*made
		ok           bool
	}{
		{"no call", "a.Put", nil, false},
		{"refused", "a.Put", []*made{call("a.Put", "{}", "", "No", "1", "1")}, false},
		{"a write that changes nothing", "a.Put", []*made{call("a.Put", "{}", "", "", "1", "1")}, false},
		{"a write", "a.Put", []*made{call("a.Put", "{}", "", "", "1", "2")}, true},
		{"a read that was asked once", "a.Get", []*made{call("a.Get", "{}", "x", "", "1", "1")}, false},
		{"a read that always says the same", "a.Get", []*made{call("a.Get", "{}", "x", "", "1", "1"), call("a.Get", "{}", "x", "", "2", "2")}, false},
		{"a read of two inputs", "a.Get", []*made{call("a.Get", "{}", "x", "", "1", "1"), call("a.Get", "{ }", "y", "", "2", "2")}, false},
		{"a read without a change between", "a.Get", []*made{call("a.Get", "{}", "x", "", "1", "1"), call("a.Get", "{}", "y", "", "1", "1")}, false},
		{"a read", "a.Get", []*made{call("a.Get", "{}", "x", "", "1", "1"), call("a.Get", "{}", "y", "", "2", "2")}, true},
	} {
		if got := evidence(c.target, c.calls); (got == "") != c.ok {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	for _, c := range []struct {
		m  *made
		ok bool
	}{
		{call("a.Get", "", "", "", "1", "2"), false}, {call("a.Put", "", "", "No", "1", "2"), false},
		{call("a.Put", "", "", "NotImplemented", "1", "1"), false}, {call("a.Put", "", "", "", "1", "2"), true}, {call("a.Get", "", "", "", "1", "1"), true},
	} {
		if got := c.m.problem(); (got == "") != c.ok {
			t.Errorf("%+v: %q", c.m, got)
		}
	}
}
