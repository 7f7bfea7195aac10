package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Parse reads a policy. The error is an *Error.
func Parse(source string, scope Scope) (*Policy, error) {
	if len(source) > maxBytes {
		return nil, refuse("Filter policy is too large: the limit is %d bytes", maxBytes)
	}
	if err := CheckJSON(source); err != nil {
		return nil, err
	}
	p := &parser{lexer: lexer{src: source}, scope: scope}
	if p.next().kind != '{' {
		return nil, p.refuse("Filter is not an object")
	}
	alternatives, err := p.object("", 0)
	if err != nil {
		return nil, err
	}
	total := 0
	for _, a := range alternatives {
		if len(a) > maxKeys {
			return nil, refuse("Filter policy can not have more than 5 keys")
		}
		total += a.combinations()
	}
	if total > maxCombinations {
		return nil, tooComplex()
	}
	return &Policy{scope, alternatives}, nil
}

func tooComplex() error { return refuse("Filter policy is too complex") }

// combinations is the product of the numbers of values, each times the depth of its key. It stops counting beyond the limit.
func (a alternative) combinations() int {
	n := 1
	for _, l := range a {
		if n *= len(l.patterns) * l.depth; n > maxCombinations {
			return n
		}
	}
	return n
}

// CheckJSON says where a text is no JSON object, as the service's JSON library does in the cases that its messages are known for.
func CheckJSON(source string) error {
	var any json.RawMessage
	err := json.Unmarshal([]byte(source), &any)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset < 1 || int(syntax.Offset) > len(source) {
		return refuse("failed to parse JSON. %v", err)
	}
	at := int(syntax.Offset) - 1
	what := fmt.Sprintf("Unexpected character ('%c' (code %d)): was expecting a valid value", source[at], source[at])
	switch word, end := wordAt(source, at); {
	case strings.Contains(syntax.Error(), "beginning of object key"):
		what = fmt.Sprintf("Unexpected character ('%c' (code %d)): was expecting double-quote to start field name", source[at], source[at])
	case word != "":
		what = fmt.Sprintf("Unrecognized token '%s': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", word)
		at = end
	}
	read := source[:at]
	line := strings.Count(read, "\n") + 1
	column := at - strings.LastIndexByte(read, '\n')
	return refuse("failed to parse JSON. %s\n at [Source: REDACTED "+
		"(`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: %d, column: %d]", what, line, column)
}

// wordAt returns the letters around an offset, and where they end.
func wordAt(source string, at int) (word string, end int) {
	letter := func(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' }
	start := at
	end = at
	for start > 0 && letter(source[start-1]) {
		start--
	}
	for end < len(source) && letter(source[end]) {
		end++
	}
	return source[start:end], end
}

type parser struct {
	lexer
	scope Scope
}

// object reads what follows "{".
func (p *parser) object(prefix string, depth int) ([]alternative, error) {
	if depth >= maxDepth {
		return nil, tooComplex()
	}
	all, seen := []alternative{nil}, map[string]bool{}
	for {
		key := p.next()
		if key.kind != 'k' {
			return all, nil
		}
		if seen[key.text] {
			return nil, p.refuse("Path `%s` cannot be allowed multiple times", prefix+key.text)
		}
		seen[key.text] = true
		more, err := p.value(key.text, prefix, depth)
		if err != nil {
			return nil, err
		}
		if all, err = multiply(all, more); err != nil {
			return nil, err
		}
	}
}

// multiply combines the alternatives of two parts that must both be satisfied.
func multiply(a, b []alternative) ([]alternative, error) {
	if len(a)*len(b) > maxCombinations {
		return nil, tooComplex()
	}
	out := make([]alternative, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			// More keys than there may be at all need not be carried along.
			if len(x)+len(y) > maxKeys {
				return nil, refuse("Filter policy can not have more than 5 keys")
			}
			out = append(out, append(x[:len(x):len(x)], y...))
		}
	}
	return out, nil
}

func (p *parser) value(key, prefix string, depth int) ([]alternative, error) {
	switch p.next().kind {
	case '{':
		if p.scope != MessageBody {
			return nil, refuse("Filter policy scope MessageAttributes does not support nested filter policy")
		}
		return p.object(prefix+key+".", depth+1)
	case '[':
		if key == "$or" && p.isOr() {
			return p.or(prefix, depth)
		}
		patterns, err := p.patterns()
		if err != nil {
			return nil, err
		}
		return []alternative{{{prefix + key, depth + 1, patterns}}}, nil
	default:
		return nil, p.refuse("%q must be an object or an array", key)
	}
}

