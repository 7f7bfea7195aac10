package pgkv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"croft/internal/clock"
	"croft/internal/kv"
	"croft/internal/kv/pgkv/pgtest"
)

// ledger is a load whose outcome can be checked: each transaction puts a key of its own and adds one to a counter.
type ledger struct {
	s                *Store
	next             atomic.Int64
	mu               sync.Mutex
	acked, lost      []int64
	failed, unclear  int
	unexpected       error
	unavailableFirst atomic.Bool
}

func (l *ledger) one(ctx context.Context) {
	n := l.next.Add(1)
	err := l.s.Update(ctx, func(_ context.Context, tx kv.Tx) error {
		if n%3 == 0 {
			if _, err := tx.Get([]byte("a key to read")); err != nil && !errors.Is(err, kv.ErrNotFound) {
				return err
			}
		}
		return errors.Join(tx.Put(kv.Key("k").Int(n), []byte("v")), tx.Add([]byte("n"), 1))
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.acked = append(l.acked, n)
	case errors.Is(err, ErrOutcome) && errors.Is(err, kv.ErrUnavailable):
		l.unclear++
	case errors.Is(err, kv.ErrUnavailable):
		l.failed++
		l.lost = append(l.lost, n)
		l.unavailableFirst.Store(true)
	default:
		l.unexpected = err
	}
}

// check compares the store with what the transactions were told.
func (l *ledger) check(t *testing.T) {
	t.Helper()
	if l.unexpected != nil {
		t.Fatal("an error of another kind:", l.unexpected)
	}
	err := l.s.View(t.Context(), func(_ context.Context, r kv.Reader) error {
		there := map[int64]bool{}
		for e, err := range r.Scan(kv.PrefixRange([]byte("k")), kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			there[kv.ReadKey(e.Key, []byte("k")).Int()] = true
		}
		for _, n := range l.acked {
			if !there[n] {
				t.Errorf("%d was acknowledged and is gone", n)
			}
		}
		for _, n := range l.lost {
			if there[n] {
				t.Errorf("%d was said to have failed and is there", n)
			}
		}
		v, err := r.Get([]byte("n"))
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		if int(kv.Int64(v)) != len(there) {
			t.Errorf("the counter stands at %d with %d keys: something is half there", kv.Int64(v), len(there))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d acknowledged, %d failed, %d unclear", len(l.acked), l.failed, l.unclear)
}

// back waits until the store works again.
func back(t *testing.T, s *Store) {
	t.Helper()
	deadline := clock.Real().Now().Add(30 * time.Second)
	for {
		err := s.Update(t.Context(), func(_ context.Context, tx kv.Tx) error { return tx.Put([]byte("back"), nil) })
		if err == nil {
			return
		}
		if clock.Real().Now().After(deadline) {
			t.Fatal("the store does not come back:", err)
		}
	}
}

// TestKill kills the database's server under load, twice.
func TestKill(t *testing.T) {
	server := pgtest.Start(t)
	l := &ledger{s: open(t, Options{URL: server.DB(t), resolve: 300 * time.Millisecond})}
	for range 2 {
		l.unavailableFirst.Store(false)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for ctx.Err() == nil && !l.unavailableFirst.Load() {
					l.one(context.Background())
				}
			})
		}
		for target := l.next.Load() + 400; l.next.Load() < target; {
			l.one(t.Context())
		}
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		cancel()
		wg.Wait()
		before := clock.Real().Now()
		l.one(t.Context())
		if took := clock.Real().Now().Sub(before); took > 10*time.Second {
			t.Errorf("a call on a dead database took %v", took)
		}
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		back(t, l.s)
	}
	l.check(t)
	if len(l.acked) < 400 || l.failed == 0 {
		t.Error("the load was not what it should be")
	}
}

// TestReset resets connections after so and so many bytes, in both directions: in the middle of everything.
func TestReset(t *testing.T) {
	server := pgtest.Start(t)
	p := startProxy(t, server.Socket())
	l := &ledger{s: open(t, Options{URL: p.through(t, server.DB(t)), resolve: 300 * time.Millisecond})}
	l.one(t.Context())
	for i := range int64(40) {
		budget := &p.mute
		if i%2 == 0 {
			budget = &p.deaf
		}
		budget.Store(i * 37)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { l.one(context.Background()) })
		}
		wg.Wait()
		p.heal()
	}
	back(t, l.s)
	l.check(t)
	if l.failed+l.unclear == 0 {
		t.Error("nothing was broken")
	}
}

