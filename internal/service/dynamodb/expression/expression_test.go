package expression

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"

	api "croft/internal/awsapi/dynamodb"
)

func s(v string) api.AttributeValue { return api.AttributeValue{S: &v} }
func n(v string) api.AttributeValue { return api.AttributeValue{N: &v} }
func l(v ...api.AttributeValue) api.AttributeValue {
	return api.AttributeValue{L: append([]api.AttributeValue{}, v...)}
}
func m(k string, v api.AttributeValue) api.AttributeValue {
	return api.AttributeValue{M: map[string]api.AttributeValue{k: v}}
}

func item() map[string]api.AttributeValue {
	yes := true
	return map[string]api.AttributeValue{
		"id": s("1"), "n": n("5"), "t": s("hello"), "b": {B: []byte{1, 2, 3}}, "yes": {BOOL: &yes},
		"ss": {SS: []string{"x", "y"}}, "ns": {NS: []string{"1", "2"}},
		"l": l(n("0"), n("1"), n("2"), n("3")), "m": m("a", l(s("p"), m("q", n("7")))),
	}
}

func values() map[string]api.AttributeValue {
	yes := true
	return map[string]api.AttributeValue{
		":five": n("5.0"), ":one": n("1"), ":nine": n("9"), ":hell": s("hell"), ":x": s("x"), ":N": s("N"), ":bad": s("Q"),
		":yx": {SS: []string{"y", "x"}}, ":z": {SS: []string{"z", "x"}}, ":l": l(s("new")), ":m": m("k", s("v")), ":t": {BOOL: &yes},
		":big": n("1e125"), ":n21": {NS: []string{"2.0", "1"}}, ":y": {SS: []string{"x", "y"}},
	}
}

var accept = func(*api.AttributeValue) error { return nil }

