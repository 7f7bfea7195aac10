package pgkv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"croft/internal/clock"
	"croft/internal/kv"
	"croft/internal/kv/pgkv/pgtest"
)

// inParallel runs op b.N times from that many goroutines.
func inParallel(b *testing.B, goroutines int, op func(n int64) error) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := op(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkSend is a transaction of SendMessage's shape, two reads and three writes, against the same work by pgx alone in as many round trips.
func BenchmarkSend(b *testing.B) {
	server := pgtest.Start(b)
	body := make([]byte, 300)
	for _, goroutines := range []int{1, 16} {
		b.Run(fmt.Sprintf("pgkv/%d", goroutines), func(b *testing.B) {
			s := open(b, Options{URL: server.DB(b)})
			space := kv.Key(nil).Str("000000000000").Str("us-east-1").Str("sqs")
			put(b, s, space.Str("queue"))
			inParallel(b, goroutines, func(n int64) error {
				return s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error {
					if _, err := tx.Get(space.Str("queue")); err != nil {
						return err
					}
					if _, err := tx.Get(space.Str("message").Int(n)); !errors.Is(err, kv.ErrNotFound) {
						return err
					}
					return errors.Join(tx.Put(space.Str("message").Int(n), body), tx.Append(space.Str("log"), body), tx.Add(space.Str("count"), 1))
				})
			})
		})
		b.Run(fmt.Sprintf("bare/%d", goroutines), func(b *testing.B) {
			pool := barePool(b, server.DB(b))
			inParallel(b, goroutines, func(n int64) error { return bareSend(pool, n, body) })
		})
	}
}

