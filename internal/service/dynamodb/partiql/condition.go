package partiql

import (
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb/expression"
)

// All returns the term that all conditions, of which there is at least one, are met.
func All(where []Condition) expression.Term {
	if len(where) == 1 {
		return where[0].Term
	}
	terms := make([]expression.Term, len(where))
	for i := range where {
		terms[i] = where[i].Term
	}
	return expression.Apply("AND", terms...)
}

// condition reads a condition, as those that AND joins.
func (p *parser) condition() ([]Condition, error) {
	up, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer up()
	first, err := p.conjunction()
	if err != nil {
		return nil, err
	}
	ways, terms := [][]Condition{first}, []expression.Term{All(first)}
	for p.keyword("OR") {
		more, err := p.conjunction()
		if err != nil {
			return nil, err
		}
		ways, terms = append(ways, more), append(terms, All(more))
	}
	if len(ways) == 1 {
		return first, nil
	}
	out := anyOf(ways)
	out.Term = expression.Apply("OR", terms...)
	return []Condition{out}, nil
}

// anyOf returns what OR between equal values of one attribute is: IN. It has no term.
func anyOf(ways [][]Condition) (c Condition) {
	name, values := ways[0][0].Name, []api.AttributeValue(nil)
	for _, way := range ways {
		if len(way) != 1 || way[0].Name == "" || way[0].Name != name || way[0].Key.Op != "=" && way[0].Key.Op != "IN" {
			return c
		}
		values = append(values, way[0].Key.Values...)
	}
	c.Name, c.Key = name, expression.KeyCondition{Name: name, Op: "IN", Values: values}
	return c
}

func (p *parser) conjunction() ([]Condition, error) {
	out, err := p.negation()
	for err == nil && p.keyword("AND") {
		var more []Condition
		more, err = p.negation()
		out = append(out, more...)
	}
	return out, err
}

func (p *parser) negation() ([]Condition, error) {
	switch {
	case p.keyword("NOT"):
		up, err := p.deeper()
		if err != nil {
			return nil, err
		}
		defer up()
		inner, err := p.negation()
		if err != nil {
			return nil, err
		}
		return []Condition{{Term: expression.Apply("NOT", All(inner))}}, nil
	case p.symbol("("):
		inner, err := p.condition()
		if err != nil {
			return nil, err
		}
		return inner, p.need(")")
	}
	c, err := p.comparison()
	return []Condition{c}, err
}

// comparison reads a condition that has no other one in it.
func (p *parser) comparison() (c Condition, err error) {
	left, err := p.operand()
	if err != nil {
		return c, err
	}
	t := p.peek()
	negated := p.keyword("NOT")
	switch {
	case p.keyword("BETWEEN"):
		c, err = p.between(left)
	case p.keyword("IN"):
		c, err = p.in(left)
	case negated:
		return c, p.unexpected("BETWEEN or IN")
	case p.keyword("IS"):
		return p.is(left)
	case t.kind == kindSymbol && comparator(t.text) != "":
		p.at++
		right, err := p.operand()
		if err != nil {
			return c, err
		}
		return compared(comparator(t.text), left, right), nil
	case left.Operand():
		return c, invalid("WHERE clause must contain an expression that resolves to a boolean")
	default:
		return compared("", left), nil
	}
	if negated && err == nil {
		c = Condition{Term: expression.Apply("NOT", c.Term)}
	}
	return c, err
}

func comparator(symbol string) string {
	switch symbol {
	case "=", "<", "<=", ">", ">=", "<>":
		return symbol
	case "!=":
		return "<>"
	}
	return ""
}

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

// compared returns the condition that op is between the operands; without op, the first one is a function that says so itself.
func compared(op string, operands ...expression.Term) Condition {
	c := Condition{Term: operands[0]}
	if op != "" {
		c.Term = expression.Apply(op, operands...)
	} else if name, args := operands[0].Function(); name == "begins_with" {
		op, operands = name, args
	}
	if len(operands) == 2 && operands[0].Value() != nil && op != "begins_with" {
		op, operands = mirrored(op), []expression.Term{operands[1], operands[0]}
	}
	if op == "" || len(operands) < 2 {
		return c
	}
	name := operands[0].Attribute()
	var values []api.AttributeValue
	for _, o := range operands[1:] {
		if v := o.Value(); v != nil {
			values = append(values, *v)
		}
	}
	if name != "" && len(values) == len(operands)-1 {
		c.Name, c.Key = name, expression.KeyCondition{Name: name, Op: op, Values: values}
	}
	return c
}

