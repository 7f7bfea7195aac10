package dynamodb

import (
	"maps"
	"slices"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb/expression"
	"croft/internal/wire"
)

// The parameters that were there before expressions become the conditions, projections and updates that expressions are. Their checks and
// messages are their own. Source: DynamoDB Developer Guide, "Legacy conditional parameters", and answers of DynamoDB as published in the
// tests of other implementations.

const (
	opIn      = "IN"
	opBetween = "BETWEEN"
	opNull    = "NULL"
	opNotNull = "NOT_NULL"
)

func errEmptyName() error { return invalid("Empty attribute name") }

// checkOperator refuses a ConditionalOperator without at least two conditions to join.
func checkOperator(operator *string, conditions int) error {
	switch {
	case operator == nil || conditions > 1:
		return nil
	case conditions == 0:
		return validation("ConditionalOperator cannot be used without Filter or Expected")
	default:
		return validation("ConditionalOperator can only be used when Filter or Expected has two or more elements")
	}
}

func joinsByOr(operator *string) bool { return wire.Value(operator) == "OR" }

// clauses checks the conditions of a filter or of KeyConditions and returns them in the order of names.
func clauses(conditions map[string]api.Condition) ([]expression.Clause, error) {
	out := make([]expression.Clause, 0, len(conditions))
	for _, name := range slices.Sorted(maps.Keys(conditions)) {
		c := conditions[name]
		if name == "" {
			return nil, errEmptyName()
		}
		if err := checkComparison(c.ComparisonOperator, c.AttributeValueList); err != nil {
			return nil, err
		}
		out = append(out, expression.Clause{Name: name, Operator: c.ComparisonOperator, Values: c.AttributeValueList})
	}
	return out, nil
}

// checkComparison checks the values of a comparison: each by itself, their number, that they are of one type, the type, and their order.
func checkComparison(operator string, values []api.AttributeValue) error {
	for i := range values {
		if err := checkValue(&values[i]); err != nil {
			return err
		}
	}
	if !rightCount(operator, len(values)) {
		return invalid("Invalid number of argument(s) for the %s ComparisonOperator", operator)
	}
	for i := range values {
		if typeOf(&values[i]) != typeOf(&values[0]) {
			return invalid("AttributeValues inside AttributeValueList must be of same type")
		}
	}
	if len(values) > 0 && !comparable(operator, typeOf(&values[0])) {
		return invalid("ComparisonOperator %s is not valid for %s AttributeValue type", operator, typeOf(&values[0]))
	}
	if operator == opBetween {
		if order, ok := expression.CompareValues(&values[0], &values[1]); ok && order > 0 {
			return validation("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")
		}
	}
	return nil
}

func checkValue(v *api.AttributeValue) error {
	var scratch [256]byte
	e := encoder{out: scratch[:0]}
	return e.value(v, 0)
}

func rightCount(operator string, n int) bool {
	switch operator {
	case opNull, opNotNull:
		return n == 0
	case opIn:
		return n > 0
	case opBetween:
		return n == 2
	default:
		return n == 1
	}
}

// comparable reports whether operator takes values of a type.
func comparable(operator, typ string) bool {
	scalar := typ == typeS || typ == typeN || typ == typeB
	switch operator {
	case "EQ", "NE":
		return true
	case "CONTAINS", "NOT_CONTAINS":
		return scalar || typ == "BOOL" || typ == "NULL"
	case "BEGINS_WITH":
		return typ == typeS || typ == typeB
	default:
		return scalar
	}
}

// expectation checks Expected and returns the condition that it is.
func expectation(expected map[string]api.ExpectedAttributeValue, operator *string) (*expression.Condition, error) {
	out := make([]expression.Clause, 0, len(expected))
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		x := expected[name]
		c, err := expectedClause(name, &x)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return expression.Clauses(out, joinsByOr(operator)), nil
}

