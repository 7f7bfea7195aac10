package pgkv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"croft/internal/clock"
)

// How long the network may take: for a new connection, for one when all are in use, and for an answer.
const (
	connectTimeout = 5 * time.Second
	acquireTimeout = 10 * time.Second
	answerTimeout  = 40 * time.Second
)

// statement is a prepared statement. There is a finite number of them, so connections may keep all they have met.
type statement struct{ name, sql string }

// call is the execution of a statement with parameters in binary form. row is called for each row of its result; what it is given
// is overwritten afterwards.
type call struct {
	st     *statement
	params [][]byte
	row    func(values [][]byte) error
}

// conn is a connection of the pool, in use by one goroutine.
type conn struct {
	pooled *pgxpool.Conn
	pg     *pgconn.PgConn
	known  map[string]bool
}

// knownKey is where a connection keeps the names of the statements that it has prepared.
const knownKey = "croft statements"

// acquire takes a connection from the pool.
func (s *Store) acquire(ctx context.Context) (*conn, error) {
	// The network's time is the machine's, whatever clock drives the cloud.
	limited, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	pooled, err := s.pool.Acquire(limited)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if limited.Err() != nil && s.pool.Stat().AcquiredConns() >= s.pool.Config().MaxConns {
			return nil, unavailable(fmt.Errorf("all %d connections are in use: give the store more with pool_max_conns in its URL, "+
				"if the database has them", s.pool.Config().MaxConns))
		}
		return nil, unavailable(err)
	}
	pg := pooled.Conn().PgConn()
	known, ok := pg.CustomData()[knownKey].(map[string]bool)
	if !ok {
		known = map[string]bool{}
		pg.CustomData()[knownKey] = known
	}
	return &conn{pooled, pg, known}, nil
}

// release gives the connection back. One that is not idle any more, or broken, is closed by the pool.
func (c *conn) release() { c.pooled.Release() }

// binary is the format of all parameters and results.
func binaryFormat() []int16 { return []int16{1} }

// run executes calls in one round trip, and stops at the first that fails. What has to be
// durable is written between a BEGIN and a COMMIT among them.
func (c *conn) run(calls ...call) error {
	if err := c.pg.Conn().SetDeadline(clock.Real().Now().Add(answerTimeout)); err != nil {
		return err
	}
	p := c.pg.StartPipeline(context.Background())
	fresh := make([]bool, len(calls))
	format := binaryFormat()
	for i, next := range calls {
		// A statement that is prepared earlier in this trip is not yet known.
		fresh[i] = !c.known[next.st.name] && !slices.ContainsFunc(calls[:i], func(before call) bool { return before.st == next.st })
		if fresh[i] {
			p.SendPrepare(next.st.name, next.st.sql, nil)
		}
		p.SendQueryPrepared(next.st.name, next.params, format, format)
	}
	err := p.Sync()
	for i := 0; err == nil && i < len(calls); i++ {
		err = c.result(p, calls[i], fresh[i])
	}
	// After an error the database skips the rest. Once all have been answered, the trip's end says nothing more of them: a database that shuts
	// down refuses to go on behind a commit that it has acknowledged.
	_ = p.Close()
	return err
}

// result reads what one call has returned.
func (c *conn) result(p *pgconn.Pipeline, call call, fresh bool) error {
	if fresh {
		if _, err := p.GetResults(); err != nil {
			return err
		}
		c.known[call.st.name] = true
	}
	res, err := p.GetResults()
	if err != nil {
		return err
	}
	rows, ok := res.(*pgconn.ResultReader)
	if !ok {
		return fmt.Errorf("unexpected answer %T", res)
	}
	var bad error
	for rows.NextRow() {
		if call.row != nil && bad == nil {
			bad = call.row(rows.Values())
		}
	}
	if _, err := rows.Close(); err != nil {
		return err
	}
	return bad
}

var errAnswer = errors.New("pgkv: the database gave an answer of another form")

// int64At decodes a bigint column.
func int64At(values [][]byte, i int) (int64, error) {
	if i >= len(values) || len(values[i]) != 8 {
		return 0, errAnswer
	}
	return int64(binary.BigEndian.Uint64(values[i])), nil
}

// boolAt decodes a boolean column.
func boolAt(values [][]byte, i int) (bool, error) {
	if i >= len(values) || len(values[i]) != 1 {
		return false, errAnswer
	}
	return values[i][0] == 1, nil
}

// int8Param encodes a bigint.
func int8Param(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// The types of array parameters, as PostgreSQL numbers them.
const (
	oidBool  = 16
	oidBytea = 17
	oidInt8  = 20
	oidText  = 25
)

// array encodes an array parameter, element by element.
type array struct {
	buf []byte
	n   uint32
}

const arrayHeader = 20

func newArray(oid uint32, elements, bytes int) *array {
	a := &array{buf: make([]byte, arrayHeader, arrayHeader+4*elements+bytes)}
	binary.BigEndian.PutUint32(a.buf[0:], 1)
	binary.BigEndian.PutUint32(a.buf[4:], 1)
	binary.BigEndian.PutUint32(a.buf[8:], oid)
	binary.BigEndian.PutUint32(a.buf[16:], 1)
	return a
}

// bytes adds an element as it is; nil is NULL.
func (a *array) bytes(b []byte) {
	a.n++
	if b == nil {
		a.buf = binary.BigEndian.AppendUint32(a.buf, 0xffffffff)
		return
	}
	a.buf = append(binary.BigEndian.AppendUint32(a.buf, uint32(len(b))), b...)
}

// int adds a bigint.
func (a *array) int(n int64) {
	a.n++
	a.buf = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(a.buf, 8), uint64(n))
}

// bool adds a boolean.
func (a *array) bool(b bool) {
	v := byte(0)
	if b {
		v = 1
	}
	a.bytes([]byte{v})
}

// param returns the parameter. The array is not added to afterwards.
func (a *array) param() []byte {
	binary.BigEndian.PutUint32(a.buf[12:], a.n)
	if a.n == 0 {
		// An empty array has no dimension.
		binary.BigEndian.PutUint32(a.buf[0:], 0)
		return a.buf[:12]
	}
	return a.buf
}