func set(t testing.TB) *Set {
	t.Helper()
	out, err := New(map[string]string{"#n": "n", "#m": "m", "#dot": "a.b"}, values(), accept)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestConditions(t *testing.T) {
	for text, want := range map[string]bool{
		"n = :five": true, "#n <> :five": false, "gone <> :five": true, "gone = :five": false, "n < :nine": true, "n >= :nine": false,
		":nine > n": true, "t < :five": false, "n BETWEEN :one AND :nine": true, "n between :five and :five": true,
		"n IN (:one, :five)": true, "n in (:one)": false, "attribute_exists(m.a[1].q)": true, "attribute_exists(m.a[2])": false,
		"attribute_not_exists(#dot)": true, "attribute_type(n, :N)": true, "attribute_type(t, :N)": false,
		"begins_with(t, :hell)": true, "begins_with(n, :hell)": false, "contains(t, :hell)": true, "contains(ss, :x)": true,
		"contains(ns, :one)": true, "contains(l, :one)": true, "contains(l, :nine)": false, "size(t) = :five": true,
		"size(n) = :one": false, "size(b) < :five": true, "ss = :yx": true, "ss = :z": false, "ns = :n21": true, "contains(ns, :five)": false, "yes = :t": true,
		"NOT n = :five": false, "NOT (n = :five AND t = :x)": true, "n = :one OR n = :nine OR n = :five": true,
		"n = :one AND n = :one OR n = :five": true, "n = :one AND (n = :one OR n = :five)": false,
		"(n) = (:five)": true, "(m).a[1].q = :one": false, ":one < (m.a)[1].q": true, "(size(t)) > :one": true, "not not n = :five": true, "n=:five and(t<>:x)": true,
	} {
		c, err := set(t).Condition("ConditionExpression", text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := c.Match(item()); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

func TestBadConditions(t *testing.T) {
	distinct := "The first operand must be distinct from the remaining operands for this operator or function; operator: "
	wrong := "Incorrect operand type for operator or function; operator or function: "
	many := "n = :one" + strings.Repeat(" OR n=:one", 300)
	for text, want := range map[string]string{
		"":                         "The expression can not be empty;",
		"foo":                      `Syntax error; token: "<EOF>", near: "foo"`,
		"attribute_not_exists(":    `Syntax error; token: "<EOF>", near: "("`,
		"contains (t, :x":          `Syntax error; token: "<EOF>", near: ":x"`,
		"NOT (#n)":                 `Syntax error; token: "<EOF>", near: ")"`,
		"n == :five":               `Syntax error; token: "=", near: "== :five"`,
		"n = :five AND":            `Syntax error; token: "<EOF>", near: "AND"`,
		"n = $":                    `Syntax error; token: "$", near: "= $"`,
		"n = :five )":              `Syntax error; token: ")", near: ":five )"`,
		"a AND n = :five":          `Syntax error; token: "AND", near: "a AND n"`,
		"é = :x":                   `Syntax error; token: "é", near: "é ="`,
		"((n = :five))":            "The expression has redundant parentheses;",
		"foo(n)":                   "Invalid function name; function: foo",
		"size(n)":                  "The function is not allowed to be used this way in an expression; function: size",
		"contains(t, :x) = :t":     "The function is not allowed to be used this way in an expression; function: contains",
		"status = :x":              "Attribute name is a reserved keyword; reserved keyword: status",
		"#none = :x":               "An expression attribute name used in the document path is not defined; attribute name: #none",
		"n = :none":                "An expression attribute value used in expression is not defined; attribute value: :none",
		"contains(n)":              "Incorrect number of operands for operator or function; operator or function: contains, number of operands: 1",
		"n = #n":                   distinct + "=, first operand: [n]",
		"m.a[0] < #m.a[0]":         distinct + "<, first operand: [m, a, [0]]",
		"attribute_exists(:x)":     "Operator or function requires a document path; operator or function: attribute_exists",
		"begins_with(n, :one)":     wrong + "begins_with, operand type: N",
		"attribute_type(n, :one)":  wrong + "attribute_type, operand type: N",
		"attribute_type(n, t)":     wrong + "attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}",
		"attribute_type(n, :bad)":  "Invalid attribute type name found; type: Q, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
		"size(:one) = :one":        wrong + "size, operand type: N",
		"n < :t":                   "Incorrect operand type for operator or function; operator: <, operand type: BOOL",
		"n BETWEEN :nine AND :one": "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:9}, upper bound operand: AttributeValue: {N:1}",
		"n BETWEEN :one AND :x":    "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:x}",
		many:                       "The expression contains too many operators; operator count: 301",
		"n IN (:one" + strings.Repeat(",:one", 100) + ")":     "The IN operator is provided with too many operands; number of operands: 101",
		"attribute_exists(m" + strings.Repeat(".m", 32) + ")": "The document path has too many nesting elements; nesting level: 33",
		strings.Repeat("(", 4097):                             "Expression size has exceeded the maximum allowed size; expression size: 4097",
	} {
		_, err := set(t).Condition("FilterExpression", text)
		if want = "ValidationException: Invalid FilterExpression: " + want; err == nil || err.Error() != want {
			t.Errorf("%s\n got  %v\n want %s", text, err, want)
		}
	}
}

func TestNamesAndValues(t *testing.T) {
	for _, c := range []struct {
		names  map[string]string
		values map[string]api.AttributeValue
		want   string
	}{
		{map[string]string{}, nil, "ExpressionAttributeNames must not be empty"},
		{nil, map[string]api.AttributeValue{}, "ExpressionAttributeValues must not be empty"},
		{map[string]string{"n": "n"}, nil, `ExpressionAttributeNames contains invalid key: Syntax error; key: "n"`},
		{nil, map[string]api.AttributeValue{":a!": n("1")}, `ExpressionAttributeValues contains invalid key: Syntax error; key: ":a!"`},
		{nil, map[string]api.AttributeValue{":a": n("x")}, "ExpressionAttributeValues contains invalid value: bad for key :a"},
		{map[string]string{"#b": "n", "#a": "n"}, nil, "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #b}"},
		{nil, map[string]api.AttributeValue{":a": n("1")}, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:a}"},
	} {
		s, err := New(c.names, c.values, func(v *api.AttributeValue) error {
			if v.N != nil && *v.N == "x" {
				return invalid("bad")
			}
			return nil
		})
		if err == nil {
			err = s.Unused()
		}
		if err == nil || err.Error() != "ValidationException: "+c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestProjections(t *testing.T) {
	for text, want := range map[string]map[string]api.AttributeValue{
		"n, gone":               {"n": n("5")},
		"#m.a[1].q, l[3], l[1]": {"m": m("a", l(m("q", n("7")))), "l": l(n("1"), n("3"))},
		"m.gone, l[9], n.x":     {},
		"m":                     {"m": item()["m"]},
	} {
		p, err := set(t).Projection(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := p.Apply(item()); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v", text, got)
		}
	}
	for text, want := range map[string]string{
		"n, #n":       "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [n], path two: [n]",
		"l[0], l.a":   "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [l, [0]], path two: [l, a]",
		"n,":          `Syntax error; token: "<EOF>", near: ","`,
		"n m":         `Syntax error; token: "m", near: "n m"`,
		"l[x]":        `Syntax error; token: "x", near: "[x]"`,
		"name":        "Attribute name is a reserved keyword; reserved keyword: name",
		"attribute.s": "Attribute name is a reserved keyword; reserved keyword: attribute",
	} {
		_, err := set(t).Projection(text)
		if err == nil || err.Error() != "ValidationException: Invalid ProjectionExpression: "+want {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestUpdates(t *testing.T) {
	for text, want := range map[string]map[string]any{
		"SET n = n + :one, #dot = n - :nine":                         {"n": n("6"), "a.b": n("-4")},
		"set a1 = if_not_exists(gone, :x), t = if_not_exists(t, :x)": {"a1": s("x")},
		"SET l = list_append(l, :l)":                                 {"l": l(n("0"), n("1"), n("2"), n("3"), s("new"))},
		"SET l = list_append(:l, l)":                                 {"l": l(s("new"), n("0"), n("1"), n("2"), n("3"))},
		"SET l[9] = :nine, l[7] = :x, l[0] = :five":                  {"l": l(n("5.0"), n("1"), n("2"), n("3"), s("x"), n("9"))},
		"REMOVE l[0], l[2], l[8], gone, #n":                          {"l": l(n("1"), n("3")), "n": nil},
		"REMOVE l[1] SET l[3] = :x":                                  {"l": l(n("0"), n("2"), s("x"))},
		"SET m.a[1].r = :x":                                          {"m": m("a", l(s("p"), api.AttributeValue{M: map[string]api.AttributeValue{"q": n("7"), "r": s("x")}}))},
		"ADD n :nine, #dot :one, ss :z":                              {"n": n("14"), "a.b": n("1"), "ss": api.AttributeValue{SS: []string{"x", "y", "z"}}},
		"DELETE ss :z, gone :z":                                      {"ss": api.AttributeValue{SS: []string{"y"}}},
		"DELETE ss :y":                                               {"ss": nil},
		"SET n = (n + :one)":                                         {"n": n("6")},
		"SET n = l[3], l[3] = n":                                     {"n": n("3"), "l": l(n("0"), n("1"), n("2"), n("5"))},
		"SET n = if_not_exists(gone, n) + :one":                      {"n": n("6")},
	} {
		u, err := set(t).Update(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		before := item()
		got, err := u.Apply(before)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !reflect.DeepEqual(before, item()) {
			t.Errorf("%s changed its operand", text)
		}
		expected := item()
		for k, v := range want {
			if v == nil {
				delete(expected, k)
				continue
			}
			expected[k], _ = v.(api.AttributeValue)
		}
		if !reflect.DeepEqual(got, expected) {
			t.Errorf("%s: got %s", text, describeItem(t, got))
		}
	}
}

func describeItem(t testing.TB, v any) string { return text(t, v) }

func TestBadUpdates(t *testing.T) {
	const prefix = "Invalid UpdateExpression: "
	wrong := prefix + "Incorrect operand type for operator or function; "
	var long strings.Builder
	for i := range 301 {
		long.WriteString(",a" + strconv.Itoa(i) + "=n+:one")
	}
	for text, want := range map[string]string{
		"SET":                             prefix + `Syntax error; token: "<EOF>", near: "SET"`,
		"UPDATE n = :one":                 prefix + `Syntax error; token: "UPDATE", near: "UPDATE n"`,
		"SET n :one":                      prefix + `Syntax error; token: ":one", near: "n :one"`,
		"SET n = n + :one + :one":         prefix + `Syntax error; token: "+", near: ":one + :one"`,
		"SET n = :one,":                   prefix + `Syntax error; token: "<EOF>", near: ","`,
		"SET set = :one":                  prefix + `Syntax error; token: "set", near: "SET set ="`,
		"SET n = :one SET t = :x":         prefix + `The "SET" section can only be used once in an update expression;`,
		"SET status = :x":                 prefix + "Attribute name is a reserved keyword; reserved keyword: status",
		"SET n = foo(n)":                  prefix + "Invalid function name; function: foo",
		"SET n = attribute_exists(n)":     prefix + "Invalid function name; function: attribute_exists",
		"SET n = list_append(l)":          prefix + "Incorrect number of operands for operator or function; operator or function: list_append, number of operands: 1",
		"SET m.a = :x, m = :m":            prefix + "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m, a], path two: [m]",
		"ADD t :x":                        wrong + "operator: ADD, operand type: STRING",
		"DELETE n :one":                   wrong + "operator: DELETE, operand type: NUMBER",
		"SET n = n + :x":                  wrong + "operator or function: +, operand type: S",
		"SET l = list_append(l, :x)":      wrong + "operator or function: list_append, operand type: S",
		"SET n = if_not_exists(:x, :one)": prefix + "Operator or function requires a document path; operator or function: if_not_exists",
		"SET n = :one" + long.String():    prefix + "The expression contains too many operators; operator count: 301",
		"SET n = t + :one":                "An operand in the update expression has an incorrect data type",
		"ADD t :one":                      "An operand in the update expression has an incorrect data type",
		"DELETE ns :z":                    "An operand in the update expression has an incorrect data type",
		"SET n = gone":                    "The provided expression refers to an attribute that does not exist in the item",
		"SET gone.a = :x":                 "The document path provided in the update expression is invalid for update",
		"SET n[0] = :x":                   "The document path provided in the update expression is invalid for update",
		"REMOVE gone.a":                   "The document path provided in the update expression is invalid for update",
		"DELETE gone.a :z":                "The document path provided in the update expression is invalid for update",
		"ADD n :big":                      "Attempting to store more than 38 significant digits in a Number",
	} {
		u, err := set(t).Update(text)
		if err == nil {
			_, err = u.Apply(item())
		}
		if err == nil || err.Error() != "ValidationException: "+want {
			t.Errorf("%s\n got  %v\n want %s", text, err, want)
		}
	}
}

func keys(t testing.TB, text string) ([]KeyCondition, error) {
	t.Helper()
	c, err := set(t).Condition("KeyConditionExpression", text)
	if err != nil {
		return nil, err
	}
	return c.KeyConditions()
}

func TestKeyConditions(t *testing.T) {
	got, err := keys(t, "id = :x AND (:one <= #n)")
	if want := []KeyCondition{{"id", "=", []api.AttributeValue{s("x")}}, {"n", ">=", []api.AttributeValue{n("1")}}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v (%v)", got, err)
	}
	for text, want := range map[string]string{
		"id = :x OR n = :one":  "Invalid operator used in KeyConditionExpression: OR",
		"id <> :x":             "Invalid operator used in KeyConditionExpression: <>",
		"NOT id = :x":          "Invalid operator used in KeyConditionExpression: NOT",
		"attribute_exists(id)": "Invalid operator used in KeyConditionExpression: attribute_exists",
		"size(id) = :one":      "KeyConditionExpressions cannot contain nested operations",
		"id = n":               "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
		"m.a = :x":             "KeyConditionExpressions cannot have conditions on nested attributes",
		":x = :x":              "Invalid condition in KeyConditionExpression: No key attribute specified",
		"id = :x AND id = :x":  "KeyConditionExpressions must only contain one condition per key",
		"begins_with(:x, t)":   "Invalid condition in KeyConditionExpression: begins_with operator must have the key attribute as its first operand",
		"id = ":                `Invalid KeyConditionExpression: Syntax error; token: "<EOF>", near: "="`,
	} {
		if _, err := keys(t, text); err == nil || err.Error() != "ValidationException: "+want {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// FuzzExpressions checks that no text does harm, and that nothing changes the item that it is applied to.
func FuzzExpressions(f *testing.F) {
	for _, text := range []string{
		"n = :five", "NOT (#n BETWEEN :one AND :nine) OR contains(l, :x)", "size(m.a[1]) IN (:one, :five)", "n, #m.a[1].q, l[3]",
		"SET n = n + :one, m.a[0] = list_append(l, :l) REMOVE l[0], t ADD ss :z", "DELETE ss :yx", "id = :x AND begins_with(t, :hell)",
		"((((", "l[99999999999999999999]", "SET (((", "é", "a.b.c[", "<=>",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		before := item()
		if c, err := set(t).Condition("C", text); err == nil {
			c.Match(before)
			c.Match(nil)
		}
		if p, err := set(t).Projection(text); err == nil {
			p.Apply(before)
		}
		if u, err := set(t).Update(text); err == nil {
			if after, err := u.Apply(before); err == nil {
				u.Touched().Apply(after)
			}
		}
		_, _ = keys(t, text)
		if !reflect.DeepEqual(before, item()) {
			t.Errorf("%q changed its operand", text)
		}
	})
}
