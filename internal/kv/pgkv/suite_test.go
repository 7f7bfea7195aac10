package pgkv

import (
	"os"
	"testing"

	"croft/internal/kv"
	"croft/internal/kv/kvtest"
	"croft/internal/kv/pebblekv"
	"croft/internal/kv/pgkv/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, "fsync=off")) }

// open opens a store that is closed with t.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func backend(t testing.TB, o Options) kvtest.Backend {
	o.URL = pgtest.SharedDB(t)
	return kvtest.Backend{
		Open: func(t testing.TB) kv.Store { return open(t, o) },
		OpenCopy: func(t testing.TB, dir string) kv.Store {
			s, err := pebblekv.Open(pebblekv.Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		},
	}
}

func TestStore(t *testing.T) {
	kvtest.Run(t, func(t testing.TB) kvtest.Backend { return backend(t, Options{}) })
}

// TestNative is the suite with the database's own serializable isolation, on which no cluster of its kind can be had for tests.
func TestNative(t *testing.T) {
	kvtest.Run(t, func(t testing.TB) kvtest.Backend { return backend(t, Options{native: true}) })
}

func TestVariantsAgree(t *testing.T) {
	kvtest.Metamorphic(t, map[string]func(testing.TB) kvtest.Backend{
		"locks":  func(t testing.TB) kvtest.Backend { return backend(t, Options{}) },
		"native": func(t testing.TB) kvtest.Backend { return backend(t, Options{native: true}) },
	})
}
