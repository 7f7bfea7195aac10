package expression

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb/decimal"
)

// describe returns a value as it stands in messages.
func describe(v *api.AttributeValue) string {
	text := ""
	switch {
	case v.S != nil:
		text = *v.S
	case v.N != nil:
		text = *v.N
	case v.B != nil:
		text = base64.StdEncoding.EncodeToString(v.B)
	case v.BOOL != nil:
		text = strconv.FormatBool(*v.BOOL)
	}
	return "{" + typeOf(v) + ":" + text + "}"
}

// compare orders two strings, two numbers or two binaries. Nothing else has an order.
func compare(a, b *api.AttributeValue) (order int, ok bool) {
	switch {
	case a.S != nil && b.S != nil:
		return strings.Compare(*a.S, *b.S), true
	case a.B != nil && b.B != nil:
		return bytes.Compare(a.B, b.B), true
	case a.N != nil && b.N != nil:
		return compareNumbers(*a.N, *b.N)
	}
	return 0, false
}

func compareNumbers(a, b string) (int, bool) {
	x, errX := decimal.Parse(a)
	y, errY := decimal.Parse(b)
	if errX != nil || errY != nil {
		return 0, false
	}
	return decimal.Compare(x, y), true
}

func sameNumber(a, b string) bool {
	order, ok := compareNumbers(a, b)
	return a == b || ok && order == 0
}

// Members of sets have texts that are the same when they are: sets may be large, and are compared through tables of these.
func textMember(s string) string { return s }

func binaryMember(b []byte) string { return string(b) }

func numberMember(s string) string {
	d, err := decimal.Parse(s)
	if err != nil {
		return s
	}
	return string(d.Append(nil))
}

// table returns the members of a set.
func table[T any](set []T, member func(T) string) map[string]bool {
	out := make(map[string]bool, len(set))
	for _, x := range set {
		out[member(x)] = true
	}
	return out
}

// equal reports whether two values are of one type and the same. Sets have no order.
func equal(a, b *api.AttributeValue) bool {
	if typeOf(a) != typeOf(b) {
		return false
	}
	switch {
	case a.BOOL != nil:
		return *a.BOOL == *b.BOOL
	case a.NULL != nil:
		return true
	case a.SS != nil:
		return sameSet(a.SS, b.SS, textMember)
	case a.NS != nil:
		return sameSet(a.NS, b.NS, numberMember)
	case a.BS != nil:
		return sameSet(a.BS, b.BS, binaryMember)
	case a.L != nil:
		return slices.EqualFunc(a.L, b.L, func(x, y api.AttributeValue) bool { return equal(&x, &y) })
	case a.M != nil:
		return sameMap(a.M, b.M)
	}
	order, ok := compare(a, b)
	return ok && order == 0
}

func sameSet[T any](a, b []T, member func(T) string) bool {
	if len(a) != len(b) {
		return false
	}
	in := table(b, member)
	for _, x := range a {
		if !in[member(x)] {
			return false
		}
	}
	return true
}

func sameMap(a, b map[string]api.AttributeValue) bool {
	if len(a) != len(b) {
		return false
	}
	for name, x := range a {
		y, ok := b[name]
		if !ok || !equal(&x, &y) {
			return false
		}
	}
	return true
}

// contains reports whether whole, a text, a set or a list, has part in it.
func contains(whole, part *api.AttributeValue) bool {
	switch {
	case whole.S != nil && part.S != nil:
		return strings.Contains(*whole.S, *part.S)
	case whole.B != nil && part.B != nil:
		return bytes.Contains(whole.B, part.B)
	case whole.SS != nil && part.S != nil:
		return slices.Contains(whole.SS, *part.S)
	case whole.NS != nil && part.N != nil:
		return slices.ContainsFunc(whole.NS, func(x string) bool { return sameNumber(x, *part.N) })
	case whole.BS != nil && part.B != nil:
		return slices.ContainsFunc(whole.BS, func(x []byte) bool { return bytes.Equal(x, part.B) })
	case whole.L != nil:
		return slices.ContainsFunc(whole.L, func(e api.AttributeValue) bool { return equal(&e, part) })
	}
	return false
}

// textLength returns the length of a text in units of UTF-16, in which DynamoDB counts.
func textLength(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n
}

// size returns what the function size gives for v: the length of texts, bytes of binaries, elements of everything else.
func size(v *api.AttributeValue) (int, bool) {
	switch {
	case v.S != nil:
		return textLength(*v.S), true
	case v.B != nil:
		return len(v.B), true
	case v.SS != nil, v.NS != nil, v.BS != nil, v.L != nil, v.M != nil:
		return len(v.SS) + len(v.NS) + len(v.BS) + len(v.L) + len(v.M), true
	}
	return 0, false
}

// find returns the value at p, nil when there is none.
func find(item map[string]api.AttributeValue, p path) *api.AttributeValue {
	v, ok := item[p[0].name]
	if !ok {
		return nil
	}
	for _, e := range p[1:] {
		if e.name == "" {
			if e.index >= len(v.L) {
				return nil
			}
			v = v.L[e.index]
			continue
		}
		if v, ok = v.M[e.name]; !ok {
			return nil
		}
	}
	return &v
}
