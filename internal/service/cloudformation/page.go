package cloudformation

import (
	"encoding/base64"

	"croft/internal/kv"
)

// pageSize is how many entries one answer of a list holds.
const pageSize = 100

// page walks the rows below prefix from where token left off, and gives each to take, which says whether it counts. It returns the
// token of the next page, nil at the end.
func page(r kv.Reader, prefix kv.Key, token *string, reverse bool, take func(kv.Entry) (bool, error)) (next *string, err error) {
	rng := kv.PrefixRange(prefix)
	if token != nil {
		after, err := base64.RawURLEncoding.DecodeString(*token)
		if err != nil || len(after) == 0 {
			return nil, validation("NextToken is not valid")
		}
		from := prefix.Raw(after...)
		if reverse {
			rng.End = from
		} else {
			rng.Start = from.Raw(0)
		}
	}
	n := 0
	var last []byte
	for e, err := range r.Scan(rng, kv.ScanOptions{Reverse: reverse}) {
		if err != nil {
			return nil, err
		}
		if n == pageSize {
			t := base64.RawURLEncoding.EncodeToString(last[len(prefix):])
			return &t, nil
		}
		counts, err := take(e)
		if err != nil {
			return nil, err
		}
		if counts {
			n++
			last = append(last[:0], e.Key...)
		}
	}
	return nil, nil
}