func (p *parser) between(left expression.Term) (Condition, error) {
	low, err := p.operand()
	if err != nil {
		return Condition{}, err
	}
	if err := p.needWord("AND"); err != nil {
		return Condition{}, err
	}
	high, err := p.operand()
	if err != nil {
		return Condition{}, err
	}
	return compared("BETWEEN", left, low, high), nil
}

func (p *parser) in(left expression.Term) (Condition, error) {
	end := ""
	switch {
	case p.symbol("["):
		end = "]"
	case p.symbol("("):
		end = ")"
	}
	if path, _ := left.IsPath(nil); end == "" || !path || p.symbol(end) {
		return Condition{}, invalid("IN operator must have a left hand argument of type Variable Reference and right hand argument " +
			"of type Seq with at least one member")
	}
	values, err := p.values(end)
	if err != nil {
		return Condition{}, err
	}
	operands := []expression.Term{left}
	for i := range values {
		if err := p.check(&values[i]); err != nil {
			return Condition{}, err
		}
		operands = append(operands, expression.Literal(&values[i]))
	}
	return compared("IN", operands...), nil
}

// is reads what stands behind IS.
func (p *parser) is(left expression.Term) (Condition, error) {
	negated := p.keyword("NOT")
	if path, _ := left.IsPath(nil); !path {
		return Condition{}, invalid("The left hand side argument to IS must be a Variable Reference, Literal, or Path")
	}
	t := p.peek()
	p.at++
	var term expression.Term
	switch typ := strings.ToUpper(t.text); {
	case t.kind != kindWord:
		p.at--
		return Condition{}, p.unexpected("a type")
	case typ == "MISSING":
		term = expression.Call("attribute_not_exists", left)
	default:
		name := typeName(typ)
		if name == "" {
			return Condition{}, invalid("Unsupported data type for IS operator: %s. Supported data types are "+
				"[MISSING, NULL, BOOLEAN, BLOB, STRING, NUMERIC, STRUCT, TUPLE, LIST]", typ)
		}
		term = expression.Call("attribute_type", left, expression.Literal(&api.AttributeValue{S: &name}))
	}
	if negated {
		term = expression.Apply("NOT", term)
	}
	return Condition{Term: term}, nil
}

// typeName returns the name that DynamoDB has for a type of PartiQL.
func typeName(typ string) string {
	switch typ {
	case "NULL":
		return "NULL"
	case "BOOLEAN":
		return "BOOL"
	case "BLOB":
		return "B"
	case "STRING":
		return "S"
	case "NUMERIC":
		return "N"
	case "STRUCT", "TUPLE":
		return "M"
	case "LIST":
		return "L"
	}
	return ""
}

// operand reads a path, a value, or a function.
func (p *parser) operand() (expression.Term, error) {
	t := p.peek()
	switch {
	case t.kind == kindWord && p.tokens[p.at+1].text == "(" && p.tokens[p.at+1].kind == kindSymbol:
		return p.call(t)
	case t.kind == kindQuoted, t.kind == kindWord && !isConstant(t.text):
		path, err := p.path()
		if err != nil {
			return expression.Term{}, err
		}
		return expression.Path(path), nil
	}
	v, err := p.value()
	if err == nil {
		err = p.check(v)
	}
	if err != nil {
		return expression.Term{}, err
	}
	return expression.Literal(v), nil
}

// call reads a function of conditions.
func (p *parser) call(t token) (expression.Term, error) {
	up, err := p.deeper()
	if err != nil {
		return expression.Term{}, err
	}
	defer up()
	name := strings.ToLower(t.text)
	switch name {
	case "missing":
		name = "attribute_not_exists"
	case "attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size":
	default:
		return expression.Term{}, invalid("Unrecognized function: %s at %s", name, p.place(t))
	}
	p.at += 2
	args, err := p.arguments(p.operand)
	if err != nil {
		return expression.Term{}, err
	}
	return expression.Call(name, args...), nil
}
