package dynamodb

import (
	"strconv"
	"strings"

	"croft/internal/cloud"
)

// Limits of numbers. Source: DynamoDB Developer Guide, "Supported data types and naming rules".
const (
	maxDigits   = 38
	maxExponent = 125
	minExponent = -130
)

// decimal is the number d.ddd × 10^exp without leading or trailing zeros; zero has no digits.
type decimal struct {
	digits [maxDigits]byte // 0 to 9
	n      int
	exp    int
	neg    bool
}

func notNumeric(s string) error {
	if s == "" {
		return validation("The parameter cannot be converted to a numeric value")
	}
	return validation("The parameter cannot be converted to a numeric value: %s", s)
}

// parseDecimal reads a number as a client may write it.
func parseDecimal(s string) (decimal, error) {
	var d decimal
	mantissa, exp, ok := splitExponent(s)
	if !ok {
		return d, notNumeric(s)
	}
	if rest, found := strings.CutPrefix(mantissa, "-"); found {
		d.neg, mantissa = true, rest
	} else {
		mantissa = strings.TrimPrefix(mantissa, "+")
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole == "" && fraction == "" || !allDigits(whole) || !allDigits(fraction) {
		return d, notNumeric(s)
	}
	return d, d.set(whole, fraction, exp)
}

// splitExponent takes the exponent off s. One beyond nine digits has no meaning that could be stored.
func splitExponent(s string) (mantissa string, exp int, ok bool) {
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return s, 0, true
	}
	text, negative := s[i+1:], false
	switch {
	case strings.HasPrefix(text, "-"):
		text, negative = text[1:], true
	case strings.HasPrefix(text, "+"):
		text = text[1:]
	}
	if text == "" || len(text) > 9 || !allDigits(text) {
		return "", 0, false
	}
	for _, c := range []byte(text) {
		exp = exp*10 + int(c-'0')
	}
	if negative {
		exp = -exp
	}
	return s[:i], exp, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// set fills d with the number whole.fraction × 10^exp.
func (d *decimal) set(whole, fraction string, exp int) error {
	whole = strings.TrimLeft(whole, "0")
	fraction = strings.TrimRight(fraction, "0")
	d.exp = exp + len(whole) - 1
	if whole == "" {
		significant := strings.TrimLeft(fraction, "0")
		d.exp -= len(fraction) - len(significant)
		fraction = significant
	}
	if fraction == "" {
		whole = strings.TrimRight(whole, "0")
	}
	if len(whole)+len(fraction) > maxDigits {
		return validation("Attempting to store more than 38 significant digits in a Number")
	}
	for _, part := range [2]string{whole, fraction} {
		for i := range len(part) {
			d.digits[d.n] = part[i] - '0'
			d.n++
		}
	}
	switch {
	case d.n == 0:
		d.exp, d.neg = 0, false
	case d.exp > maxExponent:
		return validation("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case d.exp < minExponent:
		return validation("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	}
	return nil
}

// append writes d as DynamoDB answers it: without exponent or superfluous zeros.
func (d *decimal) append(dst []byte) []byte {
	if d.n == 0 {
		return append(dst, '0')
	}
	if d.neg {
		dst = append(dst, '-')
	}
	point := d.exp + 1
	if point <= 0 {
		dst = append(dst, "0."...)
		for range -point {
			dst = append(dst, '0')
		}
	}
	for i := range d.n {
		if i == point && i > 0 {
			dst = append(dst, '.')
		}
		dst = append(dst, '0'+d.digits[i])
	}
	for range point - d.n {
		dst = append(dst, '0')
	}
	return dst
}

// compactMark stands in the stored form of wide numbers alone.
const compactMark = "E"

// wide reports whether most of d's answered text is zeros that only hold a place.
func (d *decimal) wide() bool {
	const few = 8
	return d.n > 0 && (d.exp < -few || d.exp > d.n+few)
}

// appendCompact writes d by its digits and exponent, in a form that parseDecimal reads.
func (d *decimal) appendCompact(dst []byte) []byte {
	if d.neg {
		dst = append(dst, '-')
	}
	for i := range d.n {
		dst = append(dst, '0'+d.digits[i])
	}
	return strconv.AppendInt(append(dst, compactMark...), int64(d.exp-d.n+1), 10)
}

// pairs returns how many base-100 digits d has, aligned to the decimal point.
func (d *decimal) pairs() int { return (d.n + d.lead() + 1) / 2 }

// lead is 1 when the first base-100 digit has only one decimal digit.
func (d *decimal) lead() int { return (d.exp + 1) & 1 }

// size is what the number counts for in an item's size.
func (d *decimal) size() int {
	switch {
	case d.n == 0:
		return 1
	case d.neg:
		return 2 + d.pairs()
	default:
		return 1 + d.pairs()
	}
}

// maxPairs is where a negative number needs no end mark: nothing longer exists.
const maxPairs = 20

// appendKey writes d so that the order of bytes is the order of numbers: the exponent to base 100, then base-100 digits plus one. The
// bytes of a negative number are complements, and 102 ends it, above every digit, so that a longer one sorts below.
func (d *decimal) appendKey(dst []byte) []byte {
	if d.n == 0 {
		return append(dst, 0x80)
	}
	lead := d.lead()
	exponent := byte((d.exp+1+lead)/2 - 64)
	if d.neg {
		exponent = ^exponent
	}
	dst = append(dst, exponent)
	pairs := d.pairs()
	for i := range pairs {
		pair := d.digit(2*i-lead)*10 + d.digit(2*i-lead+1)
		if d.neg {
			dst = append(dst, 101-pair)
			continue
		}
		dst = append(dst, pair+1)
	}
	if d.neg && pairs < maxPairs {
		dst = append(dst, 102)
	}
	return dst
}

func (d *decimal) digit(i int) byte {
	if i < 0 || i >= d.n {
		return 0
	}
	return d.digits[i]
}

// validation returns the error that DynamoDB gives for input that its own code refuses.
func validation(format string, args ...any) error {
	return cloud.Errorf("ValidationException", format, args...)
}
