package logs

import (
	"encoding/base64"
	"errors"
	"iter"
	"strings"

	"croft/internal/kv"
)

// row is a stored row with the last part of its key.
type row struct {
	name  string
	value []byte
}

// rows yields the rows below key whose names begin with prefix and come after the name after, in order.
func rows(r kv.Reader, key kv.Key, prefix, after string) iter.Seq2[row, error] {
	// Str escapes zero bytes and ends with two more, so that a prefix of the name is a prefix of the key without that end.
	within := kv.PrefixRange(trimEnd(key.Str(prefix)))
	if after != "" {
		if past := kv.PrefixRange(key.Str(after)).End; string(past) > string(within.Start) {
			within.Start = past
		}
	}
	return func(yield func(row, error) bool) {
		if within.End != nil && string(within.Start) >= string(within.End) {
			return
		}
		for e, err := range r.Scan(within, kv.ScanOptions{}) {
			if err != nil {
				yield(row{}, err)
				return
			}
			k := kv.ReadKey(e.Key, key)
			if !yield(row{k.Str(), e.Value}, k.Err()) {
				return
			}
		}
	}
}

func trimEnd(key kv.Key) kv.Key { return key[:len(key)-2] }

func counter(r kv.Reader, key []byte) (int64, error) {
	v, err := r.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	return kv.Int64(v), err
}

const nameTokenPrefix = "n:"

// nameToken returns the paging token for what comes after name.
func nameToken(name string) *string {
	t := base64.RawURLEncoding.EncodeToString([]byte(nameTokenPrefix + name))
	return &t
}

func readNameToken(token *string) (string, error) {
	if token == nil {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*token)
	name, ok := strings.CutPrefix(string(b), nameTokenPrefix)
	if err != nil || !ok || name == "" || len(name) > 4*maxNameLength {
		return "", errToken()
	}
	return name, nil
}
