package expression

import (
	"bytes"
	"strconv"
	"strings"

	api "croft/internal/awsapi/dynamodb"
)

// Condition is a condition or filter expression.
type Condition struct{ root *node }

// Condition parses text, the value of the parameter named: "ConditionExpression", "FilterExpression".
func (s *Set) Condition(parameter, text string) (*Condition, error) {
	c, err := s.condition(text)
	if err != nil {
		return nil, prefixed(parameter, err)
	}
	return c, nil
}

func (s *Set) condition(text string) (*Condition, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	root, err := p.condition()
	if err != nil {
		return nil, err
	}
	for _, check := range []func() error{
		func() error { return checkParens(root) },
		func() error { return checkOperators(root) },
		func() error { return checkFunctions(root, conditionFunctions) },
		func() error { return checkUse(root) },
		func() error { return checkReserved(root) },
		func() error { return s.leaves(root) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return &Condition{root}, nil
}

// leaves resolves and checks the single conditions one after the other.
func (s *Set) leaves(n *node) error {
	switch n.op {
	case opAnd, opOr, opNot:
		for _, a := range n.args {
			if err := s.leaves(a); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.resolve(n); err != nil {
		return err
	}
	return checkOperands(n, conditionFunctions)
}

// resolve resolves operands in the order in which they are written.
func (s *Set) resolve(n *node) error {
	for _, a := range n.args {
		if err := s.resolve(a); err != nil {
			return err
		}
	}
	switch n.op {
	case opPath:
		return s.resolveNames(n)
	case opValue:
		return s.resolveValues(n)
	}
	return nil
}

// Heads calls f for the first name of each path, and whether the path goes on.
func (c *Condition) Heads(f func(name string, nested bool)) { heads(f, c.root) }

func heads(f func(name string, nested bool), roots ...*node) {
	for _, root := range roots {
		_ = root.walk(func(n *node) error {
			if n.op == opPath {
				f(n.path[0].name, len(n.path) > 1)
			}
			return nil
		})
	}
}

// Match reports whether item meets the condition. An item that is not there is nil. A nil condition is always met.
func (c *Condition) Match(item map[string]api.AttributeValue) bool {
	return c == nil || match(c.root, item)
}

func match(n *node, item map[string]api.AttributeValue) bool {
	switch n.op {
	case opAnd, opOr:
		for _, a := range n.args {
			if match(a, item) == (n.op == opOr) {
				return n.op == opOr
			}
		}
		return n.op == opAnd
	case opNot:
		return !match(n.args[0], item)
	}
	first := operand(n.args[0], item)
	switch n.op {
	case "attribute_exists":
		return first != nil
	case "attribute_not_exists":
		return first == nil
	case opIn:
		for _, a := range n.args[1:] {
			if v := operand(a, item); first != nil && v != nil && equal(first, v) {
				return true
			}
		}
		return false
	case opBetween:
		return ordered(">=", first, operand(n.args[1], item)) && ordered("<=", first, operand(n.args[2], item))
	}
	second := operand(n.args[1], item)
	switch n.op {
	case "=":
		return first != nil && second != nil && equal(first, second)
	case "<>":
		return first == nil || second == nil || !equal(first, second)
	}
	if first == nil || second == nil {
		return false
	}
	switch n.op {
	case "attribute_type":
		return typeOf(first) == *second.S
	case "contains":
		return contains(first, second)
	case "begins_with":
		return beginsWith(first, second)
	}
	return ordered(n.op, first, second)
}

func beginsWith(v, start *api.AttributeValue) bool {
	switch {
	case v.S != nil && start.S != nil:
		return strings.HasPrefix(*v.S, *start.S)
	case v.B != nil && start.B != nil:
		return bytes.HasPrefix(v.B, start.B)
	}
	return false
}

func ordered(op string, a, b *api.AttributeValue) bool {
	if a == nil || b == nil {
		return false
	}
	order, ok := compare(a, b)
	if !ok {
		return false
	}
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default:
		return order >= 0
	}
}

// operand returns what an operand of a condition stands for, nil for what is not there.
func operand(n *node, item map[string]api.AttributeValue) *api.AttributeValue {
	switch n.op {
	case opValue:
		return n.value
	case opPath:
		return find(item, n.path)
	}
	v := operand(n.args[0], item)
	if v == nil {
		return nil
	}
	length, ok := size(v)
	if !ok {
		return nil
	}
	text := strconv.Itoa(length)
	return &api.AttributeValue{N: &text}
}
