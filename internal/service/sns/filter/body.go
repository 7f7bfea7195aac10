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
	for _, a := range p.alternatives {
		var rest []step
		for i := range a {
			if a[i].matchesAbsent() && !present(a[i].path, b.root) {
				continue
			}
			rest = append(rest, step{&a[i], a[i].path, false})
		}
		if satisfied(rest, b.root) {
			return true
		}
	}
	return false
}

// step is a leaf on its way through a message: the part of its path that is still to go, and whether it has arrived.
type step struct {
	leaf *leaf
	rest string
	here bool
}

// satisfied reports whether all steps are satisfied below v. Where v is an array one member must satisfy them together, so that a message's
// records are not mixed up.
func satisfied(steps []step, v any) bool {
	if len(steps) == 0 {
		return true
	}
	switch v := v.(type) {
	case []any:
		for _, member := range v {
			if satisfied(steps, member) {
				return true
			}
		}
		return false
	case map[string]any:
		return choose(steps, v, nil)
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
func choose(steps []step, object map[string]any, chosen []through) bool {
	if len(steps) == 0 {
		for _, t := range chosen {
			if !satisfied(t.steps, object[t.key]) {
				return false
			}
		}
		return true
	}
	s := steps[0]
	if s.here {
		return false
	}
	for _, key := range keysOn(s.rest, object) {
		next := step{s.leaf, strings.TrimPrefix(s.rest[len(key):], "."), len(key) == len(s.rest)}
		if choose(steps[1:], object, with(chosen, key, next)) {
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
func keysOn(path string, object map[string]any) []string {
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

// present reports whether there is a scalar at a path, in any member of the arrays on the way.
func present(path string, v any) bool { return presentAt(path, false, v) }

func presentAt(path string, here bool, v any) bool {
	switch v := v.(type) {
	case []any:
		for _, member := range v {
			if presentAt(path, here, member) {
				return true
			}
		}
		return false
	case map[string]any:
		if here {
			return false
		}
		for _, key := range keysOn(path, v) {
			if presentAt(strings.TrimPrefix(path[len(key):], "."), len(key) == len(path), v[key]) {
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
