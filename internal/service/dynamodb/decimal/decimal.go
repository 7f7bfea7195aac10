// Package decimal is DynamoDB's numbers: 38 significant digits, exact, from 1E-130 to 9.99…E+125. Values are immutable once made; every
// function is safe for concurrent use.
package decimal

import (
	"strconv"
	"strings"

	"croft/internal/cloud"
)

// Limits of numbers. Source: DynamoDB Developer Guide, "Supported data types and naming rules".
const (
	MaxDigits   = 38
	maxExponent = 125
	minExponent = -130
)

// Number is the number d.ddd × 10^exp without leading or trailing zeros; zero has no digits.
type Number struct {
	digits [MaxDigits]byte // 0 to 9
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

// Parse reads a number as a client may write it. Its errors are the ValidationExceptions that DynamoDB gives.
func Parse(s string) (Number, error) {
	var d Number
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
func (d *Number) set(whole, fraction string, exp int) error {
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
	if len(whole)+len(fraction) > MaxDigits {
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

// Append writes d as DynamoDB answers it: without exponent or superfluous zeros.
func (d *Number) Append(dst []byte) []byte {
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

// CompactMark stands in the stored form of wide numbers alone.
const CompactMark = "E"

// Wide reports whether most of d's answered text is zeros that only hold a place.
func (d *Number) Wide() bool {
	const few = 8
	return d.n > 0 && (d.exp < -few || d.exp > d.n+few)
}

// AppendCompact writes d by its digits and exponent, in a form that Parse reads.
func (d *Number) AppendCompact(dst []byte) []byte {
	if d.neg {
		dst = append(dst, '-')
	}
	for i := range d.n {
		dst = append(dst, '0'+d.digits[i])
	}
	return strconv.AppendInt(append(dst, CompactMark...), int64(d.exp-d.n+1), 10)
}

// pairs returns how many base-100 digits d has, aligned to the decimal point.
func (d *Number) pairs() int { return (d.n + d.lead() + 1) / 2 }

// lead is 1 when the first base-100 digit has only one decimal digit.
func (d *Number) lead() int { return (d.exp + 1) & 1 }

// Size is what the number counts for in an item's size.
func (d *Number) Size() int {
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

// AppendKey writes d so that the order of bytes is the order of numbers: the exponent to base 100, then base-100 digits plus one. The
// bytes of a negative number are complements, and 102 ends it, above every digit, so that a longer one sorts below.
func (d *Number) AppendKey(dst []byte) []byte {
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

func (d *Number) digit(i int) byte {
	if i < 0 || i >= d.n {
		return 0
	}
	return d.digits[i]
}

// validation returns the error that DynamoDB gives for input that its own code refuses.
func validation(format string, args ...any) error {
	return cloud.Errorf("ValidationException", format, args...)
}
