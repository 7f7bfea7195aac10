package expression

import (
	"strings"

	api "croft/internal/awsapi/dynamodb"
)

// Sections of an update expression.
const (
	actionSet    = "SET"
	actionRemove = "REMOVE"
	actionAdd    = "ADD"
	actionDelete = "DELETE"
)

// action is one change; value is nil for REMOVE.
type action struct {
	op     string
	target *node
	value  *node
	// legacy is whether the action comes from AttributeUpdates, whose words for a value of the wrong type are other ones.
	legacy bool
}

// Update is an update expression.
type Update struct {
	actions []action
	touched *Projection
}

// Update parses an UpdateExpression.
func (s *Set) Update(text string) (*Update, error) {
	u, err := s.update(text)
	if err != nil {
		return nil, prefixed("UpdateExpression", err)
	}
	return u, nil
}

// Heads calls f for the first name of each path that u changes, and whether the path goes on.
func (u *Update) Heads(f func(name string, nested bool)) {
	for _, a := range u.actions {
		f(a.target.path[0].name, len(a.target.path) > 1)
	}
}

// Everywhere is an update with all paths that it names, those that it reads among them.
type Everywhere struct{ *Update }

// Heads calls f for the first name of each path, and whether the path goes on.
func (e Everywhere) Heads(f func(name string, nested bool)) {
	for _, a := range e.actions {
		heads(f, a.target)
		if a.value != nil {
			heads(f, a.value)
		}
	}
}

// OnlyRemoves reports whether u has changes, and all of them take something away.
func (u *Update) OnlyRemoves() bool {
	for _, a := range u.actions {
		if a.op != actionRemove && a.op != actionDelete {
			return false
		}
	}
	return len(u.actions) > 0
}

// Types calls f for each attribute that u as a whole gives a value, or members, of a type that is known beforehand.
func (u *Update) Types(f func(name, typ string)) {
	for _, a := range u.actions {
		if a.value == nil || len(a.target.path) > 1 {
			continue
		}
		typ := a.value.resultType()
		if a.value.op == "+" || a.value.op == "-" {
			typ = "N"
		}
		if typ != "" {
			f(a.target.path[0].name, typ)
		}
	}
}

// Touched returns the paths that u changes, as a projection.
func (u *Update) Touched() *Projection { return u.touched }

func updateWord(s string) bool {
	switch strings.ToUpper(s) {
	case actionSet, actionRemove, actionAdd, actionDelete:
		return true
	}
	return false
}

func (s *Set) update(text string) (*Update, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	var actions []action
	repeated := ""
	for seen := make(map[string]bool); ; {
		t := p.peek()
		op := strings.ToUpper(t.text)
		if t.kind != kindWord || !updateWord(op) {
			return nil, p.syntax()
		}
		p.at++
		if seen[op] && repeated == "" {
			repeated = op
		}
		seen[op] = true
		if actions, err = p.section(op, actions); err != nil {
			return nil, err
		}
		if p.peek().kind == kindEnd {
			break
		}
	}
	return s.checkUpdate(actions, repeated)
}

// section reads the changes of one section and appends them to actions.
func (p *parser) section(op string, actions []action) ([]action, error) {
	for {
		target, err := p.path(updateWord)
		if err != nil {
			return nil, err
		}
		a := action{op: op, target: target}
		switch op {
		case actionSet:
			if err := p.need("="); err != nil {
				return nil, err
			}
			if a.value, err = p.setValue(); err != nil {
				return nil, err
			}
		case actionAdd, actionDelete:
			t := p.peek()
			if t.kind != kindValue {
				return nil, p.syntax()
			}
			p.at++
			a.value = &node{op: opValue, name: t.text}
		}
		actions = append(actions, a)
		if !p.symbol(",") {
			return actions, nil
		}
	}
}

