package decimal

import "math/big"

// Add returns a + b exactly, or the error that DynamoDB gives when the sum has more than 38 digits or leaves the range.
func Add(a, b Number) (Number, error) { return sum(a, b, false) }

// Subtract returns a - b exactly, with Add's errors.
func Subtract(a, b Number) (Number, error) { return sum(a, b, true) }

func sum(a, b Number, minus bool) (Number, error) {
	low := min(a.last(), b.last())
	x, y := a.scaled(low), b.scaled(low)
	if minus {
		y.Neg(y)
	}
	x.Add(x, y)
	var d Number
	d.neg = x.Sign() < 0
	// The exponents lie within a few hundred of each other, so that the text is short.
	return d, d.set(x.Abs(x).String(), "", low)
}

// last returns the exponent of the last digit.
func (d *Number) last() int { return d.exp - max(d.n, 1) + 1 }

// scaled returns d / 10^low as an integer; low is at most the exponent of the last digit.
func (d *Number) scaled(low int) *big.Int {
	var room [MaxDigits]byte
	digits := room[:0]
	for _, c := range d.digits[:max(d.n, 1)] {
		digits = append(digits, '0'+c)
	}
	v, ok := new(big.Int).SetString(string(digits), 10)
	if !ok {
		return new(big.Int)
	}
	if shift := d.last() - low; shift > 0 {
		v.Mul(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(shift)), nil))
	}
	if d.neg {
		v.Neg(v)
	}
	return v
}

// Compare returns -1, 0 or 1 as a is less than, equal to or greater than b.
func Compare(a, b Number) int {
	switch {
	case a.n == 0 && b.n == 0:
		return 0
	case a.sign() != b.sign():
		return compareInts(a.sign(), b.sign())
	case a.exp != b.exp:
		return a.sign() * compareInts(a.exp, b.exp)
	}
	for i := range a.digits {
		if a.digits[i] != b.digits[i] {
			return a.sign() * compareInts(int(a.digits[i]), int(b.digits[i]))
		}
	}
	return 0
}

func (d *Number) sign() int {
	switch {
	case d.n == 0:
		return 0
	case d.neg:
		return -1
	default:
		return 1
	}
}

func compareInts(a, b int) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}
