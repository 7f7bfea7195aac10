package all

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for _, location := range []string{filepath.Join(dir, "a"), "pebble:" + filepath.Join(dir, "b%20"), "memory:"} {
		s, err := Open(location, Options{})
		if err != nil {
			t.Fatalf("%s: %v", location, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", location, err)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*")); len(found) != 2 {
		t.Errorf("folders: %v", found)
	}
	s, err := Open("postgres://host/db", Options{})
	if s != nil || err == nil || !strings.Contains(err.Error(), `"postgres"`) {
		t.Errorf("unknown store: %v, %v", s, err)
	}
	if s, err := Open("", Options{}); s != nil || err == nil {
		t.Errorf("no store: %v, %v", s, err)
	}
}
