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

// backend returns stores in a schema of their own in the database at url.
func backend(t testing.TB, url string, o Options) kvtest.Backend {
	o.URL = pgtest.Schema(t, url)
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

func TestStore(t *testing.T) { suite(t, Options{}) }

// TestNative is the suite with the database's own serializable isolation: there is no CockroachDB for tests.
func TestNative(t *testing.T) { suite(t, Options{native: true}) }

func suite(t *testing.T, o Options) {
	url := pgtest.SharedDB(t)
	kvtest.Run(t, func(t testing.TB) kvtest.Backend { return backend(t, url, o) })
}

func TestVariantsAgree(t *testing.T) {
	url := pgtest.SharedDB(t)
	kvtest.Metamorphic(t, map[string]func(testing.TB) kvtest.Backend{
		"locks":  func(t testing.TB) kvtest.Backend { return backend(t, url, Options{}) },
		"native": func(t testing.TB) kvtest.Backend { return backend(t, url, Options{native: true}) },
		"memory": func(t testing.TB) kvtest.Backend {
			embedded := func(t testing.TB, o pebblekv.Options) kv.Store {
				s, err := pebblekv.Open(o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				return s
			}
			return kvtest.Backend{
				Forgets:  true,
				Open:     func(t testing.TB) kv.Store { return embedded(t, pebblekv.Options{Ephemeral: true}) },
				OpenCopy: func(t testing.TB, dir string) kv.Store { return embedded(t, pebblekv.Options{Dir: dir}) },
			}
		},
	})
}