// setValue reads an operand, or the sum or difference of two, in parentheses or not.
func (p *parser) setValue() (*node, error) {
	var first *node
	var err error
	if p.symbol("(") {
		if first, err = p.setValue(); err == nil {
			first.parens++
			err = p.need(")")
		}
	} else {
		first, err = p.operand(updateWord)
	}
	if err != nil || first.op == "+" || first.op == "-" {
		return first, err
	}
	for _, op := range []string{"+", "-"} {
		if p.symbol(op) {
			second, err := p.operand(updateWord)
			return &node{op: op, args: []*node{first, second}}, err
		}
	}
	return first, nil
}

// checkUpdate checks in DynamoDB's order: all of the expression for one kind of mistake, then for the next.
func (s *Set) checkUpdate(actions []action, repeated string) (*Update, error) {
	var all, targets, values []*node
	for _, a := range actions {
		all, targets = append(all, a.target), append(targets, a.target)
		if a.value != nil {
			all, values = append(all, a.value), append(values, a.value)
		}
	}
	each := func(nodes []*node, check func(*node) error) error {
		for _, n := range nodes {
			if err := check(n); err != nil {
				return err
			}
		}
		return nil
	}
	for _, check := range []func() error{
		func() error { return checkOperators(all...) },
		func() error { return each(all, checkReserved) },
		func() error { return each(values, func(n *node) error { return checkFunctions(n, updateFunctions) }) },
		func() error {
			if repeated != "" {
				return invalid("The \"%s\" section can only be used once in an update expression;", repeated)
			}
			return nil
		},
		func() error { return each(all, s.resolveNames) },
		func() error { return each(all, s.resolveValues) },
		func() error { return checkOverlap(targets) },
		func() error { return checkActions(actions) },
		func() error { return each(values, func(n *node) error { return checkOperands(n, updateFunctions) }) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return &Update{actions: actions, touched: newProjection(targets)}, nil
}

// checkActions checks the types of what ADD and DELETE take.
func checkActions(actions []action) error {
	for _, a := range actions {
		if a.op != actionAdd && a.op != actionDelete {
			continue
		}
		switch t := a.value.literal(); t {
		case "SS", "NS", "BS":
		case "N":
			if a.op == actionDelete {
				return wrongOperand(a.op, "NUMBER")
			}
		default:
			return wrongOperand(a.op, longName(t))
		}
	}
	return nil
}

func wrongOperand(op, typ string) error {
	return invalid("Incorrect operand type for operator or function; operator: %s, operand type: %s", op, typ)
}

// longName returns a type's name as messages about ADD and DELETE have it.
func longName(t string) string {
	switch t {
	case "S":
		return "STRING"
	case "B":
		return "BINARY"
	case "BOOL":
		return "BOOLEAN"
	case "L":
		return "LIST"
	case "M":
		return "MAP"
	}
	return t
}

// value returns what the operand of a SET stands for in item.
func value(n *node, item map[string]api.AttributeValue) (*api.AttributeValue, error) {
	switch n.op {
	case opValue:
		return n.value, nil
	case opPath:
		if v := find(item, n.path); v != nil {
			return v, nil
		}
		return nil, invalid("The provided expression refers to an attribute that does not exist in the item")
	case "if_not_exists":
		if v := find(item, n.args[0].path); v != nil {
			return v, nil
		}
		return value(n.args[1], item)
	}
	a, err := value(n.args[0], item)
	if err != nil {
		return nil, err
	}
	b, err := value(n.args[1], item)
	if err != nil {
		return nil, err
	}
	if n.op == "list_append" {
		if a.L == nil || b.L == nil {
			return nil, errOperand()
		}
		return &api.AttributeValue{L: append(append(make([]api.AttributeValue, 0, len(a.L)+len(b.L)), a.L...), b.L...)}, nil
	}
	if a.N == nil || b.N == nil {
		return nil, errOperand()
	}
	return sum(n.op, *a.N, *b.N)
}

func errOperand() error {
	return invalid("An operand in the update expression has an incorrect data type")
}
