package pebblekv

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"croft/internal/clock"
	"croft/internal/kv"
)

func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t testing.TB, s kv.Store, key, value string) {
	t.Helper()
	err := s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error {
		return tx.Put([]byte(key), []byte(value))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, s kv.Store, key string) string {
	t.Helper()
	var out string
	err := s.View(context.Background(), func(_ context.Context, r kv.Reader) error {
		v, err := r.Get([]byte(key))
		out = string(v)
		return err
	})
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		t.Fatal(err)
	}
	return out
}

func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for i := range 4 {
		start := clock.Real().Now()
		s := open(t, Options{Dir: dir})
		t.Log("open", i, clock.Real().Now().Sub(start))
		if i > 0 && get(t, s, "key") != "value" {
			t.Fatal("lost")
		}
		put(t, s, "key", "value")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	start := clock.Real().Now()
	open(t, Options{Ephemeral: true})
	t.Log("ephemeral", clock.Real().Now().Sub(start))
}
