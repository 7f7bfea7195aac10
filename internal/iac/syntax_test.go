package iac

import (
	"os"
	"path/filepath"
	"testing"

	"croft/internal/clock"
)

// TestSyntaxTextIsBounded: what an interpreter says is whatever the one on PATH says.
func TestSyntaxTextIsBounded(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' x >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "python3"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	code := filepath.Join(dir, "app.py")
	if err := os.WriteFile(code, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	err := Syntax(t.Context(), clock.Real(), code)
	if err == nil || len(err.Error()) != maxSyntaxText {
		t.Errorf("%.100v", err)
	}
}
