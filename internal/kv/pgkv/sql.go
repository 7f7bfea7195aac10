package pgkv

import (
	"fmt"
	"strings"
)

// The statements that are always the same.
const (
	sqlGet = `SELECT v, n, ver FROM croft_kv WHERE k = $1`
	// What a scan reads of each row: its value unless that is large, and how large it is, NULL for a counter.
	sqlColumns = `SELECT k, t, CASE WHEN octet_length(v) <= $3::int8 THEN v END, n, ver, octet_length(v)::int8 FROM croft_kv`
	sqlFlat    = sqlColumns + ` WHERE k >= $1 AND k < $2 ORDER BY k LIMIT $4`
	sqlFlatRev = sqlColumns + ` WHERE k >= $1 AND k < $2 ORDER BY k DESC LIMIT $4`
	sqlDeep    = sqlColumns + ` WHERE k >= $1 AND k < $2 AND t >= $5 AND t < $6 ORDER BY t LIMIT $4`
	sqlDeepRev = sqlColumns + ` WHERE k >= $1 AND k < $2 AND t >= $5 AND t < $6 ORDER BY t DESC LIMIT $4`
	sqlCount   = `SELECT count(*), coalesce(sum(ver), 0)::text FROM croft_kv
		WHERE k >= $1 AND k < $2 AND ($3::bytea IS NULL OR (t >= $3 AND t < $4))`
	sqlLock = `SELECT CASE WHEN l.x THEN pg_advisory_xact_lock(l.id) ELSE pg_advisory_xact_lock_shared(l.id) END
		FROM unnest($1::int8[], $2::bool[]) l(id, x)`
	// Whether one of some keys, or one of the last entries of a log, has a version.
	sqlFound = `SELECT EXISTS (SELECT 1 FROM croft_kv WHERE k = ANY($1::bytea[]) AND ver = $2) OR EXISTS (SELECT 1 FROM
		(SELECT ver FROM croft_kv WHERE k >= $3 AND k < $4 ORDER BY k DESC LIMIT 1000) AS tail WHERE tail.ver = $2)`
	sqlNumber = `SELECT coalesce(max(n), 0) FROM croft_log`
)

// statements are those of one store.
type statements struct {
	snapshot, begin, commit, rollback statement
	get, flat, flatRev, deep, deepRev statement
	count, lock, found, number        statement
	// of holds what a commit may do, by what it does.
	of [partsEnd]statement
}

// newStatements returns the statements for a database that serialises by locks, or by itself.
func newStatements(native bool) *statements {
	isolation, commits := "REPEATABLE READ", "READ COMMITTED"
	if native {
		isolation, commits = "SERIALIZABLE", "SERIALIZABLE"
	}
	s := &statements{
		snapshot: statement{"croft_snapshot", "BEGIN ISOLATION LEVEL " + isolation + " READ ONLY"},
		begin:    statement{"croft_begin", "BEGIN ISOLATION LEVEL " + commits + " READ WRITE"},
		commit:   statement{"croft_commit", "COMMIT"},
		rollback: statement{"croft_rollback", "ROLLBACK"},
		get:      statement{"croft_get", sqlGet},
		flat:     statement{"croft_flat", sqlFlat},
		flatRev:  statement{"croft_flat_rev", sqlFlatRev},
		deep:     statement{"croft_deep", sqlDeep},
		deepRev:  statement{"croft_deep_rev", sqlDeepRev},
		count:    statement{"croft_count", sqlCount},
		lock:     statement{"croft_lock", sqlLock},
		found:    statement{"croft_found", sqlFound},
		number:   statement{"croft_number", sqlNumber},
	}
	for p := range s.of {
		s.of[p] = statement{fmt.Sprintf("croft_do_%x", p), buildSQL(parts(p))}
	}
	return s
}

// parts is what one commit statement does, as bits.
type parts int

const (
	withPoints parts = 1 << iota
	withSpans
	withPuts
	withAdds
	withDeletes
	withHoles
	withAppends
	withCuts
	partsEnd

	withReads = withPoints | withSpans
)

// inPiece restricts rows of croft_kv called kv to a piece called r.
const inPiece = `kv.k >= r.s AND kv.k < r.e AND (r.f IS NULL OR (kv.t >= r.f AND kv.t < r.u))`

// builder numbers parameters.
type builder struct {
	strings.Builder
	params int
}

// unnest returns a table of the next parameters, with the given columns and types.
func (b *builder) unnest(name string, columns ...string) string {
	var types, names []string
	for _, c := range columns {
		n, t, _ := strings.Cut(c, " ")
		b.params++
		types = append(types, fmt.Sprintf("$%d::%s[]", b.params, t))
		names = append(names, n)
	}
	return "unnest(" + strings.Join(types, ", ") + ") " + name + "(" + strings.Join(names, ", ") + ")"
}

