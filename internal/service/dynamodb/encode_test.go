package dynamodb

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb/decimal"
	"croft/internal/wire"
)

func str(s string) api.AttributeValue { return api.AttributeValue{S: &s} }
func num(s string) api.AttributeValue { return api.AttributeValue{N: &s} }

func everyType() map[string]api.AttributeValue {
	return map[string]api.AttributeValue{
		"s": str("text"), "empty": str(""), "n": num("1.5"), "b": {B: []byte{0, 1}}, "eb": {B: []byte{}},
		"ss": {SS: []string{"b", "a", ""}}, "ns": {NS: []string{"2", "1"}}, "bs": {BS: [][]byte{{1}, {}}},
		"m": {M: map[string]api.AttributeValue{"x": {L: []api.AttributeValue{str("y"), {M: map[string]api.AttributeValue{}}}}}},
		"l": {L: []api.AttributeValue{}}, "t": {BOOL: wire.Ptr(true)}, "f": {BOOL: wire.Ptr(false)}, "z": {NULL: wire.Ptr(true)},
		"wide": num("1" + strings.Repeat("0", 100)), "small": num("-0." + strings.Repeat("0", 80) + "12"),
	}
}

func TestItemsSurviveTheirStoredForm(t *testing.T) {
	item := everyType()
	stored, size, err := encodeItem(item)
	if err != nil {
		t.Fatal(err)
	}
	got, gotSize, err := decodeItem(stored)
	if err != nil || gotSize != size || !reflect.DeepEqual(got, item) {
		t.Fatalf("got %v of size %d (%v), want %v of size %d", got, gotSize, err, item, size)
	}
	again, _, err := encodeItem(got)
	if err != nil || !bytes.Equal(again, stored) {
		t.Fatalf("the stored form differs the second time: %v", err)
	}
}

func TestItemSize(t *testing.T) {
	for _, c := range []struct {
		item map[string]api.AttributeValue
		want int
	}{
		{map[string]api.AttributeValue{"ab": str("cdé")}, 2 + 4},
		{map[string]api.AttributeValue{"a": {B: []byte{1, 2, 3}}}, 1 + 3},
		{map[string]api.AttributeValue{"a": {NULL: wire.Ptr(true)}}, 1 + 1},
		{map[string]api.AttributeValue{"a": {SS: []string{"ab", "c"}}}, 1 + 3},
		{map[string]api.AttributeValue{"a": {L: []api.AttributeValue{str("ab"), str("c")}}}, 1 + 3 + 2 + 3},
		{map[string]api.AttributeValue{"a": {M: map[string]api.AttributeValue{"k": str("v")}}}, 1 + 3 + 1 + 2},
	} {
		if _, size, err := encodeItem(c.item); err != nil || size != c.want {
			t.Errorf("%v: got %d (%v), want %d", c.item, size, err, c.want)
		}
	}
}

func nested(depth int) api.AttributeValue {
	v := str("x")
	for range depth {
		v = api.AttributeValue{L: []api.AttributeValue{v}}
	}
	return v
}

func TestBadValuesAreRefused(t *testing.T) {
	const prefix = "One or more parameter values were invalid: "
	for _, c := range []struct {
		v    api.AttributeValue
		want string
	}{
		{api.AttributeValue{}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{api.AttributeValue{L: []api.AttributeValue{{}}}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{api.AttributeValue{S: wire.Ptr("a"), N: wire.Ptr("1")},
			"Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"},
		{api.AttributeValue{NULL: wire.Ptr(false)}, prefix + "Null attribute value types must have the value of true"},
		{api.AttributeValue{SS: []string{}}, prefix + "An string set  may not be empty"},
		{api.AttributeValue{NS: []string{}}, prefix + "An number set  may not be empty"},
		{api.AttributeValue{BS: [][]byte{}}, prefix + "Binary sets should not be empty"},
		{api.AttributeValue{SS: []string{"a", "a"}}, prefix + "Input collection [a, a] contains duplicates."},
		{api.AttributeValue{BS: [][]byte{{'b'}, {'b'}}}, prefix + "Input collection [Yg==, Yg==]of type BS contains duplicates."},
		{api.AttributeValue{NS: []string{"1", "1.0"}}, "Input collection contains duplicates"},
		{api.AttributeValue{NS: []string{"1", "b"}}, "The parameter cannot be converted to a numeric value: b"},
		{nested(33), "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"},
	} {
		_, _, err := encodeItem(map[string]api.AttributeValue{"a": c.v})
		if err == nil || messageOf(err) != c.want {
			t.Errorf("%v: got %v, want %s", c.v, err, c.want)
		}
	}
	if _, _, err := encodeItem(map[string]api.AttributeValue{"a": nested(32)}); err != nil {
		t.Errorf("32 levels: %v", err)
	}
}

// FuzzDecodeItem checks that no stored bytes do harm, and that what can be read is written the same way again.
func FuzzDecodeItem(f *testing.F) {
	stored, _, err := encodeItem(everyType())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stored)
	f.Add([]byte{itemFormat, 0, 0})
	f.Fuzz(func(t *testing.T, stored []byte) {
		item, _, err := decodeItem(stored)
		if err != nil {
			return
		}
		again, _, err := encodeItem(item)
		if err != nil {
			return
		}
		second, _, err := decodeItem(again)
		if err != nil {
			t.Fatal(err)
		}
		third, _, err := encodeItem(second)
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("the stored form is not stable: %v", err)
		}
	})
}

// FuzzNumber checks that any text is refused or normalised for good.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-1.5e10", "1e-130", ".", "9e999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := decimal.Parse(s)
		if err != nil {
			return
		}
		canonical := string(d.Append(nil))
		again, err := decimal.Parse(canonical)
		if err != nil || again != d {
			t.Fatalf("%q became %s, which is read as %v: %v", s, canonical, again, err)
		}
	})
}
