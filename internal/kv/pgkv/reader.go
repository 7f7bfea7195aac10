package pgkv

import (
	"bytes"
	"context"
	"errors"
	"iter"

	"croft/internal/kv"
)

// reader reads one snapshot, and in an Update the transaction's own writes above it. The snapshot is a read-only transaction of the
// database, begun in the round trip of the first read.
type reader struct {
	store *Store
	ctx   context.Context
	// own and reads are nil in a View.
	own   *overlay
	reads *readSet

	c *conn
	// failed is the first error of the database: the snapshot is gone with it.
	failed error
	over   bool
}

var _ kv.Reader = (*reader)(nil)

// usable returns why nothing can be read, nil if it can.
func (r *reader) usable() error {
	if r.over {
		return errOver
	}
	if r.failed != nil {
		return r.failed
	}
	return r.ctx.Err()
}

// query executes a call in the snapshot.
func (r *reader) query(next call) error {
	if err := r.usable(); err != nil {
		return err
	}
	if r.c != nil {
		return r.check(r.c.run(next))
	}
	err := r.begin(next)
	if err != nil && r.ctx.Err() == nil && isLost(err) && !errors.Is(err, kv.ErrUnavailable) {
		// A connection of the pool may have been dead for a while, and then the others are, too. Nothing was read yet.
		r.store.pool.Reset()
		err = r.begin(next)
	}
	return r.check(err)
}

// begin takes a connection, and the snapshot together with the first call.
func (r *reader) begin(first call) error {
	c, err := r.store.acquire(r.ctx)
	if err != nil {
		return err
	}
	if err := c.run(call{st: &r.store.sql.snapshot}, first); err != nil {
		c.abandon(&r.store.sql.rollback)
		return err
	}
	r.c = c
	return nil
}

// check remembers the first error.
func (r *reader) check(err error) error {
	if err == nil || r.ctx.Err() != nil && errors.Is(err, r.ctx.Err()) {
		return err
	}
	if !errors.Is(err, kv.ErrUnavailable) {
		err = classify(err)
	}
	r.failed = err
	return err
}

// abandon gives a connection back after an error.
func (c *conn) abandon(rollback *statement) {
	if !c.pg.IsClosed() && c.pg.TxStatus() != 'I' {
		// What this returns does not matter: a connection that is not idle again is closed.
		_ = c.run(call{st: rollback})
	}
	c.release()
}

// take hands the connection over, with the snapshot still open if there is one. Nothing can be read any more.
func (r *reader) take() *conn {
	c := r.c
	r.c, r.over = nil, true
	return c
}

// close ends all reading.
func (r *reader) close() {
	if c := r.take(); c != nil {
		c.abandon(&r.store.sql.commit)
	}
}

// Get implements kv.Reader.
func (r *reader) Get(key []byte) ([]byte, error) { return r.get(key, r.reads) }

// Scan implements kv.Reader.
func (r *reader) Scan(rng kv.Range, o kv.ScanOptions) iter.Seq2[kv.Entry, error] {
	return r.scan(rng, o, r.reads)
}

// Loose implements kv.Reader.
func (r *reader) Loose() kv.Reader { return loose{r} }

// loose is a reader that leaves no trace in the conflict set.
type loose struct{ r *reader }

// Get implements kv.Reader.
func (l loose) Get(key []byte) ([]byte, error) { return l.r.get(key, nil) }

// Scan implements kv.Reader.
func (l loose) Scan(rng kv.Range, o kv.ScanOptions) iter.Seq2[kv.Entry, error] {
	return l.r.scan(rng, o, nil)
}

// Loose implements kv.Reader.
func (l loose) Loose() kv.Reader { return l }

func (r *reader) get(key []byte, track *readSet) ([]byte, error) {
	if len(key) > kv.MaxKeyBytes {
		return nil, kv.ErrTooLarge
	}
	if err := r.usable(); err != nil {
		return nil, err
	}
	w, mine := r.own.lookup(key)
	switch {
	case mine && w.state == gone, !mine && r.own.hole(key):
		return nil, kv.ErrNotFound
	case mine && w.state == present:
		return w.value, nil
	}
	value, ver, err := r.base(key)
	if err != nil {
		return nil, err
	}
	if track != nil {
		if err := track.point(key, ver); err != nil {
			return nil, err
		}
	}
	if mine {
		return kv.EncodeInt64(kv.Int64(value) + w.delta), nil
	}
	if ver == absent {
		return nil, kv.ErrNotFound
	}
	return value, nil
}

// base reads key from the snapshot. The version of a key that is not there is absent.
func (r *reader) base(key []byte) (value []byte, ver int64, err error) {
	k, _ := columns(key)
	ver = absent
	err = r.query(call{st: &r.store.sql.get, params: [][]byte{notNil(k)}, row: func(values [][]byte) (err error) {
		if ver, err = int64At(values, 2); err != nil {
			return err
		}
		value = valueOf(values[0], values[1])
		return nil
	}})
	return value, ver, err
}

// valueOf returns a row's value: counters, and everything else of eight bytes, lie in column n.
func valueOf(v, n []byte) []byte {
	if v == nil {
		v = n
	}
	return append(make([]byte, 0, len(v)), v...)
}

// rows reads up to limit rows of p.
func (r *reader) rows(p piece, reverse bool, limit int) ([]row, error) {
	sql := r.store.sql
	next := call{st: &sql.flat, params: [][]byte{notNil(p.start), p.end, int8Param(inlineBytes), int8Param(int64(limit))}}
	switch {
	case p.deep:
		next.params = append(next.params, notNil(p.from), p.to)
		if next.st = &sql.deep; reverse {
			next.st = &sql.deepRev
		}
	case reverse:
		next.st = &sql.flatRev
	}
	var out []row
	next.row = func(values [][]byte) error {
		ver, err := int64At(values, 4)
		if err != nil || len(values) != 6 {
			return errAnswer
		}
		e := row{k: bytes.Clone(values[0]), ver: ver}
		if values[1] != nil {
			e.t = bytes.Clone(notNil(values[1]))
		}
		key := keyOf(e.k, e.t)
		e.key = key[:len(key):len(key)]
		if e.big = values[2] == nil && values[5] != nil; !e.big {
			e.value = valueOf(values[2], values[3])
		}
		out = append(out, e)
		return nil
	}
	return out, r.query(next)
}

// fingerprint reads what the rows of p are.
func (r *reader) fingerprint(p piece) (count int64, sum string, err error) {
	params := [][]byte{notNil(p.start), p.end, nil, nil}
	if p.deep {
		params[2], params[3] = notNil(p.from), p.to
	}
	err = r.query(call{st: &r.store.sql.count, params: params, row: func(values [][]byte) (err error) {
		if count, err = int64At(values, 0); err == nil && len(values) == 2 {
			sum = string(values[1])
		}
		return err
	}})
	return count, sum, err
}

// notNil keeps an empty parameter from being NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
