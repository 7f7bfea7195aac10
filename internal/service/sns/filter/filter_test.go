package filter

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestRefused(t *testing.T) {
	at := func(reason, source string, column int) string {
		return fmt.Sprintf("%s\n at [Source: (String)\"%s\"; line: 1, column: %d]", reason, source, column)
	}
	for _, c := range []struct {
		source, reason string
		column         int
	}{
		{`{"key":[["value"]]}`, "Match value must be String, number, true, false, or null", 10},
		{`{"key":[{"wrong-operator":true}]}`, "Unrecognized match type wrong-operator", 31},
		{`{"key":[{"suffix":"value","prefix":"value2"}]}`, "Only one key allowed in match expression", 37},
		{`{"key":[{"numeric":[]}]}`, "Invalid member in numeric match: ]", 22},
		{`{"key":[{"numeric":["operator"]}]}`, "Unrecognized numeric range operator: operator", 32},
		{`{"key":[{"numeric":[1,"<="]}]}`, "Invalid member in numeric match: 1", 22},
		{`{"key":[{"numeric":["=","000"]}]}`, "Value of equals must be numeric", 26},
		{`{"key":[{"numeric":[">="]}]}`, "Value of >= must be numeric", 26},
		{`{"key":[{"numeric":["<",100,">",10]}]}`, "Too many elements in numeric expression", 30},
		{`{"key":[{"numeric":[">=",1,">",2]}]}`, "Bad numeric range operator: >", 31},
		{`{"key":[{"numeric":[">",3,"<",1]}]}`, "Bottom must be less than top", 33},
		{`{"key":[{"numeric":[">",20,"<="]}]}`, "Value of <= must be numeric", 33},
		{`{"key":[{"numeric":[">",20,30]}]}`, "Bad value in numeric range: 30", 30},
		{`{"key":[{"numeric":[">",20,"test"]}]}`, "Bad numeric range operator: test", 34},
		{`{"key":[{"numeric":[">","20","<","30"]}]}`, "Value of > must be numeric", 26},
		{`{"key":[{"numeric":[">",20,"<","30"]}]}`, "Value of < must be numeric", 33},
		{`{"key":[{"numeric":[">",20,"<",30,"<",50]}]}`, "Too many terms in numeric range expression", 36},
		{`{"key":[{"exists":null}]}`, "exists match pattern must be either true or false.", 23},
		{`{"key":[{"exists":"no"}]}`, "exists match pattern must be either true or false.", 20},
		{`{"key_a":"value_one"}`, `"key_a" must be an object or an array`, 11},
		{`{"key":[]}`, "Empty arrays are not allowed", 10},
		{`{"key":[{"wildcard":"a**b"}]}`, "Consecutive wildcard characters at pos 1", 27},
		{`{"key":[{"anything-but":["a",1]}]}`, "Inside anything but list, either all values are number or string, mixed type is not supported", 31},
		{`{"key":[{"cidr":"10.0.0.1"}]}`, "Malformed CIDR, one '/' required", 27},
	} {
		_, err := Parse(c.source, MessageAttributes)
		var refused *Error
		if want := at(c.reason, c.source, c.column); !errors.As(err, &refused) || refused.Reason != want {
			t.Errorf("%s:\n got %v\nwant %s", c.source, err, want)
		}
	}
}

func values(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(`"%d"`, i))
	}
	return "[" + strings.Join(out, ",") + "]"
}

func TestLimits(t *testing.T) {
	const complex, keys = "Filter policy is too complex", "Filter policy can not have more than 5 keys"
	const source = "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: "
	for _, c := range []struct {
		scope        Scope
		source, want string
	}{
		{MessageAttributes, `{"a":` + values(150) + `}`, ""},
		{MessageAttributes, `{"a":` + values(151) + `}`, complex},
		{MessageAttributes, `{"a":` + values(10) + `,"b":` + values(15) + `}`, ""},
		{MessageAttributes, `{"a":` + values(10) + `,"b":` + values(16) + `}`, complex},
		{MessageAttributes, `{"a":["1"],"b":["1"],"c":["1"],"d":["1"],"e":["1"]}`, ""},
		{MessageAttributes, `{"a":["1"],"b":["1"],"c":["1"],"d":["1"],"e":["1"],"f":["1"]}`, keys},
		{MessageBody, `{"a":{"b":{"c":["1","2","3","4"]}},"d":{"e":["1","2","3"]}}`, ""},
		{MessageBody, `{"a":{"b":{"c":["1","2","3","4"]}},"d":{"e":["1","2","3"]},"f":["1","2","3"]}`, complex},
		{MessageAttributes, `{"a":{"b":["1"]}}`, "Filter policy scope MessageAttributes does not support nested filter policy"},
		{MessageBody, strings.Repeat(`{"a":`, 300) + `["1"]` + strings.Repeat("}", 300), complex},
		{MessageBody, `{"a":["` + strings.Repeat("x", 256<<10) + `"]}`, "Filter policy is too large: the limit is 262144 bytes"},
		{MessageAttributes, `{invalid`, "failed to parse JSON. Unexpected character ('i' (code 105)): was expecting double-quote to start field name" + source + "2]"},
		{MessageAttributes, `invalid`, "failed to parse JSON. Unrecognized token 'invalid': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')" + source + "8]"},
	} {
		_, err := Parse(c.source, c.scope)
		if got := fmt.Sprint(err); err == nil && c.want != "" || err != nil && got != c.want {
			t.Errorf("%.80s:\n got %v\nwant %s", c.source, err, c.want)
		}
	}
}

