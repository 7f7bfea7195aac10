package dynamodb

import (
	"testing"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb/decimal"
	"croft/internal/wire"
)

// pageSize returns what an item of t counts for in a page.
func modelPageSize(t *table, item attributes) int {
	size, sort := 0, 0
	for name, v := range item {
		if name == t.sort.name {
			sort = rawSize(&v)
			continue
		}
		size += 1 + heldSize(&v)
	}
	return pageItem + size + (1+(1+size)/pageChunk)*(pagePart+sort)
}

// heldSize is the size of a value with its length.
func heldSize(v *api.AttributeValue) int {
	switch size := rawSize(v); {
	case v.NULL != nil:
		return 0
	case v.BOOL != nil, v.L != nil, v.M != nil:
		return size
	case v.S != nil && len(*v.S) >= 1<<14:
		return size + 3
	case v.S != nil && len(*v.S) >= 1<<7:
		return size + 2
	default:
		return size + 1 + len(v.SS) + len(v.NS) + len(v.BS)
	}
}

// rawSize is the size of a value's content.
func rawSize(v *api.AttributeValue) int {
	n := 0
	switch {
	case v.S != nil:
		return len(*v.S)
	case v.N != nil:
		return numberSize(*v.N)
	case v.B != nil:
		return len(v.B)
	case v.L != nil:
		n = collectionOverhead
		for i := range v.L {
			n += elementOverhead + heldSize(&v.L[i])
		}
		return n
	case v.M != nil:
		n = collectionOverhead
		for _, e := range v.M {
			n += elementOverhead + 1 + heldSize(&e)
		}
		return n
	case v.BOOL != nil, v.NULL != nil:
		return 1
	}
	for _, s := range v.SS {
		n += len(s)
	}
	for _, s := range v.NS {
		n += numberSize(s)
	}
	for _, b := range v.BS {
		n += len(b)
	}
	return n
}

func numberSize(text string) int {
	d, err := decimal.Parse(text)
	if err != nil {
		return 1
	}
	return d.Size()
}

func storedAttributes(t *testing.T, item attributes) string {
	stored, _, err := encodeItem(item)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, err := storedParts(stored)
	if err != nil {
		t.Fatal(err)
	}
	return rest
}

// TestPageSize compares the walk over stored items with the sum over their attributes.
func TestPageSize(t *testing.T) {
	tab := &table{sort: keyPart{name: "s", typ: typeN}}
	numbers := []string{"0", "7", "-7", "10", "12", "120", "1200", "0.5", "0.05", "0.0055", "-0.00123", "12.5", "1.25", "100.001", "1e100", "-1.5e-120",
		"12345678901234567890123456789012345678"}
	for _, n := range numbers {
		for _, length := range []int{0, 1, 127, 128, 5000, 20000} {
			item := attributes{
				"p": {S: wire.Ptr(string(make([]byte, length)))}, "s": {N: wire.Ptr(n)}, "n": {N: wire.Ptr(n)}, "b": {B: make([]byte, length)},
				"ss": {SS: []string{"a", "bcd"}}, "ns": {NS: []string{n, "3.14"}}, "bs": {BS: [][]byte{{1}, {2, 3}}}, "null": {NULL: wire.Ptr(true)},
				"l": {L: []api.AttributeValue{{N: wire.Ptr(n)}, {BOOL: wire.Ptr(false)}, {M: attributes{"name": {S: wire.Ptr("x")}}}}},
				"m": {M: attributes{"a": {NULL: wire.Ptr(true)}, "b": {L: []api.AttributeValue{}}}}, "t": {BOOL: wire.Ptr(true)},
			}
			if got, want := tab.pageSize(storedAttributes(t, item)), modelPageSize(tab, item); got != want {
				t.Errorf("%s, %d: %d, want %d", n, length, got, want)
			}
		}
	}
}
