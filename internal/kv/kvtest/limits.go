package kvtest

import (
	"context"

	"croft/internal/kv"
)

func limitCases() map[string]func(*env) {
	return map[string]func(*env){
		"keys":         keyLimitCase,
		"values":       valueLimitCase,
		"transactions": txLimitCase,
		"empty key":    emptyKeyCase,
	}
}

func keyLimitCase(e *env) {
	long, tooLong := repeat('k', kv.MaxKeyBytes), repeat('k', kv.MaxKeyBytes+1)
	e.update(func(tx kv.Tx) error {
		e.is(tx.Put(tooLong, nil), kv.ErrTooLarge)
		e.is(tx.Delete(tooLong), kv.ErrTooLarge)
		e.is(tx.Add(tooLong, 1), kv.ErrTooLarge)
		e.is(tx.Append(repeat('l', kv.MaxKeyBytes-7), nil), kv.ErrTooLarge)
		_, err := tx.Get(tooLong)
		e.is(err, kv.ErrTooLarge)
		e.ok(tx.Append(repeat('l', kv.MaxKeyBytes-8), []byte("entry")))
		return tx.Put(long, []byte("value"))
	})
	e.update(func(tx kv.Tx) error {
		v, err := tx.Get(long)
		e.ok(err)
		e.eq(string(v), "value")
		// The successor of the longest key is a legal end.
		after := append(repeat('k', kv.MaxKeyBytes), 0)
		n := 0
		for _, err := range tx.Scan(kv.Range{Start: long, End: after}, kv.ScanOptions{}) {
			e.ok(err)
			n++
		}
		e.eq(n, 1)
		e.ok(tx.Guard(kv.Range{Start: long, End: after}))
		return tx.DeleteRange(kv.Range{Start: long, End: after})
	})
	e.eq(len(e.numbers(string(repeat('l', kv.MaxKeyBytes-8)))), 1)
}

func valueLimitCase(e *env) {
	e.update(func(tx kv.Tx) error {
		e.is(tx.Put([]byte("a"), make([]byte, kv.MaxValueBytes+1)), kv.ErrTooLarge)
		e.is(tx.Append([]byte("a"), make([]byte, kv.MaxValueBytes+1)), kv.ErrTooLarge)
		return tx.Put([]byte("a"), make([]byte, kv.MaxValueBytes))
	})
	e.view(func(r kv.Reader) error {
		v, err := r.Get([]byte("a"))
		e.ok(err)
		e.eq(len(v), kv.MaxValueBytes)
		return nil
	})
}

func txLimitCase(e *env) {
	value := make([]byte, kv.MaxValueBytes)
	e.update(func(tx kv.Tx) error {
		n := int64(0)
		var err error
		for ; err == nil && n < 100; n++ {
			rollback := tx.Savepoint()
			if err = tx.Put(kv.Key("k").Int(n), value); err != nil {
				break
			}
			// What is taken back does not count.
			rollback()
			err = tx.Put(kv.Key("k").Int(n), value)
		}
		e.is(err, kv.ErrTooLarge)
		e.eq(n, kv.MaxTxBytes/kv.MaxValueBytes-1)
		e.is(tx.Append([]byte("log"), value), kv.ErrTooLarge)
		// The transaction is still usable.
		return tx.Put([]byte("small"), []byte("1"))
	})
	e.update(func(tx kv.Tx) error { return tx.DeleteRange(prefix("k")) })
	e.eq(e.all(), "small=1")
	err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
		e.ok(tx.Put([]byte("x"), nil))
		return tx.Put([]byte("y"), make([]byte, kv.MaxValueBytes+1))
	})
	e.is(err, kv.ErrTooLarge)
	e.eq(e.all(), "small=1")
}

func emptyKeyCase(e *env) {
	e.put("", "empty", "\x00", "zero")
	e.update(func(tx kv.Tx) error {
		v, err := tx.Get(nil)
		e.ok(err)
		e.eq(string(v), "empty")
		got, err := dump(tx, kv.Range{}, kv.ScanOptions{Reverse: true})
		e.ok(err)
		e.eq(got, "\x00=zero =empty")
		e.ok(tx.Put(nil, []byte("own")))
		got, err = dump(tx, kv.Range{}, kv.ScanOptions{})
		e.ok(err)
		e.eq(got, "=own \x00=zero")
		return tx.Delete([]byte{})
	})
	e.eq(e.all(), "\x00=zero")
}
