package filter

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Body is a message that was read once to be matched against many policies. A nil Body satisfies no policy.
type Body struct{ root any }

// ReadBody reads a message. What is not a JSON object gives nil: a policy of scope MessageBody lets no such message through.
func ReadBody(message string) *Body {
	d := json.NewDecoder(bytes.NewReader([]byte(message)))
	d.UseNumber()
	var root map[string]any
	if !json.Valid([]byte(message)) || d.Decode(&root) != nil || root == nil {
		return nil
	}
	return &Body{root}
}

// MatchBody reports whether a message satisfies a policy of scope MessageBody.
func (p *Policy) MatchBody(b *Body) bool {
	if b == nil {
		return false
	}
	look := &search{maxWork}
	for _, a := range p.alternatives {
		var rest []step
		for i := range a {
			if a[i].matchesAbsent() && !look.present(a[i].path, false, b.root) {
				continue
			}
			rest = append(rest, step{&a[i], a[i].path, false})
		}
		if look.satisfied(rest, b.root) {
			return true
		}
	}
	return false
}

// maxWork bounds the look at one message. Where keys have dots in them, a path can lead through a message in very many ways; a message in which
// so many lead nowhere does not satisfy the policy.
const maxWork = 16 << 20

// search is one look at a message, with the work that it may still do.
type search struct{ left int }

// spend reports whether there is work left, and takes some.
func (l *search) spend(work int) bool {
	l.left -= work
	return l.left > 0
}

// step is a leaf on its way through a message: the part of its path that is still to go, and whether it has arrived.
type step struct {
	leaf *leaf
	rest string
	here bool
}

// satisfied reports whether all steps are satisfied below v. Where v is an array one member must satisfy them together, so that a message's
// records are not mixed up.
func (l *search) satisfied(steps []step, v any) bool {
	if len(steps) == 0 {
		return true
	}
	if !l.spend(1) {
		return false
	}
	switch v := v.(type) {
	case []any:
		for _, member := range v {
			if l.satisfied(steps, member) {
				return true
			}
		}
		return false
	case map[string]any:
		return l.choose(steps, v, nil)
	}
	for _, s := range steps {
		if !s.here || !s.leaf.matches(scalarValue(v)) {
			return false
		}
	}
	return true
}

// through is a key of an object with the steps that lead through it.
type through struct {
	key   string
	steps []step
}

// choose decides through which key each step goes on. Mostly there is one; a path "a.b" may also go through a key that has the dot in it.
func (l *search) choose(steps []step, object map[string]any, chosen []through) bool {
	if len(steps) == 0 {
		for _, t := range chosen {
			if !l.satisfied(t.steps, object[t.key]) {
				return false
			}
		}
		return true
	}
	s := steps[0]
	if s.here {
		return false
	}
	for _, key := range l.keysOn(s.rest, object) {
		next := step{s.leaf, strings.TrimPrefix(s.rest[len(key):], "."), len(key) == len(s.rest)}
		if l.choose(steps[1:], object, with(chosen, key, next)) {
			return true
		}
	}
	return false
}

func with(chosen []through, key string, s step) []through {
	out := make([]through, 0, len(chosen)+1)
	found := false
	for _, t := range chosen {
		if t.key == key {
			found = true
			t.steps = append(t.steps[:len(t.steps):len(t.steps)], s)
		}
		out = append(out, t)
	}
	if !found {
		out = append(out, through{key, []step{s}})
	}
	return out
}

// keysOn returns the keys of object with which a path may begin.
func (l *search) keysOn(path string, object map[string]any) []string {
	if !l.spend(1 + len(path)/16) {
		return nil
	}
	var out []string
	for i := 0; i <= len(path); i++ {
		if i == len(path) || path[i] == '.' {
			if _, ok := object[path[:i]]; ok {
				out = append(out, path[:i])
			}
		}
	}
	return out
}

// present reports whether there is a scalar at a path, in any member of the arrays on the way; here says that the path ends at v.
func (l *search) present(path string, here bool, v any) bool {
	switch v := v.(type) {
	case []any:
		for _, member := range v {
			if l.present(path, here, member) {
				return true
			}
		}
		return false
	case map[string]any:
		if here {
			return false
		}
		for _, key := range l.keysOn(path, v) {
			if l.present(strings.TrimPrefix(path[len(key):], "."), len(key) == len(path), v[key]) {
				return true
			}
		}
		return false
	}
	return here
}

func scalarValue(v any) value {
	switch v := v.(type) {
	case string:
		return value{kind: 's', text: v}
	case json.Number:
		n, _ := number(v.String())
		return n
	case bool:
		if v {
			return value{kind: 't'}
		}
		return value{kind: 'f'}
	}
	return value{kind: '0'}
}
