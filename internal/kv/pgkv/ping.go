package pgkv

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Ping reports whether the database at url answers, without making or changing anything in it. The error does not contain the password.
func Ping(ctx context.Context, url string) error {
	config, err := parse(url)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return err
	}
	// What matters is known by then.
	defer func() { _ = conn.Close(ctx) }()
	return conn.Ping(ctx)
}
