package expression

import (
	"strconv"
	"strings"

	api "croft/internal/awsapi/dynamodb"
)

// element is one step of a document path: a name, or an index where name is empty.
type element struct {
	name  string
	index int
}

// path is a document path. No name in it is empty.
type path []element

// String returns the path as DynamoDB's messages have it.
func (p path) String() string {
	parts := make([]string, len(p))
	for i, e := range p {
		if parts[i] = e.name; e.name == "" {
			parts[i] = "[" + strconv.Itoa(e.index) + "]"
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func (p path) equal(o path) bool {
	if len(p) != len(o) {
		return false
	}
	for i := range p {
		if p[i] != o[i] {
			return false
		}
	}
	return true
}

// Operators that are no symbols. Functions go by their own names.
const (
	opPath    = "path"
	opValue   = "value"
	opAnd     = "AND"
	opOr      = "OR"
	opNot     = "NOT"
	opBetween = "BETWEEN"
	opIn      = "IN"
)

// node is an operand, an operator or a function in a parsed expression.
type node struct {
	op       string
	function bool
	args     []*node
	// raw is a path as it is written: each element's text.
	raw  []rawElement
	path path
	// name is the placeholder of a value.
	name  string
	value *api.AttributeValue
	// parens is how many pairs of parentheses stand right around the node.
	parens int
}

type rawElement struct {
	token token
	index int
}

// operand reports whether n by itself says nothing true or false.
func (n *node) operand() bool { return n.op == opPath || n.op == opValue || n.op == "+" || n.op == "-" }

// walk calls f for n and everything below it, outermost last, until f fails.
func (n *node) walk(f func(*node) error) error {
	for _, a := range n.args {
		if err := a.walk(f); err != nil {
			return err
		}
	}
	return f(n)
}

// literal returns the type of a value that stands in the expression itself, or "".
func (n *node) literal() string {
	if n.op != opValue || n.value == nil {
		return ""
	}
	return typeOf(n.value)
}

// resultType is literal, and for functions the type of what they give.
func (n *node) resultType() string {
	switch {
	case !n.function:
		return n.literal()
	case n.op == "size":
		return "N"
	case n.op == "list_append":
		return "L"
	case n.op == "if_not_exists":
		return ""
	default:
		return "BOOL"
	}
}

func typeOf(v *api.AttributeValue) string {
	switch {
	case v.S != nil:
		return "S"
	case v.N != nil:
		return "N"
	case v.B != nil:
		return "B"
	case v.SS != nil:
		return "SS"
	case v.NS != nil:
		return "NS"
	case v.BS != nil:
		return "BS"
	case v.M != nil:
		return "M"
	case v.L != nil:
		return "L"
	case v.BOOL != nil:
		return "BOOL"
	case v.NULL != nil:
		return "NULL"
	}
	return ""
}
