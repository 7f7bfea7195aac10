package filter

import "strings"

// bound is one side of a numeric range.
type bound struct {
	set, open bool
	at        float64
}

func (p *parser) number(t token, operator string) (float64, error) {
	if t.kind != 'n' {
		return 0, p.refuse("Value of %s must be numeric", operator)
	}
	v, err := p.scalarOf(t)
	return v.number, err
}

// numeric reads the array of a numeric pattern.
func (p *parser) numeric() (pattern, error) {
	out := pattern{op: opNumeric}
	if p.next().kind != '[' {
		return out, p.refuse("Value of numeric must be an array.")
	}
	first := p.next()
	if first.kind != 's' {
		return out, p.refuse("Invalid member in numeric match: %s", first.text)
	}
	operator, operand := p.read(first), p.next()
	word := operator
	switch operator {
	case "=":
		word = "equals"
	case "<", "<=", ">", ">=":
	default:
		return out, p.refuse("Unrecognized numeric range operator: %s", operator)
	}
	n, err := p.number(operand, word)
	if err != nil {
		return out, err
	}
	switch operator {
	case "=":
		out.low, out.high = bound{set: true, at: n}, bound{set: true, at: n}
	case "<", "<=":
		out.high = bound{true, operator == "<", n}
	default:
		out.low = bound{true, operator == ">", n}
	}
	t := p.next()
	if t.kind == ']' {
		return out, nil
	}
	if out.high.set {
		return out, p.refuse("Too many elements in numeric expression")
	}
	return p.top(out, t)
}

// top reads the rest of a range that has its lower bound.
func (p *parser) top(out pattern, t token) (pattern, error) {
	if t.kind != 's' {
		return out, p.refuse("Bad value in numeric range: %s", t.text)
	}
	operator := p.read(t)
	if operator != "<" && operator != "<=" {
		return out, p.refuse("Bad numeric range operator: %s", operator)
	}
	n, err := p.number(p.next(), operator)
	if err != nil {
		return out, err
	}
	out.high = bound{true, operator == "<", n}
	if p.next().kind != ']' {
		return out, p.refuse("Too many terms in numeric range expression")
	}
	if out.low.at >= n {
		return out, p.refuse("Bottom must be less than top")
	}
	return out, nil
}

// anythingBut reads the value of an anything-but: a text, a number, a list of either, or one of the operators on texts.
func (p *parser) anythingBut() (pattern, error) {
	out := pattern{op: opNotEqual}
	switch t := p.next(); t.kind {
	case 's', 'n':
		v, err := p.scalarOf(t)
		out.values = []value{v}
		return out, err
	case '[':
		values, err := p.list("Inside anything but list, start|null|boolean is not supported.")
		out.values = values
		return out, err
	case '{':
		return p.anythingButText()
	}
	return out, p.refuse("Value of anything-but must be an array or single string/number value.")
}

func (p *parser) anythingButText() (pattern, error) {
	key := p.next()
	if key.kind != 'k' {
		return pattern{}, p.refuse("Empty objects are not allowed")
	}
	name := key.text
	out := pattern{op: operation(name)}
	switch out.op {
	case opPrefix, opSuffix, opIgnoreCase, opWildcard:
	default:
		return out, p.refuse("Unsupported anything-but pattern: %s", name)
	}
	out.not = true
	switch t := p.next(); t.kind {
	case 's':
		p.read(t)
		out.values = []value{{kind: 's', text: t.text}}
	case '[':
		var err error
		if out.values, err = p.list("Inside " + name + " list, number|start|null|boolean is not supported."); err != nil {
			return out, err
		}
	default:
		return out, p.refuse("%s match pattern must be a string", name)
	}
	for _, v := range out.values {
		if v.kind != 's' {
			return out, p.refuse("%s match pattern must be a string", name)
		}
		if out.op == opWildcard {
			parts, reason := wildcard(v.text)
			if reason != "" {
				return out, p.refuse("%s", reason)
			}
			out.wild = append(out.wild, parts)
		}
	}
	if p.next().kind != '}' {
		return out, p.refuse("Only one key allowed in match expression")
	}
	return out, nil
}

// list reads what follows "[": texts or numbers, not both.
func (p *parser) list(otherwise string) ([]value, error) {
	var out []value
	for {
		t := p.next()
		switch {
		case t.kind == ']' && len(out) == 0:
			return nil, p.refuse("Empty arrays are not allowed")
		case t.kind == ']':
			return out, nil
		case t.kind != 's' && t.kind != 'n':
			return nil, p.refuse("%s", otherwise)
		case len(out) > 0 && out[0].kind != t.kind:
			return nil, p.refuse("Inside anything but list, either all values are number or string, mixed type is not supported")
		}
		v, err := p.scalarOf(t)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
}

func operation(name string) op {
	switch name {
	case "prefix":
		return opPrefix
	case "suffix":
		return opSuffix
	case "equals-ignore-case":
		return opIgnoreCase
	case "wildcard":
		return opWildcard
	}
	return opEqual
}

// wildcard splits a pattern at its asterisks; "\*" and "\\" stand for the characters themselves. The reason says what is wrong with it.
func wildcard(text string) (parts []string, reason string) {
	var part strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			if i++; i == len(text) || text[i] != '*' && text[i] != '\\' {
				return nil, "Invalid escape character at pos " + itoa(i-1)
			}
			part.WriteByte(text[i])
		case text[i] == '*' && i > 0 && text[i-1] == '*' && part.Len() == 0 && len(parts) > 0:
			return nil, "Consecutive wildcard characters at pos " + itoa(i-1)
		case text[i] == '*':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(text[i])
		}
	}
	return append(parts, part.String()), ""
}
