package dynamodb

import (
	"strings"

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

// pageSize returns what a stored item of t, which can be decoded, counts for in a page. It walks the stored form: a page looks at so
// many items that the map of their attributes would be felt.
func (t *table) pageSize(stored string) int {
	d := decoder{rest: stored}
	size, sort := 0, 0
	for n := d.length(); n > 0 && !d.bad; n-- {
		if name := d.text(); name == t.sort.name {
			sort, _ = d.pageValue(0)
			continue
		}
		_, held := d.pageValue(0)
		size += 1 + held
	}
	return pageItem + size + (1+(1+size)/pageChunk)*(pagePart+sort)
}

// pageValue passes a value and returns the size of its content, and that with its length.
func (d *decoder) pageValue(depth int) (raw, held int) {
	if depth > maxNesting {
		d.fail()
		return 0, 0
	}
	switch tag := d.tag(); tag {
	case tagS:
		raw = len(d.text())
		held = raw + 1
		if raw >= 1<<7 {
			held++
		}
		if raw >= 1<<14 {
			held++
		}
		return raw, held
	case tagN:
		raw = pageNumber(d.text())
	case tagB:
		raw = len(d.text())
	case tagSS, tagNS, tagBS:
		return d.pageSet(tag)
	case tagM, tagL:
		return d.pageCollection(tag, depth)
	case tagNull:
		return 1, 0
	default:
		return 1, 1
	}
	return raw, raw + 1
}

func (d *decoder) pageSet(tag byte) (raw, held int) {
	n := d.length()
	for i := 0; i < n && !d.bad; i++ {
		if s := d.text(); tag == tagNS {
			raw += pageNumber(s)
		} else {
			raw += len(s)
		}
	}
	return raw, raw + 1 + n
}

func (d *decoder) pageCollection(tag byte, depth int) (raw, held int) {
	raw = collectionOverhead
	for n := d.length(); n > 0 && !d.bad; n-- {
		if tag == tagM {
			d.text()
			raw++
		}
		_, element := d.pageValue(depth + 1)
		raw += elementOverhead + element
	}
	return raw, raw
}

// pageNumber returns the size of a number in its stored form: a byte, one for each pair of digits, and one for the sign.
func pageNumber(text string) int {
	if strings.Contains(text, decimal.CompactMark) {
		d, err := decimal.Parse(text)
		if err != nil {
			return 1
		}
		return d.Size()
	}
	size := 1
	if strings.HasPrefix(text, "-") {
		size, text = 2, text[1:]
	}
	point := strings.IndexByte(text, '.')
	if point < 0 {
		point = len(text)
	}
	first, last := -1, -1
	for i := range len(text) {
		if text[i] != '0' && text[i] != '.' {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 {
		return 1
	}
	digits, exponent := last-first+1, point-first-1
	if first > point {
		exponent = point - first
	} else if last > point {
		digits--
	}
	// Pairs begin at even exponents.
	if exponent%2 == 0 {
		digits++
	}
	return size + (digits+1)/2
}
