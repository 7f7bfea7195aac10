package expression

import (
	"strconv"
	"strings"
)

// parser reads one expression. Its depth is bounded by the size of expressions.
type parser struct {
	text   string
	tokens []token
	at     int
}

// newParser checks what can be said of an expression before it is read.
func newParser(text string) (*parser, error) {
	switch {
	case text == "":
		return nil, invalid("The expression can not be empty;")
	case len(text) > maxBytes:
		return nil, invalid("Expression size has exceeded the maximum allowed size; expression size: %d", len(text))
	}
	return &parser{text: text, tokens: lex(text)}, nil
}

func (p *parser) peek() token { return p.tokens[p.at] }

// take returns the next token and passes it; the end is never passed.
func (p *parser) take() token {
	t := p.tokens[p.at]
	if t.kind != kindEnd {
		p.at++
	}
	return t
}

// symbol passes the next token if it is the one given.
func (p *parser) symbol(s string) bool {
	if t := p.peek(); t.kind == kindSymbol && t.text == s {
		p.at++
		return true
	}
	return false
}

func (p *parser) keyword(word string) bool {
	if t := p.peek(); t.kind == kindWord && strings.EqualFold(t.text, word) {
		p.at++
		return true
	}
	return false
}

func (p *parser) need(symbol string) error {
	if !p.symbol(symbol) {
		return p.syntax()
	}
	return nil
}

// end fails unless everything has been read.
func (p *parser) end() error {
	if p.peek().kind != kindEnd {
		return p.syntax()
	}
	return nil
}

// syntax returns the error that names the next token, with the text from the one before it to the one after it.
func (p *parser) syntax() error {
	t := p.peek()
	start, end := t.start, t.end
	if p.at > 0 {
		start = p.tokens[p.at-1].start
	}
	if t.kind == kindEnd {
		end = p.tokens[max(p.at-1, 0)].end
	} else if after := p.tokens[p.at+1]; after.kind != kindEnd {
		end = after.end
	}
	return invalid("Syntax error; token: \"%s\", near: \"%s\"", t.text, p.text[start:end])
}

// path reads a document path. words are those that cannot be names.
func (p *parser) path(words func(string) bool) (*node, error) {
	first := p.peek()
	if first.kind != kindName && (first.kind != kindWord || words(first.text)) {
		return nil, p.syntax()
	}
	p.at++
	return p.elements(&node{op: opPath, raw: []rawElement{{token: first}}}, words)
}

// elements reads what a path goes on with and appends it to n.
func (p *parser) elements(n *node, words func(string) bool) (*node, error) {
	for {
		switch {
		case p.symbol("."):
			t := p.peek()
			if t.kind != kindName && (t.kind != kindWord || words(t.text)) {
				return nil, p.syntax()
			}
			p.at++
			n.raw = append(n.raw, rawElement{token: t})
		case p.symbol("["):
			t := p.peek()
			if t.kind != kindNumber {
				return nil, p.syntax()
			}
			p.at++
			i, err := strconv.Atoi(t.text)
			if err != nil {
				return nil, invalid("List index is not within the allowable range; index: [%s]", t.text)
			}
			if err := p.need("]"); err != nil {
				return nil, err
			}
			n.raw = append(n.raw, rawElement{token: t, index: i})
		default:
			return n, nil
		}
	}
}

// operand reads a function, a value or a path, in parentheses or not.
func (p *parser) operand(words func(string) bool) (*node, error) {
	if p.symbol("(") {
		n, err := p.operand(words)
		if err != nil {
			return nil, err
		}
		n.parens++
		if err := p.need(")"); err != nil || n.op != opPath {
			return n, err
		}
		return p.elements(n, words)
	}
	t := p.peek()
	if t.kind == kindValue {
		p.at++
		return &node{op: opValue, name: t.text}, nil
	}
	if t.kind == kindWord && !words(t.text) {
		if after := p.tokens[p.at+1]; after.kind == kindSymbol && after.text == "(" {
			p.at += 2
			args, err := p.operands(words)
			return &node{op: t.text, function: true, args: args}, err
		}
	}
	return p.path(words)
}

// operands reads a list of operands and the parenthesis that closes it.
func (p *parser) operands(words func(string) bool) ([]*node, error) {
	var out []*node
	for {
		n, err := p.operand(words)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
		if p.symbol(",") {
			continue
		}
		return out, p.need(")")
	}
}

// conditionWord reports words of the language of conditions.
func conditionWord(s string) bool {
	switch strings.ToUpper(s) {
	case opAnd, opOr, opNot, opBetween, opIn:
		return true
	}
	return false
}

// condition reads a whole condition.
func (p *parser) condition() (*node, error) {
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if n.operand() {
		return nil, p.syntax()
	}
	return n, p.end()
}

func (p *parser) or() (*node, error) { return p.chain(opOr, p.and) }

func (p *parser) and() (*node, error) { return p.chain(opAnd, p.not) }

// chain reads what part reads, joined by word.
func (p *parser) chain(word string, part func() (*node, error)) (*node, error) {
	first, err := part()
	if err != nil {
		return nil, err
	}
	joined := &node{op: word, args: []*node{first}}
	for {
		if t := p.peek(); t.kind != kindWord || !strings.EqualFold(t.text, word) {
			break
		}
		if first.operand() {
			return nil, p.syntax()
		}
		p.at++
		n, err := part()
		if err != nil {
			return nil, err
		}
		if n.operand() {
			return nil, p.syntax()
		}
		joined.args = append(joined.args, n)
	}
	if len(joined.args) == 1 {
		return first, nil
	}
	return joined, nil
}

func (p *parser) not() (*node, error) {
	if !p.keyword(opNot) {
		return p.primary()
	}
	n, err := p.not()
	if err != nil {
		return nil, err
	}
	if n.operand() {
		return nil, p.syntax()
	}
	return &node{op: opNot, args: []*node{n}}, nil
}

// primary reads a comparison, a function, or either or a longer condition in parentheses. Only what follows tells whether
// parentheses hold an operand or a condition.
func (p *parser) primary() (*node, error) {
	var first *node
	var err error
	if p.symbol("(") {
		if first, err = p.or(); err == nil {
			first.parens++
			err = p.need(")")
		}
		if err == nil && first.op == opPath {
			first, err = p.elements(first, conditionWord)
		}
	} else {
		first, err = p.operand(conditionWord)
	}
	if err != nil || !first.operand() && !first.function {
		return first, err
	}
	return p.comparison(first)
}

// comparison reads what may follow a first operand.
func (p *parser) comparison(first *node) (*node, error) {
	t := p.peek()
	if t.kind == kindSymbol {
		switch t.text {
		case "=", "<>", "<", "<=", ">", ">=":
			p.at++
			second, err := p.operand(conditionWord)
			return &node{op: t.text, args: []*node{first, second}}, err
		}
	}
	switch {
	case p.keyword(opBetween):
		low, err := p.operand(conditionWord)
		if err != nil {
			return nil, err
		}
		if !p.keyword(opAnd) {
			return nil, p.syntax()
		}
		high, err := p.operand(conditionWord)
		return &node{op: opBetween, args: []*node{first, low, high}}, err
	case p.keyword(opIn):
		if err := p.need("("); err != nil {
			return nil, err
		}
		list, err := p.operands(conditionWord)
		return &node{op: opIn, args: append([]*node{first}, list...)}, err
	}
	return first, nil
}
