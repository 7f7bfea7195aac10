package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestGeneratedIsCurrent generates anew and compares: what is in the tree is what the models, patches and list say.
func TestGeneratedIsCurrent(t *testing.T) {
	if _, err := models(t.Context(), "botocore.version", func(line string) { t.Log(line) }); err != nil {
		t.Skipf("SKIPPED, internal/awsapi is not compared with the models: %v", err)
	}
	dir := t.TempDir()
	if err := run(t.Context(), ".", dir); err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join("..", "..", "internal", "awsapi")
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(tree, rel))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what apigen makes; run make generate (%v)", rel, err)
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Fatal(seen, err)
	}
}