func put(b *testing.B, s *Store, keys ...kv.Key) {
	b.Helper()
	err := s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error {
		for _, k := range keys {
			if err := tx.Put(k, make([]byte, 100)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func barePool(b *testing.B, url string) *pgxpool.Pool {
	b.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = defaultConns
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { return settings(ctx, conn, false, lockTimeout) }
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	for _, sql := range []string{"CREATE TABLE bare (k bytea PRIMARY KEY, v bytea, n bigint NOT NULL DEFAULT 0)", "CREATE SEQUENCE numbers",
		"INSERT INTO bare (k, v) VALUES ('queue', 'queue')"} {
		if _, err := pool.Exec(context.Background(), sql); err != nil {
			b.Fatal(err)
		}
	}
	return pool
}

func bareSend(pool *pgxpool.Pool, n int64, body []byte) error {
	ctx := context.Background()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	var v []byte
	first := &pgx.Batch{}
	first.Queue("BEGIN")
	first.Queue("SELECT v FROM bare WHERE k = $1", []byte("queue")).QueryRow(func(r pgx.Row) error { return r.Scan(&v) })
	if err := conn.SendBatch(ctx, first).Close(); err != nil {
		return err
	}
	key := kv.Key("message").Int(n)
	if err := conn.QueryRow(ctx, "SELECT v FROM bare WHERE k = $1", []byte(key)).Scan(&v); !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	last := &pgx.Batch{}
	last.Queue("INSERT INTO bare (k, v) VALUES ($1, $2)", []byte(key), body)
	last.Queue("INSERT INTO bare (k, v) VALUES ('log' || int8send(nextval('numbers')), $1)", body)
	last.Queue("INSERT INTO bare (k, n) VALUES ('count', 1) ON CONFLICT (k) DO UPDATE SET n = bare.n + 1")
	last.Queue("COMMIT")
	return conn.SendBatch(ctx, last).Close()
}

// BenchmarkHot compares, on the cases that the contract is made for, the store with its locks, the store with the database's serializable
// isolation for its commits, and transactions that run in that isolation as a whole. It reports how often a transaction was run again
// (reruns/op) or its commit sent again (resends/op).
func BenchmarkHot(b *testing.B) {
	server := pgtest.Start(b)
	for name, native := range map[string]bool{"locks": false, "native": true} {
		for job, op := range hotJobs() {
			b.Run(job+"/"+name, func(b *testing.B) {
				s := open(b, Options{URL: server.DB(b), native: native})
				fillHot(b, s)
				_, before := s.Stats()
				inParallel(b, 16, func(n int64) error {
					err := s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error { return op(tx, n) })
					if errors.Is(err, kv.ErrConflict) {
						return nil
					}
					return err
				})
				_, after := s.Stats()
				b.ReportMetric(float64(after-before)/float64(b.N), "reruns/op")
				b.ReportMetric(float64(s.Retries())/float64(b.N), "resends/op")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
			})
		}
	}
	for job, op := range plainJobs() {
		b.Run(job+"/plain", func(b *testing.B) {
			pool := barePool(b, server.DB(b))
			fillPlain(b, pool)
			var reruns atomic.Int64
			inParallel(b, 16, func(n int64) error { return plain(pool, &reruns, n, op) })
			b.ReportMetric(float64(reruns.Load())/float64(b.N), "reruns/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
		})
	}
}

const hotKeys, queueLength = 100_000, 20_000

// hotKey returns a random one of the keys, in a space as services have it.
func hotKey() kv.Key {
	return kv.Key(nil).Str("000000000000").Str("us-east-1").Str("dynamodb").Int(int64(clock.Pick(hotKeys)))
}

func hotJobs() map[string]func(tx kv.Tx, n int64) error {
	return map[string]func(tx kv.Tx, n int64) error{
		"counter": func(tx kv.Tx, _ int64) error { return tx.Add([]byte("n"), 1) },
		"log":     func(tx kv.Tx, _ int64) error { return tx.Append([]byte("log"), make([]byte, 100)) },
		"queue": func(tx kv.Tx, n int64) error {
			var head [][]byte
			for e, err := range tx.Loose().Scan(kv.PrefixRange([]byte("q")), kv.ScanOptions{Limit: 64}) {
				if err != nil {
					return err
				}
				head = append(head, e.Key)
			}
			if len(head) == 0 {
				return tx.Put(kv.Key("q").Int(n), nil)
			}
			key := head[clock.Pick(len(head))]
			_, err := tx.Get(key)
			return errors.Join(err, tx.Delete(key), tx.Put(kv.Key("q").Int(queueLength+n), nil))
		},
		"random": func(tx kv.Tx, _ int64) error {
			for range 2 {
				key := hotKey()
				if _, err := tx.Get(key); err != nil {
					return err
				}
				if err := tx.Put(key, make([]byte, 100)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func fillHot(b *testing.B, s *Store) {
	b.Helper()
	space := kv.Key(nil).Str("000000000000").Str("us-east-1").Str("dynamodb")
	for part := range 10 {
		var keys []kv.Key
		for i := range hotKeys / 10 {
			keys = append(keys, space.Int(int64(part*hotKeys/10+i)))
		}
		for i := range queueLength / 10 {
			keys = append(keys, kv.Key("q").Int(int64(part*queueLength/10+i)))
		}
		put(b, s, keys...)
	}
	vacuum(b, s.pool, "croft_kv")
}

// vacuum gives both tables the statistics that they would have after a while.
func vacuum(b *testing.B, pool *pgxpool.Pool, table string) {
	b.Helper()
	if _, err := pool.Exec(context.Background(), "VACUUM ANALYZE "+table); err != nil {
		b.Fatal(err)
	}
}

func fillPlain(b *testing.B, pool *pgxpool.Pool) {
	b.Helper()
	for _, sql := range []string{
		fmt.Sprintf("INSERT INTO bare (k, v) SELECT 'k' || int8send(i), '' FROM generate_series(0, %d) i", hotKeys),
		fmt.Sprintf("INSERT INTO bare (k, v) SELECT 'q' || int8send(i), '' FROM generate_series(0, %d) i", queueLength),
	} {
		if _, err := pool.Exec(context.Background(), sql); err != nil {
			b.Fatal(err)
		}
	}
	vacuum(b, pool, "bare")
}

// plain runs op in a serializable transaction until it commits.
func plain(pool *pgxpool.Pool, reruns *atomic.Int64, n int64, op func(ctx context.Context, tx pgx.Tx, n int64) error) error {
	ctx := context.Background()
	for try := 0; try < 100; try++ {
		err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error { return op(ctx, tx, n) })
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "40001" && pg.Code != "40P01" && pg.Code != "23505" {
			return err
		}
		reruns.Add(1)
	}
	return nil
}

// plainJobs are hotJobs as SQL.
func plainJobs() map[string]func(ctx context.Context, tx pgx.Tx, n int64) error {
	return map[string]func(ctx context.Context, tx pgx.Tx, n int64) error{
		"counter": func(ctx context.Context, tx pgx.Tx, _ int64) error {
			_, err := tx.Exec(ctx, "INSERT INTO bare (k, n) VALUES ('n', 1) ON CONFLICT (k) DO UPDATE SET n = bare.n + 1")
			return err
		},
		"log": func(ctx context.Context, tx pgx.Tx, _ int64) error {
			// The number comes from a row, so that the order of numbers is that of commits.
			_, err := tx.Exec(ctx, "WITH x AS (INSERT INTO bare (k, n) VALUES ('n', 1) ON CONFLICT (k) DO UPDATE SET n = bare.n + 1 RETURNING n) "+
				"INSERT INTO bare (k, v) SELECT 'log' || int8send(n), $1 FROM x", make([]byte, 100))
			return err
		},
		"queue": func(ctx context.Context, tx pgx.Tx, n int64) error {
			rows, err := tx.Query(ctx, "SELECT k FROM bare WHERE k >= 'q' AND k < 'r' ORDER BY k LIMIT 64")
			if err != nil {
				return err
			}
			head, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
			if err != nil || len(head) == 0 {
				return err
			}
			if _, err := tx.Exec(ctx, "DELETE FROM bare WHERE k = $1", head[clock.Pick(len(head))]); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, "INSERT INTO bare (k) VALUES ('q' || int8send($1))", queueLength+n)
			return err
		},
		"random": func(ctx context.Context, tx pgx.Tx, _ int64) error {
			for range 2 {
				var v []byte
				i := int64(clock.Pick(hotKeys))
				if err := tx.QueryRow(ctx, "SELECT v FROM bare WHERE k = 'k' || int8send($1)", i).Scan(&v); err != nil {
					return err
				}
				if _, err := tx.Exec(ctx, "UPDATE bare SET v = $2 WHERE k = 'k' || int8send($1)", i, make([]byte, 100)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
