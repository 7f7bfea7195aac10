package template

import (
	"math/big"
	"strings"
)

// yamlNumber returns s as a JSON number when YAML 1.1 reads it as one. Digits behind a leading zero are octal, and no number at
// all when they hold an 8 or a 9, so that an unquoted account id such as 012345678901 stays what it is. Times (10:30) stay strings.
func yamlNumber(s string) (string, bool) {
	if len(s) > 64 {
		return "", false
	}
	sign, digits := "", s
	switch {
	case strings.HasPrefix(s, "-"):
		sign, digits = "-", s[1:]
	case strings.HasPrefix(s, "+"):
		digits = s[1:]
	}
	if digits == "" || digits[0] == '_' {
		return "", false
	}
	if strings.Contains(digits, ".") {
		return yamlFloat(sign, digits)
	}
	digits = strings.ReplaceAll(digits, "_", "")
	switch {
	case digits == "0":
		return sign + "0", true
	case strings.HasPrefix(digits, "0x"):
		return radix(sign, digits[2:], 16)
	case strings.HasPrefix(digits, "0b"):
		return radix(sign, digits[2:], 2)
	case digits[0] == '0':
		return radix(sign, digits[1:], 8)
	}
	return sign + digits, onlyDigits(digits)
}

func radix(sign, digits string, base int) (string, bool) {
	n, ok := new(big.Int).SetString(digits, base)
	if !ok || digits[0] == '-' || digits[0] == '+' {
		return "", false
	}
	return sign + n.String(), true
}

// yamlFloat accepts 1.5, 1., .5 and 1.5e+3; YAML 1.1 wants the sign of an exponent.
func yamlFloat(sign, s string) (string, bool) {
	mantissa, exponent, hasExponent := strings.Cut(strings.ToLower(s), "e")
	whole, fraction, _ := strings.Cut(strings.ReplaceAll(mantissa, "_", ""), ".")
	if whole+fraction == "" || !onlyDigits(whole+fraction) {
		return "", false
	}
	if hasExponent {
		if len(exponent) < 2 || (exponent[0] != '+' && exponent[0] != '-') || !onlyDigits(exponent[1:]) {
			return "", false
		}
		exponent = "e" + exponent
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if fraction == "" {
		fraction = "0"
	}
	return sign + whole + "." + fraction + exponent, true
}

func onlyDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
