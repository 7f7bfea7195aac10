package partiql

import (
	"strings"

	api "croft/internal/awsapi/dynamodb"
)

// value reads a literal, or the next parameter.
func (p *parser) value() (*api.AttributeValue, error) {
	up, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer up()
	t := p.peek()
	switch {
	case t.kind == kindText:
		p.at++
		return &api.AttributeValue{S: &t.text}, nil
	case t.kind == kindNumber:
		p.at++
		return &api.AttributeValue{N: &t.text}, nil
	case p.symbol("-"), p.symbol("+"):
		return p.signed(t.text)
	case p.symbol("?"):
		if p.used >= len(p.params) {
			return nil, errParameters()
		}
		p.used++
		return &p.params[p.used-1], nil
	case p.symbol("{"):
		return p.structure()
	case p.symbol("["):
		list, err := p.values("]")
		return &api.AttributeValue{L: list}, err
	case p.symbol("<<"):
		return p.bag()
	case t.kind == kindWord:
		return p.constant(t)
	}
	return nil, p.unexpected("a value")
}

func (p *parser) signed(sign string) (*api.AttributeValue, error) {
	t := p.peek()
	if t.kind != kindNumber {
		return nil, p.unexpected("a number")
	}
	p.at++
	text := strings.TrimPrefix(sign, "+") + t.text
	return &api.AttributeValue{N: &text}, nil
}

// isConstant reports whether word stands for a value.
func isConstant(word string) bool {
	switch strings.ToLower(word) {
	case "true", "false", "null", "missing":
		return true
	}
	return false
}

func (p *parser) constant(t token) (*api.AttributeValue, error) {
	p.at++
	yes := true
	switch strings.ToLower(t.text) {
	case "true":
		return &api.AttributeValue{BOOL: &yes}, nil
	case "false":
		no := false
		return &api.AttributeValue{BOOL: &no}, nil
	case "null":
		return &api.AttributeValue{NULL: &yes}, nil
	case "missing":
		return nil, invalid("MISSING must be compared using IS operator")
	}
	if p.peek().text == "(" {
		return nil, invalid("Unsupported data type: %s under key root at %s", t.text, p.place(t))
	}
	p.at--
	return nil, p.unexpected("a value")
}

func (p *parser) structure() (*api.AttributeValue, error) {
	out := map[string]api.AttributeValue{}
	if p.symbol("}") {
		return &api.AttributeValue{M: out}, nil
	}
	for {
		t := p.peek()
		if t.kind != kindText && t.kind != kindQuoted {
			return nil, p.unexpected("a name in quotes")
		}
		p.at++
		if err := p.need(":"); err != nil {
			return nil, err
		}
		if _, twice := out[t.text]; twice {
			return nil, invalid("Duplicate keys in tuple. Key: %s under root", t.text)
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		out[t.text] = *v
		if p.symbol("}") {
			return &api.AttributeValue{M: out}, nil
		}
		if err := p.need(","); err != nil {
			return nil, err
		}
	}
}

// values reads values up to end. What it returns is never nil.
func (p *parser) values(end string) ([]api.AttributeValue, error) {
	out := []api.AttributeValue{}
	if p.symbol(end) {
		return out, nil
	}
	for {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		out = append(out, *v)
		if p.symbol(end) {
			return out, nil
		}
		if err := p.need(","); err != nil {
			return nil, err
		}
	}
}

// bag reads a set.
func (p *parser) bag() (*api.AttributeValue, error) {
	list, err := p.values(">>")
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, invalid("Empty bags are not supported")
	}
	out := new(api.AttributeValue)
	for _, v := range list {
		switch {
		case v.S != nil:
			out.SS = append(out.SS, *v.S)
		case v.N != nil:
			out.NS = append(out.NS, *v.N)
		case v.B != nil:
			out.BS = append(out.BS, v.B)
		}
	}
	if len(out.SS) != len(list) && len(out.NS) != len(list) && len(out.BS) != len(list) {
		return nil, invalid("Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags")
	}
	return out, nil
}