func expectedClause(name string, x *api.ExpectedAttributeValue) (c expression.Clause, err error) {
	c.Name = name
	switch {
	case name == "":
		return c, errEmptyName()
	case x.AttributeValueList != nil && x.Value != nil:
		return c, invalid("Value and AttributeValueList cannot be used together for Attribute: %s", name)
	case x.ComparisonOperator == nil && x.AttributeValueList != nil:
		return c, invalid("AttributeValueList can only be used with a ComparisonOperator for Attribute: %s", name)
	case x.ComparisonOperator == nil:
		return expectedValue(c, x)
	case x.Exists != nil:
		return c, invalid("Exists and ComparisonOperator cannot be used together for Attribute: %s", name)
	}
	c.Operator, c.Values = *x.ComparisonOperator, x.AttributeValueList
	if x.Value != nil {
		c.Values = []api.AttributeValue{*x.Value}
	}
	if c.Values == nil && c.Operator != opNull && c.Operator != opNotNull {
		return c, invalid("Value or AttributeValueList must be used with ComparisonOperator: %s for Attribute: %s", c.Operator, name)
	}
	return c, checkComparison(c.Operator, c.Values)
}

// expectedValue is the oldest form: a value that must be there, or that there is none.
func expectedValue(c expression.Clause, x *api.ExpectedAttributeValue) (expression.Clause, error) {
	exists := x.Exists == nil || *x.Exists
	switch {
	case exists && x.Value == nil:
		given := "null"
		if x.Exists != nil {
			given = "true"
		}
		return c, invalid("Value must be provided when Exists is %s for Attribute: %s", given, c.Name)
	case !exists && x.Value != nil:
		return c, invalid("Value cannot be used when Exists is false for Attribute: %s", c.Name)
	case !exists:
		c.Operator = opNull
		return c, nil
	}
	c.Operator, c.Values = "EQ", []api.AttributeValue{*x.Value}
	return c, checkValue(x.Value)
}

// checkUpdates checks AttributeUpdates.
func checkUpdates(updates map[string]api.AttributeValueUpdate) error {
	for _, name := range slices.Sorted(maps.Keys(updates)) {
		u, action := updates[name], wire.Value(updates[name].Action)
		if name == "" {
			return errEmptyName()
		}
		if u.Value == nil {
			if action != "DELETE" {
				return invalid("Only DELETE action is allowed when no attribute value is specified")
			}
			continue
		}
		if err := checkValue(u.Value); err != nil {
			return err
		}
		typ := typeOf(u.Value)
		set := typ == "SS" || typ == "NS" || typ == "BS"
		switch {
		case action == "DELETE" && !set:
			return invalid("DELETE action with value is not supported for the type %s", typ)
		case action == "ADD" && !set && typ != typeN && typ != "L":
			return invalid("ADD action is not supported for the type %s", typ)
		}
	}
	return nil
}

// wanted checks AttributesToGet and returns the projection that it is, nil where there is none.
func wanted(names []string) (*expression.Projection, error) {
	if names == nil {
		return nil, nil
	}
	for i, name := range names {
		if name == "" {
			return nil, errEmptyName()
		}
		if slices.Contains(names[:i], name) {
			return nil, invalid("Duplicate value in attribute name: %s", name)
		}
	}
	return expression.Names(names), nil
}

// readExpressions are the parameters of a read of single items.
func readExpressions(names map[string]string, projection *string, attributes []string) expressions {
	return expressions{names: names, given: []param{{projectionParam, projection != nil}}, legacy: []param{{"AttributesToGet", attributes != nil}}}
}

// readProjection returns the projection of the expression or, where there is none, of AttributesToGet.
func (e *expressions) readProjection(text *string, attributes []string) (*expression.Projection, error) {
	old, err := wanted(attributes)
	if err != nil || text == nil {
		return old, err
	}
	return e.projection(text)
}

// legacyUpdate takes over AttributeUpdates and Expected, neither of which need be there.
func (w *write) legacyUpdate(in *api.UpdateItemInput) (err error) {
	if err := checkUpdates(in.AttributeUpdates); err != nil {
		return err
	}
	if in.AttributeUpdates != nil {
		w.update = expression.Changes(in.AttributeUpdates)
	}
	w.condition, err = expectation(in.Expected, in.ConditionalOperator)
	return err
}

// writeCondition returns the condition of a write: that of the expression or, where there is none, of Expected.
func (e *expressions) writeCondition(text *string, expected map[string]api.ExpectedAttributeValue, operator *string) (*expression.Condition, error) {
	old, err := expectation(expected, operator)
	if err != nil || text == nil {
		return old, err
	}
	return e.condition(conditionParam, text)
}
