package all

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/kv"
	"croft/internal/kv/pgkv/pgtest"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for _, location := range []string{filepath.Join(dir, "a"), "pebble:" + filepath.Join(dir, "b%20"), "memory:"} {
		s, err := Open(location, Options{})
		if err != nil {
			t.Fatalf("%s: %v", location, err)
		}
		if kv.IsShared(s) {
			t.Errorf("%s: shared", location)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", location, err)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*")); len(found) != 2 {
		t.Errorf("folders: %v", found)
	}
	s, err := Open("mysql://host/db", Options{})
	if s != nil || err == nil || !strings.Contains(err.Error(), `"mysql"`) {
		t.Errorf("unknown store: %v, %v", s, err)
	}
	if s, err := Open("", Options{}); s != nil || err == nil {
		t.Errorf("no store: %v, %v", s, err)
	}
}

func TestOpenDatabase(t *testing.T) {
	url := pgtest.Start(t, "fsync=off").DB(t)
	key := []byte("key")
	for i, location := range []string{url, strings.Replace(url, "postgres:", "postgresql:", 1)} {
		s, err := Open(location, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !kv.IsShared(s) {
			t.Error("not shared")
		}
		err = s.Update(t.Context(), func(_ context.Context, tx kv.Tx) error { return tx.Add(key, 1) })
		if err != nil {
			t.Fatal(err)
		}
		err = s.View(t.Context(), func(_ context.Context, r kv.Reader) error {
			v, err := r.Get(key)
			if kv.Int64(v) != int64(i+1) {
				t.Errorf("the counter stands at %d", kv.Int64(v))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
