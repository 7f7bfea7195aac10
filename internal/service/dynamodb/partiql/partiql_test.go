package partiql

import (
	"reflect"
	"strings"
	"testing"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb/expression"
)

func text(s string) api.AttributeValue { return api.AttributeValue{S: &s} }

func num(s string) api.AttributeValue { return api.AttributeValue{N: &s} }

func fine(*api.AttributeValue) error { return nil }

func item() map[string]api.AttributeValue {
	return map[string]api.AttributeValue{
		"id": text("1"), "n": num("5"), "ss": {SS: []string{"a", "b"}}, "l": {L: []api.AttributeValue{text("x"), num("2")}},
		"m": {M: map[string]api.AttributeValue{"a b": text("q"), "l": {L: []api.AttributeValue{num("7")}}}},
	}
}

// TestConditions has conditions that the item meets, and whose opposites it does not.
func TestConditions(t *testing.T) {
	for _, where := range []string{
		"id = '1'", "'1' = id", "n > 4 AND n <= 5.0", "4 < n", "n != 6", "NOT n = 6", "n BETWEEN 1 AND 5", "n NOT BETWEEN 6 AND 7",
		"id IN ['2', '1']", "id NOT IN ('2')", "n = 6 OR (n = 5 AND id = '1')", "begins_with(m.\"a b\", 'q')", "contains(ss, 'a')", "size(l) = 2",
		"zz IS MISSING", "n IS NOT MISSING", "n IS NUMERIC", "m IS STRUCT", "l IS NOT NULL", "attribute_type(l, 'L')", "missing(zz)", "l[1] = 2",
		"m['a b'] = 'q'", "m.l[0] = +7", "attribute_exists(m.l)", "ss = <<'b', 'a'>>", "l = ['x', 2]", "n = ?", "id = 'it''s' OR id = '1'",
		"id = '1' -- the end", "id /* a comment */ = '1'", "ID IS MISSING",
	} {
		var params []api.AttributeValue
		if strings.Contains(where, "?") {
			params = []api.AttributeValue{num("5")}
		}
		for want, full := range map[bool]string{true: where, false: "NOT (" + where + "\n)"} {
			st, err := Parse("SELECT * FROM tab WHERE "+full, params, fine)
			if err != nil {
				t.Fatalf("%s: %v", full, err)
			}
			c, err := expression.TermCondition(All(st.Where))
			if err != nil {
				t.Fatalf("%s: %v", full, err)
			}
			if c.Match(item()) != want {
				t.Errorf("%s is not %v", full, want)
			}
		}
	}
}

func TestStatements(t *testing.T) {
	st, err := Parse(`select "a b", m.l[0], m.l FROM "my-table"."an.index" WHERE id = ? AND 3 < n AND begins_with(s, 'x') OR z = 1 ORDER BY n DESC;`,
		[]api.AttributeValue{text("1")}, fine)
	if err != nil || st.Table != "my-table" || st.Index != "an.index" || len(st.Where) != 1 || !reflect.DeepEqual(st.Order, []Order{{"n", true}}) {
		t.Fatalf("%+v, %v", st, err)
	}
	if got := st.Columns.Apply(item()); len(got) != 2 || *got["l[0]"].N != "7" || len(got["l"].L) != 1 {
		t.Errorf("%v", got)
	}
	st, err = Parse("SELECT * FROM tab WHERE id = '1' AND (3 < n AND begins_with(s, 'x'))", nil, fine)
	if err != nil || len(st.Where) != 3 || st.Where[1].Key.Op != ">" || st.Where[1].Name != "n" || st.Where[2].Key.Op != "begins_with" {
		t.Errorf("%+v, %v", st, err)
	}
	st, err = Parse("INSERT INTO tab VALUE {'id': '1', 'm': {'a': [true, null, -1.5e2]}, 's': <<1, 2>>}", nil, fine)
	if err != nil || len(st.Item) != 3 || *st.Item["m"].M["a"].L[2].N != "-1.5e2" || len(st.Item["s"].NS) != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	st, err = Parse("UPDATE tab SET n = n + 1, q = list_append(l, [1]) SET ss = set_delete(ss, <<'a'>>) REMOVE m.l[0] WHERE id = '1' RETURNING MODIFIED NEW *", nil, fine)
	if err != nil || st.Returning != "UPDATED_NEW" {
		t.Fatalf("%+v, %v", st, err)
	}
	after, err := st.Set.Apply(item())
	if err != nil || *after["n"].N != "6" || len(after["q"].L) != 3 || len(after["ss"].SS) != 1 || len(after["m"].M["l"].L) != 0 {
		t.Errorf("%v, %v", after, err)
	}
}