func TestAttributes(t *testing.T) {
	text := func(s string) map[string]Attribute { return map[string]Attribute{"k": {"String", s}} }
	number := func(s string) map[string]Attribute { return map[string]Attribute{"k": {"Number", s}} }
	array := func(s string) map[string]Attribute { return map[string]Attribute{"k": {"String.Array", s}} }
	for _, c := range []struct {
		policy string
		in     map[string]Attribute
		want   bool
	}{
		{`{}`, nil, true},
		{`{"k":["a"]}`, text("a"), true},
		{`{"k":["a"]}`, text("A"), false},
		{`{"k":["a"]}`, nil, false},
		{`{"k":["1"]}`, number("1"), false},
		{`{"k":[1]}`, number("1.0"), true},
		{`{"k":[1]}`, text("1"), false},
		{`{"k":[{"prefix":"ab"}]}`, text("abc"), true},
		{`{"k":[{"prefix":"bc"}]}`, text("abc"), false},
		{`{"k":[{"suffix":"bc"}]}`, text("abc"), true},
		{`{"k":[{"suffix":"ab"}]}`, text("abc"), false},
		{`{"k":[{"equals-ignore-case":"ABC"}]}`, text("abc"), true},
		{`{"k":[{"equals-ignore-case":"AB"}]}`, text("abc"), false},
		{`{"k":[{"wildcard":"a*c*e"}]}`, text("abcde"), true},
		{`{"k":[{"wildcard":"a*c"}]}`, text("abcde"), false},
		{`{"k":[{"wildcard":"ab*bc"}]}`, text("abc"), false},
		{`{"k":[{"wildcard":"a\\*"}]}`, text("a*"), true},
		{`{"k":[{"wildcard":"a\\*"}]}`, text("ab"), false},
		{`{"k":[{"cidr":"10.0.0.0/24"}]}`, text("10.0.0.255"), true},
		{`{"k":[{"cidr":"10.0.0.0/24"}]}`, text("10.0.1.255"), false},
		{`{"k":[{"cidr":"2001:db8:1234:1a00::/56"}]}`, text("2001:0db8:1234:1a00:0000:0000:0000:0000"), true},
		{`{"k":[{"exists":true}]}`, text("a"), true},
		{`{"k":[{"exists":true}]}`, nil, false},
		{`{"k":[{"exists":false}]}`, nil, true},
		{`{"k":[{"exists":false}]}`, text("a"), false},
		{`{"k":[null,{"anything-but":"x"}]}`, nil, true},
		{`{"k":[null,{"anything-but":"x"}]}`, text("x"), false},
		{`{"k":[{"anything-but":["x","y"]}]}`, text("z"), true},
		{`{"k":[{"anything-but":["x","y"]}]}`, text("y"), false},
		{`{"k":[{"anything-but":[1,2]}]}`, number("2"), false},
		{`{"k":[{"anything-but":[1,2]}]}`, number("3"), true},
		{`{"k":[{"anything-but":"x"}]}`, nil, false},
		{`{"k":[{"anything-but":{"prefix":"ab"}}]}`, text("abc"), false},
		{`{"k":[{"anything-but":{"prefix":["x","ab"]}}]}`, text("bc"), true},
		{`{"k":[{"anything-but":{"suffix":"bc"}}]}`, text("abc"), false},
		{`{"k":[{"anything-but":{"wildcard":"a*c"}}]}`, text("abc"), false},
		{`{"k":[{"anything-but":{"wildcard":"a*c"}}]}`, text("abd"), true},
		{`{"k":[{"numeric":[">",0,"<=",100]}]}`, number("100"), true},
		{`{"k":[{"numeric":[">",0,"<=",100]}]}`, number("100.00001"), false},
		{`{"k":[{"numeric":[">",0,"<=",100]}]}`, number("0"), false},
		{`{"k":[{"numeric":["=",3.015e2]}]}`, number("301.5"), true},
		{`{"k":[{"numeric":["<",0]}]}`, number("-1"), true},
		{`{"k":["a"]}`, array(`["b","a"]`), true},
		{`{"k":["a"]}`, array(`["b"]`), false},
		{`{"k":["a"]}`, array(`[]`), false},
		{`{"k":[true]}`, array(`[false,true]`), true},
		{`{"k":[null]}`, array(`[null]`), true},
		{`{"k":[7]}`, array(`["7",7]`), true},
		{`{"$or":[{"k":["a"]},{"l":["a"]}]}`, text("a"), true},
		{`{"$or":[{"k":["b"]},{"l":["a"]}]}`, text("a"), false},
	} {
		p, err := Parse(c.policy, MessageAttributes)
		if err != nil {
			t.Errorf("%s: %v", c.policy, err)
			continue
		}
		if got := p.MatchAttributes(c.in); got != c.want {
			t.Errorf("%s with %v: %v", c.policy, c.in, got)
		}
	}
}

