package decimal

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSums(t *testing.T) {
	for _, c := range []struct{ a, b, plus, minus string }{
		{"0", "0", "0", "0"},
		{"0.1", "0.2", "0.3", "-0.1"},
		{"1e20", "-1e20", "0", "2" + strings.Repeat("0", 20)},
		{"99999999999999999999999999999999999999", "1", "1" + strings.Repeat("0", 38), strings.Repeat("9", 37) + "8"},
		{"-5", "0", "-5", "-5"},
		{"0", "1e-130", "0." + strings.Repeat("0", 129) + "1", "-0." + strings.Repeat("0", 129) + "1"},
		{"1e125", "1", "38 significant digits", "38 significant digits"},
		{"9e125", "9e125", "Number overflow", "0"},
	} {
		for want, f := range map[string]func(a, b Number) (Number, error){c.plus: Add, c.minus: Subtract} {
			if c.plus == c.minus {
				f = Add
			}
			a, _ := Parse(c.a)
			b, _ := Parse(c.b)
			d, err := f(a, b)
			got := string(d.Append(nil))
			if err != nil {
				got = err.Error()
			}
			if got != want && (err == nil || !strings.Contains(got, want)) {
				t.Errorf("%s and %s: got %s, want %s", c.a, c.b, got, want)
			}
		}
	}
}

// TestSumsAndOrder compares with exact rational arithmetic.
func TestSumsAndOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := [2]string{genNumber(t, "a"), genNumber(t, "b")}
		var d [2]Number
		var r [2]*big.Rat
		for i, text := range texts {
			var err error
			if d[i], err = Parse(text); err != nil {
				t.Skip(err)
			}
			r[i], _ = new(big.Rat).SetString(text)
		}
		if got, want := Compare(d[0], d[1]), r[0].Cmp(r[1]); got != want {
			t.Fatalf("%v compare as %d, not %d", texts, got, want)
		}
		for minus, f := range map[bool]func(a, b Number) (Number, error){false: Add, true: Subtract} {
			s, err := f(d[0], d[1])
			if err != nil {
				continue
			}
			want := new(big.Rat).Add(r[0], r[1])
			if minus {
				want.Sub(r[0], r[1])
			}
			if got, _ := new(big.Rat).SetString(string(s.Append(nil))); got.Cmp(want) != 0 {
				t.Fatalf("%v: got %s, want %s", texts, got, want)
			}
		}
	})
}
