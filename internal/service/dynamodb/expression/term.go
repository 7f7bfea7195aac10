package expression

import (
	"strings"

	api "croft/internal/awsapi/dynamodb"
)

// Term is an operand, an operator or a function that did not come out of an expression: another language's front end makes conditions,
// updates and projections of terms, which then are checked and evaluated as those of expressions.
type Term struct{ n *node }

// Step is one element of a document path: a name or, where that is empty, an index of a list.
type Step struct {
	Name  string
	Index int
}

func steps(p []Step) path {
	out := make(path, len(p))
	for i, s := range p {
		out[i] = element{name: s.Name, index: s.Index}
	}
	return out
}

// Path returns the term for what lies at p, which begins with a name and has no empty one.
func Path(p []Step) Term { return Term{&node{op: opPath, path: steps(p)}} }

// Literal returns the term for v, which must not change.
func Literal(v *api.AttributeValue) Term { return Term{&node{op: opValue, value: v}} }

// Apply returns the term for an operator of expressions, in their spelling.
func Apply(op string, args ...Term) Term { return Term{&node{op: op, args: nodes(args)}} }

// Call returns the term for a function of expressions, in lower case.
func Call(function string, args ...Term) Term {
	return Term{&node{op: function, function: true, args: nodes(args)}}
}

func nodes(terms []Term) []*node {
	out := make([]*node, len(terms))
	for i, t := range terms {
		out[i] = t.n
	}
	return out
}

// IsPath reports whether t is a path, and whether that is p.
func (t Term) IsPath(p []Step) (is, same bool) {
	return t.n.op == opPath, t.n.op == opPath && t.n.path.equal(steps(p))
}

// Value returns the value that t is, nil for anything else.
func (t Term) Value() *api.AttributeValue {
	if t.n.op != opValue {
		return nil
	}
	return t.n.value
}

// Attribute returns the name of the attribute that t as a whole is, empty for anything else.
func (t Term) Attribute() string {
	if t.n.op != opPath || len(t.n.path) != 1 {
		return ""
	}
	return t.n.path[0].name
}

// Function returns the name and the operands of t, which are empty where it is no function.
func (t Term) Function() (name string, args []Term) {
	if !t.n.function {
		return "", nil
	}
	for _, a := range t.n.args {
		args = append(args, Term{a})
	}
	return t.n.op, args
}

// Operand reports whether t by itself says nothing true or false.
func (t Term) Operand() bool { return t.n.operand() || t.n.function && t.n.op == "size" }

// TermCondition returns t, which says something true or false, as a condition, checked as one in an expression is.
func TermCondition(t Term) (*Condition, error) {
	for _, check := range []func() error{
		func() error { return checkOperators(t.n) },
		func() error { return checkDepth(t.n) },
		func() error { return checkFunctions(t.n, conditionFunctions) },
		func() error { return checkUse(t.n) },
		func() error { return checkOperands(t.n, conditionFunctions) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return &Condition{t.n}, nil
}

func checkDepth(root *node) error {
	return root.walk(func(n *node) error {
		if n.op == opPath && len(n.path) > maxPath {
			return invalid("The document path has too many nesting elements; nesting level: %d", len(n.path))
		}
		return nil
	})
}

// Assignment is one change of an update. Op is "SET", "REMOVE", "ADD" or "DELETE"; Value is the zero Term for REMOVE.
type Assignment struct {
	Op     string
	Target []Step
	Value  Term
}

// TermUpdate returns the update that makes all changes, checked as one in an expression is.
func TermUpdate(changes []Assignment) (*Update, error) {
	u := &Update{}
	var targets []*node
	for _, c := range changes {
		a := action{op: c.Op, target: Path(c.Target).n, value: c.Value.n}
		u.actions, targets = append(u.actions, a), append(targets, a.target)
		for _, n := range []*node{a.target, a.value} {
			if n == nil {
				continue
			}
			if err := checkDepth(n); err != nil {
				return nil, err
			}
			if err := checkFunctions(n, updateFunctions); err != nil {
				return nil, err
			}
			if err := checkOperands(n, updateFunctions); err != nil {
				return nil, err
			}
		}
	}
	if err := checkOverlap(targets); err != nil {
		return nil, err
	}
	u.touched = newProjection(targets)
	return u, checkActions(u.actions)
}

// Columns returns the projection that gives each path as an attribute of its own, called by the last name in the path with the indexes
// behind it.
func Columns(paths [][]Step) *Projection {
	out := &Projection{columns: make([]column, len(paths))}
	for i, p := range paths {
		n := Path(p).n
		out.paths = append(out.paths, n)
		out.columns[i] = column{columnName(n.path), n.path}
	}
	return out
}

// Repeated returns a name that two columns have, empty when there is none.
func (p *Projection) Repeated() string {
	seen := make(map[string]bool, len(p.columns))
	for _, c := range p.columns {
		if seen[c.name] {
			return c.name
		}
		seen[c.name] = true
	}
	return ""
}

// column is one attribute that a projection gives.
type column struct {
	name string
	path path
}

func columnName(p path) string {
	at := len(p) - 1
	for at > 0 && p[at].name == "" {
		at--
	}
	indexes := p[at+1:].String()
	if len(p[at+1:]) == 0 {
		return p[at].name
	}
	return p[at].name + strings.ReplaceAll(indexes[1:len(indexes)-1], ", ", "")
}

func pick(columns []column, item map[string]api.AttributeValue) map[string]api.AttributeValue {
	out := make(map[string]api.AttributeValue, len(columns))
	for _, c := range columns {
		if v := find(item, c.path); v != nil {
			out[c.name] = *v
		}
	}
	return out
}
