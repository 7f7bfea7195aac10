package pgkv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// format is the number of the tables' layout. A croft opens what has its own number and refuses what has a greater one.
const format = 1

// schemaLock keeps two processes from making the tables at the same time. It is no lock of commits: these are hashes.
const schemaLock = 0x63726f6674

// schema returns the statements that make the tables, within what PostgreSQL, CockroachDB and YugabyteDB have in common.
func schema() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS croft_kv (k bytea NOT NULL PRIMARY KEY, v bytea, n bigint NOT NULL, ver bigint NOT NULL, t bytea)`,
		`CREATE TABLE IF NOT EXISTS croft_log (slot bigint NOT NULL PRIMARY KEY, n bigint NOT NULL)`,
		`CREATE TABLE IF NOT EXISTS croft_meta (id bigint NOT NULL PRIMARY KEY, format bigint NOT NULL, cluster text NOT NULL,
			written_by text NOT NULL)`,
	}
}

// openSchema makes the tables if they are not there, checks their format, and returns the cluster's identity.
func openSchema(ctx context.Context, conn *pgx.Conn, native bool, version string) (cluster string, err error) {
	cluster, err = readMeta(ctx, conn, version)
	var pg *pgconn.PgError
	if !errors.Is(err, pgx.ErrNoRows) && !(errors.As(err, &pg) && pg.Code == "42P01") {
		return cluster, err
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return "", err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return "", err
	}
	// After the commit this does nothing.
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if !native {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(schemaLock)); err != nil {
			return "", err
		}
	}
	for _, sql := range schema() {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return "", err
		}
	}
	_, err = tx.Exec(ctx, "INSERT INTO croft_meta (id, format, cluster, written_by) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO NOTHING",
		int64(format), hex.EncodeToString(id), version)
	if err != nil {
		return "", err
	}
	if err := tx.Commit(ctx); err != nil {
		return "", err
	}
	return readMeta(ctx, conn, version)
}

// readMeta returns the cluster's identity, and an error if the tables are not of this format.
func readMeta(ctx context.Context, conn *pgx.Conn, version string) (cluster string, err error) {
	var found int64
	var writer string
	err = conn.QueryRow(ctx, "SELECT format, cluster, written_by FROM croft_meta WHERE id = 1").Scan(&found, &cluster, &writer)
	if err != nil {
		return "", err
	}
	if found > format {
		return "", fmt.Errorf("%w: its data has format %d, written by croft %s, and this one (%s) knows formats up to %d: "+
			"use that version or a newer one, or another database", ErrFormat, found, writer, version, format)
	}
	if found < format {
		return "", fmt.Errorf("pgkv: the database's data has format %d, written by croft %s, which this croft (%s) cannot read", found, writer, version)
	}
	return cluster, nil
}
