package dynamodb

import (
	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb/decimal"
)

// What an item counts for in a page of a Query or a Scan is not its size as an item, which is what capacity goes by, but that of a form
// inside the service: names count one byte, values carry their length, and each item and each further 3 KB of it has an overhead with the
// sort key in it. Source: where pages of the service were observed to end, as published in the tests of other implementations.
const (
	pageItem  = 2
	pageChunk = 3072
	pagePart  = 18
)

// pageSize returns what an item of t counts for in a page.
func (t *table) pageSize(item attributes) int {
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