// isOr looks ahead: "$or" is an operator when it has at least two objects whose keys are not operators, and a key like any other otherwise.
func (p *parser) isOr() bool {
	ahead, depth, objects := *p, 0, 0
	for {
		t := ahead.next()
		switch t.kind {
		case '{', '[':
			if depth == 0 {
				if objects++; t.kind == '[' {
					return false
				}
			}
			depth++
		case '}', ']':
			if depth == 0 {
				return objects >= 2
			}
			depth--
		case 'k':
			if depth == 1 && isOperator(t.text) {
				return false
			}
		case 0:
			return false
		default:
			if depth == 0 {
				return false
			}
		}
	}
}

func isOperator(key string) bool {
	switch key {
	case "exists", "prefix", "suffix", "numeric", "anything-but", "equals-ignore-case", "wildcard", "cidr":
		return true
	}
	return false
}

// or reads what follows the "[" of an "$or" whose members are objects.
func (p *parser) or(prefix string, depth int) ([]alternative, error) {
	var out []alternative
	for p.next().kind == '{' {
		some, err := p.object(prefix, depth)
		if err != nil {
			return nil, err
		}
		if out = append(out, some...); len(out) > maxCombinations {
			return nil, tooComplex()
		}
	}
	return out, nil
}

// patterns reads what follows the "[" of a key's patterns.
func (p *parser) patterns() ([]pattern, error) {
	var out []pattern
	for {
		t := p.next()
		switch {
		case t.kind == ']' && len(out) == 0:
			return nil, p.refuse("Empty arrays are not allowed")
		case t.kind == ']':
			return out, nil
		case t.kind == '{':
			one, err := p.expression()
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		case t.scalar():
			v, err := p.scalarOf(t)
			if err != nil {
				return nil, err
			}
			out = append(out, pattern{op: opEqual, values: []value{v}})
		default:
			return nil, p.refuse("Match value must be String, number, true, false, or null")
		}
		if len(out) > maxCombinations {
			return nil, tooComplex()
		}
	}
}

func (p *parser) scalarOf(t token) (value, error) {
	p.read(t)
	v, ok := scalar(t)
	if !ok {
		return v, p.refuse("Value must be between -1.0E9 and 1.0E9, inclusive")
	}
	return v, nil
}

// expression reads what follows the "{" of a pattern.
func (p *parser) expression() (pattern, error) {
	key := p.next()
	if key.kind != 'k' {
		return pattern{}, p.refuse("Empty objects are not allowed")
	}
	out, err := p.operator(key.text)
	if err != nil {
		return pattern{}, err
	}
	if p.next().kind != '}' {
		return pattern{}, p.refuse("Only one key allowed in match expression")
	}
	return out, nil
}

func (p *parser) operator(name string) (pattern, error) {
	switch name {
	case "prefix", "suffix", "equals-ignore-case", "wildcard":
		return p.textual(name)
	case "cidr":
		return p.cidr()
	case "exists":
		switch p.next().kind {
		case 't':
			return pattern{op: opExists}, nil
		case 'f':
			return pattern{op: opAbsent}, nil
		}
		return pattern{}, p.refuse("exists match pattern must be either true or false.")
	case "numeric":
		return p.numeric()
	case "anything-but":
		return p.anythingBut()
	}
	p.next()
	return pattern{}, p.refuse("Unrecognized match type %s", name)
}

func (p *parser) textual(name string) (pattern, error) {
	t := p.next()
	if t.kind != 's' {
		return pattern{}, p.refuse("%s match pattern must be a string", name)
	}
	text := p.read(t)
	out := pattern{op: operation(name), values: []value{{kind: 's', text: text}}}
	if name == "wildcard" {
		parts, reason := wildcard(text)
		if reason != "" {
			return out, p.refuse("%s", reason)
		}
		out.wild = [][]string{parts}
	}
	return out, nil
}

func (p *parser) cidr() (pattern, error) {
	t := p.next()
	if t.kind != 's' {
		return pattern{}, p.refuse("prefix match pattern must be a string")
	}
	text := p.read(t)
	if strings.Count(text, "/") != 1 {
		return pattern{}, p.refuse("Malformed CIDR, one '/' required")
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		host, bits, _ := strings.Cut(text, "/")
		if _, err := netip.ParseAddr(host); err != nil {
			return pattern{}, p.refuse("Nonstandard IP address: %s", host)
		}
		if _, err := strconv.Atoi(bits); err != nil {
			return pattern{}, p.refuse("Malformed CIDR, mask bits must be an integer")
		}
		return pattern{}, p.refuse("Mask bits are out of range: %s", bits)
	}
	return pattern{op: opCIDR, network: network.Masked()}, nil
}
