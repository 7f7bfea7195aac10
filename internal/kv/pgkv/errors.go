package pgkv

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"croft/internal/kv"
)

var (
	// ErrOutcome is returned by Update, together with kv.ErrUnavailable, when the connection was lost while the database had a commit in
	// hand and nothing shows whether it took place. Only in this case may something of a failed Update be there, and then
	// all of it. Whoever tries again must be content with the change made twice, or look first.
	ErrOutcome = errors.New("the connection was lost during a commit, and whether it took place is not known")
	// ErrFormat is returned by Open for data that a newer croft has written.
	ErrFormat = errors.New("pgkv: the database belongs to a newer croft")

	errOver     = errors.New("pgkv: transaction used after its function returned")
	errConflict = errors.New("pgkv: conflict")
	// errSerialize says that the database could not put transactions in a row (or not in time), which tells nothing about what was read.
	errSerialize = errors.New("pgkv: serialization failure")
)

// unavailable says that the database cannot be reached, or cannot do its work, because of err.
func unavailable(err error) error {
	return fmt.Errorf("%w: PostgreSQL: %w", kv.ErrUnavailable, scrub(err))
}

// scrub returns err without what a database's address tells beyond host and name, and without repetitions: pgx's errors of connecting name the
// user, never the password, but nested ones may quote what they were given, and each address tried is told twice.
func scrub(err error) error {
	var connect *pgconn.ConnectError
	var dial *net.OpError
	if errors.As(err, &connect) && errors.As(err, &dial) {
		return dial
	}
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return errors.New("the address cannot be understood")
	}
	return err
}

// classify tells what an error of the database means for a transaction that has not been committed.
func classify(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		if errors.Is(err, errAnswer) {
			return err
		}
		return unavailable(err)
	}
	switch {
	case pg.Code == "40001", pg.Code == "40P01", pg.Code == "55P03":
		return errSerialize
	case pg.Code == "57014":
		return fmt.Errorf("%w: PostgreSQL ended a statement that took too long (%s): see statement_timeout of the role and the database",
			kv.ErrUnavailable, pg.Message)
	case pg.Code == "25006":
		return fmt.Errorf("%w: PostgreSQL takes no writes (%s): is this a standby?", kv.ErrUnavailable, pg.Message)
	case isFatal(err), strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "53"), strings.HasPrefix(pg.Code, "57"),
		strings.HasPrefix(pg.Code, "58"):
		return unavailable(err)
	case pg.Code == "42501":
		return fmt.Errorf("pgkv: the role lacks a right that croft needs: %w", err)
	}
	return fmt.Errorf("pgkv: %w", err)
}

// isFatal reports whether the database ended the connection with err.
func isFatal(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC")
}

// isLost reports whether err is the end of a connection, and not the database's answer to a statement.
func isLost(err error) bool {
	var pg *pgconn.PgError
	return !errors.As(err, &pg) && !errors.Is(err, errAnswer) || isFatal(err)
}

// mayHaveCommitted reports whether a commit that failed with err may have taken place all the same.
func mayHaveCommitted(err error) bool {
	if pgconn.SafeToRetry(err) {
		return false
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return true
	}
	// A database that shuts down says so between two statements, in the order of its answers, so that the answer to the commit
	// would have come before.
	return isFatal(err) && pg.Code != "57P01"
}
