package decimal

import (
	"bytes"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNumbersAreNormalised(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.000": "0", "0e99": "0", "+1": "1", "007": "7", "1.": "1", ".5": "0.5", "-.5": "-0.5",
		"1.50": "1.5", "1e3": "1000", "1E+3": "1000", "12.34e1": "123.4", "12.34e-3": "0.01234", "100": "100", "0.00100": "0.001",
		"-123.456": "-123.456", "1e125": "1" + strings.Repeat("0", 125), "1e-130": "0." + strings.Repeat("0", 129) + "1",
		"12345678901234567890123456789012345678": "12345678901234567890123456789012345678",
		"1" + strings.Repeat("0", 125):           "1" + strings.Repeat("0", 125),
	} {
		d, err := Parse(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := string(d.Append(nil)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestBadNumbersAreRefused(t *testing.T) {
	const (
		overflow  = "Number overflow. Attempting to store a number with magnitude larger than supported range"
		underflow = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
		digits    = "Attempting to store more than 38 significant digits in a Number"
	)
	for in, want := range map[string]string{
		"":             "The parameter cannot be converted to a numeric value",
		"b":            "The parameter cannot be converted to a numeric value: b",
		"1 ":           "The parameter cannot be converted to a numeric value: 1 ",
		".":            "The parameter cannot be converted to a numeric value: .",
		"1e":           "The parameter cannot be converted to a numeric value: 1e",
		"--1":          "The parameter cannot be converted to a numeric value: --1",
		"NaN":          "The parameter cannot be converted to a numeric value: NaN",
		"1e1234567890": "The parameter cannot be converted to a numeric value: 1e1234567890",
		"123456789012345678901234567890123456789": digits, "-1.23456789012345678901234567890123456789": digits,
		"1e126": overflow, "-1e126": overflow, "1e-131": underflow, "-1e-131": underflow, "1e999999999": overflow,
	} {
		if _, err := Parse(in); err == nil || err.Error() != "ValidationException: "+want {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
	}
}

func TestNumberSizes(t *testing.T) {
	for in, want := range map[string]int{
		"0": 1, "1": 2, "-1": 3, "10": 2, "12": 2, "100": 2, "123": 3, "1234": 3, "0.1": 2, "0.12": 2, "0.123": 3,
		strings.Repeat("1", 38) + strings.Repeat("0", 88): 20,
		"11111" + strings.Repeat("0", 121):                4,
		"111111" + strings.Repeat("0", 120):               4,
		"1111111" + strings.Repeat("0", 119):              5,
	} {
		d, err := Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Size(); got != want {
			t.Errorf("%s: got %d, want %d", in, got, want)
		}
	}
}

func genNumber(t *rapid.T, label string) string {
	return rapid.StringMatching(`-?[0-9]{1,20}(\.[0-9]{1,18})?(e-?[0-9]{1,2})?`).Draw(t, label)
}

// TestKeysOfNumbersHaveTheirOrder compares with exact rational arithmetic.
func TestKeysOfNumbersHaveTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var keys [2][]byte
		var values [2]*big.Rat
		for i := range keys {
			text := genNumber(t, "number")
			d, err := Parse(text)
			if err != nil {
				t.Skip(err)
			}
			values[i], _ = new(big.Rat).SetString(text)
			canonical, _ := new(big.Rat).SetString(string(d.Append(nil)))
			compact, err := Parse(string(d.AppendCompact(nil)))
			if d.n > 0 && (err != nil || compact != d) {
				t.Fatalf("%s: the compact form is read as %v: %v", text, compact, err)
			}
			if canonical.Cmp(values[i]) != 0 {
				t.Fatalf("%s became %s", text, canonical)
			}
			keys[i] = d.AppendKey(nil)
		}
		if got, want := bytes.Compare(keys[0], keys[1]), values[0].Cmp(values[1]); got != want {
			t.Fatalf("keys of %s and %s compare as %d, not %d", values[0], values[1], got, want)
		}
	})
}