// TestLostAnswer: the answer to a commit is lost. The store finds the commit if it left a row, and says that it does not know if not.
func TestLostAnswer(t *testing.T) {
	server := pgtest.Start(t)
	p := startProxy(t, server.Socket())
	s := open(t, Options{URL: p.through(t, server.DB(t)), resolve: 300 * time.Millisecond})
	marker := "a key to be marked by"
	for name, c := range map[string]struct {
		write func(tx kv.Tx) error
		found bool
	}{
		"put":    {func(tx kv.Tx) error { return tx.Put([]byte(marker), []byte("1")) }, true},
		"add":    {func(tx kv.Tx) error { return tx.Add([]byte(marker), 1) }, true},
		"append": {func(tx kv.Tx) error { return tx.Append([]byte(marker), []byte("1")) }, true},
		"delete": {func(tx kv.Tx) error { return tx.Delete([]byte(marker)) }, false},
	} {
		write := func(_ context.Context, tx kv.Tx) error { return c.write(tx) }
		// The statements are prepared, so that the marker comes together with the commit.
		for range 2 {
			if err := s.Update(t.Context(), write); err != nil {
				t.Fatal(name, err)
			}
		}
		p.marker.Store(&marker)
		err := s.Update(t.Context(), write)
		if c.found && err != nil {
			t.Errorf("%s: a commit that took place was not found: %v", name, err)
		}
		if !c.found && (!errors.Is(err, ErrOutcome) || !errors.Is(err, kv.ErrUnavailable)) {
			t.Errorf("%s: got %v", name, err)
		}
		if p.marker.Load() != nil {
			t.Errorf("%s: no answer was lost", name)
		}
	}
	back(t, s)
}

// TestShutdownBehindCommit: a database acknowledges a commit, and shuts down before the end of the trip. A delete leaves no row to look for.
func TestShutdownBehindCommit(t *testing.T) {
	server := pgtest.Start(t)
	p := startProxy(t, server.Socket())
	s := open(t, Options{URL: p.through(t, server.DB(t)), resolve: 300 * time.Millisecond})
	marker := "a key to be marked by"
	remove := func(_ context.Context, tx kv.Tx) error { return tx.Delete([]byte(marker)) }
	// The statements are prepared, so that the marker comes together with the commit.
	for range 2 {
		if err := s.Update(t.Context(), remove); err != nil {
			t.Fatal(err)
		}
	}
	p.farewell.Store(true)
	p.marker.Store(&marker)
	if err := s.Update(t.Context(), remove); err != nil {
		t.Errorf("an acknowledged commit is said to have failed: %v", err)
	}
	if p.marker.Load() != nil {
		t.Error("nothing was said behind a commit")
	}
	back(t, s)
}

// TestStatementTimeout: the database's own limits end a commit, and nothing of it is there.
func TestStatementTimeout(t *testing.T) {
	url := pgtest.SharedDB(t)
	s := open(t, Options{URL: url + "&statement_timeout=1000"})
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock($1)", int64(globalLock)); err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(_ context.Context, tx kv.Tx) error { return tx.Put([]byte("a"), nil) })
	if !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, ErrOutcome) || !strings.Contains(fmt.Sprint(err), "statement_timeout") {
		t.Errorf("got %v", err)
	}
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_unlock_all()"); err != nil {
		t.Fatal(err)
	}
	err = s.View(t.Context(), func(_ context.Context, r kv.Reader) error {
		_, err := r.Get([]byte("a"))
		return err
	})
	if !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	back(t, s)
}

// TestHeldLocks: somebody who stands still in the middle of a commit holds its locks. Others are told in time, and nothing of theirs is there.
func TestHeldLocks(t *testing.T) {
	url := pgtest.SharedDB(t)
	s := open(t, Options{URL: url, lock: 50 * time.Millisecond})
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock($1)", int64(globalLock)); err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(_ context.Context, tx kv.Tx) error { return tx.Put([]byte("a"), nil) })
	if !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, ErrOutcome) {
		t.Errorf("got %v", err)
	}
	if n := s.Retries(); n == 0 || n > 10 {
		t.Errorf("sent again %d times", n)
	}
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_unlock_all()"); err != nil {
		t.Fatal(err)
	}
	err = s.View(t.Context(), func(_ context.Context, r kv.Reader) error {
		_, err := r.Get([]byte("a"))
		return err
	})
	if !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	back(t, s)
}

// TestNestedTransactionsDoNotHang: transactions that each wait for a second connection, when all connections are theirs.
func TestNestedTransactionsDoNotHang(t *testing.T) {
	s := open(t, Options{URL: pgtest.SharedDB(t) + "&pool_max_conns=2", acquire: 200 * time.Millisecond})
	inside := make(chan struct{}, 2)
	both := make(chan struct{})
	errs := make(chan error, 2)
	for range 2 {
		go func() {
			errs <- s.Update(t.Context(), func(ctx context.Context, tx kv.Tx) error {
				if _, err := tx.Get([]byte("a")); !errors.Is(err, kv.ErrNotFound) {
					return err
				}
				inside <- struct{}{}
				<-both
				return s.View(kv.Detach(ctx, s), func(_ context.Context, r kv.Reader) error {
					_, err := r.Get([]byte("b"))
					return err
				})
			})
		}()
	}
	<-inside
	<-inside
	close(both)
	for range 2 {
		err := <-errs
		if !errors.Is(err, kv.ErrUnavailable) && !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
	back(t, s)
}
