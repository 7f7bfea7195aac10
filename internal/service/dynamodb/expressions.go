package dynamodb

import (
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb/expression"
	"croft/internal/wire"
)

// expressions are the parameters of a request that have to do with expressions.
type expressions struct {
	names  map[string]string
	values map[string]api.AttributeValue
	// given are the expressions that the operation takes; legacy what it took before there were any.
	given, legacy []param
	// operator is ConditionalOperator, and conditions how many conditions it joins.
	operator   *string
	conditions int
}

const projectionParam = "ProjectionExpression"

func given(params []param) (names []string) {
	for _, p := range params {
		if p.given {
			names = append(names, p.name)
		}
	}
	return names
}

// check refuses parameters that cannot stand beside each other.
func (e *expressions) check() error {
	now, before := given(e.given), given(e.legacy)
	if len(now) > 0 && len(before) > 0 {
		return validation("Can not use both expression and non-expression parameters in the same request: "+
			"Non-expression parameters: {%s} Expression parameters: {%s}", strings.Join(before, ", "), strings.Join(now, ", "))
	}
	if e.names != nil && len(now) == 0 {
		return validation("ExpressionAttributeNames can only be specified when using expressions")
	}
	var takeValues []string
	some := false
	for _, p := range e.given {
		if p.name != projectionParam {
			takeValues, some = append(takeValues, p.name), some || p.given
		}
	}
	if e.values != nil && !some && len(takeValues) > 0 {
		verb := "is"
		if len(takeValues) > 1 {
			verb = "are"
		}
		return validation("ExpressionAttributeValues can only be specified when using expressions: %s %s null",
			strings.Join(takeValues, " and "), verb)
	}
	return checkOperator(e.operator, e.conditions)
}

// set returns the names and values for the expressions of the request.
func (e *expressions) set() (*expression.Set, error) {
	return expression.New(e.names, e.values, func(v *api.AttributeValue) error {
		var scratch [256]byte
		enc := encoder{out: scratch[:0]}
		return enc.value(v, 0)
	})
}

// condition parses the only expression of a request, which may not be there.
func (e *expressions) condition(parameter string, text *string) (*expression.Condition, error) {
	if text == nil {
		return nil, nil
	}
	set, err := e.set()
	if err != nil {
		return nil, err
	}
	c, err := set.Condition(parameter, *text)
	if err != nil {
		return nil, err
	}
	return c, set.Unused()
}

// projection parses a projection that may not be there, the only expression of a request.
func (e *expressions) projection(text *string) (*expression.Projection, error) {
	if text == nil {
		return nil, nil
	}
	set, err := e.set()
	if err != nil {
		return nil, err
	}
	p, err := set.Projection(*text)
	if err != nil {
		return nil, err
	}
	return p, set.Unused()
}

// pathed is an expression that names document paths.
type pathed interface {
	Heads(f func(name string, nested bool))
}

// checkPaths refuses paths that look for something below a key attribute.
func (t *table) checkPaths(e pathed) error {
	found := ""
	e.Heads(func(name string, nested bool) {
		if nested && t.isKey(name) && found == "" {
			found = name
		}
	})
	if found != "" {
		return validation("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: %s", found)
	}
	return t.checkIndexPaths(e)
}

func (t *table) isKey(name string) bool {
	return name == t.partition.name || name == t.sort.name && name != ""
}

// conditionFailed returns the error of a condition that item does not meet.
func conditionFailed(mode *string, item map[string]api.AttributeValue) error {
	e := api.NewConditionalCheckFailedException("The conditional request failed")
	if wire.Value(mode) == returnOld && item != nil {
		e.Fields = map[string]any{"Item": item}
	}
	return e
}