// buildSQL returns the statement that checks what the transaction has read and, if it still holds, applies what it has written. It returns
// whether that is so. Everything in it sees the same snapshot, and no row is touched by two of its parts. Its parameters are
// the version first, then those of its parts, in the order of tx.params.
func buildSQL(p parts) string {
	b := &builder{params: 1}
	guard, and := "", ""
	ok := "true"
	if p&withReads != 0 {
		ok = "(SELECT yes FROM ok)"
		guard, and = " WHERE "+ok, " AND "+ok
		b.WriteString("WITH ok AS MATERIALIZED (SELECT ")
		b.checks(p)
		b.WriteString(" AS yes)")
	} else {
		b.WriteString("WITH ok AS (SELECT 1)")
	}
	puts := ""
	if p&withPuts != 0 {
		from := b.unnest("p", "k bytea", "v bytea", "n int8", "t bytea")
		puts = fmt.Sprintf(" AND NOT kv.k = ANY($%d::bytea[])", b.params-3)
		b.WriteString(", put AS (INSERT INTO croft_kv AS kv (k, v, n, ver, t) SELECT p.k, p.v, p.n, $1, p.t FROM " + from + guard +
			" ON CONFLICT (k) DO UPDATE SET v = excluded.v, n = excluded.n, ver = excluded.ver)")
	}
	if p&withAdds != 0 {
		b.WriteString(", add AS (INSERT INTO croft_kv AS kv (k, v, n, ver, t) SELECT a.k, NULL::bytea, a.n, $1, a.t FROM " +
			b.unnest("a", "k bytea", "n int8", "t bytea") + guard +
			" ON CONFLICT (k) DO UPDATE SET v = NULL, n = " + wrappingSum + ", ver = excluded.ver)")
	}
	if p&withDeletes != 0 {
		b.params++
		fmt.Fprintf(b, ", del AS (DELETE FROM croft_kv WHERE k = ANY($%d::bytea[])%s)", b.params, and)
	}
	if p&withHoles != 0 {
		b.WriteString(", hole AS (DELETE FROM croft_kv AS kv USING " + b.unnest("r", "s bytea", "e bytea", "f bytea", "u bytea") +
			" WHERE " + inPiece + puts + and + ")")
	}
	if p&withAppends != 0 {
		b.appends(p, guard)
	}
	b.WriteString(" SELECT " + ok)
	if ok == "true" {
		// The version is a parameter of every statement, whether it is needed or not.
		b.WriteString(" WHERE $1::int8 IS NOT NULL")
	} else {
		b.WriteString(" OR $1::int8 IS NULL")
	}
	return b.String()
}

// wrappingSum is what a counter becomes: a value that is none counts as zero, and sums wrap around where bigint has an error.
const wrappingSum = `CASE WHEN kv.v IS NOT NULL THEN excluded.n
	WHEN kv.n > 0 AND excluded.n > 9223372036854775807 - kv.n
		THEN (kv.n - 9223372036854775807 - 1) + (excluded.n - 9223372036854775807 - 1)
	WHEN kv.n < 0 AND excluded.n < -9223372036854775807 - 1 - kv.n
		THEN (kv.n + 9223372036854775807 + 1) + (excluded.n + 9223372036854775807 + 1)
	ELSE kv.n + excluded.n END`

// checks writes the condition that what was read is still so.
func (b *builder) checks(p parts) {
	if p&withPoints != 0 {
		b.WriteString("NOT EXISTS (SELECT 1 FROM " + b.unnest("r", "k bytea", "ver int8") +
			" LEFT JOIN croft_kv AS kv ON kv.k = r.k WHERE coalesce(kv.ver, -1) <> r.ver)")
	}
	if p&withReads == withReads {
		b.WriteString(" AND ")
	}
	if p&withSpans != 0 {
		b.WriteString("NOT EXISTS (SELECT 1 FROM " +
			b.unnest("r", "s bytea", "e bytea", "f bytea", "u bytea", "c int8", "x text") +
			" CROSS JOIN LATERAL (SELECT count(*) AS c, coalesce(sum(kv.ver), 0)::text AS x FROM croft_kv AS kv WHERE " + inPiece +
			") AS y WHERE y.c <> r.c OR y.x <> r.x)")
	}
}

// appends writes the parts that number the entries of each log and insert them. An entry whose key lies in a range that was deleted after it
// (a cut) is left out.
func (b *builder) appends(p parts, guard string) {
	b.WriteString(", num AS (INSERT INTO croft_log AS l (slot, n) SELECT q.slot, q.n FROM " + b.unnest("q", "slot int8", "n int8") +
		guard + " ON CONFLICT (slot) DO UPDATE SET n = l.n + excluded.n RETURNING slot, n)")
	entries := b.unnest("a", "i int8", "slot int8", "back int8", "kp bytea", "tp bytea", "log bytea", "v bytea", "n int8")
	b.WriteString(", app AS (INSERT INTO croft_kv AS kv (k, v, n, ver, t) SELECT x.k, x.v, x.n, $1, CASE WHEN x.tp IS NOT NULL" +
		" THEN x.tp || x.num" + fmt.Sprintf(" WHEN octet_length(x.k) > %d THEN substring(x.k FROM %d) END", deepBytes, deepBytes+1) +
		" FROM (SELECT y.i, y.kp || y.num AS k, y.tp, y.log || y.num AS full, y.v, y.n, y.num FROM" +
		" (SELECT a.i, a.kp, a.tp, a.log, a.v, a.n, decode(lpad(to_hex(num.n - a.back), 16, '0'), 'hex') AS num FROM " + entries +
		" JOIN num ON num.slot = a.slot) AS y) AS x")
	if p&withCuts != 0 {
		b.WriteString(" WHERE NOT EXISTS (SELECT 1 FROM " + b.unnest("z", "i int8", "s bytea", "e bytea") +
			" WHERE z.i = x.i AND x.full >= z.s AND (z.e IS NULL OR x.full < z.e))")
	}
	b.WriteString(" ON CONFLICT (k) DO UPDATE SET v = excluded.v, n = excluded.n, ver = excluded.ver)")
}
