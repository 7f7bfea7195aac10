package dynamodb

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/wire"
)

// tokenLife is how long a ClientRequestToken is remembered. Source: API reference, TransactWriteItems.
const tokenLife = 10 * time.Minute

// forgetAtOnce is how many tokens a transaction forgets at most: more than the one that it remembers, so that they never pile up.
const forgetAtOnce = 4

// token is a ClientRequestToken with what was asked under it. The zero token is none.
type token struct {
	id  string
	now time.Time
	sum [sha256.Size]byte
}

func newToken(now time.Time, id *string, asked any) (token, error) {
	t := token{id: wire.Value(id), now: now}
	if t.id == "" {
		return t, nil
	}
	// Maps come out in the order of their keys, so that the same request has the same text.
	request, err := json.Marshal(asked)
	t.sum = sha256.Sum256(request)
	return t, err
}

// claim reports whether the same was asked under t before; if not, it remembers t. Tokens that are too old are forgotten on the way.
func (t token) claim(tx kv.Tx) (again bool, err error) {
	if t.id == "" {
		return false, nil
	}
	stored, err := tx.Get(tokenKey(t.id))
	switch {
	case errors.Is(err, kv.ErrNotFound):
	case err != nil:
		return false, err
	case len(stored) == 8+len(t.sum) && kv.Int64(stored[:8]) > t.now.UnixMilli():
		if !bytes.Equal(stored[8:], t.sum[:]) {
			return false, api.NewIdempotentParameterMismatchException(
				"The request uses a client token that was used before with other parameters")
		}
		return true, nil
	}
	if err := t.forget(tx); err != nil {
		return false, err
	}
	end := kv.Key(nil).Uint(uint64(t.now.Add(tokenLife).UnixMilli()))
	if err := tx.Put(tokenKey(t.id), append(bytes.Clone(end), t.sum[:]...)); err != nil {
		return false, err
	}
	return false, tx.Put(tokenEndKey(end, t.id), nil)
}

// forget removes a few tokens whose time is over. Several transactions may do so at once.
func (t token) forget(tx kv.Tx) error {
	prefix := len(tokenEndKey(nil, ""))
	over := kv.Range{Start: tokenEndKey(nil, ""), End: tokenEndKey(kv.Key(nil).Uint(uint64(t.now.UnixMilli())), "")}
	var old []kv.Key
	for e, err := range tx.Loose().Scan(over, kv.ScanOptions{Limit: forgetAtOnce}) {
		if err != nil {
			return err
		}
		old = append(old, bytes.Clone(e.Key))
	}
	for _, key := range old {
		if len(key) < prefix+8 {
			continue
		}
		id := string(key[prefix+8:])
		stored, err := tx.Get(tokenKey(id))
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		// The token may have been used again since.
		if bytes.HasPrefix(stored, key[prefix:prefix+8]) {
			if err := tx.Delete(tokenKey(id)); err != nil {
				return err
			}
		}
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// tokenKey returns the key of a token's row: when it ends, in Unix milliseconds (8 bytes), and the SHA-256 of what was asked.
func tokenKey(id string) kv.Key { return kv.Key{'c'}.Raw([]byte(id)...) }

// tokenEndKey returns the key under which a token is found by its end.
func tokenEndKey(end []byte, id string) kv.Key { return kv.Key{'e'}.Raw(end...).Raw([]byte(id)...) }
