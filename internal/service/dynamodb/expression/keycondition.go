package expression

import (
	"strings"

	api "croft/internal/awsapi/dynamodb"
)

// KeyCondition is what a key condition expression asks of one attribute. Op is "=", "<", "<=", ">", ">=", "BETWEEN" or "begins_with"; Values
// are one value, or BETWEEN's two.
type KeyCondition struct {
	Name   string
	Op     string
	Values []api.AttributeValue
}

// KeyConditions returns what a condition asks of each attribute, when it is one that a KeyConditionExpression may be. What each of them
// may be, key by key, is the table's to say; here is at least one and no more than one for each attribute.
func (c *Condition) KeyConditions() ([]KeyCondition, error) { return keyConditions(c.root, nil) }

func keyConditions(n *node, out []KeyCondition) ([]KeyCondition, error) {
	if err := checkKeyOperator(n); err != nil {
		return nil, err
	}
	if n.op == opAnd {
		var err error
		for _, a := range n.args {
			if out, err = keyConditions(a, out); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	k := KeyCondition{Op: n.op}
	at := 0
	for i, a := range n.args {
		switch {
		case a.function:
			return nil, invalid("KeyConditionExpressions cannot contain nested operations")
		case a.op == opValue:
			k.Values = append(k.Values, *a.value)
		case k.Name != "":
			return nil, invalid("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
		case len(a.path) > 1:
			return nil, invalid("KeyConditionExpressions cannot have conditions on nested attributes")
		default:
			k.Name, at = a.path[0].name, i
		}
	}
	if k.Name == "" {
		return nil, invalid("Invalid condition in KeyConditionExpression: No key attribute specified")
	}
	for _, other := range out {
		if other.Name == k.Name {
			return nil, invalid("KeyConditionExpressions must only contain one condition per key")
		}
	}
	if at > 0 {
		k.Op = mirrored(k.Op)
	}
	return append(out, k), nil
}

// mirrored returns the operator that says the same with its operands exchanged.
func mirrored(op string) string {
	switch op {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return op
}

func checkKeyOperator(n *node) error {
	switch n.op {
	case opOr, opNot, opIn, "<>":
		return invalid("Invalid operator used in KeyConditionExpression: %s", strings.ToUpper(n.op))
	case "attribute_exists", "attribute_not_exists", "attribute_type", "contains":
		return invalid("Invalid operator used in KeyConditionExpression: %s", n.op)
	case opBetween, "begins_with":
		if n.args[0].op != opPath {
			return invalid("Invalid condition in KeyConditionExpression: %s operator must have the key attribute as its first operand", n.op)
		}
	}
	return nil
}
