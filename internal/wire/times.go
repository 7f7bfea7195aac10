package wire

import (
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Times outside the years 0 to 9999 are refused: the textual formats could not write them.
const (
	minTime = -62167219200
	maxTime = 253402300799
)

// epochTime reads seconds since 1970 with an optional fraction, to the nanosecond.
func epochTime(text string) (time.Time, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return checkTime(time.Unix(n, 0).UTC(), text)
	}
	// A float64 would lose digits, and an exponent of millions would cost a big number much time.
	if f, err := strconv.ParseFloat(text, 64); err != nil || f > maxTime || f < minTime {
		return time.Time{}, notTime(text)
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 && (len(text)-i > 4 || len(text) > 64) {
		return time.Time{}, notTime(text)
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return time.Time{}, notTime(text)
	}
	r.Mul(r, big.NewRat(int64(time.Second), 1))
	nanos := new(big.Int).Div(r.Num(), r.Denom())
	sec, rest := new(big.Int).DivMod(nanos, big.NewInt(int64(time.Second)), new(big.Int))
	return checkTime(time.Unix(sec.Int64(), rest.Int64()).UTC(), text)
}

func checkTime(t time.Time, text string) (time.Time, error) {
	if s := t.Unix(); s < minTime || s > maxTime {
		return time.Time{}, notTime(text)
	}
	return t, nil
}

func notTime(text string) error {
	if len(text) > 64 {
		text = text[:64]
	}
	return fmt.Errorf("Invalid timestamp: %q", text)
}

// parseTime reads a timestamp in the form f.
func parseTime(text string, f TimeFormat) (time.Time, error) {
	switch f {
	case UnixTime:
		return epochTime(text)
	case HTTPTime:
		t, err := http.ParseTime(text)
		if err != nil {
			return time.Time{}, notTime(text)
		}
		return t.UTC(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, notTime(text)
	}
	return checkTime(t.UTC(), text)
}

// appendTime writes t in the form f, to the millisecond, as AWS does.
func appendTime(b []byte, t time.Time, f TimeFormat) []byte {
	t = t.UTC()
	switch f {
	case HTTPTime:
		return t.AppendFormat(b, http.TimeFormat)
	case ISOTime:
		if t.Nanosecond() < int(time.Millisecond) {
			return t.AppendFormat(b, "2006-01-02T15:04:05Z")
		}
		return t.AppendFormat(b, "2006-01-02T15:04:05.000Z")
	}
	ms := t.UnixMilli()
	if ms < 0 && ms%1000 != 0 {
		return strconv.AppendFloat(b, float64(ms)/1000, 'f', -1, 64)
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	if rest := ms % 1000; rest > 0 {
		b = append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return b
}
