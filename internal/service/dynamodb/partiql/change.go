package partiql

import (
	"strings"

	"croft/internal/service/dynamodb/expression"
)

func (p *parser) inserts() (*Statement, error) {
	st := &Statement{Verb: Insert}
	if err := p.needWord("INTO"); err != nil {
		return nil, err
	}
	if err := p.source(st); err != nil {
		return nil, err
	}
	if p.keyword("VALUES") || p.symbol("<<") {
		return nil, invalid("Unsupported operation: Inserting multiple items in a single statement is not supported, " +
			"use \"INSERT INTO tableName VALUE item\" instead")
	}
	if err := p.needWord("VALUE"); err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != kindSymbol || t.text != "{" {
		return nil, invalid("Unsupported format in item expression. Please use struct format {...} to express item values for insert statement.")
	}
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	st.Item = v.M
	if p.keyword("RETURNING") {
		return nil, invalid("RETURNING is not supported in INSERT")
	}
	return st, nil
}

func (p *parser) updates() (*Statement, error) {
	st := &Statement{Verb: Update}
	if err := p.source(st); err != nil {
		return nil, err
	}
	var changes []expression.Assignment
	for {
		var err error
		switch {
		case p.keyword("SET"):
			changes, err = p.list(changes, p.assignment)
		case p.keyword("REMOVE"):
			changes, err = p.list(changes, p.removal)
		default:
			if len(changes) == 0 {
				return nil, p.unexpected("SET or REMOVE")
			}
			if st.Set, err = expression.TermUpdate(changes); err != nil {
				return nil, err
			}
			if err := p.where(st); err != nil {
				return nil, err
			}
			return st, p.returning(st)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) list(out []expression.Assignment, one func() (expression.Assignment, error)) ([]expression.Assignment, error) {
	for {
		a, err := one()
		if err != nil {
			return nil, err
		}
		out = append(out, a)
		if !p.symbol(",") {
			return out, nil
		}
	}
}

func (p *parser) removal() (expression.Assignment, error) {
	path, err := p.path()
	return expression.Assignment{Op: "REMOVE", Target: path}, err
}

func (p *parser) assignment() (expression.Assignment, error) {
	a := expression.Assignment{Op: "SET"}
	var err error
	if a.Target, err = p.path(); err != nil {
		return a, err
	}
	if err := p.need("="); err != nil {
		return a, err
	}
	if t := p.peek(); t.kind == kindWord && p.tokens[p.at+1].text == "(" {
		switch strings.ToLower(t.text) {
		case "set_add":
			return p.setChange(a, "ADD")
		case "set_delete":
			return p.setChange(a, "DELETE")
		}
	}
	a.Value, err = p.sum()
	return a, err
}

// setChange reads set_add or set_delete, whose first argument is the target.
func (p *parser) setChange(a expression.Assignment, op string) (expression.Assignment, error) {
	t := p.peek()
	p.at += 2
	first := p.peek()
	args, err := p.arguments(p.sum)
	if err != nil {
		return a, err
	}
	if len(args) != 2 {
		return a, invalid("SET_%s must have exactly two arguments at %s", op, p.place(t))
	}
	if _, same := args[0].IsPath(a.Target); !same {
		return a, invalid("The first argument to SET_%s must equal the assignment value at %s", op, p.place(t))
	}
	if v := args[1].Value(); v == nil || v.SS == nil && v.NS == nil && v.BS == nil {
		return a, invalid("The second argument to SET_%s must be a value with type SET at %s", op, p.place(first))
	}
	a.Op, a.Value = op, args[1]
	return a, nil
}

// arguments reads what stands in parentheses, of which the first has been passed.
func (p *parser) arguments(one func() (expression.Term, error)) ([]expression.Term, error) {
	var out []expression.Term
	if p.symbol(")") {
		return nil, nil
	}
	for {
		t, err := one()
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		if p.symbol(")") {
			return out, nil
		}
		if err := p.need(","); err != nil {
			return nil, err
		}
	}
}

// sum reads what SET assigns: an operand, or the sum or difference of two.
func (p *parser) sum() (expression.Term, error) {
	first, err := p.assigned()
	if err != nil {
		return first, err
	}
	for _, op := range []string{"+", "-"} {
		if p.symbol(op) {
			second, err := p.assigned()
			if err != nil {
				return second, err
			}
			return expression.Apply(op, first, second), nil
		}
	}
	return first, nil
}

func (p *parser) assigned() (expression.Term, error) {
	t := p.peek()
	if t.kind != kindWord || p.tokens[p.at+1].text != "(" {
		return p.operand()
	}
	name := strings.ToLower(t.text)
	if name != "list_append" && name != "if_not_exists" {
		return expression.Term{}, invalid("Unrecognized function: %s at %s", name, p.place(t))
	}
	up, err := p.deeper()
	if err != nil {
		return expression.Term{}, err
	}
	defer up()
	p.at += 2
	args, err := p.arguments(p.sum)
	if err != nil {
		return expression.Term{}, err
	}
	return expression.Call(name, args...), nil
}

func (p *parser) deletes() (*Statement, error) {
	st := &Statement{Verb: Delete}
	if err := p.needWord("FROM"); err != nil {
		return nil, err
	}
	if err := p.source(st); err != nil {
		return nil, err
	}
	if err := p.where(st); err != nil {
		return nil, err
	}
	return st, p.returning(st)
}

// returning reads RETURNING, which may not be there.
func (p *parser) returning(st *Statement) error {
	if !p.keyword("RETURNING") {
		return nil
	}
	what := ""
	switch {
	case p.keyword("ALL"):
		what = "ALL"
	case p.keyword("MODIFIED"):
		what = "MODIFIED"
	default:
		return p.unexpected("ALL or MODIFIED")
	}
	age := ""
	switch {
	case p.keyword("OLD"):
		age = "OLD"
	case p.keyword("NEW"):
		age = "NEW"
	default:
		return p.unexpected("OLD or NEW")
	}
	if !p.symbol("*") {
		return invalid("Expected '*' after ( MODIFIED | ALL ) ( NEW | OLD ) in RETURNING clause")
	}
	if st.Verb == Delete && (what != "ALL" || age != "OLD") {
		return invalid("Invalid returning clause: RETURNING %s %s *. Only RETURNING ALL OLD * is allowed in DELETE statements.", what, age)
	}
	st.Returning = "ALL_" + age
	if what == "MODIFIED" {
		st.Returning = "UPDATED_" + age
	}
	return nil
}
