package expression

import (
	"slices"

	"croft/internal/cloud"
)

// functions of an expression, with the number of their operands.
type functions func(name string) (operands int, known bool)

func conditionFunctions(name string) (int, bool) {
	switch name {
	case "attribute_exists", "attribute_not_exists", "size":
		return 1, true
	case "attribute_type", "begins_with", "contains":
		return 2, true
	}
	return 0, false
}

func updateFunctions(name string) (int, bool) {
	switch name {
	case "if_not_exists", "list_append":
		return 2, true
	}
	return 0, false
}

// prefixed says of an error in which parameter it is.
func prefixed(parameter string, err error) error {
	var e *cloud.Error
	if e, _ = err.(*cloud.Error); e == nil {
		return err
	}
	return invalid("Invalid %s: %s", parameter, e.Message)
}

// checkParens refuses parentheses around parentheses.
func checkParens(root *node) error {
	return root.walk(func(n *node) error {
		if n.parens > 1 {
			return invalid("The expression has redundant parentheses;")
		}
		return nil
	})
}

// checkOperators bounds the comparisons, functions and sums of the nodes, and the operands of IN.
func checkOperators(roots ...*node) error {
	count := 0
	for _, root := range roots {
		if err := root.walk(func(n *node) error {
			switch n.op {
			case opPath, opValue, opAnd, opOr, opNot:
				return nil
			}
			count++
			if n.op == opIn && len(n.args)-1 > maxOperands {
				return invalid("The IN operator is provided with too many operands; number of operands: %d", len(n.args)-1)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if count > maxOperators {
		return invalid("The expression contains too many operators; operator count: %d", maxOperators+1)
	}
	return nil
}

func checkFunctions(root *node, known functions) error {
	return root.walk(func(n *node) error {
		if _, ok := known(n.op); n.function && !ok {
			return invalid("Invalid function name; function: %s", n.op)
		}
		return nil
	})
}

// checkUse refuses a function in the place of a value that says true or false, and size where it says neither.
func checkUse(root *node) error {
	misused := func(n *node) error {
		return invalid("The function is not allowed to be used this way in an expression; function: %s", n.op)
	}
	if root.function && root.op == "size" {
		return misused(root)
	}
	return root.walk(func(n *node) error {
		logical := n.op == opAnd || n.op == opOr || n.op == opNot
		for _, a := range n.args {
			if a.function && (a.op == "size") == logical {
				return misused(a)
			}
		}
		return nil
	})
}

func checkReserved(root *node) error {
	return root.walk(func(n *node) error {
		for _, e := range n.raw {
			if e.token.kind == kindWord && reserved(e.token.text) {
				return invalid("Attribute name is a reserved keyword; reserved keyword: %s", e.token.text)
			}
		}
		return nil
	})
}

// resolveNames gives the paths below root their names.
func (s *Set) resolveNames(root *node) error {
	return root.walk(func(n *node) error {
		if n.op != opPath || n.path != nil {
			return nil
		}
		if len(n.raw) > maxPath {
			return invalid("The document path has too many nesting elements; nesting level: %d", len(n.raw))
		}
		resolved := make(path, len(n.raw))
		for i, e := range n.raw {
			switch e.token.kind {
			case kindNumber:
				resolved[i] = element{index: e.index}
			case kindWord:
				resolved[i] = element{name: e.token.text}
			default:
				name, ok := s.names[e.token.text]
				if !ok || name == "" {
					return invalid("An expression attribute name used in the document path is not defined; attribute name: %s", e.token.text)
				}
				delete(s.unusedNames, e.token.text)
				resolved[i] = element{name: name}
			}
		}
		n.path = resolved
		return nil
	})
}

// resolveValues gives the placeholders below root their values.
func (s *Set) resolveValues(root *node) error {
	return root.walk(func(n *node) error {
		if n.op != opValue {
			return nil
		}
		v, ok := s.values[n.name]
		if !ok {
			return invalid("An expression attribute value used in expression is not defined; attribute value: %s", n.name)
		}
		delete(s.unusedValue, n.name)
		n.value = &v
		return nil
	})
}

// checkOperands checks the number, difference and types of the operands of everything below root.
func checkOperands(root *node, known functions) error {
	for _, check := range []func(*node) error{
		func(n *node) error {
			if want, _ := known(n.op); n.function && want != len(n.args) {
				return invalid("Incorrect number of operands for operator or function; "+
					"operator or function: %s, number of operands: %d", n.op, len(n.args))
			}
			return nil
		},
		checkDistinct,
		checkTypes,
	} {
		if err := root.walk(check); err != nil {
			return err
		}
	}
	return nil
}

func checkDistinct(n *node) error {
	if len(n.args) != 2 || n.function && n.op != "contains" && n.op != "begins_with" && n.op != "attribute_type" || n.op == "+" || n.op == "-" {
		return nil
	}
	a, b := n.args[0], n.args[1]
	if a.op == opPath && b.op == opPath && a.path.equal(b.path) {
		return invalid("The first operand must be distinct from the remaining operands for this operator or function; "+
			"operator: %s, first operand: %s", n.op, a.path)
	}
	return nil
}

// wrongType returns the error for an operand of a type that n cannot have.
func wrongType(n *node, typ string) error {
	return invalid("Incorrect operand type for operator or function; operator or function: %s, operand type: %s", n.op, typ)
}

// onlyTypes refuses operands whose type is known and none of those given.
func onlyTypes(n *node, typ func(*node) string, allowed ...string) error {
	for _, a := range n.args {
		if t := typ(a); t != "" && !slices.Contains(allowed, t) {
			return wrongType(n, t)
		}
	}
	return nil
}

func checkTypes(n *node) error {
	switch n.op {
	case "attribute_exists", "attribute_not_exists", "if_not_exists":
		if n.function && n.args[0].op != opPath {
			return invalid("Operator or function requires a document path; operator or function: %s", n.op)
		}
	case "begins_with":
		return onlyTypes(n, (*node).resultType, "S", "B")
	case "size":
		switch t := n.args[0].resultType(); t {
		case "N", "BOOL", "NULL":
			return wrongType(n, t)
		}
	case "attribute_type":
		return checkAttributeType(n)
	case "<", "<=", ">", ">=":
		for _, a := range n.args {
			switch t := a.literal(); t {
			case "", "S", "N", "B":
			default:
				return invalid("Incorrect operand type for operator or function; operator: %s, operand type: %s", n.op, t)
			}
		}
	case opBetween:
		return checkBetween(n)
	case "+", "-":
		return onlyTypes(n, (*node).literal, "N")
	case "list_append":
		return onlyTypes(n, (*node).literal, "L")
	}
	return nil
}

func checkAttributeType(n *node) error {
	switch t := n.args[1].resultType(); t {
	case "S":
	case "":
		return wrongType(n, "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
	default:
		return wrongType(n, t)
	}
	if name := *n.args[1].value.S; !slices.Contains([]string{"B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M"}, name) {
		return invalid("Invalid attribute type name found; type: %s, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}", name)
	}
	return nil
}

func checkBetween(n *node) error {
	low, high := n.args[1], n.args[2]
	if low.literal() == "" || high.literal() == "" {
		return nil
	}
	bounds := func() string {
		return "lower bound operand: AttributeValue: " + describe(low.value) + ", upper bound operand: AttributeValue: " + describe(high.value)
	}
	if low.literal() != high.literal() {
		return invalid("The BETWEEN operator requires same data type for lower and upper bounds; %s", bounds())
	}
	if order, ok := compare(low.value, high.value); ok && order > 0 {
		return invalid("The BETWEEN operator requires upper bound to be greater than or equal to lower bound; %s", bounds())
	}
	return nil
}