func TestErrors(t *testing.T) {
	const bad = "Statement wasn't well formed, can't be processed: "
	for statement, want := range map[string]string{
		"": bad + "Expected data manipulation", "SLECT * FROM tab": bad + "Expected data manipulation",
		"SELECT * FROM tab WHERE a = 1 garbage":                bad + "Unexpected token after expression",
		"SELECT * FROM tab WHERE a = ?":                        "Number of parameters in request and statement don't match.",
		"SELECT *, a FROM tab":                                 "Other attributes should not be present in the projection when '*' is used.",
		"SELECT a, m.a FROM tab":                               "Duplicate identifiers in select clause: a",
		"SELECT size(a) FROM tab":                              "Unexpected path component at 1:8:4",
		"SELECT a AS b FROM tab":                               "Aliasing is not supported",
		"SELECT * FROM tab, other":                             "Only select from a single table or index is supported.",
		"SELECT * FROM tab ORDER BY a":                         "Must have WHERE clause in the statement when using ORDER BY clause.",
		"SELECT * FROM tab WHERE a":                            "WHERE clause must contain an expression that resolves to a boolean",
		"SELECT * FROM tab WHERE a = MISSING":                  "MISSING must be compared using IS operator",
		"SELECT * FROM tab WHERE a IN []":                      "IN operator must have a left hand argument of type Variable Reference and right hand argument of type Seq with at least one member",
		"SELECT * FROM tab WHERE 1 IS NULL":                    "The left hand side argument to IS must be a Variable Reference, Literal, or Path",
		"SELECT * FROM tab WHERE EXISTS(ss)":                   "Unrecognized function: exists at 1:25:6",
		"SELECT * FROM tab WHERE \"\" = 1":                     "Path component cannot be an empty string",
		"INSERT INTO tab VALUE [1]":                            "Unsupported format in item expression. Please use struct format {...} to express item values for insert statement.",
		"INSERT INTO tab VALUE {'a': 1, 'a': 2}":               "Duplicate keys in tuple. Key: a under root",
		"INSERT INTO tab.idx VALUE {'a': 1}":                   "This operation is not supported on an index",
		"INSERT INTO tab VALUE {'a': 1} RETURNING ALL OLD *":   "RETURNING is not supported in INSERT",
		"INSERT INTO tab VALUE {'a': set_add(<<1>>, <<2>>)}":   "Unsupported data type: set_add under key root at 1:29:7",
		"INSERT INTO tab VALUE {'a': `1`}":                     "Ion Literals are not supported",
		"UPDATE tab SET t = set_add(ss, <<'x'>>)":              "The first argument to SET_ADD must equal the assignment value at 1:20:7",
		"UPDATE tab SET ss = set_add(ss, 'x')":                 "The second argument to SET_ADD must be a value with type SET at 1:29:2",
		"UPDATE tab SET ss = set_add(ss)":                      "SET_ADD must have exactly two arguments at 1:21:7",
		"UPDATE tab SET ss = set_add(ss, <<>>)":                "Empty bags are not supported",
		"DELETE FROM tab WHERE a = 1 RETURNING MODIFIED OLD *": "Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is allowed in DELETE statements.",
		"DELETE FROM tab WHERE a = 1 RETURNING ALL OLD":        "Expected '*' after ( MODIFIED | ALL ) ( NEW | OLD ) in RETURNING clause",
		"SELECT * FROM tab WHERE a = 'x":                       bad + "a quote without an end",
		"SELECT * FROM tab /* x":                               bad + "a comment without an end",
		"SELECT l[99999999999999999999] FROM tab":              "List index is not within the allowable range; index: [99999999999999999999] at 1:10:20",
		"SELECT * FROM tab WHERE " + strings.Repeat("(", 1000): bad + "nesting too deep",
	} {
		if _, err := Parse(statement, nil, fine); err == nil || err.Error() != "ValidationException: "+want {
			t.Errorf("%.100s: got %v", statement, err)
		}
	}
	for where, want := range map[string]string{
		"attribute_exists('ss')":   "Operator or function requires a document path; operator or function: attribute_exists",
		"attribute_exists(ss, ns)": "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2",
		"begins_with(a, 1)":        "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
	} {
		st, err := Parse("SELECT * FROM tab WHERE "+where, nil, fine)
		if err == nil {
			_, err = expression.TermCondition(All(st.Where))
		}
		if err == nil || err.Error() != "ValidationException: "+want {
			t.Errorf("%s: got %v", where, err)
		}
	}
}

// FuzzParse checks that no statement does harm, and that nothing changes the item that it is applied to.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"SELECT a, m.l[0] FROM \"t\".i WHERE id = ? AND n BETWEEN 1 AND -2 OR NOT contains(ss, 'a') ORDER BY n DESC", "EXISTS(SELECT * FROM t WHERE a IS MISSING)",
		"INSERT INTO t VALUE {'a': [1, <<'x'>>, {'b': ?}]}", "UPDATE t SET a = a + 1 SET ss = set_add(ss, <<'q'>>) REMOVE m.l[0] WHERE id = 'x' RETURNING ALL NEW *",
		"DELETE FROM t WHERE id IN [1, 2] RETURNING ALL OLD *", "SELECT * FROM t WHERE size(l) > 1 -- c", "((((", "`", "é", "<<<<", "SELECT A[0]FROM\"0\"WHERE 00BETWEEN 0AND",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		before := item()
		for _, params := range [][]api.AttributeValue{nil, {text("1")}} {
			st, err := Parse(s, params, fine)
			if err != nil {
				continue
			}
			st.Columns.Apply(before)
			if len(st.Where) > 0 {
				if c, err := expression.TermCondition(All(st.Where)); err == nil {
					c.Match(before)
					c.Match(nil)
				}
			}
			if st.Set != nil {
				if after, err := st.Set.Apply(before); err == nil {
					st.Set.Touched().Apply(after)
				}
			}
		}
		if !reflect.DeepEqual(before, item()) {
			t.Errorf("%q changed its operand", s)
		}
	})
}
