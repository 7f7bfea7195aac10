package expression

import (
	"maps"
	"slices"

	api "croft/internal/awsapi/dynamodb"
)

// Clause is what one of the parameters from before expressions (Expected, QueryFilter, ScanFilter, KeyConditions) asks of one attribute.
// Operator is a ComparisonOperator of the API; whether Values fit it has been checked. An attribute's name is never a path here.
// Source: DynamoDB Developer Guide, "Legacy conditional parameters".
type Clause struct {
	Name     string
	Operator string
	Values   []api.AttributeValue
}

// comparison returns the operator or function of expressions that means operator, and whether it is a function and its opposite is meant.
func comparison(operator string) (op string, function, negated bool) {
	switch operator {
	case "EQ":
		return "=", false, false
	case "NE":
		return "<>", false, false
	case "LE":
		return "<=", false, false
	case "LT":
		return "<", false, false
	case "GE":
		return ">=", false, false
	case "GT":
		return ">", false, false
	case "NULL":
		return "attribute_not_exists", true, false
	case "NOT_NULL":
		return "attribute_exists", true, false
	case "CONTAINS":
		return "contains", true, false
	case "NOT_CONTAINS":
		return "contains", true, true
	case "BEGINS_WITH":
		return "begins_with", true, false
	}
	// What remains, IN and BETWEEN, has the same name in both.
	return operator, false, false
}

func nameNode(name string) *node { return &node{op: opPath, path: path{{name: name}}} }

func (c *Clause) node() *node {
	op, function, negated := comparison(c.Operator)
	n := &node{op: op, function: function, args: []*node{nameNode(c.Name)}}
	for i := range c.Values {
		n.args = append(n.args, &node{op: opValue, value: &c.Values[i]})
	}
	if !negated {
		return n
	}
	// Unlike NE, NOT_CONTAINS is not met by an attribute that is not there.
	there := &node{op: "attribute_exists", function: true, args: []*node{nameNode(c.Name)}}
	return &node{op: opAnd, args: []*node{there, {op: opNot, args: []*node{n}}}}
}

// Clauses returns the condition that all clauses are met or, with one, that one of them is; nil, which is always met, when there are none.
func Clauses(clauses []Clause, one bool) *Condition {
	if len(clauses) == 0 {
		return nil
	}
	root := &node{op: opAnd}
	if one {
		root.op = opOr
	}
	for i := range clauses {
		root.args = append(root.args, clauses[i].node())
	}
	return &Condition{root}
}

// KeyCondition returns c as a condition on a key, whether or not it is Indexable.
func (c *Clause) KeyCondition() KeyCondition {
	op, _, negated := comparison(c.Operator)
	if negated {
		op = opNot
	}
	return KeyCondition{Name: c.Name, Op: op, Values: c.Values}
}

// Indexable reports whether k can be asked of a key, as every condition out of an expression can.
func (k *KeyCondition) Indexable() bool {
	switch k.Op {
	case "=", "<", "<=", ">", ">=", opBetween, "begins_with":
		return true
	}
	return false
}

// Meets reports whether v, a value of the key, is what k asks for.
func (k *KeyCondition) Meets(v *api.AttributeValue) bool {
	n := &node{op: k.Op, args: []*node{{op: opValue, value: v}}}
	for i := range k.Values {
		n.args = append(n.args, &node{op: opValue, value: &k.Values[i]})
	}
	return match(n, nil)
}

// CompareValues orders two strings, two numbers or two binaries; nothing else has an order.
func CompareValues(a, b *api.AttributeValue) (order int, ok bool) { return compare(a, b) }

// Names returns the projection on whole attributes that AttributesToGet means.
func Names(names []string) *Projection {
	paths := make([]*node, len(names))
	for i, name := range names {
		paths[i] = nameNode(name)
	}
	return newProjection(paths)
}

// Changes returns the update that AttributeUpdates means. What it holds has been checked: DELETE without a value removes the attribute,
// with one it takes members out of a set; ADD takes a number, a set or a list; any other action stores its value.
func Changes(updates map[string]api.AttributeValueUpdate) *Update {
	u := &Update{}
	var targets []*node
	for _, name := range slices.Sorted(maps.Keys(updates)) {
		given := updates[name]
		a := action{op: actionSet, target: nameNode(name), legacy: true}
		if given.Action != nil && (*given.Action == actionAdd || *given.Action == actionDelete) {
			a.op = *given.Action
		}
		if given.Value != nil {
			a.value = &node{op: opValue, value: given.Value}
		} else {
			a.op = actionRemove
		}
		u.actions, targets = append(u.actions, a), append(targets, a.target)
	}
	u.touched = newProjection(targets)
	return u
}
