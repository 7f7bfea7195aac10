package filter

import (
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

type op byte

const (
	opEqual op = iota
	opNotEqual
	opPrefix
	opSuffix
	opIgnoreCase
	opWildcard
	opNumeric
	opExists
	opAbsent
	opCIDR
)

// pattern is one thing that a value may satisfy. With not it holds for texts that satisfy none of the values.
type pattern struct {
	op        op
	not       bool
	values    []value
	wild      [][]string
	low, high bound
	network   netip.Prefix
}

// value is a scalar of JSON; kind is as in token.
type value struct {
	kind   byte
	text   string
	number float64
}

func itoa(n int) string { return strconv.Itoa(n) }

// precision is how many units a number's 1 has: five digits behind the point count.
const precision = 1e5

func scalar(t token) (value, bool) {
	v := value{kind: t.kind, text: t.text}
	if t.kind != 'n' {
		return v, true
	}
	n, err := strconv.ParseFloat(t.text, 64)
	v.number = math.Round(n * precision)
	return v, err == nil && n >= -maxNumber && n <= maxNumber
}

func number(text string) (value, bool) {
	n, err := strconv.ParseFloat(text, 64)
	return value{kind: 'n', text: text, number: math.Round(n * precision)}, err == nil
}

func (v value) equal(w value) bool {
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case 's':
		return v.text == w.text
	case 'n':
		return v.number == w.number
	}
	return true
}

func (b bound) admits(n float64, sign float64) bool {
	if !b.set {
		return true
	}
	d := (n - b.at) * sign
	return d > 0 || d == 0 && !b.open
}

// matches reports whether a value that is there satisfies the pattern.
func (p *pattern) matches(v value) bool {
	switch p.op {
	case opExists:
		return true
	case opAbsent:
		return false
	case opEqual:
		return p.values[0].equal(v)
	case opNotEqual:
		return (v.kind == 's' || v.kind == 'n') && !slices.ContainsFunc(p.values, v.equal)
	case opNumeric:
		return v.kind == 'n' && p.low.admits(v.number, 1) && p.high.admits(v.number, -1)
	case opCIDR:
		a, err := netip.ParseAddr(v.text)
		return v.kind == 's' && err == nil && p.network.Contains(a)
	}
	return v.kind == 's' && p.textMatches(v.text) != p.not
}

func (p *pattern) textMatches(text string) bool {
	for i, v := range p.values {
		found := false
		switch p.op {
		case opPrefix:
			found = strings.HasPrefix(text, v.text)
		case opSuffix:
			found = strings.HasSuffix(text, v.text)
		case opIgnoreCase:
			found = strings.EqualFold(text, v.text)
		case opWildcard:
			found = wildMatches(p.wild[i], text)
		}
		if found {
			return true
		}
	}
	return false
}

// wildMatches looks for the parts one after the other: the first at the beginning, the last at the end.
func wildMatches(parts []string, text string) bool {
	if len(parts) == 1 {
		return text == parts[0]
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, ok := strings.Cut(text, part)
		if !ok {
			return false
		}
		text = rest
	}
	return true
}

func (l *leaf) matches(v value) bool {
	return slices.ContainsFunc(l.patterns, func(p pattern) bool { return p.matches(v) })
}

func (l *leaf) matchesAbsent() bool {
	return slices.ContainsFunc(l.patterns, func(p pattern) bool { return p.op == opAbsent })
}

// Attribute is a message attribute: its type as the publisher wrote it, and its text. Attributes of binary types are left out by the caller.
type Attribute struct{ Type, Text string }

// MatchAttributes reports whether a message with these attributes satisfies a policy of scope MessageAttributes.
func (p *Policy) MatchAttributes(attributes map[string]Attribute) bool {
	read := map[string][]value{}
	return slices.ContainsFunc(p.alternatives, func(a alternative) bool {
		for i := range a {
			attribute, there := attributes[a[i].path]
			if !there {
				if !a[i].absentAttribute() {
					return false
				}
				continue
			}
			values, done := read[a[i].path]
			if !done {
				values = attribute.values()
				read[a[i].path] = values
			}
			if !slices.ContainsFunc(values, a[i].matches) {
				return false
			}
		}
		return true
	})
}

// absentAttribute reports whether the leaf accepts that there is no such attribute, which null stands for too.
func (l *leaf) absentAttribute() bool {
	return l.matchesAbsent() || slices.ContainsFunc(l.patterns, func(p pattern) bool { return p.op == opEqual && p.values[0].kind == '0' })
}

func (a Attribute) values() []value {
	kind, label, _ := strings.Cut(a.Type, ".")
	switch {
	case kind == "Number":
		if v, ok := number(a.Text); ok {
			return []value{v}
		}
		return nil
	case kind == "String" && label == "Array":
		var members []json.RawMessage
		if json.Unmarshal([]byte(a.Text), &members) != nil {
			return []value{{kind: 's', text: a.Text}}
		}
		var out []value
		for _, m := range members {
			l := lexer{src: string(m)}
			if v, ok := messageScalar(l.next()); ok {
				out = append(out, v)
			}
		}
		return out
	}
	return []value{{kind: 's', text: a.Text}}
}

// messageScalar is a scalar of a message, which may be a number of any size.
func messageScalar(t token) (value, bool) {
	if t.kind == 'n' {
		return number(t.text)
	}
	return value{kind: t.kind, text: t.text}, t.scalar()
}