func TestBody(t *testing.T) {
	const records = `{"Records":{"name":["put"],"s3":{"object":{"key":[{"prefix":"auto-"}]}}}}`
	for _, c := range []struct {
		policy, body string
		want         bool
	}{
		{`{"a":["x"]}`, `{"a":"x"}`, true},
		{`{"a":["x"]}`, `{"a":{"b":"x"}}`, false},
		{`{"a":["x"]}`, `not json`, false},
		{`{"a":["x"]}`, `["a"]`, false},
		{`{"a":["x"]}`, `null`, false},
		{`{"a":[null]}`, `{"a":null}`, true},
		{`{"a":[null]}`, `{}`, false},
		{`{"a":[12]}`, `{"a":1.2e1}`, true},
		{`{"a":[{"exists":false}]}`, `{"a":[]}`, true},
		{`{"a":[{"exists":false}]}`, `{"a":[1]}`, false},
		{`{"a":{"b":[{"exists":true}]}}`, `{"a":[{"c":1},{"b":1}]}`, true},
		{`{"a":{"b":["x"]}}`, `{"a":{"b":["y","x"]}}`, true},
		{`{"a":{"b":["x"]}}`, `{"a.b":"x"}`, true},
		{`{"a":{"b":{"c":["x"]}}}`, `{"a.b":{"c":"x"}}`, true},
		{`{"a":{"b":{"c":["x"]}}}`, `{"a":{"b.c":"x"}}`, true},
		{`{"a":{"b":["x"],"c":["y"]}}`, `{"a":{"c":"y"},"a.b":"x"}`, true},
		{`{"a.b":["x"]}`, `{"a":{"b":"x"}}`, true},
		{records, `{"Records":[{"name":"put","s3":{"object":[[{"key":"auto-1"}]]}},{"name":"x"}]}`, true},
		{records, `{"Records":[{"name":"put","s3":{"object":{"key":"home"}}},{"name":"x","s3":{"object":{"key":"auto-1"}}}]}`, false},
		{`{"d":{"s":["x"],"$or":[{"m":["1"]},{"n":["2"]}]}}`, `{"d":{"s":"x","n":"2"}}`, true},
		{`{"d":{"s":["x"],"$or":[{"m":["1"]},{"n":["2"]}]}}`, `{"d":{"s":"x","n":"1"}}`, false},
		{`{"$or":["x"]}`, `{"$or":"x"}`, true},
	} {
		p, err := Parse(c.policy, MessageBody)
		if err != nil {
			t.Errorf("%s: %v", c.policy, err)
			continue
		}
		if got := p.MatchBody(ReadBody(c.body)); got != c.want {
			t.Errorf("%s with %s: %v", c.policy, c.body, got)
		}
	}
}

// A message in which a path can lead many ways is given up after a bounded look.
func TestBodyOfManyWays(t *testing.T) {
	const depth = 12
	keys := make([]string, 5)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"%s%d":["x"]`, strings.Repeat("a.", 2*depth), i)
	}
	p, err := Parse("{"+strings.Join(keys, ",")+"}", MessageBody)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"a":1}`
	for range depth {
		body = `{"a":` + body + `,"a.a":` + body + `}`
	}
	if p.MatchBody(ReadBody(body)) {
		t.Error("it matches")
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(`{"a":[{"numeric":[">",0,"<",1]},null,"x"],"$or":[{"b":[1]},{"c":[{"exists":false}]}]}`, `{"a":[{"b":null},1,"x"],"c.d":{}}`)
	f.Add(`{"a":{"b":[{"anything-but":{"wildcard":"a*\\*"}},{"cidr":"::/0"}]}}`, `{"a":{"b":["::1"]}}`)
	f.Fuzz(func(t *testing.T, policy, body string) {
		for _, scope := range []Scope{MessageAttributes, MessageBody} {
			p, err := Parse(policy, scope)
			var refused *Error
			if err != nil {
				if !errors.As(err, &refused) {
					t.Fatalf("%T", err)
				}
				continue
			}
			for _, a := range p.alternatives {
				if len(a) > maxKeys || a.combinations() > maxCombinations {
					t.Fatal("beyond the limits")
				}
			}
			p.MatchBody(ReadBody(body))
			p.MatchAttributes(map[string]Attribute{"a": {"String.Array", body}, "b": {"Number", body}})
		}
	})
}
