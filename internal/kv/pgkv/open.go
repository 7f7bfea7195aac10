package pgkv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"croft/internal/clock"
	"croft/internal/kv"
)

// Bounds of what a store asks of the database.
const (
	// defaultConns is how many connections the pool has at most, unless the URL says pool_max_conns. The listener has one more.
	defaultConns = 32
	connIdleTime = 5 * time.Minute
	// lockTimeout is how long a commit waits for the locks of others before it is sent again, which it is for twice that time.
	lockTimeout = 20 * time.Second
	openTimeout = 30 * time.Second
	// locksLeft is how many of the locks that the database has per connection a commit leaves to others.
	locksLeft = 8
	// fewestLocks is what every commit may take, and what is assumed of databases that do not tell.
	fewestLocks = 16
)

// Options say which store to open and how.
type Options struct {
	// URL is the database's address, postgres://USER:PASSWORD@HOST:PORT/DATABASE, with the parameters of PostgreSQL's own clients and pgx's
	// pool (pool_max_conns). It is never logged.
	URL string
	// Version is this croft's, for other versions to name.
	Version string
	// Fsync makes commits wait until they survive the death of the database's machine, even if synchronous_commit is off there. Without it, that
	// setting decides.
	Fsync bool
	// Clock paces retries. Nil means the machine's. Everything that has to do with the network goes by the machine's clock.
	Clock clock.Clock
	// Logger receives what operators should know. Nil means none.
	Logger *slog.Logger

	// native has the database serialise by itself, where there is a choice.
	native bool
	// acquire, resolve and lock replace acquireTimeout, resolveTime and lockTimeout.
	acquire, resolve, lock time.Duration
}

// Open opens the store that o describes, and creates its tables if they are not there.
func Open(o Options) (*Store, error) {
	config, err := parse(o.URL)
	if err != nil {
		return nil, err
	}
	configure(config, o)
	n, err := newNotifier()
	if err != nil {
		return nil, fmt.Errorf("pgkv: %w", err)
	}
	target := config.ConnConfig
	s := &Store{clock: o.Clock, log: o.Logger, notify: n, resolveTime: cmp.Or(o.resolve, resolveTime),
		patience: cmp.Or(o.acquire, acquireTimeout), lockWait: cmp.Or(o.lock, lockTimeout), where: fmt.Sprintf("%s:%d/%s", target.Host, target.Port, target.Database)}
	if s.clock == nil {
		s.clock = clock.Real()
	}
	if s.log == nil {
		s.log = discard()
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	if err := s.prepare(ctx, target, o); err != nil {
		return nil, explain(err, target)
	}
	s.sql = newStatements(s.native)
	if !s.native {
		config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { return settings(ctx, conn, o.Fsync, s.lockWait) }
	}
	if s.pool, err = pgxpool.NewWithConfig(context.Background(), config); err != nil {
		return nil, explain(err, target)
	}
	s.startBackground(target.Copy())
	return s, nil
}

// parse reads a database's address. Its error says nothing of that: what is wrong with it may be the password. One whose special characters are
// not escaped may even be understood, with a part of it as the host's name.
func parse(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil || strings.ContainsAny(config.ConnConfig.Host, "@#?") || strings.Contains(url, "#") {
		return nil, errors.New("pgkv: the database's address cannot be understood: use postgres://USER:PASSWORD@HOST:PORT/DATABASE, " +
			"with special characters of the password as %XX")
	}
	return config, nil
}

// configure sets what the address leaves open.
func configure(config *pgxpool.Config, o Options) {
	if !strings.Contains(o.URL, "pool_max_conns") {
		config.MaxConns = defaultConns
	}
	if !strings.Contains(o.URL, "pool_max_conn_idle_time") {
		config.MaxConnIdleTime = connIdleTime
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	params := config.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "croft"
	}
}

// settings sets a connection up. A table that has just been made, or was just emptied, has statistics by which reading all of it looks cheap,
// and a plan made by these lives on when it has grown: so the ways that do not go by the index are closed, and plans are made once. A process that
// is cut off from the database in the middle of a commit leaves its locks there until the database notices: within a minute, not hours.
func settings(ctx context.Context, conn *pgx.Conn, fsync bool, lockWait time.Duration) error {
	commit := ""
	if fsync {
		commit = "('synchronous_commit', 'on'), "
	}
	_, err := conn.Exec(ctx, "SELECT set_config(name, value, false) FROM (VALUES "+commit+
		"('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'), "+
		"('jit', 'off'), ('plan_cache_mode', 'force_generic_plan'), ('max_parallel_workers_per_gather', '0'), "+
		"('tcp_keepalives_idle', '20'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '4'), "+
		fmt.Sprintf("('lock_timeout', '%d')", lockWait.Milliseconds())+") AS s(name, value)")
	return err
}

// prepare looks at the database, and makes the tables or checks that they are of this format.
func (s *Store) prepare(ctx context.Context, config *pgx.ConnConfig, o Options) (err error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var version string
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		return err
	}
	if s.native = o.native || strings.Contains(version, "CockroachDB"); !s.native {
		if s.native, err = lacksLocks(ctx, conn); err != nil {
			return err
		}
	}
	s.maxLocks = fewestLocks
	if !s.native {
		var perTx int
		err := conn.QueryRow(ctx, "SELECT current_setting('max_locks_per_transaction')::int").Scan(&perTx)
		if err != nil {
			return err
		}
		s.maxLocks = max(fewestLocks, min(perTx-locksLeft, 4096))
	}
	s.cluster, err = openSchema(ctx, conn, s.native, o.Version)
	return err
}

// lacksLocks reports whether the database has no advisory locks, as YugabyteDB had none for a long time.
func lacksLocks(ctx context.Context, conn *pgx.Conn) (bool, error) {
	_, err := conn.Exec(ctx, "SELECT pg_advisory_xact_lock_shared(0)")
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "0A000" || pg.Code == "42883") {
		return true, nil
	}
	return false, err
}

// explain says what an error of Open means and what can be done.
func explain(err error, c *pgx.ConnConfig) error {
	err = scrub(err)
	where := fmt.Sprintf("%s:%d", c.Host, c.Port)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "28P01", "28000":
			return fmt.Errorf("pgkv: PostgreSQL at %s does not let user %q in (%s): check user and password of the address, and pg_hba.conf of the server",
				where, c.User, pg.Message)
		case "3D000":
			return fmt.Errorf("pgkv: PostgreSQL at %s has no database %q: create it, for example with createdb -h %s -p %d %s",
				where, c.Database, c.Host, c.Port, c.Database)
		case "42501":
			return fmt.Errorf("pgkv: user %q may not do what croft needs in database %q (%s): make it the owner of the database, or GRANT it "+
				"CONNECT, and USAGE and CREATE on the schema", c.User, c.Database, pg.Message)
		case "3F000":
			return fmt.Errorf("pgkv: database %q has no schema for croft's tables (%s): check search_path", c.Database, pg.Message)
		}
		if pg.Code < "53" || pg.Code >= "59" {
			return fmt.Errorf("pgkv: cannot open database %q at %s: %w", c.Database, where, err)
		}
	}
	if errors.Is(err, ErrFormat) {
		return err
	}
	return fmt.Errorf("%w: PostgreSQL at %s: is it running there, and does it take connections from here? %w", kv.ErrUnavailable, where, err)
}
