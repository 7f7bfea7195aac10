// Package kvtest is the store contract in executable form: what every implementation of kv.Store has to pass.
//
// Run checks each promise of package kv, one subtest per promise, and the hot paths that the contract exists for, with a bound on how often they
// retry. Metamorphic runs the same random operations on a simple model and on stores of different shape, and wants the same history from all.
//
// A store that can say how often it retried has a method Stats() (commits, conflicts uint64); without it the bounds on
// retries are counted by the runs of the functions.
package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/kv"
)

// Backend is the store under test.
type Backend struct {
	// Open opens the store, empty at first. Called again after the store was closed, it opens the same data, unless it Forgets.
	Open func(t testing.TB) kv.Store
	// Forgets says that the data does not outlive the store, as in memory.
	Forgets bool
	// OpenCopy opens what Checkpoint wrote to dir.
	OpenCopy func(t testing.TB, dir string) kv.Store
}

// Run runs the suite. newBackend is called once per subtest.
func Run(t *testing.T, newBackend func(t testing.TB) Backend) {
	for _, group := range []struct {
		name  string
		cases map[string]func(*env)
	}{
		{"read", readCases()},
		{"write", writeCases()},
		{"limits", limitCases()},
		{"conflict", conflictCases()},
		{"retry", retryCases()},
		{"join", joinCases()},
		{"watch", watchCases()},
		{"space", spaceCases()},
		{"life", lifeCases()},
		{"hot", hotCases()},
		{"serial", serialCases()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, run := range group.cases {
				t.Run(name, func(t *testing.T) {
					b := newBackend(t)
					run(&env{T: t, b: b, s: b.Open(t), ctx: t.Context()})
				})
			}
		})
	}
	t.Run("metamorphic", func(t *testing.T) {
		Metamorphic(t, map[string]func(testing.TB) Backend{"store": newBackend})
	})
}

// env is one subtest.
type env struct {
	*testing.T
	b   Backend
	s   kv.Store
	ctx context.Context
}

// reopen closes the store and opens it again.
func (e *env) reopen() {
	e.Helper()
	if err := e.s.Close(); err != nil {
		e.Fatal("close:", err)
	}
	e.s = e.b.Open(e.T)
}

func (e *env) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *env) is(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Fatalf("got error %v, want %v", err, want)
	}
}

func (e *env) eq(got, want any) {
	e.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		e.Fatalf("got %s, want %s", g, w)
	}
}

// update runs an independent Update, even when another transaction is under way in this goroutine.
func (e *env) update(fn func(tx kv.Tx) error) {
	e.Helper()
	e.ok(e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error { return fn(tx) }))
}

func (e *env) view(fn func(r kv.Reader) error) {
	e.Helper()
	e.ok(e.s.View(e.ctx, func(_ context.Context, r kv.Reader) error { return fn(r) }))
}

// put sets keys to values, given in turn.
func (e *env) put(keysAndValues ...string) {
	e.Helper()
	e.update(func(tx kv.Tx) error {
		for i := 0; i < len(keysAndValues); i += 2 {
			if err := tx.Put([]byte(keysAndValues[i]), []byte(keysAndValues[i+1])); err != nil {
				return err
			}
		}
		return nil
	})
}

// all returns everything in the store, as "key=value key=value".
func (e *env) all() string {
	e.Helper()
	var out string
	e.view(func(r kv.Reader) (err error) {
		out, err = dump(r, kv.Range{}, kv.ScanOptions{})
		return err
	})
	return out
}

// counter returns the counter at key, zero when it is not there.
func (e *env) counter(key string) int64 {
	e.Helper()
	var n int64
	e.view(func(r kv.Reader) error {
		v, err := r.Get([]byte(key))
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		n = kv.Int64(v)
		return err
	})
	return n
}

// dump scans and returns "key=value key=value".
func dump(r kv.Reader, rng kv.Range, o kv.ScanOptions) (string, error) {
	var b strings.Builder
	for entry, err := range r.Scan(rng, o) {
		if err != nil {
			return "", err
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s=%s", entry.Key, entry.Value)
	}
	return b.String(), nil
}

func span(start, end string) kv.Range {
	r := kv.Range{Start: []byte(start)}
	if end != "" {
		r.End = []byte(end)
	}
	return r
}

func prefix(p string) kv.Range { return kv.PrefixRange([]byte(p)) }

// patience bounds every wait of the suite for something that has to happen.
const patience = 20 * time.Second

// await fails the test if nothing comes from c.
func await[T any](e *env, c <-chan T, what string) T {
	e.Helper()
	timer := clock.Real().NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C():
		e.Fatalf("waited in vain for %s", what)
		panic("not reached")
	}
}

// conflicts returns how many attempts the store says it ran again, and false if it does not say.
func (e *env) conflicts() (uint64, bool) {
	s, ok := e.s.(interface {
		Stats() (commits, conflicts uint64)
	})
	if !ok {
		return 0, false
	}
	_, n := s.Stats()
	return n, true
}

var errTest = errors.New("kvtest: error of the test")

func repeat(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }
